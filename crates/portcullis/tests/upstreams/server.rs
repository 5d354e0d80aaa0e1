//! A server that can be killed, hung, slowed down and brought back at the same address.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// What a server does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// Answers with its name.
    Well,
    /// Answers with this status.
    Status(u16),
    /// Reads, and never answers.
    Hung,
    /// Answers after a while.
    Slow(Duration),
    /// Closes the connection.
    Closes,
    /// Sends an informational answer, and closes.
    Hints,
    /// Sends this much of a head that never ends.
    Endless,
    /// Breaks off in the middle of its answer.
    Breaks,
}

pub struct Server {
    pub address: SocketAddr,
    name: String,
    inner: Arc<Inner>,
    tasks: Mutex<Option<JoinSet<()>>>,
}

struct Inner {
    mood: Mutex<Mood>,
    /// The answers to `/healthz`, where they differ.
    health: Mutex<Option<Mood>>,
    requests: AtomicUsize,
    checks: AtomicUsize,
    running: AtomicUsize,
    bodies: Mutex<Vec<String>>,
}

impl Server {
    pub async fn start(name: &str) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let inner = Arc::new(Inner {
            mood: Mutex::new(Mood::Well),
            health: Mutex::new(None),
            requests: AtomicUsize::new(0),
            checks: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            bodies: Mutex::default(),
        });
        let server = Server {
            address: listener.local_addr().unwrap(),
            name: name.to_owned(),
            inner,
            tasks: Mutex::new(None),
        };
        server.serve(listener);
        server
    }

    fn serve(&self, listener: TcpListener) {
        let (inner, name) = (Arc::clone(&self.inner), self.name.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(converse(stream, Arc::clone(&inner), name.clone()));
            }
        });
        *self.tasks.lock().unwrap() = Some(tasks);
    }

    /// Ends it, with every connection.
    pub async fn kill(&self) {
        let tasks = self.tasks.lock().unwrap().take();
        if let Some(mut tasks) = tasks {
            tasks.shutdown().await;
        }
    }

    /// Brings it back at its address.
    pub async fn revive(&self) {
        for _ in 0..100 {
            if let Ok(listener) = TcpListener::bind(self.address).await {
                return self.serve(listener);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the address of {} is taken", self.name);
    }

    pub fn is(&self, mood: Mood) {
        *self.inner.mood.lock().unwrap() = mood;
    }

    /// Answers health checks in this mood, whatever it is like otherwise.
    pub fn says_it_is(&self, mood: Mood) {
        *self.inner.health.lock().unwrap() = Some(mood);
    }

    pub fn requests(&self) -> usize {
        self.inner.requests.load(Ordering::SeqCst)
    }

    pub fn checks(&self) -> usize {
        self.inner.checks.load(Ordering::SeqCst)
    }

    pub fn running(&self) -> usize {
        self.inner.running.load(Ordering::SeqCst)
    }

    pub fn bodies(&self) -> Vec<String> {
        self.inner.bodies.lock().unwrap().clone()
    }
}

struct Counted<'a>(&'a AtomicUsize);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn converse(stream: tokio::net::TcpStream, inner: Arc<Inner>, name: String) {
    let _ = stream.set_nodelay(true);
    let mut stream = BufReader::new(stream);
    loop {
        let (mut line, mut length, mut first) = (String::new(), 0, String::new());
        loop {
            line.clear();
            match stream.read_line(&mut line).await {
                Ok(0) | Err(_) => return,
                Ok(_) if line == "\r\n" => break,
                Ok(_) => {}
            }
            if first.is_empty() {
                first.clone_from(&line);
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        if stream.read_exact(&mut body).await.is_err() {
            return;
        }
        let check = first.contains("/healthz");
        let counter = if check { &inner.checks } else { &inner.requests };
        counter.fetch_add(1, Ordering::SeqCst);
        if length > 0 {
            inner.bodies.lock().unwrap().push(String::from_utf8(body).unwrap());
        }
        inner.running.fetch_add(1, Ordering::SeqCst);
        let _running = Counted(&inner.running);
        let own = *inner.mood.lock().unwrap();
        let mood = if check { inner.health.lock().unwrap().unwrap_or(own) } else { own };
        let answer = |status: u16| {
            format!("HTTP/1.1 {status} X\r\nX-Server: {name}\r\nContent-Length: {}\r\n\r\n{name}", name.len())
        };
        let text = match mood {
            Mood::Well => answer(200),
            Mood::Status(status) => answer(status),
            Mood::Hung => std::future::pending().await,
            Mood::Slow(time) => {
                tokio::time::sleep(time).await;
                answer(200)
            }
            Mood::Closes => return,
            Mood::Hints => {
                let _ = stream.write_all(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n").await;
                tokio::time::sleep(Duration::from_millis(100)).await;
                return;
            }
            Mood::Breaks => {
                let part = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\na part";
                let _ = stream.write_all(part).await;
                return;
            }
            Mood::Endless => {
                while stream.write_all(&[b'a'; 1000]).await.is_ok() {}
                return;
            }
        };
        if stream.write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
}
