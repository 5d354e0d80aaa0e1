//! Listening sockets, and how they go from one process to the next.
//!
//! A socket that is handed over is the same socket: what clients have connected to waits in it, whoever accepts. So nobody is refused
//! while one process takes another's place, as long as every socket of the old one is accepted from by the new one. A worker may
//! therefore have several sockets of a listener, or share one with other workers, if the numbers of workers differ.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// A listening socket, for as long as a worker accepts from it.
pub(crate) struct ListeningSocket {
    pub(crate) socket: TcpListener,
    /// Gone when nobody accepts any more, so that no connection waits where nobody looks.
    pub(crate) handle: Arc<OwnedFd>,
}

impl ListeningSocket {
    pub(crate) fn new(socket: TcpListener) -> io::Result<ListeningSocket> {
        let handle = Arc::new(OwnedFd::from(socket.try_clone()?));
        Ok(ListeningSocket { socket, handle })
    }
}

/// The sockets of a listener, from which another process can accept as well.
#[derive(Clone, Default)]
pub(crate) struct Handles(Vec<Weak<OwnedFd>>);

impl Handles {
    /// Those of these sockets.
    pub(crate) fn of<'a>(sockets: impl IntoIterator<Item = &'a ListeningSocket>) -> Handles {
        Handles(sockets.into_iter().map(|socket| Arc::downgrade(&socket.handle)).collect())
    }

    /// Another descriptor of each socket that is accepted from.
    pub(crate) fn copies(&self) -> io::Result<Vec<TcpListener>> {
        self.0
            .iter()
            .filter_map(Weak::upgrade)
            .map(|handle| handle.try_clone().map(TcpListener::from))
            .collect()
    }
}

/// A socket that another process has bound.
pub struct PassedSocket {
    /// The address as the configuration writes it, whose port may be 0.
    pub bind: SocketAddr,
    /// What it is for. `None` if nobody knows: then the address alone decides.
    pub purpose: Option<String>,
    /// The socket.
    pub socket: TcpListener,
}

/// The purpose of the sockets that requests come to.
pub const REQUESTS: &str = "requests";

/// Sockets that another process has bound, for whoever listens on their addresses. Shared by all its copies.
#[derive(Clone, Default)]
pub struct Inherited {
    sockets: Arc<Mutex<Vec<PassedSocket>>>,
    /// Whether nobody else accepts from those that nobody takes.
    each: bool,
}

impl Inherited {
    /// These sockets. Those that nobody takes are closed.
    pub fn new(sockets: Vec<PassedSocket>) -> Inherited {
        Inherited { sockets: Arc::new(Mutex::new(sockets)), each: false }
    }

    /// The same, where each of them must be taken: its owner keeps it open.
    pub fn each_used(sockets: Vec<PassedSocket>) -> Inherited {
        Inherited { each: true, ..Inherited::new(sockets) }
    }

    /// Takes every socket of a listener: of the first one with this address and purpose that is left. Several listeners may have port
    /// 0, and each found a port of its own.
    pub fn take(&self, bind: SocketAddr, purpose: &str) -> Vec<TcpListener> {
        let mut all = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |passed: &PassedSocket| {
            passed.bind == bind && passed.purpose.as_deref().is_none_or(|named| named == purpose)
        };
        let first = all.iter().find(|passed| fits(passed));
        let Some(port) = first.and_then(|passed| passed.socket.local_addr().ok()) else { return Vec::new() };
        all.extract_if(.., |passed| fits(passed) && passed.socket.local_addr().is_ok_and(|own| own == port))
            .map(|passed| passed.socket)
            .collect()
    }

    /// The address of a socket that must be taken and was not: a client that connects there waits for nobody.
    pub fn unused(&self) -> Option<SocketAddr> {
        let all = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        all.first().map(|passed| passed.bind).filter(|_| self.each)
    }
}

/// Gives each worker sockets: every socket has a worker, and every worker has a socket.
pub(crate) fn shared_out(
    sockets: Vec<TcpListener>,
    workers: NonZeroUsize,
) -> io::Result<Vec<Vec<ListeningSocket>>> {
    let mut shares: Vec<Vec<ListeningSocket>> = (0..workers.get()).map(|_| Vec::new()).collect();
    let mut more = Vec::new();
    for number in sockets.len()..workers.get() {
        // One that another worker accepts from as well.
        let Some(socket) = sockets.get(number % sockets.len().max(1)) else { break };
        more.push(socket.try_clone()?);
    }
    for (number, socket) in sockets.into_iter().chain(more).enumerate() {
        socket.set_nonblocking(true)?;
        if let Some(share) = shares.get_mut(number % workers.get()) {
            share.push(ListeningSocket::new(socket)?);
        }
    }
    Ok(shares)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sockets(number: usize) -> Vec<TcpListener> {
        (0..number).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect()
    }

    #[test]
    fn every_socket_has_a_worker_and_every_worker_a_socket() {
        for (there, workers) in [(1, 1), (1, 4), (4, 1), (2, 3), (3, 2), (5, 5)] {
            let bound = sockets(there);
            let addresses: Vec<_> = bound.iter().map(|socket| socket.local_addr().unwrap()).collect();
            let shares = shared_out(bound, NonZeroUsize::new(workers).unwrap()).unwrap();
            assert!(shares.iter().all(|share| !share.is_empty()), "{there} for {workers}");
            let served: Vec<_> =
                shares.iter().flatten().map(|listening| listening.socket.local_addr().unwrap()).collect();
            assert!(addresses.iter().all(|address| served.contains(address)), "{there} for {workers}");
        }
    }

    #[test]
    fn what_nobody_accepts_from_is_not_handed_over() {
        let [first, second] = [0, 1].map(|_| ListeningSocket::new(sockets(1).remove(0)).unwrap());
        let handles = Handles::of([&first, &second]);
        assert_eq!(handles.copies().unwrap().len(), 2);
        let address = second.socket.local_addr().unwrap();
        drop(second);
        assert_eq!(handles.copies().unwrap().len(), 1);
        assert!(std::net::TcpStream::connect(address).is_err(), "it is closed, and nobody waits there");
    }

    #[test]
    fn sockets_are_taken_by_their_address_once() {
        let bind = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let passed = |port| PassedSocket { bind: bind(port), purpose: None, socket: sockets(1).remove(0) };
        let inherited = Inherited::each_used(vec![passed(0), passed(1)]);
        assert_eq!(inherited.take(bind(0), REQUESTS).len(), 1);
        assert_eq!((inherited.take(bind(0), REQUESTS).len(), inherited.unused()), (0, Some(bind(1))));
        assert_eq!((inherited.take(bind(1), REQUESTS).len(), inherited.unused()), (1, None));
        assert_eq!(Inherited::new(vec![passed(0)]).unused(), None);
    }

    #[test]
    fn listeners_with_port_0_get_their_own_sockets_back() {
        let bind = SocketAddr::from(([127, 0, 0, 1], 0));
        let (first, second, metrics) = (sockets(1).remove(0), sockets(1).remove(0), sockets(1).remove(0));
        let addresses = [&first, &second, &metrics].map(|socket| socket.local_addr().unwrap());
        let again = first.try_clone().unwrap();
        let passed = |socket, purpose: &str| PassedSocket { bind, purpose: Some(purpose.to_owned()), socket };
        let inherited = Inherited::new(vec![
            passed(first, REQUESTS),
            passed(again, REQUESTS),
            passed(second, REQUESTS),
            passed(metrics, "metrics"),
        ]);
        let taken = |purpose| -> Vec<SocketAddr> {
            inherited.take(bind, purpose).iter().map(|socket| socket.local_addr().unwrap()).collect()
        };
        // Operators' listeners are bound first.
        assert_eq!(taken("metrics"), [addresses[2]]);
        assert_eq!(taken(REQUESTS), [addresses[0]; 2]);
        assert_eq!(taken(REQUESTS), [addresses[1]]);
        assert_eq!(taken(REQUESTS), []);
    }
}
