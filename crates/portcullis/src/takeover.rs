//! How one process takes another's place without a refused connection.
//!
//! The sockets come from the service manager (`LISTEN_FDS`, sd_listen_fds(3)), or from the process that served before, by the Unix
//! socket in their `state_dir` (SCM_RIGHTS). Nothing of the old process changes before the new one says that it serves; if the new one
//! ends before, the old one goes on.

use crate::control;
pub use portcullis_proxy::{Inherited, PassedSocket};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// The question for the sockets.
pub(crate) const QUESTION: &str = "take-over";
/// What the new process says when it serves.
const SERVING: &[u8] = b"serving\n";
/// The most sockets of a message; the kernel takes 253.
const MOST_SOCKETS: usize = 250;
/// The longest list of addresses.
const MOST_BYTES: usize = 32 * 1024;
/// How long the answer with the sockets may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the new process may take until it serves: it compiles, and fetches what it needs.
const UNTIL_IT_SERVES: Duration = Duration::from_secs(300);

/// The process that served before, until it is told to end.
pub struct Predecessor(UnixStream);

/// The sockets that the service manager has passed; none without one.
///
/// # Errors
/// What it has passed is no listening socket of TCP.
pub fn from_service_manager() -> io::Result<Vec<PassedSocket>> {
    let mut passed = listenfd::ListenFd::from_env();
    let mut sockets = Vec::new();
    for number in 0..passed.len() {
        if let Some(socket) = passed.take_tcp_listener(number)? {
            sockets.push(PassedSocket { bind: socket.local_addr()?, purpose: None, socket });
        }
    }
    Ok(sockets)
}

/// Asks the process that has this `state_dir` for its sockets, each with its address as the configuration has it. `None` if no process
/// answers there.
///
/// # Errors
/// It answers, and not with its sockets.
pub fn from_predecessor(state_dir: &Path) -> io::Result<Option<(Predecessor, Vec<PassedSocket>)>> {
    let mut stream = match UnixStream::connect(control::socket(state_dir)) {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{QUESTION}\n").as_bytes())?;
    let sockets = receive(&stream)?;
    Ok(Some((Predecessor(stream), sockets)))
}

impl Predecessor {
    /// Tells it that it is no longer needed: it finishes what runs, and ends.
    ///
    /// # Errors
    /// It is gone already.
    pub fn retire(mut self) -> io::Result<()> {
        self.0.write_all(SERVING)
    }
}

/// Passes sockets to the process that asked for them, and waits until it serves. `Ok(false)` if it ended before.
pub(crate) fn hand_over(stream: &UnixStream, sockets: &[PassedSocket]) -> io::Result<bool> {
    stream.set_write_timeout(Some(PATIENCE))?;
    send(stream, sockets)?;
    stream.set_read_timeout(Some(UNTIL_IT_SERVES))?;
    let mut said = Vec::new();
    stream.take(SERVING.len() as u64).read_to_end(&mut said)?;
    Ok(said == SERVING)
}

/// A list of addresses with their purposes, a line each and an empty line, with a descriptor for each.
fn send(stream: &UnixStream, sockets: &[PassedSocket]) -> io::Result<()> {
    if sockets.len() > MOST_SOCKETS {
        return Err(io::Error::other(format!("{} sockets are too many to hand over", sockets.len())));
    }
    let line = |passed: &PassedSocket| match &passed.purpose {
        Some(purpose) => format!("{} {purpose}\n", passed.bind),
        None => format!("{}\n", passed.bind),
    };
    let mut text: String = sockets.iter().map(line).collect();
    text.push('\n');
    let descriptors: Vec<_> = sockets.iter().map(|passed| passed.socket.as_fd()).collect();
    let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_SOCKETS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::Error::other("the sockets do not fit into a message"));
    }
    let sent = sendmsg(stream, &[IoSlice::new(text.as_bytes())], &mut control, SendFlags::NOSIGNAL)?;
    let rest = text.as_bytes().get(sent..).unwrap_or_default();
    let mut stream = stream;
    stream.write_all(rest)
}

fn receive(stream: &UnixStream) -> io::Result<Vec<PassedSocket>> {
    let mut text = Vec::new();
    let mut descriptors: Vec<OwnedFd> = Vec::new();
    while !(text.ends_with(b"\n\n") || text == b"\n") {
        let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_SOCKETS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut part = vec![0; MOST_BYTES];
        let message =
            recvmsg(stream, &mut [IoSliceMut::new(&mut part)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
        for passed in control.drain() {
            if let RecvAncillaryMessage::ScmRights(passed) = passed {
                descriptors.extend(passed);
            }
        }
        text.extend_from_slice(part.get(..message.bytes).unwrap_or_default());
        if message.bytes == 0 || text.len() > MOST_BYTES || text.starts_with(b"{") {
            return Err(io::Error::other(format!(
                "the running process does not hand its sockets over: {}",
                String::from_utf8_lossy(&text).trim()
            )));
        }
    }
    let text = String::from_utf8(text).map_err(io::Error::other)?;
    let passed = |line: &str| -> io::Result<(SocketAddr, Option<String>)> {
        let (address, purpose) = match line.split_once(' ') {
            Some((address, purpose)) => (address, Some(purpose.to_owned())),
            None => (line, None),
        };
        Ok((address.parse().map_err(io::Error::other)?, purpose))
    };
    let listed: Vec<_> =
        text.lines().filter(|line| !line.is_empty()).map(passed).collect::<io::Result<_>>()?;
    // SECURITY: a socket under another's address would serve the wrong listener's clients (what_is_handed_over_arrives).
    if listed.len() != descriptors.len() {
        return Err(io::Error::other("the running process has handed over other sockets than it says"));
    }
    let sockets = descriptors.into_iter().map(TcpListener::from);
    let passed = |((bind, purpose), socket)| PassedSocket { bind, purpose, socket };
    Ok(listed.into_iter().zip(sockets).map(passed).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listeners(number: usize) -> Vec<PassedSocket> {
        (0..number)
            .map(|number| {
                let socket = TcpListener::bind("127.0.0.1:0").unwrap();
                let purpose = (number % 2 == 0).then(|| "a purpose".to_owned());
                PassedSocket { bind: socket.local_addr().unwrap(), purpose, socket }
            })
            .collect()
    }

    #[test]
    fn what_is_handed_over_arrives() {
        for number in [0, 1, 3, 200] {
            let (old, new) = UnixStream::pair().unwrap();
            let sockets = listeners(number);
            let old = std::thread::spawn(move || hand_over(&old, &sockets).unwrap());
            let received = receive(&new).unwrap();
            assert_eq!(received.len(), number);
            for (number, passed) in received.iter().enumerate() {
                assert_eq!(passed.socket.local_addr().unwrap(), passed.bind);
                assert_eq!(passed.purpose.is_some(), number % 2 == 0);
            }
            Predecessor(new).retire().unwrap();
            assert!(old.join().unwrap(), "it may end");
            for passed in &received {
                assert!(std::net::TcpStream::connect(passed.bind).is_ok(), "nobody is refused");
            }
        }
    }

    #[test]
    fn a_successor_that_ends_early_changes_nothing() {
        for word in [&b""[..], b"serv", b"{\"error\": 1}\n"] {
            let (old, mut new) = UnixStream::pair().unwrap();
            let sockets = listeners(1);
            let old = std::thread::spawn(move || hand_over(&old, &sockets).unwrap());
            drop(receive(&new).unwrap());
            new.write_all(word).unwrap();
            drop(new);
            assert!(!old.join().unwrap(), "{word:?}");
        }
    }

    #[test]
    fn an_answer_without_sockets_is_an_error() {
        for answer in ["", "{ \"error\": \"this is not a question\" }\n", "127.0.0.1:1\n\n", "nonsense\n\n"] {
            let (mut old, new) = UnixStream::pair().unwrap();
            old.write_all(answer.as_bytes()).unwrap();
            drop(old);
            assert!(receive(&new).is_err(), "{answer:?}");
        }
    }
}
