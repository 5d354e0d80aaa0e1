//! Binds a front: every listener for every worker, or nothing.
//!
//! Each worker has a listening socket of its own on each address (`SO_REUSEPORT`), and the operating system spreads new
//! connections over them. What could fail is tried before the first connection is accepted.

use crate::config::{FrontConfig, Listener};
use crate::descriptors::Descriptors;
use crate::drain::Drain;
use crate::exchange::shares::Most;
use crate::exchange::{Current, Entry, LoopName, Neighbours, Target};
use crate::listener::{Caps, Handles, Inherited, ListenerId, ListeningSocket, Port, REQUESTS, shared_out};
use crate::timeouts::Timeouts;
use crate::tls::Tls;
use http::HeaderValue;
use portcullis_core::Snapshot;
use socket2::{Domain, Protocol, Socket, Type};
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;

/// Connections that the operating system completes before they are accepted, per worker.
const BACKLOG: i32 = 1024;

/// Why a front does not start.
#[derive(Debug)]
pub enum BindError {
    /// There is no listener.
    NoListener,
    /// An address cannot be listened on.
    Address {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// A target cannot be reached by any request.
    Target {
        /// Its place in [`FrontConfig::targets`].
        index: usize,
        /// Why.
        reason: &'static str,
    },
    /// A worker cannot be started.
    Worker(io::Error),
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BindError::NoListener => f.write_str("there is no listener"),
            BindError::Address { address, source } => write!(f, "cannot listen on {address}: {source}"),
            BindError::Target { index, reason } => write!(f, "target {index}: {reason}"),
            BindError::Worker(source) => write!(f, "cannot start a worker: {source}"),
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            BindError::NoListener | BindError::Target { .. } => None,
            BindError::Address { source, .. } | BindError::Worker(source) => Some(source),
        }
    }
}

/// A listener that serves, whatever its configuration.
#[derive(Clone)]
pub(crate) struct Live {
    pub(crate) id: ListenerId,
    /// As it is written; the port may be 0.
    pub(crate) bind: SocketAddr,
    pub(crate) address: SocketAddr,
    pub(crate) caps: Arc<Caps>,
    pub(crate) clients: Arc<Caps>,
    pub(crate) descriptors: Arc<Descriptors>,
    pub(crate) loop_name: Arc<LoopName>,
    /// By which another process can accept from its sockets.
    pub(crate) handles: Handles,
}

impl Live {
    /// The listener's bounds are these from now on.
    pub(crate) fn bound(&self, listener: &Listener) {
        let per_address = self.descriptors.per_address(listener.max_connections_per_address);
        self.caps.bound(listener.most_connections(), per_address);
        self.clients.bound(listener.most_connections(), per_address);
    }
}

/// A front that has its addresses and serves nobody yet: connections wait.
#[must_use = "nobody is served before `serve`"]
pub struct Bound {
    pub(crate) live: Vec<Live>,
    addresses: Vec<SocketAddr>,
    pub(crate) handlers: Option<Handle>,
    pub(crate) shares: Vec<Share>,
    pub(crate) drain: Duration,
}

/// What one worker is started with.
pub(crate) struct Share {
    pub(crate) sockets: Vec<(ListenerId, ListeningSocket, Port)>,
    pub(crate) snapshot: Snapshot,
    pub(crate) targets: Arc<[Target]>,
    pub(crate) handlers: Option<Handle>,
}

/// Binds every listener for every worker. `handlers` is the runtime on which handlers run; it must outlive the front.
///
/// # Errors
/// An address that is taken or not there, a target that makes no sense, a handler without a runtime. Nothing is bound
/// then.
pub fn bind(config: FrontConfig, snapshot: &Snapshot, handlers: Option<&Handle>) -> Result<Bound, BindError> {
    let FrontConfig { listeners, workers, targets, drain, inherited } = config;
    if listeners.is_empty() {
        return Err(BindError::NoListener);
    }
    let targets: Arc<[Target]> = targets.into();
    // Built once only to hear what is wrong with the targets.
    Current::new(snapshot.for_another_worker(), &targets, handlers, None)
        .map_err(|(index, reason)| BindError::Target { index, reason })?;

    let descriptors = Descriptors::of_process();
    let loop_name = Arc::new(LoopName::new(snapshot.effects().random()));
    // What nobody asked for is nobody's shortage; clients who get no connection are told of when it comes to that.
    let asked = listeners.iter().filter_map(|listener| listener.max_connections);
    let connections = asked.fold(0_usize, usize::saturating_add);
    if let Some(shortage) = descriptors.shortage(connections) {
        snapshot.effects().warn("listener", &shortage);
    }
    let all_tls = all_tls(&listeners);
    let mut live = Vec::with_capacity(listeners.len());
    let mut sockets: Vec<Vec<_>> = (0..workers.get()).map(|_| Vec::new()).collect();
    for (id, listener) in (0..).map(ListenerId).zip(listeners) {
        let bind = listener.bind;
        let (address, bound) = listen(bind, workers, true, &inherited)
            .map_err(|source| BindError::Address { address: bind, source })?;
        let caps = || Arc::new(Caps::new(listener.most_connections(), listener.max_connections_per_address));
        let (descriptors, loop_name) = (Arc::clone(&descriptors), Arc::clone(&loop_name));
        let handles = Handles::of(bound.iter().flatten());
        let this = Live { id, bind, address, caps: caps(), clients: caps(), descriptors, loop_name, handles };
        this.bound(&listener);
        let port = port_of(listener, &this, &all_tls);
        for (share, bound) in sockets.iter_mut().zip(bound) {
            share.extend(bound.into_iter().map(|socket| (id, socket, port.for_a_worker())));
        }
        live.push(this);
    }
    let shares = sockets
        .into_iter()
        .map(|sockets| Share {
            sockets,
            snapshot: snapshot.for_another_worker(),
            targets: Arc::clone(&targets),
            handlers: handlers.cloned(),
        })
        .collect();
    let addresses = live.iter().map(|live| live.address).collect();
    Ok(Bound { live, addresses, handlers: handlers.cloned(), shares, drain })
}

/// The TLS of all listeners that have any.
pub(crate) fn all_tls<'a>(listeners: impl IntoIterator<Item = &'a Listener>) -> Vec<Arc<Tls>> {
    listeners.into_iter().filter_map(|listener| listener.tls.clone()).collect()
}

/// What workers know of a listener, among others with this TLS.
pub(crate) fn port_of(listener: Listener, live: &Live, all: &[Arc<Tls>]) -> Port {
    let neighbours = listener.tls.as_ref().and_then(|own| Neighbours::of(own, all));
    Port {
        descriptors: Arc::clone(&live.descriptors),
        caps: Arc::clone(&live.caps),
        clients: Arc::clone(&live.clients),
        tls: listener.tls,
        protocol: listener.protocol,
        balancers: listener.balancers.into(),
        entry: Arc::new(Entry {
            timeouts: sane(listener.timeouts),
            most: Most {
                requests: listener.max_requests_per_address,
                unread: listener.max_unread_per_address,
            },
            loop_name: Arc::clone(&live.loop_name),
            hsts: listener.hsts.map(hsts),
            redirect: listener.redirect.map(Arc::new),
            challenges: Arc::from(listener.challenges),
            neighbours: neighbours.map(Arc::new),
            drain: Arc::new(Drain::default()),
        }),
    }
}

/// The field that makes browsers use TLS alone (RFC 6797, section 6.1).
fn hsts(time: Duration) -> HeaderValue {
    HeaderValue::try_from(format!("max-age={}", time.as_secs()))
        .unwrap_or(HeaderValue::from_static("max-age=0"))
}

/// A timeout of zero would close every connection at once.
fn sane(timeouts: Timeouts) -> Timeouts {
    let floor = |limit: Duration| limit.max(Duration::from_millis(1));
    Timeouts {
        header: floor(timeouts.header),
        idle: floor(timeouts.idle),
        body: floor(timeouts.body),
        request: timeouts.request.map(floor),
    }
}

/// The sockets of an address for each worker: those that were inherited, or new ones. `alone` finds out first that nobody listens
/// there.
pub(crate) fn listen(
    bind: SocketAddr,
    workers: NonZeroUsize,
    alone: bool,
    inherited: &Inherited,
) -> io::Result<(SocketAddr, Vec<Vec<ListeningSocket>>)> {
    let there = inherited.take(bind, REQUESTS);
    if let Some(first) = there.first() {
        return Ok((first.local_addr()?, shared_out(there, workers)?));
    }
    // SECURITY: with SO_REUSEPORT the operating system would let a second process of the same user take a share of the
    // connections. A socket without it finds out whether somebody listens there (an_address_that_is_taken_is_an_error).
    if alone {
        drop(socket(bind, false)?);
    }
    let first = socket(bind, true)?;
    let address = first.local_addr()?.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
    let mut sockets = vec![first];
    for _ in 1..workers.get() {
        sockets.push(socket(address, true)?);
    }
    let listen = |socket: Socket| socket.listen(BACKLOG).map(|()| TcpListener::from(socket));
    let sockets = sockets.into_iter().map(listen).collect::<io::Result<_>>()?;
    Ok((address, shared_out(sockets, workers)?))
}

fn socket(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // So that a restart does not wait for old connections to be forgotten.
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

impl Bound {
    /// The addresses, in the order of the listeners, with the ports that were found for port 0.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }
}
