//! What a worker judges and forwards requests by: a plan, and where its targets are.
//!
//! A new configuration replaces all of it at once, between two tasks of the worker's one thread. A request takes it when it
//! arrives and keeps it to its end, so that no request is judged by one plan and forwarded by another.

use super::handler::Handler;
use super::local::Local;
use crate::upstream::{Pool, Upstream};
use hyper::server::conn::http1;
use portcullis_core::{HeadPolicy, Snapshot, TargetId};
use std::rc::Rc;
use std::sync::Arc;
use tokio::runtime::Handle;

/// The most bytes of a request head that are read where the engine's own bounds do not ask for more.
const MAX_HEAD: usize = 64 * 1024;
/// The most header fields that hyper reads without room for them on the heap.
const MAX_FIELDS: usize = 100;

/// Where a request goes.
#[derive(Clone)]
pub enum Target {
    /// To a server.
    Upstream(Upstream),
    /// To a function in this process.
    Handler(Arc<dyn Handler>),
}

/// Where requests go, as a worker has it.
pub(crate) enum Destination {
    Upstream(Rc<Pool>),
    Handler(Local),
}

/// A plan and its targets.
pub(crate) struct Current {
    pub(crate) snapshot: Snapshot,
    pub(crate) http: http1::Builder,
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
            });
        }
        let mut http = http1::Builder::new();
        http.max_buf_size(largest_head(&snapshot.head)).header_read_timeout(None).half_close(false);
        if snapshot.head.max_fields > MAX_FIELDS {
            http.max_headers(snapshot.head.max_fields);
        }
        Ok(Current { snapshot, http, destinations })
    }

    /// Where a route's requests go. `None` for a number that the front was not given.
    pub(crate) fn destination(&self, target: TargetId) -> Option<&Destination> {
        self.destinations.get(target.0 as usize)
    }

    /// The connections to upstreams.
    pub(crate) fn pools(&self) -> impl Iterator<Item = &Rc<Pool>> {
        self.destinations.iter().filter_map(|destination| match destination {
            Destination::Upstream(pool) => Some(pool),
            Destination::Handler(_) => None,
        })
    }
}

/// The most bytes of a request head that are read: more than the engine's own bounds, so that its answer is the one
/// that a client sees.
fn largest_head(policy: &HeadPolicy) -> usize {
    // What stands between and around names and values, and the method and version around the target.
    let fields = policy.max_head_bytes.saturating_add(policy.max_fields.saturating_mul(8));
    fields.saturating_add(policy.max_target_bytes).saturating_add(4096).max(MAX_HEAD)
}
