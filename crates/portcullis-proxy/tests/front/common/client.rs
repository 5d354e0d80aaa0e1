//! A client made of a plain socket.

use super::PATIENCE;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: api.example\r\n\r\n")
}

pub fn post(path: &str, body: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: api.example\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

pub struct Client {
    stream: BufReader<TcpStream>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
    /// Whether the body came to its end.
    pub whole: bool,
}

impl Answer {
    pub fn field(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    #[track_caller]
    pub fn assert_problem(&self, status: u16) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.field("content-type"), Some("application/problem+json"), "{self:?}");
        assert!(self.text().contains(&format!("\"status\":{status}")), "{self:?}");
        assert!(self.text().contains(self.field("x-request-id").unwrap()), "{self:?}");
        assert!(self.whole);
    }
}

pub fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

impl Client {
    pub fn connect(address: SocketAddr) -> Client {
        Client::over(TcpStream::connect(address).unwrap())
    }

    pub fn over(stream: TcpStream) -> Client {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client { stream: BufReader::new(stream) }
    }

    pub fn send(&mut self, bytes: &str) {
        self.stream.get_mut().write_all(bytes.as_bytes()).unwrap();
    }

    pub fn try_send(&mut self, bytes: &[u8]) -> bool {
        self.stream.get_mut().write_all(bytes).is_ok()
    }

    pub fn answer(&mut self) -> Answer {
        self.answer_to("GET").expect("an answer")
    }

    /// `None` where the connection ends before the answer begins.
    pub fn answer_to(&mut self, method: &str) -> Option<Answer> {
        let head = read_head(&mut self.stream)?;
        let status: u16 = head.split(' ').nth(1).unwrap().parse().unwrap();
        let bodiless = method == "HEAD" || matches!(status, 101 | 204 | 304);
        let (body, whole) =
            if bodiless { (Vec::new(), true) } else { read_body(&mut self.stream, &head, true) };
        Some(Answer { status, head, body, whole })
    }

    /// Whether the other side closed the connection, after at most `PATIENCE`.
    pub fn is_closed(&mut self) -> bool {
        match self.stream.fill_buf() {
            Ok(bytes) => bytes.is_empty(),
            Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        }
    }

    pub fn read(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes
    }

    pub fn socket(&self) -> &TcpStream {
        self.stream.get_ref()
    }
}

/// A message's head with its lines as they came; `None` where the connection ends first.
pub fn read_head(stream: &mut BufReader<TcpStream>) -> Option<String> {
    let mut head = String::new();
    loop {
        let before = head.len();
        match stream.read_line(&mut head) {
            Ok(0) => return None,
            Ok(_) if &head[before..] == "\r\n" => return Some(head),
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("no answer in time; so far: {head:?}")
            }
            Err(_) => return None,
        }
    }
}

/// A message's body, and whether it came to its end.
pub fn read_body(stream: &mut BufReader<TcpStream>, head: &str, to_the_end: bool) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    if let Some(length) = field(head, "content-length") {
        let length: u64 = length.parse().unwrap();
        let read = stream.take(length).read_to_end(&mut body);
        let whole = read.is_ok() && body.len() as u64 == length;
        return (body, whole);
    }
    if field(head, "transfer-encoding").is_some() {
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).unwrap_or(0) == 0 {
                return (body, false);
            }
            let size = u64::from_str_radix(line.trim(), 16).unwrap();
            if size == 0 {
                // The trailer section, up to its empty line.
                while stream.read_line(&mut line).unwrap_or(0) > 2 {}
                return (body, true);
            }
            let before = body.len();
            let read = stream.take(size).read_to_end(&mut body);
            if read.is_err() || (body.len() - before) as u64 != size || stream.read_line(&mut line).is_err() {
                return (body, false);
            }
        }
    }
    if to_the_end {
        let whole = stream.read_to_end(&mut body).is_ok();
        return (body, whole);
    }
    (body, true)
}
