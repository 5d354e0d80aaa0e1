//! What a front is told: where it listens, where requests go, and how long anything may take.
//!
//! Nothing here is checked; [`bind`](crate::bind) refuses what cannot work. The defaults are the safe choice.

use crate::exchange::{Redirect, Target};
use crate::listener::Inherited;
use crate::timeouts::Timeouts;
use crate::tls::acme::Challenges;
use crate::tls::{Protocol, Tls};
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
    /// Sockets that another process has bound, for listeners with their addresses.
    pub inherited: Inherited,
}

/// An address to listen on, with the limits of its connections.
#[derive(Clone, Debug)]
pub struct Listener {
    /// The address. Port 0 takes a free one; [`Bound::addresses`](crate::Bound::addresses) says which.
    pub bind: SocketAddr,
    /// The most connections at once, over all workers; one more is closed at once. `None`: 10,000, or
    /// fewer where this process may not open files for so many.
    pub max_connections: Option<usize>,
    /// The most connections at once of one IPv4 address or one IPv6 /64. Trusted proxies are exempt.
    pub max_connections_per_address: usize,
    /// The most requests at once of one address, in each worker, that were let through and whose answers are not over; one more
    /// is refused with 503. Behind a trusted proxy the forwarded address counts.
    pub max_requests_per_address: usize,
    /// The most bytes, in each worker, of the answers to one address that were read from upstreams and that it has not taken. An
    /// address that leaves more unread gets its answers in smaller parts; the first part of each request is not counted.
    /// Behind a trusted proxy the forwarded address counts.
    pub max_unread_per_address: usize,
    /// Timeouts of client connections.
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

/// The most connections of a listener that says nothing else.
const DEFAULT_MAX_CONNECTIONS: usize = 10_000;

impl Listener {
    /// The most connections at once.
    pub(crate) fn most_connections(&self) -> usize {
        self.max_connections.unwrap_or(DEFAULT_MAX_CONNECTIONS)
    }

    /// What one address may leave unread in each worker where nobody says otherwise: 16 MiB.
    pub const MAX_UNREAD: usize = 16 * 1024 * 1024;

    /// A listener with the default bounds: 10,000 connections, 1,000 of them from one address, and 500 requests of an
    /// address at once in each worker.
    pub fn new(bind: SocketAddr) -> Listener {
        Listener {
            bind,
            max_connections: None,
            max_connections_per_address: 1_000,
            max_requests_per_address: 500,
            max_unread_per_address: Listener::MAX_UNREAD,
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
