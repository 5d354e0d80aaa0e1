//! A server that stands where an authority should: it says what a test wants, over TLS, and counts.

use crate::authority::{Authority, Wanted};
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// What it says to a request line.
pub type Script = dyn Fn(&str, u16) -> String + Send + Sync;

/// The server.
pub struct Server {
    pub port: u16,
    pub requests: Arc<AtomicUsize>,
    /// The first line of each request.
    pub lines: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Starts it; it answers until the test ends.
    pub fn start(folder: &Path, authority: &Authority, script: Arc<Script>) -> Server {
        let issued = authority.issue(folder, "server", &Wanted::server(&["localhost"]));
        let chain: Vec<_> =
            CertificateDer::pem_file_iter(&issued.certificate).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(&issued.key).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let requests = Arc::new(AtomicUsize::new(0));
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (counted, noted) = (Arc::clone(&requests), Arc::clone(&lines));
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let Ok(socket) = socket else { return };
                let _ = socket.set_read_timeout(Some(std::time::Duration::from_secs(5)));
                let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut stream = rustls::StreamOwned::new(connection, socket);
                let mut head = Vec::new();
                let mut byte = [0];
                while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
                    head.push(byte[0]);
                }
                if !head.ends_with(b"\r\n\r\n") {
                    continue;
                }
                counted.fetch_add(1, Ordering::Relaxed);
                let head = String::from_utf8_lossy(&head).into_owned();
                let line = head.lines().next().unwrap_or_default();
                noted.lock().unwrap().push(line.to_owned());
                let _ = stream.write_all(script(line, port).as_bytes());
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        });
        Server { port, requests, lines }
    }
}

/// An answer.
pub fn answer(status: &str, fields: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{fields}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

/// A directory, for what is asked below it to fail.
pub fn directory(port: u16) -> String {
    let place = format!("https://localhost:{port}");
    let body = serde_json::json!({
        "newNonce": format!("{place}/nonce"),
        "newAccount": format!("{place}/account"),
        "newOrder": format!("{place}/order"),
        "renewalInfo": format!("{place}/renewal"),
    });
    answer("200 OK", "Content-Type: application/json\r\n", &body.to_string())
}
