//! What is counted of a record.

use super::exposition::Exposition;
use super::families;
use super::histogram::Histogram;
use super::{Metrics, number};
use crate::lanes::FastMap;
use portcullis_core::principal::Identity;
use portcullis_core::record::{CheckTime, UpstreamAccount};
use portcullis_core::{Code, ConsumerId, Denial, Outcome, Record, Searched};
use std::collections::BTreeMap;
use std::hash::Hash;
use std::sync::Arc;

/// The route of a request that belongs to none.
pub const NO_ROUTE: &str = "(none)";
/// The consumer of a request that nobody was identified for.
pub const ANONYMOUS: &str = "(anonymous)";
/// The consumer of a request of somebody whom only an issuer knows: there are as many as the issuer likes.
pub const SUBJECT: &str = "(subject)";
/// The label of consumers of the store of keys, which come and go.
pub const STORED: &str = "(stored)";

/// The most rules that a worker tells apart. Only ids of loaded rules are counted, but configurations come and go.
pub const MOST_RULES: usize = 2_000;
/// Stands for the rules beyond the bound. No rule has this id.
const OTHER_RULES: u64 = 0;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Ending {
    /// The client has its whole answer.
    Served,
    /// Refused.
    Refused,
    /// The upstream or the gateway failed.
    Failed,
    /// The client went away.
    Aborted,
}

impl Ending {
    /// Every one.
    pub const ALL: [Ending; 4] = [Ending::Served, Ending::Refused, Ending::Failed, Ending::Aborted];

    /// How a record ended, and why.
    pub fn of(outcome: &Outcome) -> (Ending, Option<&Denial>) {
        match outcome {
            Outcome::Served => (Ending::Served, None),
            Outcome::Refused(denial) => (Ending::Refused, Some(denial)),
            Outcome::Failed(denial) => (Ending::Failed, Some(denial)),
            Outcome::Aborted => (Ending::Aborted, None),
        }
    }

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Ending::Served => "served",
            Ending::Refused => "refused",
            Ending::Failed => "failed",
            Ending::Aborted => "aborted",
        }
    }
}

/// What requests are told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestKey {
    /// The number of the route's name.
    pub route: u32,
    /// The status; 0 for none.
    pub status: u16,
    /// How it ended.
    pub ending: Ending,
    /// Why it was refused or failed.
    pub code: Option<Code>,
}

/// What refusals of checks are told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct CheckKey {
    check: &'static str,
    code: Code,
    observed: bool,
}

/// How much of a limit was left after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Left {
    /// Nothing.
    Nothing,
    /// Less than a tenth.
    UnderTenth,
    /// Less than a half.
    UnderHalf,
    /// A half or more.
    Plenty,
}

impl Left {
    /// So much of so much.
    pub fn of(remaining: u32, max: u32) -> Left {
        let (remaining, max) = (u64::from(remaining), u64::from(max));
        if remaining == 0 {
            Left::Nothing
        } else if remaining * 10 < max {
            Left::UnderTenth
        } else if remaining * 2 < max {
            Left::UnderHalf
        } else {
            Left::Plenty
        }
    }

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Left::Nothing => "0",
            Left::UnderTenth => "under_10",
            Left::UnderHalf => "under_50",
            Left::Plenty => "50_or_more",
        }
    }
}

/// Who sent a request, as far as it is told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A consumer of the plan.
    Consumer(ConsumerId),
    /// A consumer of the store of keys.
    Stored,
    /// Somebody for whom an issuer vouches.
    Subject,
}

/// Who sent it; `None` where nobody was identified.
pub fn caller(record: &Record) -> Option<Caller> {
    match record.principal.as_ref()?.identity() {
        Identity::Anonymous => None,
        Identity::Consumer(id) => Some(Caller::Consumer(*id)),
        Identity::Stored(_) => Some(Caller::Stored),
        Identity::Subject(_) => Some(Caller::Subject),
    }
}

/// What is measured of a route.
#[derive(Clone, Debug, Default)]
pub struct RouteTimes {
    /// From the arrival to the end.
    pub whole: Histogram,
    /// Without the upstream.
    pub gateway: Histogram,
    /// The upstream alone.
    pub upstream: Histogram,
    received: u64,
    sent: u64,
}

/// Counts of one worker, or their sum.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    /// Requests.
    pub requests: FastMap<RequestKey, u64>,
    /// Requests by the number of the consumer's name.
    pub consumers: FastMap<(u32, Ending), u64>,
    /// By the number of the route's name.
    pub routes: FastMap<u32, RouteTimes>,
    checks: FastMap<CheckKey, u64>,
    /// By check, and whether it would have refused.
    check_times: FastMap<(&'static str, bool), Histogram>,
    limits: FastMap<(u32, Left), u64>,
    /// By the id of the rule; [`OTHER_RULES`] for those beyond the bound.
    rules: FastMap<u64, u64>,
    searched_values: u64,
    harmless_values: u64,
    upstreams: FastMap<(u32, u16), u64>,
    /// Numbers of upstreams' names that this worker has met.
    known_upstreams: FastMap<Arc<str>, u32>,
}

impl Counted {
    pub(super) fn count(&mut self, record: &Record, route: u32, consumer: u32) {
        let (ending, denial) = Ending::of(&record.outcome);
        let status = record.status.map_or(0, |status| status.as_u16());
        let code = denial.map(Denial::code);
        add(&mut self.requests, RequestKey { route, status, ending, code }, 1);
        add(&mut self.consumers, (consumer, ending), 1);
        denial.into_iter().for_each(|denial| self.count_check(denial, false));
        record.observed.iter().for_each(|denial| self.count_check(denial, true));
        if let Some(searched) = &record.searched {
            self.count_search(searched);
        }
        let times = self.routes.entry(route).or_default();
        times.whole.observe(record.elapsed);
        let waited = record.upstream.as_ref().map(|upstream| upstream.elapsed);
        times.gateway.observe(record.elapsed.saturating_sub(waited.unwrap_or_default()));
        if let Some(waited) = waited {
            times.upstream.observe(waited);
        }
        times.received = times.received.saturating_add(record.bytes_received());
        times.sent = times.sent.saturating_add(record.bytes_sent);
    }

    pub(super) fn count_search(&mut self, searched: &Searched) {
        for rule in &searched.rules {
            let known = self.rules.len() < MOST_RULES || self.rules.contains_key(rule);
            add(&mut self.rules, if known { *rule } else { OTHER_RULES }, 1);
        }
        self.harmless_values = self.harmless_values.saturating_add(searched.harmless);
        let rest = searched.values.saturating_sub(searched.harmless);
        self.searched_values = self.searched_values.saturating_add(rest);
    }

    fn count_check(&mut self, denial: &Denial, observed: bool) {
        if let Some(check) = denial.check() {
            add(&mut self.checks, CheckKey { check: check.as_str(), code: denial.code(), observed }, 1);
        }
    }

    pub(super) fn count_checks(&mut self, checks: &[CheckTime]) {
        for CheckTime { check, took, refused } in checks {
            self.check_times.entry((check.as_str(), *refused)).or_default().observe(*took);
        }
    }

    pub(super) fn count_limit(&mut self, limit: u32, left: Left) {
        add(&mut self.limits, (limit, left), 1);
    }

    pub(super) fn count_upstream(&mut self, upstream: &UpstreamAccount, number: impl Fn(&str) -> u32) {
        let known = match self.known_upstreams.get(&*upstream.name) {
            Some(known) => *known,
            None => {
                let known = number(&upstream.name);
                // An upstream beyond the bound is asked for again, so that this table is bounded as well.
                if known != crate::names::OTHER {
                    self.known_upstreams.insert(Arc::clone(&upstream.name), known);
                }
                known
            }
        };
        add(&mut self.upstreams, (known, upstream.status.map_or(0, |status| status.as_u16())), 1);
    }

    /// Answers by the number of the upstream's name and their status; 0 where there was none.
    pub fn upstreams(&self) -> impl Iterator<Item = ((u32, u16), u64)> {
        self.upstreams.iter().map(|(key, count)| (*key, *count))
    }

    /// Adds what another one counted.
    pub(super) fn add(&mut self, other: &Counted) {
        add_all(&mut self.requests, &other.requests);
        add_all(&mut self.consumers, &other.consumers);
        add_all(&mut self.checks, &other.checks);
        add_all(&mut self.limits, &other.limits);
        for (check, theirs) in &other.check_times {
            self.check_times.entry(*check).or_default().add(theirs);
        }
        add_all(&mut self.rules, &other.rules);
        self.searched_values = self.searched_values.saturating_add(other.searched_values);
        self.harmless_values = self.harmless_values.saturating_add(other.harmless_values);
        add_all(&mut self.upstreams, &other.upstreams);
        for (route, theirs) in &other.routes {
            let mine = self.routes.entry(*route).or_default();
            mine.whole.add(&theirs.whole);
            mine.gateway.add(&theirs.gateway);
            mine.upstream.add(&theirs.upstream);
            mine.received = mine.received.saturating_add(theirs.received);
            mine.sent = mine.sent.saturating_add(theirs.sent);
        }
    }

    pub(super) fn write(&self, metrics: &Metrics, to: &mut Exposition) {
        to.family(&families::REQUESTS);
        for (key, count) in
            sorted(&self.requests, |key| (key.route, key.status, key.ending, key.code.map(Code::as_str)))
        {
            let labels = [
                ("route", &*metrics.route(key.route)),
                ("status", &status(key.status)),
                ("outcome", key.ending.as_str()),
                ("code", key.code.map_or("", Code::as_str)),
            ];
            to.sample(&labels, number(*count));
        }
        to.family(&families::CONSUMER_REQUESTS);
        for ((consumer, ending), count) in sorted(&self.consumers, |key| *key) {
            to.sample(
                &[("consumer", &*metrics.consumer(*consumer)), ("outcome", ending.as_str())],
                number(*count),
            );
        }
        to.family(&families::CHECK_REFUSALS);
        for (key, count) in sorted(&self.checks, |key| (key.check, key.code.as_str(), key.observed)) {
            let mode = if key.observed { "observe" } else { "enforce" };
            to.sample(&[("check", key.check), ("code", key.code.as_str()), ("mode", mode)], number(*count));
        }
        to.family(&families::RULE_MATCHES);
        for (rule, count) in sorted(&self.rules, |rule| *rule) {
            let label = if *rule == OTHER_RULES { "other".to_owned() } else { rule.to_string() };
            to.sample(&[("rule", &label)], number(*count));
        }
        to.family(&families::SEARCHED_VALUES);
        if self.searched_values > 0 || self.harmless_values > 0 {
            to.sample(&[("result", "searched")], number(self.searched_values));
            to.sample(&[("result", "harmless")], number(self.harmless_values));
        }
        to.family(&families::CHECK_SECONDS);
        let times: BTreeMap<_, _> = self.check_times.iter().collect();
        for ((check, refused), times) in times {
            let verdict = if *refused { "refuse" } else { "pass" };
            to.histogram(&[("check", check), ("verdict", verdict)], times);
        }
        to.family(&families::LIMIT_REQUESTS);
        for ((limit, left), count) in sorted(&self.limits, |key| *key) {
            to.sample(&[("limit", &*metrics.limit(*limit)), ("left", left.as_str())], number(*count));
        }
        let routes: BTreeMap<u32, &RouteTimes> =
            self.routes.iter().map(|(route, times)| (*route, times)).collect();
        let named: Vec<_> = routes.into_iter().map(|(route, times)| (metrics.route(route), times)).collect();
        for (family, of) in [
            (&families::REQUEST_SECONDS, (|times| &times.whole) as fn(&RouteTimes) -> &Histogram),
            (&families::GATEWAY_SECONDS, |times| &times.gateway),
            (&families::UPSTREAM_SECONDS, |times| &times.upstream),
        ] {
            to.family(family);
            for (route, times) in &named {
                to.histogram(&[("route", route)], of(times));
            }
        }
        to.family(&families::UPSTREAM_RESPONSES);
        for ((upstream, code), count) in sorted(&self.upstreams, |key| *key) {
            let labels = [("upstream", &*metrics.upstream(*upstream)), ("status", &status(*code))];
            to.sample(&labels, number(*count));
        }
        to.family(&families::RECEIVED_BYTES);
        for (route, times) in &named {
            to.sample(&[("route", route)], number(times.received));
        }
        to.family(&families::SENT_BYTES);
        for (route, times) in &named {
            to.sample(&[("route", route)], number(times.sent));
        }
    }
}

fn status(status: u16) -> String {
    if status == 0 { "none".to_owned() } else { status.to_string() }
}

fn add<K: Eq + Hash>(counts: &mut FastMap<K, u64>, key: K, more: u64) {
    *counts.entry(key).or_insert(0) += more;
}

fn add_all<K: Eq + Hash + Copy>(counts: &mut FastMap<K, u64>, more: &FastMap<K, u64>) {
    more.iter().for_each(|(key, count)| add(counts, *key, *count));
}

/// In an order that stays, so that two readings can be compared.
fn sorted<K, O: Ord>(counts: &FastMap<K, u64>, order: impl Fn(&K) -> O) -> impl Iterator<Item = (&K, &u64)> {
    let mut all: Vec<_> = counts.iter().collect();
    all.sort_by_key(|(key, _)| order(key));
    all.into_iter()
}
