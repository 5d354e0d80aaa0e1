//! What a front is told: where it listens, where requests go, and how long anything may take.
//!
//! Nothing here is checked; [`bind`](crate::bind) refuses what cannot work. The defaults are the safe choice.

use crate::handler::Handler;
use crate::redirect::Redirect;
use crate::tls::acme::Challenges;
use crate::tls::{Protocol, Tls, UpstreamTls};
use ipnet::IpNet;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

/// A front.
pub struct FrontConfig {
    /// Where it listens. At least one.
    pub listeners: Vec<Listener>,
    /// How many threads serve; one per core is best.
    pub workers: NonZeroUsize,
    /// Where requests go, in the order of the plan's target numbers ([`TargetId`](portcullis_core::TargetId)).
    pub targets: Vec<Target>,
    /// How long running requests may take after a shutdown has begun; then they are cut off.
    pub drain: Duration,
}

/// A listening address, and the bounds of its connections.
#[derive(Clone, Debug)]
pub struct Listener {
    /// The address. Port 0 takes a free one; [`Bound::addresses`](crate::Bound::addresses) says which.
    pub bind: SocketAddr,
    /// The most connections at once, over all workers. One more is closed at once.
    pub max_connections: usize,
    /// The most connections at once of one IPv4 address or one IPv6 /64. Trusted proxies are exempt.
    pub max_connections_per_address: usize,
    /// How long a client may take.
    pub timeouts: Timeouts,
    /// The TLS that it speaks; `None` for none.
    pub tls: Option<Arc<Tls>>,
    /// What is spoken in the clear; under TLS the client chooses. HTTP/2 must then be spoken from the first byte on.
    pub protocol: Protocol,
    /// For how long browsers shall use TLS alone (RFC 6797), after each answer; `None` to leave it unsaid.
    pub hsts: Option<Duration>,
    /// The load balancers that say whose connection it is, by the PROXY protocol, before anything else.
    pub balancers: Vec<IpNet>,
    /// Sends every request to HTTPS and serves none.
    pub redirect: Option<Redirect>,
    /// What proves in the clear that hosts are ours (RFC 8555, section 8.3). Where there is any, everything below its
    /// well-known path is answered here and goes nowhere else.
    pub challenges: Vec<Arc<Challenges>>,
}

impl Listener {
    /// A listener with the default bounds: 10,000 connections, 1,000 of them from one address.
    pub fn new(bind: SocketAddr) -> Listener {
        Listener {
            bind,
            max_connections: 10_000,
            max_connections_per_address: 1_000,
            timeouts: Timeouts::default(),
            tls: None,
            protocol: Protocol::Http1,
            hsts: None,
            balancers: Vec::new(),
            redirect: None,
            challenges: Vec::new(),
        }
    }
}

/// How long a client may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From the first byte of a request head to its last; also from the beginning of a connection to its first byte.
    /// Default: 10 s.
    pub header: Duration,
    /// Between two requests. Default: 60 s.
    pub idle: Duration,
    /// Between two reads of a request body, and between two writes of an answer, that get anywhere. Default: 30 s.
    pub body: Duration,
    /// From the end of the request head to the end of its body. `None` for no limit. Default: 300 s.
    pub request: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            header: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            body: Duration::from_secs(30),
            request: Some(Duration::from_secs(300)),
        }
    }
}

/// Where a request goes.
#[derive(Clone)]
pub enum Target {
    /// To a server.
    Upstream(Upstream),
    /// To a function in this process.
    Handler(Arc<dyn Handler>),
}

/// A server behind the gateway. Two that are equal share their connections, also across configurations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// What records call it.
    pub name: Arc<str>,
    /// `host:port`. The host is a name, an IPv4 address, or an IPv6 address in brackets. It is also the `Host` field
    /// that the upstream sees. A name is looked up for every new connection.
    pub authority: String,
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
    /// Between two parts of the answer's body; beyond it the answer is broken off. Default: 30 s.
    pub idle_body_timeout: Duration,
    /// How long nothing may be said in a tunnel after an upgrade. Default: 300 s.
    pub tunnel_idle_timeout: Duration,
    /// The most idle connections that a worker keeps. Default: 64.
    pub max_idle_connections: usize,
    /// How long an idle connection is kept. The default, 4 s, is less than the 5 s after which Node.js closes one, so
    /// that a request is not sent into a connection that is just being closed.
    pub idle_timeout: Duration,
}

impl Upstream {
    /// The upstream at `authority` (`host:port`), with the defaults, named after it.
    pub fn new(authority: impl Into<String>) -> Upstream {
        let authority = authority.into();
        Upstream {
            name: Arc::from(authority.as_str()),
            authority,
            tls: None,
            http2: false,
            base_path: String::new(),
            connect_timeout: Duration::from_secs(5),
            response_timeout: Duration::from_secs(30),
            idle_body_timeout: Duration::from_secs(30),
            tunnel_idle_timeout: Duration::from_secs(300),
            max_idle_connections: 64,
            idle_timeout: Duration::from_secs(4),
        }
    }
}
