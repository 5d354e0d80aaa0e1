//! A relay of bytes: the floor below which no proxy can get that has two sockets for a client.
//!
//! It reads nothing of what it passes on. Each thread has an epoll of its own, and takes connections in turn. A connection to the
//! backend is made for each client and kept for as long. What is sent in one piece is read by one call and written by one, so the
//! system calls are those that each proxy needs as well.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token, Waker};

use crate::failure::{Context, Failure, Outcome};
use crate::process::supervised;

/// As many as the proxies have.
const THREADS: usize = 2;
const BUFFER: usize = 64 * 1024;
const WAKE: Token = Token(usize::MAX);

#[derive(clap::Args)]
pub(crate) struct Arguments {
    port: u16,
    backend: u16,
}

/// How it is started: this program runs it.
pub(super) fn command(port: u16, backend: u16) -> Outcome<Command> {
    let own = std::env::current_exe().context(|| "finding this program".into())?;
    let mut command = supervised(&own);
    command.args(["relay", &port.to_string(), &backend.to_string()]);
    Ok(command)
}

/// Relays until it is ended.
pub(crate) fn run(arguments: &Arguments) -> Outcome<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.port));
    let backend = SocketAddr::from((Ipv4Addr::LOCALHOST, arguments.backend));
    let listener = std::net::TcpListener::bind(address).context(|| format!("listening on {address}"))?;
    let mut threads = Vec::new();
    for _ in 0..THREADS {
        let poll = Poll::new().context(|| "making an epoll".into())?;
        let waker = Waker::new(poll.registry(), WAKE).context(|| "making a waker".into())?;
        let (send, receive) = channel();
        thread::spawn(move || Relay { poll, pairs: HashMap::new(), next: 0, backend }.run(&receive));
        threads.push((send, waker));
    }
    for (accepted, (send, waker)) in listener.incoming().zip(threads.iter().cycle()) {
        let Ok(stream) = accepted else { continue };
        if send.send(stream).is_err() {
            return Err(Failure::new("a thread of the relay has ended"));
        }
        waker.wake().context(|| "waking a thread".into())?;
    }
    Ok(())
}

/// One thread.
struct Relay {
    poll: Poll,
    pairs: HashMap<usize, Pair>,
    next: usize,
    backend: SocketAddr,
}

/// A client and the backend: the even token is the client's, the odd one the backend's.
struct Pair {
    sides: [TcpStream; 2],
    /// What each side has not taken yet.
    waiting: [Vec<u8>; 2],
    /// One side has sent its last byte.
    ended: bool,
}

impl Relay {
    fn run(mut self, receive: &Receiver<std::net::TcpStream>) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        let mut buffer = vec![0; BUFFER];
        loop {
            match self.poll.poll(&mut events, None) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            for event in &events {
                if event.token() == WAKE {
                    while let Ok(client) = receive.try_recv() {
                        self.take(client)?;
                    }
                    continue;
                }
                let (number, side) = (event.token().0 / 2, event.token().0 % 2);
                let Some(pair) = self.pairs.get_mut(&number) else { continue };
                let flushed = if event.is_writable() { pair.flush(side) } else { Ok(()) };
                let passed = flushed.and_then(|()| match event.is_readable() {
                    true => pair.pass_on(side, event.is_read_closed(), &mut buffer),
                    false => Ok(()),
                });
                if passed.is_err() || pair.is_over() {
                    self.pairs.remove(&number);
                }
            }
        }
    }

    fn take(&mut self, client: std::net::TcpStream) -> io::Result<()> {
        client.set_nonblocking(true)?;
        let mut sides = [TcpStream::from_std(client), TcpStream::connect(self.backend)?];
        for (side, stream) in sides.iter_mut().enumerate() {
            // It fails where the client is gone already, or the connection to the backend is not there yet: then it is slower.
            let _slower = stream.set_nodelay(true);
            let both = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(stream, Token(self.next * 2 + side), both)?;
        }
        self.pairs.insert(self.next, Pair { sides, waiting: [Vec::new(), Vec::new()], ended: false });
        self.next += 1;
        Ok(())
    }
}

impl Pair {
    fn is_over(&self) -> bool {
        self.ended && self.waiting.iter().all(Vec::is_empty)
    }

    /// Passes on what a side sends; all of it where it is `closed`.
    fn pass_on(&mut self, from: usize, closed: bool, buffer: &mut [u8]) -> io::Result<()> {
        let [client, backend] = &mut self.sides;
        let [to_client, to_backend] = &mut self.waiting;
        let (source, target, waiting) =
            if from == 0 { (client, backend, to_backend) } else { (backend, client, to_client) };
        loop {
            let size = match source.read(buffer) {
                Ok(0) => {
                    self.ended = true;
                    return Ok(());
                }
                Ok(size) => size,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            waiting.extend_from_slice(buffer.get(..size).unwrap_or_default());
            flush(target, waiting)?;
            // Less than there was room for is all that there is, and the end would not be told again.
            if size < buffer.len() && !closed {
                return Ok(());
            }
        }
    }

    /// Sends a side what waits for it.
    fn flush(&mut self, side: usize) -> io::Result<()> {
        let [client, backend] = &mut self.sides;
        let [to_client, to_backend] = &mut self.waiting;
        if side == 0 { flush(client, to_client) } else { flush(backend, to_backend) }
    }
}

fn flush(target: &mut TcpStream, waiting: &mut Vec<u8>) -> io::Result<()> {
    while !waiting.is_empty() {
        match target.write(waiting) {
            Ok(size) => drop(waiting.drain(..size)),
            Err(error)
                if error.kind() == ErrorKind::WouldBlock || error.kind() == ErrorKind::NotConnected =>
            {
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::free_port;

    #[test]
    fn what_one_side_sends_the_other_gets() {
        let backend = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, backend_port) = (free_port().unwrap(), backend.local_addr().unwrap().port());
        thread::spawn(move || run(&Arguments { port, backend: backend_port }));
        let mut client = (0..500)
            .find_map(|_| {
                thread::sleep(std::time::Duration::from_millis(20));
                std::net::TcpStream::connect(("127.0.0.1", port)).ok()
            })
            .unwrap();
        client.write_all(b"ping").unwrap();
        let (mut served, _) = backend.accept().unwrap();
        let mut four = [0; 4];
        served.read_exact(&mut four).unwrap();
        assert_eq!(&four, b"ping");
        let large = vec![7; 3 * BUFFER];
        let sent = large.clone();
        let sending = thread::spawn(move || {
            served.write_all(&sent).unwrap();
        });
        let mut got = Vec::new();
        client.read_to_end(&mut got).unwrap();
        sending.join().unwrap();
        assert_eq!(got, large);
    }
}
