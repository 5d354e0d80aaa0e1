//! A client that writes any bytes, and reads answers one by one.

use super::PATIENCE;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// An answer, as it came.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
    /// Head and body.
    pub raw: Vec<u8>,
    head: Vec<(String, String)>,
}

impl Answer {
    /// The values of the field with this lower-case name.
    pub fn fields(&self, name: &str) -> Vec<&str> {
        self.head.iter().filter(|(field, _)| field == name).map(|(_, value)| value.as_str()).collect()
    }

    /// The one value of this field.
    pub fn field(&self, name: &str) -> &str {
        match self.fields(name)[..] {
            [value] => value,
            ref other => panic!("{name}: {other:?} in {self:?}"),
        }
    }

    /// All fields in their order.
    pub fn head(&self) -> &[(String, String)] {
        &self.head
    }
}

/// A connection to the gateway.
pub struct Client {
    stream: TcpStream,
    unread: Vec<u8>,
    /// Its own address, by which its records are found.
    pub address: SocketAddr,
}

impl Client {
    /// Connects.
    pub async fn connect(to: SocketAddr) -> Client {
        Client::connect_from("127.0.0.1", to).await
    }

    /// Connects from this address of the loopback network.
    pub async fn connect_from(from: &str, to: SocketAddr) -> Client {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(from.parse().unwrap(), 0)).unwrap();
        let stream = socket.connect(to).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let address = stream.local_addr().unwrap();
        Client { stream, unread: Vec::new(), address }
    }

    /// Writes. A gateway that has refused already may have closed the connection, so a failure is no failure.
    pub async fn send(&mut self, bytes: &[u8]) {
        super::canaries::of_request(bytes);
        let _closed = self.stream.write_all(bytes).await;
    }

    /// The next answer. `None` at the end of the connection; `bodiless` where it answers HEAD.
    pub async fn answer(&mut self, bodiless: bool) -> Option<Answer> {
        let answer = tokio::time::timeout(PATIENCE, self.next(bodiless))
            .await
            .expect("an answer, or the end of the connection");
        if let Some(answer) =
            answer.as_ref().filter(|one| one.fields("content-type") == ["application/problem+json"])
        {
            super::canaries::output("refusals", &answer.body);
        }
        answer
    }

    /// Sends a request and takes its answer.
    pub async fn ask(&mut self, request: &str) -> Answer {
        self.send(request.as_bytes()).await;
        self.answer(false).await.expect("an answer")
    }

    async fn more(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer).await {
            Ok(0) | Err(_) => false,
            Ok(size) => {
                self.unread.extend_from_slice(&buffer[..size]);
                true
            }
        }
    }

    async fn next(&mut self, bodiless: bool) -> Option<Answer> {
        let end = loop {
            if let Some(end) = self.unread.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            if !self.more().await {
                assert!(
                    self.unread.is_empty(),
                    "half an answer: {:?}",
                    self.unread.escape_ascii().to_string()
                );
                return None;
            }
        };
        let text = String::from_utf8(self.unread[..end].to_vec()).expect("a head in ASCII");
        let mut lines = text.trim_end().split("\r\n");
        let status_line = lines.next().unwrap();
        assert!(
            status_line.starts_with("HTTP/1.1 ") || status_line.starts_with("HTTP/1.0 "),
            "{status_line:?}"
        );
        let status: u16 = status_line[9..12].parse().unwrap();
        let head: Vec<(String, String)> = lines
            .map(|line| line.split_once(':').expect("a field"))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut answer = Answer { status, body: Vec::new(), raw: Vec::new(), head };
        let mut at = end;
        if !(bodiless || status < 200 || status == 204 || status == 304) {
            if answer.fields("transfer-encoding") == ["chunked"] {
                loop {
                    let line = self.line(&mut at).await;
                    let size = usize::from_str_radix(line.trim(), 16).unwrap();
                    let data = self.take(&mut at, size + 2).await;
                    answer.body.extend_from_slice(&data[..size]);
                    if size == 0 {
                        break;
                    }
                }
            } else {
                // A backend here always gives a length, and the gateway knows those of its own; HTTP/1.0 may go without.
                match answer.fields("content-length").first().map(|length| length.parse().unwrap()) {
                    Some(length) => answer.body = self.take(&mut at, length).await,
                    None => {
                        while self.more().await {}
                        answer.body = self.unread[at..].to_vec();
                        at = self.unread.len();
                    }
                }
            }
        }
        answer.raw = self.unread.drain(..at).collect();
        Some(answer)
    }

    async fn take(&mut self, at: &mut usize, size: usize) -> Vec<u8> {
        while self.unread.len() < *at + size {
            assert!(self.more().await, "half a body");
        }
        *at += size;
        self.unread[*at - size..*at].to_vec()
    }

    async fn line(&mut self, at: &mut usize) -> String {
        let end = loop {
            if let Some(end) = self.unread[*at..].windows(2).position(|window| window == b"\r\n") {
                break *at + end;
            }
            assert!(self.more().await, "half a line");
        };
        let line = String::from_utf8(self.unread[*at..end].to_vec()).unwrap();
        *at = end + 2;
        line
    }
}
