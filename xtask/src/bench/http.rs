//! One request, sent exactly as written: a client library might tidy up the path that a proxy is to be asked for.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use crate::failure::{Context, Outcome};

const PATIENCE: Duration = Duration::from_secs(10);

/// More than any answer here has; a server that sends without end does not hold up the run.
const MOST_BYTES: u64 = 64 * 1024;

#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// What follows the head. Answers here are short, so none of them is sent in chunks.
    pub(crate) body: Vec<u8>,
}

/// Asks a loopback port, with a field or without, and reads until the connection is closed.
pub(crate) fn get(port: u16, path: &str, field: Option<(&str, &str)>) -> Outcome<Answer> {
    let field = field.map(|(name, value)| format!("{name}: {value}\r\n")).unwrap_or_default();
    exchange(port, "GET", path, &field, "")
}

/// Posts JSON in the same way.
pub(crate) fn post(port: u16, path: &str, json: &str) -> Outcome<Answer> {
    let fields = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", json.len());
    exchange(port, "POST", path, &fields, json)
}

fn exchange(port: u16, method: &str, path: &str, fields: &str, body: &str) -> Outcome<Answer> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let doing = || format!("{method} {path}");
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).context(doing)?;
    stream.set_read_timeout(Some(PATIENCE)).context(doing)?;
    stream.set_write_timeout(Some(PATIENCE)).context(doing)?;
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{fields}Connection: close\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).context(doing)?;
    let mut bytes = Vec::new();
    let read = stream.take(MOST_BYTES).read_to_end(&mut bytes);
    read.context(|| {
        format!("{method} {path} with `Connection: close`: no answer, or not closed after {PATIENCE:?}")
    })?;
    Answer::parse(&bytes).context(|| format!("{method} {path}: the answer is not HTTP"))
}

impl Answer {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let (head, rest) = bytes.split_at(end);
        let head = std::str::from_utf8(head).ok()?.strip_prefix("HTTP/1.")?;
        Some(Self { status: head.split([' ', '\r']).nth(1)?.parse().ok()?, body: rest.get(4..)?.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_http_answer_is_read() {
        let answer = Answer::parse(b"HTTP/1.1 429 Too Many Requests\r\nA: b\r\n\r\nbody").unwrap();
        assert_eq!(answer, Answer { status: 429, body: b"body".to_vec() });
        assert_eq!(Answer::parse(b"HTTP/1.0 200\r\n\r\n").unwrap().status, 200);
        for other in [&b"SSH-2.0 200 x\r\n\r\n"[..], b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 OK\r\n\r\n", b""] {
            assert_eq!(Answer::parse(other), None);
        }
    }
}
