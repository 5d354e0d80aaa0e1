//! What a worker judges and forwards requests by: a plan, and where its targets are.
//!
//! A new configuration replaces all of it at once, between two tasks of the worker's one thread. A request takes it when it
//! arrives and keeps it to its end, so that no request is judged by one plan and forwarded by another.

use super::fixed::FixedAnswer;
use super::handler::Handler;
use super::local::Local;
use crate::upstream::{Group, Pool, Upstream, UpstreamGroup};
use portcullis_core::{Snapshot, TargetId};
use std::rc::Rc;
use std::sync::Arc;
use tokio::runtime::Handle;

/// Where a request goes.
#[derive(Clone)]
#[expect(clippy::large_enum_variant, reason = "there is one for each route, and most are servers")]
pub enum Target {
    /// To a server.
    Upstream(Upstream),
    /// To one of several servers that stand for each other.
    Group(Arc<UpstreamGroup>),
    /// To a function in this process.
    Handler(Arc<dyn Handler>),
    /// Nowhere: the answer is there already.
    Fixed(Arc<FixedAnswer>),
}

/// Where requests go, as a worker has it.
pub(crate) enum Destination {
    Upstream(Rc<Pool>),
    Group(Rc<Group>),
    Handler(Local),
    Fixed(Arc<FixedAnswer>),
}

/// A plan and its targets.
pub(crate) struct Current {
    pub(crate) snapshot: Snapshot,
    destinations: Vec<Destination>,
}

impl Current {
    /// Connections to upstreams that are the same as `before` are taken over.
    ///
    /// # Errors
    /// What is wrong with a target, and which.
    pub(crate) fn new(
        snapshot: Snapshot,
        targets: Vec<Target>,
        handlers: Option<&Handle>,
        before: Option<&Current>,
    ) -> Result<Current, (usize, &'static str)> {
        let snapshot = match before {
            Some(before) => snapshot.following(&before.snapshot),
            None => snapshot,
        };
        let before: Vec<Rc<Pool>> = before.into_iter().flat_map(Current::pools).collect();
        let pool = |upstream: &Upstream| {
            let kept = before.iter().find(|pool| pool.upstream == *upstream);
            match kept {
                Some(pool) => Ok(Rc::clone(pool)),
                None => Pool::new(upstream.clone()).map(Rc::new),
            }
        };
        let mut destinations = Vec::with_capacity(targets.len());
        for (index, target) in targets.into_iter().enumerate() {
            destinations.push(match target {
                Target::Upstream(upstream) => {
                    Destination::Upstream(pool(&upstream).map_err(|reason| (index, reason))?)
                }
                Target::Group(group) => {
                    let group = Group::new(&group, &pool).map_err(|reason| (index, reason))?;
                    Destination::Group(Rc::new(group))
                }
                Target::Handler(handler) => {
                    let runtime = handlers.ok_or((index, "a handler needs a runtime to run on"))?;
                    Destination::Handler(Local::new(handler, runtime.clone()))
                }
                Target::Fixed(answer) => Destination::Fixed(answer),
            });
        }
        Ok(Current { snapshot, destinations })
    }

    /// Where a route's requests go. `None` for a number that the front was not given.
    pub(crate) fn destination(&self, target: TargetId) -> Option<&Destination> {
        self.destinations.get(target.0 as usize)
    }

    /// The connections to upstreams.
    pub(crate) fn pools(&self) -> Vec<Rc<Pool>> {
        let all = self.destinations.iter().flat_map(|destination| match destination {
            Destination::Upstream(pool) => vec![Rc::clone(pool)],
            Destination::Group(group) => group.pools(),
            Destination::Handler(_) | Destination::Fixed(_) => Vec::new(),
        });
        all.collect()
    }
}
