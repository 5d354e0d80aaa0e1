//! Takes connections from a listening socket, under the listener's caps.
//!
//! An error of the operating system (too many open files, no memory) makes it pause, never stop. When a drain begins,
//! the connections that clients have already made are taken before the socket is closed: they would be reset otherwise.

use crate::caps::Caps;
use crate::config::Timeouts;
use crate::connection;
use crate::proxy_header::is_sent_by;
use crate::redirect::Redirect;
use crate::tls::acme::Challenges;
use crate::tls::{Protocol, Tls};
use crate::worker::Worker;
use http::HeaderValue;
use ipnet::IpNet;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;

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
}

/// Accepts until a shutdown is asked for.
pub(crate) async fn run(
    worker: Rc<Worker>,
    socket: TcpListener,
    port: Port,
    mut shutdown: watch::Receiver<bool>,
) {
    let port = Rc::new(port);
    let Ok(listener) = tokio::net::TcpListener::from_std(socket) else { return };
    let mut asked = std::pin::pin!(shutdown.wait_for(|asked| *asked));
    loop {
        let accepted = tokio::select! {
            biased;
            _ = &mut asked => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => admit(&worker, &port, stream, peer),
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
                    admit(&worker, &port, stream, peer);
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
    let trusted =
        balancer || worker.snapshot.head.trusted_proxies.iter().any(|network| network.contains(&address));
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
