//! One thread's share of a front: what its connections have in common.
//!
//! Nothing in it is shared with another worker, except what the snapshot leads to.

use crate::accept::{self, Port};
use crate::config::Target;
use crate::handler::Local;
use crate::pool::Pool;
use hyper::server::conn::http1;
use portcullis_core::{HeadPolicy, Snapshot, TargetId};
use std::cell::Cell;
use std::net::TcpListener;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};

/// The most bytes of a request head that are read where the engine's own bounds do not ask for more.
const MAX_HEAD: usize = 64 * 1024;
/// The most header fields that hyper reads without room for them on the heap.
const MAX_FIELDS: usize = 100;

/// Where requests go, as a worker has it.
pub(crate) enum Destination {
    Upstream(Rc<Pool>),
    Handler(Local),
}

/// What the connections of a worker have in common.
pub(crate) struct Worker {
    pub(crate) snapshot: Snapshot,
    pub(crate) http: http1::Builder,
    destinations: Vec<Destination>,
    draining: Cell<Option<Instant>>,
    drain: Notify,
    connections: Cell<usize>,
    last_closed: Notify,
}

/// A connection that the worker has; counted as long as it exists.
pub(crate) struct Counted(Rc<Worker>);

impl Worker {
    /// # Errors
    /// What is wrong with a target, and which.
    pub(crate) fn new(
        snapshot: Snapshot,
        targets: Vec<Target>,
        handlers: Option<&Handle>,
    ) -> Result<Worker, (usize, &'static str)> {
        let mut destinations = Vec::with_capacity(targets.len());
        for (index, target) in targets.into_iter().enumerate() {
            destinations.push(match target {
                Target::Upstream(upstream) => {
                    Destination::Upstream(Rc::new(Pool::new(upstream).map_err(|reason| (index, reason))?))
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
        Ok(Worker {
            snapshot,
            http,
            destinations,
            draining: Cell::new(None),
            drain: Notify::new(),
            connections: Cell::new(0),
            last_closed: Notify::new(),
        })
    }

    /// Where a route's requests go. `None` for a number that the front was not given.
    pub(crate) fn destination(&self, target: TargetId) -> Option<&Destination> {
        self.destinations.get(target.0 as usize)
    }

    /// Since when the worker drains; `None` while it does not.
    pub(crate) fn draining(&self) -> Option<Instant> {
        self.draining.get()
    }

    /// Done when the drain begins, or has begun.
    pub(crate) async fn drain_begins(&self) {
        let begins = self.drain.notified();
        if self.draining.get().is_none() {
            begins.await;
        }
    }

    /// Counts a connection.
    pub(crate) fn count(self: &Rc<Self>) -> Counted {
        self.connections.set(self.connections.get() + 1);
        Counted(Rc::clone(self))
    }

    /// Serves these sockets until a shutdown is asked for, and then for at most `drain` what has begun by then.
    pub(crate) async fn run(
        self: Rc<Self>,
        sockets: Vec<(TcpListener, Port)>,
        mut shutdown: watch::Receiver<bool>,
        drain: Duration,
    ) {
        let mut acceptors = Vec::with_capacity(sockets.len());
        for (socket, port) in sockets {
            acceptors.push(tokio::task::spawn_local(accept::run(
                Rc::clone(&self),
                socket,
                port,
                shutdown.clone(),
            )));
        }
        // An error says that nobody is left who could ask: the same as having been asked.
        // SECURITY: what comes back holds a lock that whoever asks a second time waits for, with every acceptor behind, so
        // it is let go before anything else is waited for (a_second_shutdown_waits_for_nobody).
        drop(shutdown.wait_for(|asked| *asked).await);
        self.draining.set(Some(Instant::now()));
        self.drain.notify_waiters();
        for acceptor in acceptors {
            // What it has accepted is counted; if it failed, there is nothing more to accept.
            let _failed = acceptor.await;
        }
        let _late = tokio::time::timeout(drain, self.all_closed()).await;
        for destination in &self.destinations {
            match destination {
                Destination::Upstream(pool) => pool.close(),
                Destination::Handler(_) => {}
            }
        }
    }

    async fn all_closed(&self) {
        loop {
            let closed = self.last_closed.notified();
            if self.connections.get() == 0 {
                return;
            }
            closed.await;
        }
    }
}

/// The most bytes of a request head that are read: more than the engine's own bounds, so that its answer is the one
/// that a client sees.
fn largest_head(policy: &HeadPolicy) -> usize {
    // What stands between and around names and values, and the method and version around the target.
    let fields = policy.max_head_bytes.saturating_add(policy.max_fields.saturating_mul(8));
    fields.saturating_add(policy.max_target_bytes).saturating_add(4096).max(MAX_HEAD)
}

impl Drop for Counted {
    fn drop(&mut self) {
        let left = self.0.connections.get() - 1;
        self.0.connections.set(left);
        if left == 0 {
            self.0.last_closed.notify_waiters();
        }
    }
}
