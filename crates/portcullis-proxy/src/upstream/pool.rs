//! The connections of one worker to one upstream.
//!
//! HTTP/1.1: the most recently used idle connection is taken first, so that the others can age and go. HTTP/2: requests share
//! a connection; the first one with room is taken, and a further one is made where all are full. A connection that the upstream
//! has closed or is about to close, or that is too old, is not handed out. Nothing here is shared with another worker. Where no
//! connection can be made, the request is refused with 502.

use super::config::Upstream;
use super::connect::{Address, connect};
use super::http1::Connection;
use super::http2::{self, Http2Connection};
use super::proxy_header::Ends;
use crate::stream::Stream;
use crate::upload::ForwardedBody;
use http::uri::Authority;
use http::{HeaderValue, Request};
use portcullis_core::{Code, Denial};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// How often it is looked after idle connections that the upstream has closed.
const SWEEP: Duration = Duration::from_secs(1);
const GRAIN: Duration = Duration::from_millis(10);

/// An upstream and this worker's connections to it.
pub(crate) struct Pool {
    pub(crate) upstream: Upstream,
    /// The worker's own copy of the name, so that no other core counts its references.
    pub(crate) name: Arc<str>,
    /// The `Host` field.
    pub(crate) host: HeaderValue,
    /// The same, for HTTP/2.
    authority: Authority,
    address: Address,
    idle: RefCell<VecDeque<Idle>>,
    shared: RefCell<Vec<Rc<Http2Connection>>>,
    making: Making,
    sweeping: Cell<bool>,
    closed: Cell<bool>,
}

/// An idle connection of HTTP/1.1.
struct Idle {
    connection: Box<Connection>,
    since: Instant,
}

/// Connections of HTTP/2 that are being made, and the requests that wait for them instead of making one each.
struct Making {
    /// How many are being made.
    connections: Cell<usize>,
    waiting: Cell<usize>,
    /// How many streams a new connection will have, by what the last one had.
    expected: Cell<usize>,
    /// Counts those that could not be made, and why the last one could not.
    failed: RefCell<(u64, Option<Denial>)>,
    changed: Notify,
}

/// A request that waits for a connection to be made.
struct Waiting<'a>(&'a Making);

impl<'a> Waiting<'a> {
    fn new(making: &'a Making) -> Waiting<'a> {
        making.waiting.set(making.waiting.get() + 1);
        Waiting(making)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.set(self.0.waiting.get().saturating_sub(1));
    }
}

/// A connection that is being made, until it is known how many requests it takes. Whoever waits for it hears of its end.
struct BeingMade(Rc<Pool>);

impl BeingMade {
    fn new(pool: &Rc<Pool>) -> BeingMade {
        pool.making.connections.set(pool.making.connections.get() + 1);
        BeingMade(Rc::clone(pool))
    }
}

impl Drop for BeingMade {
    fn drop(&mut self) {
        let making = &self.0.making;
        making.connections.set(making.connections.get().saturating_sub(1));
        making.changed.notify_waiters();
    }
}

/// A place for one request. Dropped, it is given up.
pub(crate) enum Lease {
    Http1(Http1Lease),
    Http2(http2::Stream),
}

/// A connection of HTTP/1.1 in use. Dropped, it is closed.
pub(crate) struct Http1Lease {
    pub(crate) connection: Box<Connection>,
    pub(crate) pool: Rc<Pool>,
    /// Whether it has carried a request before.
    pub(crate) reused: bool,
}

/// A connection that has left HTTP behind, and the bytes that have come in since.
pub(crate) type Switched = (Stream, bytes::Bytes);

impl Pool {
    /// # Errors
    /// What is wrong with the upstream's authority or base path.
    pub(crate) fn new(upstream: Upstream) -> Result<Pool, &'static str> {
        let address = Address::of(&upstream)?;
        let host = HeaderValue::from_str(&upstream.authority).map_err(|_| "the authority is not text")?;
        let authority =
            Authority::try_from(upstream.authority.as_str()).map_err(|_| "the authority is not one")?;
        let base = &upstream.base_path;
        let sane = base.is_empty() || (base.starts_with('/') && !base.ends_with('/'));
        if !sane
            || base.contains(['?', '#'])
            || base.parse::<http::uri::PathAndQuery>().is_err() && !base.is_empty()
        {
            return Err("the base path is neither empty nor a path without a slash at its end");
        }
        Ok(Pool {
            name: Arc::from(&*upstream.name),
            upstream,
            host,
            authority,
            address,
            idle: RefCell::default(),
            shared: RefCell::default(),
            making: Making {
                connections: Cell::new(0),
                waiting: Cell::new(0),
                expected: Cell::new(Http2Connection::MAX_STREAMS),
                failed: RefCell::default(),
                changed: Notify::new(),
            },
            sweeping: Cell::new(false),
            closed: Cell::new(false),
        })
    }

    /// A place on a connection that is there. `now` is when this turn began.
    pub(crate) fn take(self: &Rc<Self>, now: Instant) -> Option<Lease> {
        // SECURITY: a connection that said whose request it carries has no other client's
        // (a_server_hears_whose_request_it_gets).
        if self.upstream.proxy_protocol.is_some() {
            return None;
        }
        if self.upstream.http2 { self.take_stream(now) } else { self.take_idle(now) }
    }

    fn take_idle(self: &Rc<Self>, now: Instant) -> Option<Lease> {
        let mut idle = self.idle.borrow_mut();
        while let Some(Idle { mut connection, since }) = idle.pop_back() {
            let usable = now.saturating_duration_since(since) < self.upstream.idle_timeout
                && connection.is_fresh(&self.upstream, now)
                && connection.is_quiet();
            if usable {
                return Some(Lease::Http1(Http1Lease { connection, pool: Rc::clone(self), reused: true }));
            }
        }
        None
    }

    fn take_stream(&self, now: Instant) -> Option<Lease> {
        let mut shared = self.shared.borrow_mut();
        // Those that take no more live on as long as their streams.
        shared.retain(|connection| connection.is_open(&self.upstream, now));
        let free = shared.iter().find(|connection| connection.has_room())?;
        self.making.expected.set(free.most_streams().max(1));
        Some(Lease::Http2(http2::Stream::of(free)))
    }

    /// A place for a request: on a connection that is there, or on a new one. How long that may take is for the caller to say.
    ///
    /// # Errors
    /// No address, or none that answers, or one that cannot prove who it is.
    pub(crate) async fn lease(self: &Rc<Self>, fresh: Fresh, ends: Option<Ends>) -> Result<Lease, Denial> {
        if fresh == Fresh::IfNeedBe
            && let Some(lease) = self.take(Instant::now())
        {
            return Ok(lease);
        }
        if !self.upstream.http2 {
            let stream = connect(&self.upstream, &self.address, ends).await?;
            let connection = Box::new(Connection::new(stream, &self.upstream));
            return Ok(Lease::Http1(Http1Lease { connection, pool: Rc::clone(self), reused: false }));
        }
        let making = &self.making;
        let failures = making.failed.borrow().0;
        loop {
            let room = making.connections.get().saturating_mul(making.expected.get());
            if room <= making.waiting.get().saturating_add(making.connections.get()) {
                return self.make_shared().await;
            }
            let changed = making.changed.notified();
            {
                let _waiting = Waiting::new(making);
                changed.await;
            }
            if let Some(lease) = self.take_stream(Instant::now()) {
                return Ok(lease);
            }
            if let (count, Some(denial)) = &*making.failed.borrow()
                && *count > failures
            {
                return Err(denial.clone());
            }
        }
    }

    /// A new connection of HTTP/2, with a place on it.
    async fn make_shared(self: &Rc<Self>) -> Result<Lease, Denial> {
        let being_made = BeingMade::new(self);
        let made = async {
            let stream = connect(&self.upstream, &self.address, None).await?;
            Http2Connection::begin(stream, &self.upstream)
                .await
                .map_err(|error| Denial::new(Code::UpstreamUnreachable, error.to_string()))
        };
        match made.await {
            Ok(connection) => {
                let connection = Rc::new(connection);
                let stream = http2::Stream::of(&connection);
                let signals = connection.signals();
                tokio::task::spawn_local(async move {
                    signals.settled().await;
                    drop(being_made);
                });
                if !self.closed.get() {
                    self.shared.borrow_mut().push(connection);
                    self.watch();
                }
                Ok(Lease::Http2(stream))
            }
            Err(denial) => {
                let mut failed = self.making.failed.borrow_mut();
                *failed = (failed.0.wrapping_add(1), Some(denial.clone()));
                Err(denial)
            }
        }
    }

    /// Gives a request the form that the upstream's version of HTTP has. `None` where it has none.
    pub(crate) fn form(&self, request: &mut Request<ForwardedBody>) -> Option<()> {
        if self.upstream.http2 {
            http2::form(request, self.upstream.tls.is_some(), &self.authority)
        } else {
            Some(())
        }
    }

    /// Keeps a connection of HTTP/1.1 whose answer has ended in a turn that began then.
    pub(crate) fn keep_http1(self: Rc<Self>, mut connection: Box<Connection>, now: Instant) {
        if !connection.is_quiet()
            || !connection.is_fresh(&self.upstream, now)
            || self.closed.get()
            || self.upstream.max_idle_connections == 0
            || self.upstream.proxy_protocol.is_some()
        {
            return;
        }
        connection.rest();
        let mut idle = self.idle.borrow_mut();
        idle.push_back(Idle { connection, since: now });
        if idle.len() > self.upstream.max_idle_connections {
            idle.pop_front();
        }
        drop(idle);
        self.watch();
    }

    /// Looks after connections until there is none left.
    fn watch(self: &Rc<Self>) {
        if !self.sweeping.replace(true) {
            tokio::task::spawn_local(Rc::clone(self).sweep());
        }
    }

    /// Closes idle connections that have grown too old, or that the upstream has closed, until there is none left.
    async fn sweep(self: Rc<Self>) {
        let limit = self.upstream.idle_timeout;
        loop {
            let oldest = self.idle.borrow().front().map(|idle| idle.since);
            if oldest.is_none() && self.shared.borrow().is_empty() {
                break;
            }
            let left = oldest.map_or(SWEEP, |oldest| limit.saturating_sub(oldest.elapsed()));
            tokio::time::sleep(left.clamp(GRAIN, SWEEP)).await;
            self.idle
                .borrow_mut()
                .retain_mut(|idle| idle.since.elapsed() < limit && idle.connection.is_quiet());
            self.shared.borrow_mut().retain(|connection| {
                connection.is_open(&self.upstream, Instant::now())
                    && connection.idle_since().is_none_or(|since| since.elapsed() < limit)
            });
        }
        self.sweeping.set(false);
    }

    /// Closes every idle connection, and each further one when its answer ends.
    pub(crate) fn close(&self) {
        self.closed.set(true);
        self.idle.borrow_mut().clear();
        self.shared.borrow_mut().clear();
    }
}

/// Whether a request needs a connection of its own making.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fresh {
    /// One that is there will do.
    IfNeedBe,
    /// It was just sent on one that was dead.
    Always,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_is_host_and_port() {
        for good in ["127.0.0.1:80", "[::1]:8080", "backend:3000", "a.b-c.example:1"] {
            assert!(Pool::new(Upstream::new(good)).is_ok(), "{good}");
        }
        for bad in [
            "",
            "backend",
            "backend:",
            "backend:0",
            "backend:99999",
            "http://a:80",
            "a b:80",
            "[::1]",
            "u@h:80",
            ":80",
        ] {
            assert!(Pool::new(Upstream::new(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_base_path_has_a_slash_before_it_and_none_after() {
        let with =
            |base: &str| Pool::new(Upstream { base_path: base.into(), ..Upstream::new("a:80") }).is_ok();
        assert!(with("") && with("/v1") && with("/v1/x"));
        assert!(!with("/") && !with("v1") && !with("/v1/") && !with("/a?b") && !with("/a b"));
    }
}
