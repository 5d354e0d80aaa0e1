//! What is known of an upstream, and how long it may take.

use crate::stream::Counted;
use crate::tls::UpstreamTls;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A server behind the gateway. Two that are equal share their connections, also across configurations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// What records call it.
    pub name: Arc<str>,
    /// `host:port`. The host is a name, an IPv4 address, or an IPv6 address in brackets. It is also the `Host` field
    /// that the upstream sees. A name is resolved again when a connection is needed and its addresses are older than 10 s.
    pub authority: String,
    /// Where it is, if that is one address of the authority's name; `None` where the authority says it.
    pub address: Option<SocketAddr>,
    /// The Unix socket on which it listens; `None` where the authority says where it is.
    pub socket: Option<PathBuf>,
    /// The most connections to it at once. `None` for no bound.
    pub max_connections: Option<ConnectionCap>,
    /// Which version of the PROXY protocol tells it whose request it gets. Each connection then serves one request, in
    /// HTTP/1.1. `None` for none.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// How it is spoken to under TLS; `None` for in the clear.
    pub tls: Option<UpstreamTls>,
    /// Whether HTTP/2 is spoken with it: from the first byte on, and under TLS if it agrees.
    pub http2: bool,
    /// Put before the path of every request: empty, or with a leading and without a trailing slash.
    pub base_path: String,
    /// How long the look-up and the connection may take together. Default: 5 s.
    pub connect_timeout: Duration,
    /// From the end of the request to the response head (504 beyond it). Default: 30 s.
    pub response_timeout: Duration,
    /// The largest head of an answer, in bytes (502 beyond it). Default: 128 KiB.
    pub max_head_bytes: usize,
    /// The most fields of an answer (502 beyond it). Default: 200.
    pub max_head_fields: usize,
    /// Between two parts of the answer's body; beyond it the answer is broken off. Default: 30 s.
    pub idle_body_timeout: Duration,
    /// How long nothing may be said in a tunnel after an upgrade. Default: 300 s.
    pub tunnel_idle_timeout: Duration,
    /// How long a tunnel may go on once a drain has begun; the drain's own time is an end as well. Default: 5 s.
    pub tunnel_grace: Duration,
    /// The most idle connections that a worker keeps. Default: 64.
    pub max_idle_connections: usize,
    /// How long an idle connection is kept. The default, 4 s, is less than the 5 s after which Node.js closes one, so
    /// that a request is not sent into a connection that is just being closed.
    pub idle_timeout: Duration,
    /// How old a connection may be that is given another request. Default: 5 min.
    pub max_age: Duration,
    /// The most requests of a connection. Default: 10,000.
    pub max_requests: u64,
}

/// A version of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// In text.
    V1,
    /// In binary form.
    V2,
}

/// The most connections to a server at once, over all workers, and those that there are.
#[derive(Clone, Debug)]
pub struct ConnectionCap {
    /// The most.
    pub most: u32,
    /// Those that there are.
    pub open: Arc<AtomicU32>,
}

impl PartialEq for ConnectionCap {
    fn eq(&self, other: &ConnectionCap) -> bool {
        self.most == other.most && Arc::ptr_eq(&self.open, &other.open)
    }
}

impl Eq for ConnectionCap {}

impl ConnectionCap {
    /// A place for one more. `None` where there is none.
    pub(super) fn take(&self) -> Option<Counted> {
        let more = |open| (open < self.most).then(|| open + 1);
        let taken = self.open.try_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.is_ok().then(|| Counted::new(Arc::clone(&self.open)))
    }
}

impl Upstream {
    /// The upstream that listens on this Unix socket, with the defaults. Its `Host` field is `localhost`.
    pub fn on_socket(path: PathBuf) -> Upstream {
        let name = format!("unix:{}", path.display());
        Upstream { name: Arc::from(name), socket: Some(path), ..Upstream::new("localhost") }
    }

    /// The upstream at `authority` (`host:port`), with the defaults, named after it.
    pub fn new(authority: impl Into<String>) -> Upstream {
        let authority = authority.into();
        Upstream {
            name: Arc::from(authority.as_str()),
            authority,
            address: None,
            socket: None,
            max_connections: None,
            proxy_protocol: None,
            tls: None,
            http2: false,
            base_path: String::new(),
            connect_timeout: Duration::from_secs(5),
            response_timeout: Duration::from_secs(30),
            max_head_bytes: 128 * 1024,
            max_head_fields: 200,
            idle_body_timeout: Duration::from_secs(30),
            tunnel_idle_timeout: Duration::from_secs(300),
            tunnel_grace: Duration::from_secs(5),
            max_idle_connections: 64,
            idle_timeout: Duration::from_secs(4),
            max_age: Duration::from_secs(300),
            max_requests: 10_000,
        }
    }
}
