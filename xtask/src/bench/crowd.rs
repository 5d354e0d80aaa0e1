//! Connections that are open and say nothing while others are served.
//!
//! Each has asked once and got its answer, as a browser's have, and each of a few addresses has a part of them.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};

use crate::failure::{Context, Failure, Outcome};

const ADDRESSES: usize = 32;
const PATIENCE: Duration = Duration::from_secs(10);
/// Files that are neither of the crowd nor of its upstream connections.
const OTHERS: u64 = 400;

/// The crowd; it goes when this is dropped.
#[derive(Debug)]
pub(super) struct Crowd(Vec<TcpStream>);

/// Raises the number of files that this program and its children may have open, as far as the system lets it.
pub(super) fn raise_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // What is missing then, the number of connections says.
    let _as_it_was = setrlimit(Resource::Nofile, limit);
}

/// So many of these, or as many as a gateway takes that gives clients half of its files.
pub(super) fn possible(wanted: usize) -> usize {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    wanted.min(usize::try_from(files.saturating_sub(OTHERS) / 2).unwrap_or(usize::MAX))
}

impl Crowd {
    pub(super) fn open(port: u16, size: usize) -> Outcome<Crowd> {
        (0..size).map(|number| one(port, number)).collect::<Outcome<_>>().map(Crowd)
    }

    /// Fails where one of them has ended: what was measured then was not measured beside so many.
    pub(super) fn check(&self, name: &str) -> Outcome<()> {
        for stream in &self.0 {
            stream.set_nonblocking(true).context(|| name.to_owned())?;
            let mut byte = [0];
            match stream.peek(&mut byte) {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                _ => return Err(Failure::new(format!("{name}: a connection that says nothing was closed"))),
            }
        }
        Ok(())
    }
}

fn one(port: u16, number: usize) -> Outcome<TcpStream> {
    let doing = || format!("opening connection {number}");
    let last = u8::try_from(10 + number % ADDRESSES).unwrap_or(10);
    let from = SocketAddr::from(SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, last), 0));
    let to = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).context(doing)?;
    socket.bind(&from.into()).context(doing)?;
    socket.connect_timeout(&to.into(), PATIENCE).context(doing)?;
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).context(doing)?;
    stream
        .write_all(format!("GET / HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n").as_bytes())
        .context(doing)?;
    let mut answer = Vec::new();
    let mut part = [0; 2048];
    while !answer.ends_with(super::backend::BODY.as_bytes()) {
        let size = stream.read(&mut part).context(doing)?;
        if size == 0 {
            return Err(Failure::new(format!("connection {number} was closed before it got its answer")));
        }
        answer.extend_from_slice(part.get(..size).unwrap_or_default());
    }
    Ok(stream)
}
