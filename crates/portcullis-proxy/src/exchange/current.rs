//! What a worker judges and forwards requests by: a plan, and where its targets are.
//!
//! A new configuration replaces all of it at once, between two tasks of the worker's one thread. A request takes it when it
//! arrives and keeps it to its end, so that no request is judged by one plan and forwarded by another.

use super::fixed::FixedAnswer;
use super::handler::Handler;
use super::local::Local;
use crate::upstream::{Pool, Upstream};
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
    /// To a function in this process.
    Handler(Arc<dyn Handler>),
    /// Nowhere: the answer is there already.
    Fixed(Arc<FixedAnswer>),
}

/// Where requests go, as a worker has it.
pub(crate) enum Destination {
    Upstream(Rc<Pool>),
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
        let mut destinations = Vec::with_capacity(targets.len());
        for (index, target) in targets.into_iter().enumerate() {
            destinations.push(match target {
                Target::Upstream(upstream) => {
                    let kept =
                        before.and_then(|before| before.pools().find(|pool| pool.upstream == upstream));
                    Destination::Upstream(match kept {
                        Some(pool) => Rc::clone(pool),
                        None => Rc::new(Pool::new(upstream).map_err(|reason| (index, reason))?),
                    })
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
    pub(crate) fn pools(&self) -> impl Iterator<Item = &Rc<Pool>> {
        self.destinations.iter().filter_map(|destination| match destination {
            Destination::Upstream(pool) => Some(pool),
            Destination::Handler(_) | Destination::Fixed(_) => None,
        })
    }
}
