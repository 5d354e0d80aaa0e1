//! A backend that records every byte of every request.
//!
//! It parses no more than it must to know where a request ends, and reads whatever comes after that as another request:
//! what was smuggled past the gateway shows up as a request of its own.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A request, as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The request line and the fields, byte by byte.
    pub head: Vec<u8>,
    pub method: String,
    pub target: String,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Whether the body came to its announced end.
    pub complete: bool,
}

impl Seen {
    /// The values of the field with this lower-case name.
    pub fn fields(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(field, _)| field == name).map(|(_, value)| value.as_str()).collect()
    }

    /// Method and target.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }
}

/// What the backend does with a complete request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Writes these bytes.
    Bytes(Vec<u8>),
    /// Closes the connection.
    Close,
    /// Does nothing.
    Silence,
}

impl Reply {
    /// An answer with this body.
    pub fn with(status: &str, fields: &str, body: &str) -> Reply {
        let length = body.len();
        Reply::Bytes(
            format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {length}\r\n\r\n{body}").into_bytes(),
        )
    }

    /// 200.
    pub fn ok() -> Reply {
        Reply::with("200 OK", "", "ok")
    }
}

type Answering = dyn Fn(&Seen) -> Reply + Send + Sync;

/// A backend.
#[derive(Clone)]
pub struct Backend {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    connections: Arc<AtomicUsize>,
}

impl Backend {
    /// A backend that answers everything with 200.
    pub async fn start() -> Backend {
        Backend::answering(|_| Reply::ok()).await
    }

    /// A backend that answers as it is told.
    pub async fn answering(answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Backend {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let backend = Backend { address, seen: Arc::clone(&seen), connections: Arc::clone(&connections) };
        let answer: Arc<Answering> = Arc::new(answer);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, Arc::clone(&seen), Arc::clone(&answer)));
            }
        });
        backend
    }

    /// How many connections were made to it so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Everything so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve(mut stream: TcpStream, seen: Arc<Mutex<Vec<Seen>>>, answer: Arc<Answering>) {
    let mut unread = Vec::new();
    while let Some(request) = request(&mut stream, &mut unread).await {
        let complete = request.complete;
        let reply = answer(&request);
        seen.lock().unwrap().push(request);
        if !complete {
            return;
        }
        match reply {
            Reply::Bytes(bytes) => {
                if stream.write_all(&bytes).await.is_err() {
                    return;
                }
            }
            Reply::Close => return,
            Reply::Silence => std::future::pending().await,
        }
    }
}

async fn more(stream: &mut TcpStream, unread: &mut Vec<u8>) -> bool {
    let mut buffer = [0; 16 * 1024];
    match stream.read(&mut buffer).await {
        Ok(0) | Err(_) => false,
        Ok(size) => {
            unread.extend_from_slice(&buffer[..size]);
            true
        }
    }
}

/// The next request. Also what does not look like one is returned, so that a test sees it.
async fn request(stream: &mut TcpStream, unread: &mut Vec<u8>) -> Option<Seen> {
    let end = loop {
        if let Some(end) = unread.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if !more(stream, unread).await {
            if unread.is_empty() {
                return None;
            }
            break unread.len();
        }
    };
    let head: Vec<u8> = unread.drain(..end).collect();
    let text = String::from_utf8_lossy(&head).into_owned();
    let mut lines = text.trim_end().split("\r\n");
    let mut line = lines.next().unwrap_or_default().splitn(2, ' ');
    let method = line.next().unwrap_or_default().to_owned();
    let rest = line.next().unwrap_or_default();
    let target = rest.strip_suffix(" HTTP/1.1").unwrap_or(rest).to_owned();
    let fields = lines
        .map(|line| line.split_once(':').unwrap_or((line, "")))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut seen = Seen { head, method, target, fields, body: Vec::new(), complete: true };
    if !seen.fields("transfer-encoding").is_empty() {
        let (body, complete) = chunked(stream, unread).await;
        (seen.body, seen.complete) = (body, complete);
    } else if let Some(length) = seen.fields("content-length").first().and_then(|length| length.parse().ok())
    {
        while unread.len() < length {
            if !more(stream, unread).await {
                seen.complete = false;
                break;
            }
        }
        seen.body = unread.drain(..length.min(unread.len())).collect();
    }
    Some(seen)
}

async fn chunked(stream: &mut TcpStream, unread: &mut Vec<u8>) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = unread.windows(2).position(|window| window == b"\r\n") {
                break end;
            }
            if !more(stream, unread).await {
                return (body, false);
            }
        };
        let line: Vec<u8> = unread.drain(..end + 2).collect();
        let size =
            std::str::from_utf8(&line).ok().and_then(|line| usize::from_str_radix(line.trim(), 16).ok());
        let Some(size) = size else { return (body, false) };
        while unread.len() < size + 2 {
            if !more(stream, unread).await {
                return (body, false);
            }
        }
        body.extend(unread.drain(..size));
        // Nothing but the end of the line may follow: a trailer would be taken for the beginning of another request.
        let ending: Vec<u8> = unread.drain(..2).collect();
        if ending != b"\r\n" {
            return (body, false);
        }
        if size == 0 {
            return (body, true);
        }
    }
}
