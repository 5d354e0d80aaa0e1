//! A request as a client sends it, before anything was read of it.

use bytes::Bytes;
use portcullis_core::{ClientCertificate, Conn, Transport};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// From where requests come if nobody says otherwise: an address that is set apart for documents (RFC 5737).
pub const SOMEBODY: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// A request.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its method.
    pub method: String,
    /// Its target, as it stands in the request line.
    pub target: String,
    /// Its fields in order, names in any case, several of one name if the client sends several. `Content-Length` is added
    /// where there is a body and no field says how it is framed.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Bytes,
    /// Who connects.
    pub client: IpAddr,
    /// Whether the connection is protected by TLS.
    pub tls: bool,
    /// The certificate that the client showed, and that the handshake accepted.
    pub certificate: Option<Arc<ClientCertificate>>,
    /// When it arrives, since 1970. `None`: now.
    pub time: Option<Duration>,
}

impl Request {
    /// A request without a body, for a host that any route may serve.
    pub fn new(method: &str, target: &str) -> Request {
        Request {
            method: method.to_owned(),
            target: target.to_owned(),
            headers: vec![("host".to_owned(), "api.example.com".to_owned())],
            body: Bytes::new(),
            client: SOMEBODY,
            tls: false,
            certificate: None,
            time: None,
        }
    }

    /// With one more field.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Request {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With this in place of every field of that name.
    #[must_use]
    pub fn only_header(mut self, name: &str, value: &str) -> Request {
        self.headers.retain(|(there, _)| !there.eq_ignore_ascii_case(name));
        self.header(name, value)
    }

    /// Whether it has such a field.
    pub fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(there, _)| there.eq_ignore_ascii_case(name))
    }

    pub(super) fn conn(&self) -> Conn {
        Conn {
            peer: SocketAddr::new(self.client, 50_000),
            local: SocketAddr::from(([127, 0, 0, 1], 3000)),
            transport: if self.tls { Transport::Tls } else { Transport::Plaintext },
            certificate: self.certificate.clone(),
        }
    }

    /// The head as it comes over a connection.
    pub fn head_bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        let framed = self.has("content-length") || self.has("transfer-encoding");
        let has_body = !self.body.is_empty() || matches!(self.method.as_str(), "POST" | "PUT" | "PATCH");
        if !framed && has_body {
            bytes.extend_from_slice(format!("content-length: {}\r\n", self.body.len()).as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes
    }
}
