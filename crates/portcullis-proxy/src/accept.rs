//! Takes connections from a listening socket, under the listener's caps.
//!
//! An error of the operating system (too many open files, no memory) makes it pause, never stop. When a drain begins,
//! the connections that clients have already made are taken before the socket is closed: they would be reset otherwise.

use crate::caps::Caps;
use crate::config::Timeouts;
use crate::connection;
use crate::drain::Drain;
use crate::proxy_header::is_sent_by;
use crate::redirect::Redirect;
use crate::tls::acme::Challenges;
use crate::tls::{Protocol, Tls};
use crate::worker::Worker;
use http::HeaderValue;
use ipnet::IpNet;
use std::cell::RefCell;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;

/// How long nothing is accepted after the operating system has refused to.
const PAUSE: Duration = Duration::from_millis(50);

/// What a worker knows of a listener.
#[derive(Clone)]
pub(crate) struct Port {
    pub(crate) caps: Arc<Caps>,
    /// The counts of the clients that balancers name.
    pub(crate) clients: Arc<Caps>,
    pub(crate) timeouts: Timeouts,
    pub(crate) tls: Option<Arc<Tls>>,
    /// What is spoken in the clear.
    pub(crate) protocol: Protocol,
    /// `Strict-Transport-Security`, for every answer.
    pub(crate) hsts: Option<HeaderValue>,
    /// Who says first whose connection it is.
    pub(crate) balancers: Arc<[IpNet]>,
    /// Where every request is sent that comes here.
    pub(crate) redirect: Option<Arc<Redirect>>,
    /// What proves in the clear that hosts are ours.
    pub(crate) challenges: Arc<[Arc<Challenges>]>,
    /// Whether its connections are to end, in this worker.
    pub(crate) drain: Arc<Drain>,
}

impl Port {
    /// The same for another worker, whose connections are drained by itself.
    pub(crate) fn for_a_worker(&self) -> Port {
        Port { drain: Arc::default(), ..self.clone() }
    }

    /// Whether connections that were made to `self` may go on where new ones are made to `next`: they are protected alike,
    /// and their requests would be read alike.
    fn continues_as(&self, next: &Port) -> bool {
        let tls = match (&self.tls, &next.tls) {
            (None, None) => true,
            (Some(before), Some(after)) => Arc::ptr_eq(before, after),
            (None, Some(_)) | (Some(_), None) => false,
        };
        tls && self.protocol == next.protocol
            && self.hsts == next.hsts
            && self.balancers == next.balancers
            && self.redirect == next.redirect
            && self.timeouts == next.timeouts
            && self.challenges.len() == next.challenges.len()
            && self
                .challenges
                .iter()
                .zip(next.challenges.iter())
                .all(|(before, after)| Arc::ptr_eq(before, after))
    }
}

/// Where connections come in: a listener as one worker has it. What it gives them can be exchanged.
pub(crate) struct Door {
    port: RefCell<Rc<Port>>,
    /// Whether it is closed; apart from the connections' drain, since what waits in the socket is still taken.
    closed: Drain,
}

impl Door {
    pub(crate) fn new(port: Port) -> Door {
        Door { port: RefCell::new(Rc::new(port)), closed: Drain::default() }
    }

    fn port(&self) -> Rc<Port> {
        Rc::clone(&self.port.borrow())
    }

    /// New connections get `next`; those that cannot go on with what they have are drained.
    pub(crate) fn exchange(&self, mut next: Port) {
        let before = self.port();
        if before.continues_as(&next) {
            next.drain = Arc::clone(&before.drain);
        } else {
            before.drain.begin();
        }
        self.port.replace(Rc::new(next));
    }

    /// Takes no more connections than wait already, and drains them all.
    pub(crate) fn close(&self) {
        self.port().drain.begin();
        self.closed.begin();
    }
}

/// Accepts until the door is closed.
pub(crate) async fn run(worker: Rc<Worker>, socket: TcpListener, door: Rc<Door>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(socket) else { return };
    let mut closed = std::pin::pin!(door.closed.begins());
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut closed => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => admit(&worker, &door.port(), stream, peer),
            Err(error) if is_the_clients(&error) => {}
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
    // Asks the socket itself: the runtime may not have heard yet of what waits there.
    let Ok(backlog) = listener.into_std() else { return };
    loop {
        match backlog.accept() {
            Ok((stream, peer)) => {
                if stream.set_nonblocking(true).is_ok()
                    && let Ok(stream) = TcpStream::from_std(stream)
                {
                    admit(&worker, &door.port(), stream, peer);
                }
            }
            Err(error) if is_the_clients(&error) => {}
            Err(_) => return,
        }
    }
}

/// Whether an error concerns the one connection that could not be accepted.
fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    [ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted].contains(&error.kind())
}

fn admit(worker: &Rc<Worker>, port: &Rc<Port>, stream: TcpStream, peer: SocketAddr) {
    let address = peer.ip().to_canonical();
    let balancer = is_sent_by(address, &port.balancers);
    let trusted = balancer
        || worker.current().snapshot.head.trusted_proxies.iter().any(|network| network.contains(&address));
    let Some(slot) = port.caps.admit(address, trusted) else { return };
    // Without it small answers wait for acknowledgements; if it cannot be set, they are late, not wrong.
    let _slower = stream.set_nodelay(true);
    let counted = worker.count();
    let serving = connection::serve(Rc::clone(worker), stream, peer, Rc::clone(port));
    tokio::task::spawn_local(async move {
        serving.await;
        drop((slot, counted));
    });
}
