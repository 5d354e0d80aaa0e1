//! The connections of one worker to one upstream.
//!
//! The most recently used idle connection is taken first, so that the others can age and go. A connection that the
//! upstream has closed, that has grown too old, or that is still busy is not handed out. Nothing here is shared with
//! another worker. Where no connection can be made, the request is refused with 502.

use super::config::Upstream;
use super::dial::dial_name;
use super::http1::Connection;
use super::http2::{self, Http2Connection, Sender};
use crate::stream::{Socket, Stream};
use crate::upload::ForwardedBody;
use http::uri::Authority;
use http::{HeaderValue, Request};
use portcullis_core::{Code, Denial};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::{TlsConnector, TlsStream};

/// How long a connection of HTTP/2 may take, after an answer's end, to be ready for the next request.
const SETTLE: Duration = Duration::from_secs(1);
/// How often it is looked after idle connections that the upstream has closed.
const SWEEP: Duration = Duration::from_secs(1);

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
    sweeping: Cell<bool>,
    closed: Cell<bool>,
}

enum Address {
    Known(SocketAddr),
    Named(String, u16),
}

struct Idle {
    link: Link,
    since: Instant,
}

/// A connection in either version of HTTP.
enum Link {
    Http1(Box<Connection>),
    Http2(Sender, Driver),
}

/// The task of a connection of HTTP/2; ended when this is dropped.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        // SECURITY: an upstream that answers early and then neither reads nor closes would keep its connection, the
        // body and the client's connection for ever (an_upstream_that_stops_reading_keeps_nothing).
        self.0.abort();
    }
}

/// A connection in use. Dropped, it is closed.
pub(crate) enum Lease {
    Http1(Http1Lease),
    Http2(Http2Lease),
}

/// A connection of HTTP/1.1 in use.
pub(crate) struct Http1Lease {
    pub(crate) connection: Box<Connection>,
    pub(crate) pool: Rc<Pool>,
    /// Whether it has carried a request before.
    pub(crate) reused: bool,
}

/// A connection of HTTP/2 in use.
pub(crate) struct Http2Lease {
    sender: Sender,
    driver: Driver,
    pool: Rc<Pool>,
}

/// A connection that has left HTTP behind, and the bytes that have come in since.
pub(crate) type Switched = (Stream, bytes::Bytes);

impl Http2Lease {
    pub(crate) fn sender(&mut self) -> &mut Sender {
        &mut self.sender
    }

    /// Returns the connection after the end of an answer.
    pub(crate) fn give_back(self) {
        let Http2Lease { mut sender, driver, pool } = self;
        if sender.is_ready() {
            pool.keep(Link::Http2(sender, driver));
        } else if !sender.is_closed() {
            // The upstream has answered, but has not read the whole request.
            tokio::task::spawn_local(async move {
                if let Ok(Ok(())) = tokio::time::timeout(SETTLE, sender.ready()).await {
                    pool.keep(Link::Http2(sender, driver));
                }
            });
        }
    }
}

impl Link {
    /// Whether a request can be sent on it.
    fn is_usable(&mut self) -> bool {
        match self {
            Link::Http1(connection) => connection.is_quiet(),
            Link::Http2(sender, _) => sender.is_ready(),
        }
    }
}

impl Pool {
    /// # Errors
    /// What is wrong with the upstream's authority or base path.
    pub(crate) fn new(upstream: Upstream) -> Result<Pool, &'static str> {
        let address = address(&upstream.authority)?;
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
            sweeping: Cell::new(false),
            closed: Cell::new(false),
        })
    }

    /// An idle connection that can be used.
    pub(crate) fn take(self: &Rc<Self>) -> Option<Lease> {
        let mut idle = self.idle.borrow_mut();
        while let Some(Idle { mut link, since }) = idle.pop_back() {
            if since.elapsed() >= self.upstream.idle_timeout || !link.is_usable() {
                continue;
            }
            let pool = Rc::clone(self);
            return Some(match link {
                Link::Http1(connection) => Lease::Http1(Http1Lease { connection, pool, reused: true }),
                Link::Http2(sender, driver) => Lease::Http2(Http2Lease { sender, driver, pool }),
            });
        }
        None
    }

    /// A new connection.
    ///
    /// # Errors
    /// No address, or none that answers.
    pub(crate) async fn connect(self: &Rc<Self>) -> Result<Lease, Denial> {
        let unreachable = |error: io::Error| Denial::new(Code::UpstreamUnreachable, error.to_string());
        let stream = match &self.address {
            Address::Known(address) => TcpStream::connect(address).await,
            Address::Named(host, port) => dial_name(host, *port).await,
        }
        .map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        let stream = Socket::new(stream);
        let stream = match &self.upstream.tls {
            None => Stream::Plain(stream),
            Some(tls) => {
                let connector = TlsConnector::from(Arc::clone(&tls.config));
                // SECURITY: not a byte of a request goes to whom it is not known (an_upstream_that_cannot_prove_itself_gets_nothing).
                let protected = Box::pin(connector.connect(tls.name.clone(), stream))
                    .await
                    .map_err(|error| untrusted(&error))?;
                if self.upstream.http2 && protected.get_ref().1.alpn_protocol() != Some(b"h2") {
                    return Err(Denial::new(Code::UpstreamMalformed, "the upstream does not speak HTTP/2"));
                }
                Stream::Tls(Box::new(TlsStream::from(protected)))
            }
        };
        if self.upstream.http2 {
            let failed = |error: hyper::Error| Denial::new(Code::UpstreamUnreachable, error.to_string());
            let head = u32::try_from(self.upstream.max_head_bytes).unwrap_or(u32::MAX);
            let (sender, connection) = http2::begin(stream, head).await.map_err(failed)?;
            let driver = Driver(tokio::task::spawn_local(drive_http2(connection)));
            return Ok(Lease::Http2(Http2Lease { sender, driver, pool: Rc::clone(self) }));
        }
        let connection = Box::new(Connection::new(stream, &self.upstream));
        Ok(Lease::Http1(Http1Lease { connection, pool: Rc::clone(self), reused: false }))
    }

    /// A request in the form that the upstream's version of HTTP has. `None` where it has none.
    pub(crate) fn formed(&self, request: Request<ForwardedBody>) -> Option<Request<ForwardedBody>> {
        if self.upstream.http2 {
            http2::formed(request, self.upstream.tls.is_some(), &self.authority)
        } else {
            Some(request)
        }
    }

    /// Keeps a connection of HTTP/1.1 whose answer has ended.
    pub(crate) fn keep_http1(self: Rc<Self>, mut connection: Box<Connection>) {
        if connection.is_quiet() {
            connection.rest();
            self.keep(Link::Http1(connection));
        }
    }

    fn keep(self: Rc<Self>, link: Link) {
        if self.closed.get() || self.upstream.max_idle_connections == 0 {
            return;
        }
        let mut idle = self.idle.borrow_mut();
        idle.push_back(Idle { link, since: Instant::now() });
        if idle.len() > self.upstream.max_idle_connections {
            idle.pop_front();
        }
        drop(idle);
        if !self.sweeping.replace(true) {
            tokio::task::spawn_local(self.sweep());
        }
    }

    /// Closes idle connections that have grown too old, or that the upstream has closed, until there is none left.
    async fn sweep(self: Rc<Self>) {
        let limit = self.upstream.idle_timeout;
        loop {
            let oldest = self.idle.borrow().front().map(|idle| idle.since);
            let Some(oldest) = oldest else { break };
            tokio::time::sleep(limit.saturating_sub(oldest.elapsed()).min(SWEEP)).await;
            self.idle.borrow_mut().retain_mut(|idle| idle.since.elapsed() < limit && idle.link.is_usable());
        }
        self.sweeping.set(false);
    }

    /// Closes every idle connection, and each further one when its answer ends.
    pub(crate) fn close(&self) {
        self.closed.set(true);
        self.idle.borrow_mut().clear();
    }
}

/// Why a connection could not be protected.
fn untrusted(error: &io::Error) -> Denial {
    let code = match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(_) => Code::UpstreamUntrusted,
        None => Code::UpstreamUnreachable,
    };
    Denial::new(code, format!("TLS: {error}"))
}

/// Runs a connection of HTTP/2 to its end.
async fn drive_http2(connection: Http2Connection) {
    // Its failures are told to whoever waits for the answer.
    let _told = connection.await;
}

fn address(authority: &str) -> Result<Address, &'static str> {
    if let Ok(address) = authority.parse() {
        return Ok(Address::Known(address));
    }
    let (host, port) = authority.rsplit_once(':').ok_or("the authority has no port")?;
    let port =
        port.parse().ok().filter(|port| *port != 0).ok_or("the port is not a number from 1 to 65535")?;
    let named = !host.is_empty()
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    if named {
        Ok(Address::Named(host.to_owned(), port))
    } else {
        Err("the host is not a name or an address")
    }
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
