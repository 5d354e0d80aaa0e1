//! Takes connections from a listening socket, under the listener's caps.
//!
//! An error of the operating system (too many open files, no memory) makes it pause, never stop. When a drain begins,
//! the connections that clients have already made are taken before the socket is closed: they would be reset otherwise.

use super::connection;
use super::port::Port;
use super::proxy_header::is_sent_by;
use super::socket::ListeningSocket;
use crate::drain::Drain;
use crate::exchange::Worker;
use rustix::io::Errno;
use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::TcpStream;

/// How long nothing is accepted after the operating system has refused to.
const PAUSE: Duration = Duration::from_millis(50);

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
            next.drained_with(&before);
        } else {
            before.entry.drain.begin();
        }
        self.port.replace(Rc::new(next));
    }

    /// Takes no more connections than wait already, and drains them all.
    pub(crate) fn close(&self) {
        self.port().entry.drain.begin();
        self.closed.begin();
    }
}

/// Accepts until the door is closed.
pub(crate) async fn run(worker: Rc<Worker>, socket: ListeningSocket, door: Rc<Door>) {
    // Held to the end: another process that is to take the socket over finds it as long as it is accepted from.
    let ListeningSocket { socket, handle: _handle } = socket;
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
            Err(error) => {
                if is_shortage(&error) {
                    tell(&worker, &door.port(), &error.to_string());
                }
                tokio::time::sleep(PAUSE).await;
            }
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

/// Whether this process, or the system, has no more files.
fn is_shortage(error: &io::Error) -> bool {
    [Errno::MFILE, Errno::NFILE].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// Tells the operator, once in a while, that connections cannot be accepted.
fn tell(worker: &Worker, port: &Port, why: &str) {
    let current = worker.current();
    let effects = current.snapshot.effects();
    let count = port.descriptors.refuse();
    if port.descriptors.tell(effects.monotonic()) {
        effects.warn("listener", &format!("connections are not accepted ({count} since the start): {why}"));
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
    // SECURITY: what clients take is missing for connections to upstreams (slow_clients_leave_files_for_others).
    let Some(descriptor) = port.descriptors.take() else {
        return tell(worker, port, "clients have half of the files that this process may open");
    };
    // Without it small answers wait for acknowledgements; if it cannot be set, they are late, not wrong.
    let _slower = stream.set_nodelay(true);
    let counted = worker.count();
    let serving = connection::serve(Rc::clone(worker), stream, peer, Rc::clone(port));
    tokio::task::spawn_local(async move {
        serving.await;
        drop((slot, descriptor, counted));
    });
}
