//! Connects to an upstream that may have several addresses (Happy Eyeballs, RFC 8305).
//!
//! Its addresses are tried in turn, each a little after the one before or at once when that one fails. The first connection
//! that is made is used and the other attempts are given up. How long all of it may take is for the caller to say, and no
//! address is left untried because the ones before it took all of that time.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// How long an address is alone before the next one is tried, at most (RFC 8305, section 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// A connection to one of these addresses, which all of them are tried for within `patience`, and which one it is.
///
/// # Errors
/// None of them takes a connection; the first failure is told.
pub(super) async fn dial(
    addresses: Vec<SocketAddr>,
    patience: Duration,
) -> io::Result<(TcpStream, SocketAddr)> {
    let turns = u32::try_from(addresses.len()).unwrap_or(u32::MAX).saturating_add(1);
    let head_start = HEAD_START.min(patience / turns);
    let mut left = addresses.into_iter();
    let mut attempts = JoinSet::new();
    let mut failure = None;
    loop {
        match left.next() {
            Some(address) => {
                attempts
                    .spawn(async move { TcpStream::connect(address).await.map(|stream| (stream, address)) });
            }
            None if attempts.is_empty() => {
                return Err(failure.unwrap_or_else(|| io::Error::other("the name has no address")));
            }
            None => {}
        }
        let attempt = tokio::select! {
            Some(attempt) = attempts.join_next() => attempt,
            () = tokio::time::sleep(head_start), if left.len() > 0 => continue,
        };
        match attempt {
            Ok(Ok(connected)) => return Ok(connected),
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
        let (stream, winner) = run(dial(vec![silent, address], Duration::from_secs(5))).unwrap();
        assert_eq!((stream.peer_addr().unwrap(), winner), (address, address));
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    }

    #[test]
    fn an_address_that_refuses_gives_way_at_once() {
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let good = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = good.local_addr().unwrap();
        let dial = |addresses| run(dial(addresses, Duration::from_secs(5)));
        assert_eq!(dial(vec![closed, address]).unwrap().1, address);
        assert_eq!(dial(vec![closed]).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert!(dial(Vec::new()).is_err());
    }

    #[test]
    fn all_addresses_are_tried_in_the_time_there_is() {
        let (_listener, _waiting, silent) = silent();
        let good = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = good.local_addr().unwrap();
        let patience = Duration::from_millis(600);
        let mut addresses = vec![silent; 8];
        addresses.push(address);
        let winner = run(async { tokio::time::timeout(patience, dial(addresses, patience)).await });
        assert_eq!(winner.unwrap().unwrap().1, address);
    }
}
