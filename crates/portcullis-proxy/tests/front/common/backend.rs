//! Backends made of plain sockets, a thread for each connection.

use super::{PATIENCE, field, read_body, read_head};
use portcullis_proxy::{Target, Upstream};
use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// A request as a backend sees it.
#[derive(Debug, Clone)]
pub struct Seen {
    pub head: String,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn line(&self) -> &str {
        self.head.lines().next().unwrap()
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }
}

/// A backend's side of a connection.
pub struct Peer {
    pub stream: BufReader<TcpStream>,
    /// How many connections there were before this one.
    pub number: usize,
}

impl Peer {
    pub fn request(&mut self) -> Option<Seen> {
        let head = read_head(&mut self.stream)?;
        let (body, _) = read_body(&mut self.stream, &head, false);
        Some(Seen { head, body })
    }

    pub fn send(&mut self, bytes: &str) {
        // The front may be gone by then, which is what some tests are about.
        let _ = self.stream.get_mut().write_all(bytes.as_bytes());
    }

    pub fn until_closed(&mut self) {
        let _ = self.stream.read_to_end(&mut Vec::new());
    }
}

pub struct Backend {
    pub address: SocketAddr,
    pub connections: Arc<AtomicUsize>,
    pub seen: Arc<Mutex<Vec<Seen>>>,
}

impl Backend {
    /// Runs `serve` for each connection, in a thread.
    pub fn new(serve: impl Fn(&mut Peer) + Send + Sync + 'static) -> Backend {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let (count, serve) = (Arc::clone(&connections), Arc::new(serve));
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let number = count.fetch_add(1, Ordering::SeqCst);
                let serve = Arc::clone(&serve);
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                stream.set_nodelay(true).unwrap();
                std::thread::spawn(move || serve(&mut Peer { stream: BufReader::new(stream), number }));
            }
        });
        Backend { address, connections, seen: Arc::default() }
    }

    /// Gives every request the same answer, and remembers the request.
    pub fn answering(answer: &'static str) -> Backend {
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let remembered = Arc::clone(&seen);
        let mut backend = Backend::new(move |peer| {
            while let Some(request) = peer.request() {
                remembered.lock().unwrap().push(request);
                peer.send(answer);
            }
        });
        backend.seen = seen;
        backend
    }

    /// Answers with the body of the request.
    pub fn echo() -> Backend {
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let remembered = Arc::clone(&seen);
        let mut backend = Backend::new(move |peer| {
            while let Some(request) = peer.request() {
                let body = String::from_utf8(request.body.clone()).unwrap();
                remembered.lock().unwrap().push(request);
                peer.send(&format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
            }
        });
        backend.seen = seen;
        backend
    }

    pub fn upstream(&self) -> Upstream {
        Upstream { response_timeout: PATIENCE, ..Upstream::new(self.address.to_string()) }
    }

    pub fn target(&self) -> Target {
        Target::Upstream(self.upstream())
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

pub const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
