//! Numbers for Prometheus.
//!
//! | module         | decides                                                        |
//! |----------------|----------------------------------------------------------------|
//! | [`families`]     | which metrics there are: each is declared once                 |
//! | [`counted`]      | what is counted of a record                                    |
//! | [`histogram`]    | how durations are counted                                      |
//! | [`exposition`]   | how a metric is written                                        |
//! | [`export`]       | how metrics are sent to a collector                            |
//! | `process`        | what the operating system says of this process                 |
//!
//! Each worker counts in a lane of its own; whoever reads sums the lanes. So a request takes no lock that another worker
//! takes. Label values are names of the configuration and fixed words, never what a client wrote, and bounded in number:
//! names beyond the bound are counted as `other`. Counts outlive a reload.

pub mod counted;
pub mod export;
pub mod exposition;
pub mod families;
pub mod histogram;
mod process;

pub use exposition::number;

use crate::lanes::Lanes;
use crate::names::Names;
use counted::{Counted, NO_ROUTE};
use exposition::Exposition;
use portcullis_core::{Plan, Record, RecordSink};
use std::sync::Arc;

/// The most routes that are told apart.
pub const MOST_ROUTES: usize = 200;
/// The most consumers that are told apart.
pub const MOST_CONSUMERS: usize = 200;
/// The most upstreams that are told apart.
pub const MOST_UPSTREAMS: usize = 100;
/// The most limits that are told apart.
pub const MOST_LIMITS: usize = 200;

/// Everything that is counted, for as long as the process lives.
pub struct Metrics {
    routes: Names,
    consumers: Names,
    upstreams: Names,
    limits: Names,
    lanes: Lanes<Counted>,
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics {
            routes: Names::new(MOST_ROUTES),
            consumers: Names::new(MOST_CONSUMERS),
            upstreams: Names::new(MOST_UPSTREAMS),
            limits: Names::new(MOST_LIMITS),
            lanes: Lanes::default(),
        }
    }
}

/// Counts the records of one plan, under names that stay when the plan goes.
pub struct PlanMetrics {
    metrics: Arc<Metrics>,
    routes: Box<[u32]>,
    no_route: u32,
    consumers: Box<[u32]>,
    limits: Box<[u32]>,
    anonymous: u32,
    subject: u32,
    stored: u32,
}

impl Metrics {
    /// What counts the records of a plan.
    pub fn of_plan(self: &Arc<Self>, plan: &Plan) -> PlanMetrics {
        PlanMetrics {
            no_route: self.routes.number(NO_ROUTE),
            anonymous: self.consumers.number(counted::ANONYMOUS),
            subject: self.consumers.number(counted::SUBJECT),
            stored: self.consumers.number(counted::STORED),
            routes: plan.routes.iter().map(|route| self.routes.number(&route.path)).collect(),
            limits: plan.policies.iter().map(|policy| self.limits.number(&policy.name)).collect(),
            consumers: plan.consumers.iter().map(|one| self.consumers.number(&one.name)).collect(),
            metrics: Arc::clone(self),
        }
    }

    /// The sum of what all workers have counted so far.
    pub fn total(&self) -> Counted {
        let mut total = Counted::default();
        self.lanes.each(|lane| total.add(lane));
        total
    }

    /// The name of a route's number.
    pub fn route(&self, number: u32) -> Arc<str> {
        self.routes.name(number)
    }

    /// The name of a consumer's number.
    pub fn consumer(&self, number: u32) -> Arc<str> {
        self.consumers.name(number)
    }

    /// The name of a limit's number.
    pub fn limit(&self, number: u32) -> Arc<str> {
        self.limits.name(number)
    }

    /// The name of an upstream's number.
    pub fn upstream(&self, number: u32) -> Arc<str> {
        self.upstreams.name(number)
    }

    /// Everything as text, with what `more` adds.
    pub fn text(&self, more: impl FnOnce(&mut Exposition)) -> String {
        self.read(more).into_text()
    }

    /// Everything, with what `more` adds.
    pub fn read(&self, more: impl FnOnce(&mut Exposition)) -> Exposition {
        let mut to = Exposition::default();
        self.total().write(self, &mut to);
        more(&mut to);
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        to.family(&families::BUILD_INFO).sample(&version, 1.0);
        process::write(&mut to);
        to
    }
}

impl RecordSink for PlanMetrics {
    fn wants_check_times(&self) -> bool {
        true
    }

    fn write(&self, record: &Record, plan: &Plan) {
        let route = record
            .route
            .map_or(self.no_route, |id| self.routes.get(id.0 as usize).copied().unwrap_or(self.no_route));
        let consumer = counted::caller(record).map_or(self.anonymous, |caller| match caller {
            counted::Caller::Consumer(id) => {
                self.consumers.get(id.0 as usize).copied().unwrap_or(self.anonymous)
            }
            counted::Caller::Stored => self.stored,
            counted::Caller::Subject => self.subject,
        });
        let limit = record.limit.and_then(|tightest| {
            let place = tightest.limit.0 as usize;
            let (name, policy) = (self.limits.get(place)?, plan.policies.get(place)?);
            Some((*name, counted::Left::of(tightest.remaining, policy.max)))
        });
        let upstream = record.upstream.as_ref();
        self.metrics.lanes.with(|lane| {
            lane.count(record, route, consumer);
            lane.count_checks(&record.checks);
            if let Some((limit, left)) = limit {
                lane.count_limit(limit, left);
            }
            if let Some(upstream) = upstream {
                // Known to this lane after the first time, so that the names' lock is not taken again.
                let names = &self.metrics.upstreams;
                lane.count_upstream(upstream, |name| names.number(name));
            }
        });
    }
}

#[cfg(test)]
mod tests;
