//! What a worker judges and forwards requests by: a plan, and where its targets are.
//!
//! A new configuration replaces all of it at once, between two tasks of the worker's one thread. A request takes it when it
//! arrives and keeps it to its end, so that no request is judged by one plan and forwarded by another. The worker serves nobody while
//! it exchanges one, so the cost must not grow with more than the number of targets.

use super::fixed::FixedAnswer;
use super::handler::Handler;
use super::local::Local;
use crate::upstream::{Group, Pool, Upstream, UpstreamGroup};
use portcullis_core::{Snapshot, TargetId};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
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
        targets: &[Target],
        handlers: Option<&Handle>,
        before: Option<&Current>,
    ) -> Result<Current, (usize, &'static str)> {
        let snapshot = match before {
            Some(before) => snapshot.following(&before.snapshot),
            None => snapshot,
        };
        let before = before.map(Current::pools).unwrap_or_default();
        let mut known: HashMap<_, Vec<&Rc<Pool>>> = HashMap::with_capacity(before.len());
        for pool in &before {
            known.entry(place(&pool.upstream)).or_default().push(pool);
        }
        let pool = |upstream: &Upstream| {
            let there = known.get(&place(upstream)).into_iter().flatten();
            match there.copied().find(|pool| pool.upstream == *upstream) {
                Some(pool) => Ok(Rc::clone(pool)),
                None => Pool::new(upstream.clone()).map(Rc::new),
            }
        };
        let mut destinations = Vec::with_capacity(targets.len());
        for (index, target) in targets.iter().enumerate() {
            destinations.push(match target {
                Target::Upstream(upstream) => {
                    Destination::Upstream(pool(upstream).map_err(|reason| (index, reason))?)
                }
                Target::Group(group) => {
                    let group = Group::new(group, &pool).map_err(|reason| (index, reason))?;
                    Destination::Group(Rc::new(group))
                }
                Target::Handler(handler) => {
                    let runtime = handlers.ok_or((index, "a handler needs a runtime to run on"))?;
                    Destination::Handler(Local::new(Arc::clone(handler), runtime.clone()))
                }
                Target::Fixed(answer) => Destination::Fixed(Arc::clone(answer)),
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
        let mut all = Vec::with_capacity(self.destinations.len());
        for destination in &self.destinations {
            match destination {
                Destination::Upstream(pool) => all.push(Rc::clone(pool)),
                Destination::Group(group) => all.extend(group.pools()),
                Destination::Handler(_) | Destination::Fixed(_) => {}
            }
        }
        all
    }
}

/// What two upstreams differ in that are not equal, but for a few.
fn place(upstream: &Upstream) -> (&str, &str, Option<SocketAddr>, Option<*const AtomicU32>) {
    let cap = upstream.max_connections.as_ref().map(|cap| Arc::as_ptr(&cap.open));
    (&upstream.name, &upstream.base_path, upstream.address, cap)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::ConnectionCap;
    use std::collections::HashSet;

    #[test]
    fn an_equal_upstream_is_found_among_few() {
        let mut all = Vec::new();
        for number in 0..100 {
            all.push(Upstream::new(format!("server-{number}:80")));
            all.push(Upstream { base_path: format!("/{number}"), ..Upstream::new("server:80") });
            let address = Some(SocketAddr::from(([192, 0, 2, number], 80)));
            all.push(Upstream { address, ..Upstream::new("server:80") });
            let cap = ConnectionCap { most: 1, open: Arc::default() };
            all.push(Upstream { max_connections: Some(cap), ..Upstream::new("server:80") });
        }
        let places: HashSet<_> = all.iter().map(place).collect();
        assert_eq!(places.len(), all.len());
        assert!(all.iter().all(|upstream| place(upstream) == place(&upstream.clone())));
    }
}
