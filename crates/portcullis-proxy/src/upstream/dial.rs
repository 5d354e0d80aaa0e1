//! Connects to an upstream that may have several addresses (Happy Eyeballs, RFC 8305).
//!
//! Its addresses are tried in turn, IPv6 and IPv4 alternately, each a little after the one before or at once when that one
//! fails. The first connection that is made is used and the other attempts are given up. How long all of it may take is for the
//! caller to say.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// How long an address is alone before the next one is tried (RFC 8305, section 5).
const HEAD_START: Duration = Duration::from_millis(250);
/// More addresses of a name than these are not tried.
const MOST: usize = 16;

/// A connection to a name, which is looked up.
///
/// # Errors
/// The name has no address, or none of them takes a connection; then the first failure is told.
pub(super) async fn dial_name(host: &str, port: u16) -> io::Result<TcpStream> {
    let found = tokio::net::lookup_host((host, port)).await?;
    dial(alternate(found)).await
}

/// IPv6 and IPv4 alternately, beginning with the family that the resolver puts first (RFC 8305, section 4).
fn alternate(found: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let found: Vec<SocketAddr> = found.take(MOST).collect();
    let first_is_v6 = found.first().is_some_and(SocketAddr::is_ipv6);
    let (mut first, mut second): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let mut all = Vec::with_capacity(first.len() + second.len());
    first.reverse();
    second.reverse();
    while let Some(address) = first.pop().or_else(|| second.pop()) {
        all.push(address);
        all.extend(second.pop());
    }
    all
}

/// A connection to one of these addresses.
///
/// # Errors
/// None of them takes a connection; the first failure is told.
async fn dial(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut left = addresses.into_iter();
    let mut attempts = JoinSet::new();
    let mut failure = None;
    loop {
        match left.next() {
            Some(address) => {
                attempts.spawn(TcpStream::connect(address));
            }
            None if attempts.is_empty() => {
                return Err(failure.unwrap_or_else(|| io::Error::other("the name has no address")));
            }
            None => {}
        }
        let attempt = tokio::select! {
            Some(attempt) = attempts.join_next() => attempt,
            () = tokio::time::sleep(HEAD_START), if left.len() > 0 => continue,
        };
        match attempt {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => failure = failure.or(Some(error)),
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::{Domain, Socket, Type};
    use std::time::Instant;

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    /// An address that takes no connection and says nothing: its backlog is full.
    fn silent() -> (Socket, Vec<Socket>, SocketAddr) {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let waiting = (0..8)
            .map(|_| {
                let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
                socket.set_nonblocking(true).unwrap();
                let _begun = socket.connect(&address);
                socket
            })
            .collect();
        (listener, waiting, address.as_socket().unwrap())
    }

    #[test]
    fn an_address_that_is_silent_keeps_nobody_from_the_next() {
        let (_listener, _waiting, silent) = silent();
        let good = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = good.local_addr().unwrap();
        let begun = Instant::now();
        let stream = run(dial(vec![silent, address])).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    }

    #[test]
    fn an_address_that_refuses_gives_way_at_once() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let good = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = good.local_addr().unwrap();
        assert_eq!(run(dial(vec![closed, address])).unwrap().peer_addr().unwrap(), address);
        assert_eq!(run(dial(vec![closed])).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert!(run(dial(Vec::new())).is_err());
    }

    #[test]
    fn families_take_turns() {
        let all = ["[::1]:1", "[::2]:1", "[::3]:1", "127.0.0.1:1", "127.0.0.2:1"];
        let all: Vec<SocketAddr> = all.iter().map(|address| address.parse().unwrap()).collect();
        let turns = alternate(all.clone().into_iter());
        assert_eq!(turns, [all[0], all[3], all[1], all[4], all[2]]);
        let reversed = alternate(all.clone().into_iter().rev());
        assert_eq!(reversed, [all[4], all[2], all[3], all[1], all[0]]);
    }
}
