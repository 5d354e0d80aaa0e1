//! Lines to a syslog server: RFC 5424 over UDP (RFC 5426), TCP with counted octets (RFC 6587, section 3.4.1) or a Unix socket.
//!
//! Each line is one message, of severity *informational*. A server that cannot be reached is tried again with every chunk of
//! lines, once a second at most; until then lines are lost and counted, as with any output that fails.

use std::io::{self, Write};
use std::net::{TcpStream, ToSocketAddrs, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

/// A message over UDP or a Unix socket has so many bytes at most; the rest of the line is left out. A line that did not fit a
/// datagram would be lost, and who sends long paths must not choose that.
const LONGEST: usize = 60_000;
/// How long a connection may take, and a server may take nothing.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a server that could not be reached is left alone.
const PAUSE: Duration = Duration::from_secs(1);

/// Where a syslog server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Server {
    /// Datagrams to a name or address with a port.
    Udp(String),
    /// A connection to a name or address with a port.
    Tcp(String),
    /// A socket of this machine, such as `/dev/log`: datagrams, or a connection where the server takes no datagrams.
    Unix(PathBuf),
}

/// A syslog server, and how messages name the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where it listens.
    pub server: Server,
    /// Facility, 0 to 23 (RFC 5424, section 6.2.1).
    pub facility: u8,
    /// APP-NAME.
    pub app_name: String,
}

enum Link {
    Udp(UdpSocket),
    Tcp(TcpStream),
    Datagram(UnixDatagram),
    Stream(UnixStream),
}

/// A writer that takes whole lines.
pub(super) struct Syslog {
    settings: Settings,
    host: String,
    link: Option<Link>,
    /// When the server could not be reached.
    failed: Option<Instant>,
}

impl Syslog {
    /// Nothing is connected yet: a server that is down keeps no gateway from starting.
    pub(super) fn new(settings: Settings) -> Syslog {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        Syslog { settings, host: named(&host, 255), link: None, failed: None }
    }

    fn connect(&self) -> io::Result<Link> {
        match &self.settings.server {
            Server::Udp(address) => {
                let address = first(address)?;
                let socket = UdpSocket::bind(if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
                socket.connect(address)?;
                Ok(Link::Udp(socket))
            }
            Server::Tcp(address) => {
                let stream = TcpStream::connect_timeout(&first(address)?, PATIENCE)?;
                stream.set_write_timeout(Some(PATIENCE))?;
                Ok(Link::Tcp(stream))
            }
            Server::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.set_write_timeout(Some(PATIENCE))?;
                match socket.connect(path) {
                    Ok(()) => Ok(Link::Datagram(socket)),
                    // EPROTOTYPE: it takes connections.
                    Err(error) if error.raw_os_error() == Some(91) => {
                        let stream = UnixStream::connect(path)?;
                        stream.set_write_timeout(Some(PATIENCE))?;
                        Ok(Link::Stream(stream))
                    }
                    Err(error) => Err(error),
                }
            }
        }
    }

    fn message(&self, line: &[u8], head: &str) -> Vec<u8> {
        let mut message = head.as_bytes().to_vec();
        message.extend_from_slice(line);
        message
    }

    /// Everything of a message before its text.
    fn head(&self, now: SystemTime) -> String {
        // Severity 6: informational.
        let priority = u32::from(self.settings.facility) * 8 + 6;
        let time = jiff::Timestamp::try_from(now).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
        format!(
            "<{priority}>1 {} {} {} {} access - ",
            time.strftime("%Y-%m-%dT%H:%M:%S%.6fZ"),
            self.host,
            named(&self.settings.app_name, 48),
            std::process::id()
        )
    }

    fn send(&mut self, lines: &[u8]) -> io::Result<()> {
        let link = match self.link.take() {
            Some(link) => link,
            None if self.failed.is_some_and(|failed| failed.elapsed() < PAUSE) => {
                return Err(io::Error::new(io::ErrorKind::NotConnected, "the syslog server was not reached"));
            }
            None => self.connect()?,
        };
        let head = self.head(SystemTime::now());
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let mut message = self.message(line, &head);
            match &link {
                Link::Udp(socket) => {
                    message.truncate(LONGEST);
                    socket.send(&message)?;
                }
                Link::Datagram(socket) => {
                    message.truncate(LONGEST);
                    socket.send(&message)?;
                }
                Link::Tcp(stream) => counted(stream, &message)?,
                Link::Stream(stream) => counted(stream, &message)?,
            }
        }
        // A link on which anything failed is not used again: half of a message may stand in it.
        self.link = Some(link);
        Ok(())
    }
}

fn counted(mut to: impl Write, message: &[u8]) -> io::Result<()> {
    let mut framed = format!("{} ", message.len()).into_bytes();
    framed.extend_from_slice(message);
    to.write_all(&framed)
}

fn first(address: &str) -> io::Result<std::net::SocketAddr> {
    let none = || io::Error::new(io::ErrorKind::NotFound, "the name of the syslog server has no address");
    address.to_socket_addrs()?.next().ok_or_else(none)
}

/// A name in a message: visible ASCII, or `-` if there is none.
fn named(name: &str, most: usize) -> String {
    let name: String = name.trim().chars().filter(char::is_ascii_graphic).take(most).collect();
    if name.is_empty() { "-".to_owned() } else { name }
}

impl Write for Syslog {
    /// Takes all lines or none.
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        if lines.is_empty() {
            return Ok(0);
        }
        match self.send(lines) {
            Ok(()) => {
                self.failed = None;
                Ok(lines.len())
            }
            Err(error) => {
                self.failed =
                    Some(self.failed.filter(|failed| failed.elapsed() < PAUSE).unwrap_or_else(Instant::now));
                // `write_all` would try an interrupted write again, and lines would be sent twice.
                Err(io::Error::other(error))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;

    fn settings(server: Server) -> Settings {
        Settings { server, facility: 16, app_name: "portcullis".to_owned() }
    }

    /// That this is a message of RFC 5424 with this text.
    fn is_message(message: &[u8], text: &str) {
        let message = std::str::from_utf8(message).unwrap();
        let fields: Vec<_> = message.splitn(8, ' ').collect();
        let [priority, time, host, app, process, kind, data, rest] = fields[..] else { panic!("{message}") };
        assert_eq!((priority, app, kind, data, rest), ("<134>1", "portcullis", "access", "-", text));
        assert!(time.parse::<jiff::Timestamp>().is_ok(), "{time}");
        assert!(!host.is_empty() && process.parse::<u32>() == Ok(std::process::id()), "{message}");
    }

    const LINES: &[u8] = b"{\"a\":1}\n{\"b\":2}\n";

    #[test]
    fn each_line_is_a_datagram() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        server.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let address = server.local_addr().unwrap().to_string();
        Syslog::new(settings(Server::Udp(address))).write_all(LINES).unwrap();
        for text in ["{\"a\":1}", "{\"b\":2}"] {
            let mut bytes = [0; 2000];
            let length = server.recv(&mut bytes).unwrap();
            is_message(&bytes[..length], text);
        }
        let path = std::env::temp_dir().join(format!("portcullis-syslog-{}", std::process::id()));
        let server = UnixDatagram::bind(&path).unwrap();
        server.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut log = Syslog::new(settings(Server::Unix(path.clone())));
        let long = [vec![b'x'; 3 * LONGEST], b"\n".to_vec()].concat();
        log.write_all(&long).unwrap();
        let mut bytes = vec![0; 2 * LONGEST];
        assert_eq!(server.recv(&mut bytes).unwrap(), LONGEST, "shortened, and not lost");
        std::fs::remove_file(path).unwrap();
    }

    /// Reads one message with its count of octets.
    fn framed(from: &mut impl Read) -> Vec<u8> {
        let mut length = String::new();
        loop {
            let mut byte = [0];
            from.read_exact(&mut byte).unwrap();
            match byte[0] {
                b' ' => break,
                digit => length.push(char::from(digit)),
            }
        }
        let mut message = vec![0; length.parse().unwrap()];
        from.read_exact(&mut message).unwrap();
        message
    }

    #[test]
    fn a_connection_counts_octets_and_is_made_again() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap().to_string();
        let mut log = Syslog::new(settings(Server::Tcp(address)));
        log.write_all(LINES).unwrap();
        let (mut stream, _) = server.accept().unwrap();
        is_message(&framed(&mut stream), "{\"a\":1}");
        is_message(&framed(&mut stream), "{\"b\":2}");
        // The server goes, and is back on the same port.
        drop(stream);
        let until = Instant::now() + Duration::from_secs(10);
        while log.write_all(LINES).is_ok() {
            assert!(Instant::now() < until, "a connection that is gone takes everything");
        }
        while log.write_all(LINES).is_err() {
            assert!(Instant::now() < until, "no other connection is made");
            std::thread::sleep(Duration::from_millis(50));
        }
        let (mut stream, _) = server.accept().unwrap();
        is_message(&framed(&mut stream), "{\"a\":1}");
    }

    #[test]
    fn a_unix_socket_may_take_connections() {
        let path = std::env::temp_dir().join(format!("portcullis-syslog-stream-{}", std::process::id()));
        let server = UnixListener::bind(&path).unwrap();
        Syslog::new(settings(Server::Unix(path.clone()))).write_all(LINES).unwrap();
        let (mut stream, _) = server.accept().unwrap();
        is_message(&framed(&mut stream), "{\"a\":1}");
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_server_that_is_down_fails_at_once() {
        let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let mut log = Syslog::new(settings(Server::Tcp(gone)));
        assert!(log.write_all(LINES).is_err());
        assert!(log.write_all(LINES).unwrap_err().to_string().contains("not reached"));
    }
}
