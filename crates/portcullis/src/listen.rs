//! Where a gateway listens, said in types: addresses, TLS, and the limits of connections and request heads.
//!
//! Each type writes the same document that a file would hold, so a program's configuration passes the same validation. Files
//! that are named here are read when the gateway is built; if one cannot be used, the gateway is not built.

use serde_json::{Map, Value, json};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

/// An address to listen on, and how. A port number means that port of 127.0.0.1.
#[derive(Clone, Debug)]
pub struct Listen(pub(crate) Map<String, Value>);

impl From<u16> for Listen {
    fn from(port: u16) -> Listen {
        Listen::on(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port))
    }
}

impl From<SocketAddr> for Listen {
    fn from(address: SocketAddr) -> Listen {
        Listen::on(address)
    }
}

impl Listen {
    /// Listens on this address. Without TLS it must be a loopback address, unless a reason is given.
    pub fn on(address: SocketAddr) -> Listen {
        Listen(Map::new()).with("bind", json!(address.to_string()))
    }

    /// Listens on this port of every address of the machine, by IPv6 and IPv4.
    pub fn everywhere(port: u16) -> Listen {
        Listen::on(SocketAddr::from(([0u16; 8], port)))
    }

    /// Uses TLS.
    #[must_use]
    pub fn tls(self, tls: Tls) -> Listen {
        self.with("tls", Value::Object(tls.0))
    }

    /// Speaks only HTTP/1.1. Default: HTTP/2 and HTTP/1.1 with TLS, HTTP/1.1 without.
    #[must_use]
    pub fn only_http1(self) -> Listen {
        self.with("protocols", json!(["http/1.1"]))
    }

    /// Speaks only HTTP/2; without TLS, with prior knowledge.
    #[must_use]
    pub fn only_http2(self) -> Listen {
        self.with("protocols", json!(["h2"]))
    }

    /// Redirects every request to this port of HTTPS, and does nothing else.
    #[must_use]
    pub fn redirect_to_https(self, port: u16) -> Listen {
        self.with("redirect_to_https", json!(port))
    }

    /// Why requests, with their keys, may cross a network in the clear.
    #[must_use]
    pub fn insecure_plaintext(self, reason: impl Into<String>) -> Listen {
        self.with("insecure_plaintext", json!(reason.into()))
    }

    /// Load balancers that send the client's address with the PROXY protocol, as networks.
    #[must_use]
    pub fn proxy_protocol_from<N: Into<String>>(self, networks: impl IntoIterator<Item = N>) -> Listen {
        let networks: Vec<String> = networks.into_iter().map(Into::into).collect();
        self.with("proxy_protocol_from", json!(networks))
    }

    /// The maximum number of open connections.
    #[must_use]
    pub fn max_connections(self, most: u32) -> Listen {
        self.with("max_connections", json!(most))
    }

    /// The maximum number of open connections from one address or IPv6 /64.
    #[must_use]
    pub fn max_connections_per_address(self, most: u32) -> Listen {
        self.with("max_connections_per_address", json!(most))
    }

    /// The maximum number of running requests from one address, in each worker.
    #[must_use]
    pub fn max_requests_per_address(self, most: u32) -> Listen {
        self.with("max_requests_per_address", json!(most))
    }

    /// The maximum time from the first byte of a request to the end of its headers.
    #[must_use]
    pub fn header_timeout(self, time: Duration) -> Listen {
        self.timeout("header", time)
    }

    /// The idle timeout of a connection between two requests.
    #[must_use]
    pub fn idle_timeout(self, time: Duration) -> Listen {
        self.timeout("idle", time)
    }

    /// The idle timeout of request and response bodies.
    #[must_use]
    pub fn body_timeout(self, time: Duration) -> Listen {
        self.timeout("body", time)
    }

    /// The maximum time from the end of the headers to the end of the request body.
    #[must_use]
    pub fn request_timeout(self, time: Duration) -> Listen {
        self.timeout("request", time)
    }

    fn timeout(mut self, name: &str, time: Duration) -> Listen {
        if let Value::Object(timeouts) = self.0.entry("timeouts").or_insert_with(|| json!({})) {
            timeouts.insert(name.into(), duration(time));
        }
        self
    }

    fn with(mut self, key: &str, value: Value) -> Listen {
        self.0.insert(key.into(), value);
        self
    }
}

/// How a listener protects its connections.
#[derive(Clone, Debug)]
pub struct Tls(Map<String, Value>);

impl Tls {
    /// With a certificate and its key, from files in PEM. Changed files are taken up while the gateway runs.
    pub fn files(certificate: impl AsRef<Path>, key: impl AsRef<Path>) -> Tls {
        Tls(Map::new()).and_files(certificate, key)
    }

    /// With a certificate for `localhost` that is made at the start. For development, on loopback addresses only.
    pub fn self_signed() -> Tls {
        Tls(Map::new()).with("self_signed", json!(true))
    }

    /// With a certificate for these hosts that Let's Encrypt issues, kept in this folder. To call it is to agree to the terms of
    /// service of Let's Encrypt.
    pub fn automatic<D: Into<String>>(
        domains: impl IntoIterator<Item = D>,
        storage: impl AsRef<Path>,
    ) -> Tls {
        let domains: Vec<String> = domains.into_iter().map(Into::into).collect();
        Tls(Map::new()).with(
            "acme",
            json!({ "domains": domains, "agree_to_terms": true, "storage": path(storage.as_ref()) }),
        )
    }

    /// With this certificate too, for other hosts.
    #[must_use]
    pub fn and_files(mut self, certificate: impl AsRef<Path>, key: impl AsRef<Path>) -> Tls {
        if let Value::Array(pairs) = self.0.entry("certificates").or_insert_with(|| json!([])) {
            pairs.push(json!({ "certificate": path(certificate.as_ref()), "key": path(key.as_ref()) }));
        }
        self
    }

    /// Clients must have a certificate of one of the CAs in this file (mutual TLS).
    #[must_use]
    pub fn client_certificates(self, authorities: impl AsRef<Path>) -> Tls {
        self.with("client_certificates", json!({ "ca": path(authorities.as_ref()) }))
    }

    /// TLS 1.3 only. Default: TLS 1.2 as well.
    #[must_use]
    pub fn only_1_3(self) -> Tls {
        self.with("min_version", json!("1.3"))
    }

    /// How long browsers must use HTTPS for this host (RFC 6797). Default: a year.
    #[must_use]
    pub fn hsts(self, time: Duration) -> Tls {
        self.with("hsts", duration(time))
    }

    fn with(mut self, key: &str, value: Value) -> Tls {
        self.0.insert(key.into(), value);
        self
    }
}

/// Limits of request heads, and of the memory for bodies that are held.
#[derive(Clone, Debug, Default)]
pub struct Limits(pub(crate) Map<String, Value>);

impl Limits {
    /// The defaults.
    pub fn new() -> Limits {
        Limits::default()
    }

    /// The maximum length of the request target, in bytes.
    #[must_use]
    pub fn max_target_size(self, bytes: u64) -> Limits {
        self.with("max_target_size", bytes)
    }

    /// The maximum number of headers.
    #[must_use]
    pub fn max_headers(self, number: u32) -> Limits {
        self.with("max_headers", number.into())
    }

    /// The maximum size of one header, name and value together, in bytes.
    #[must_use]
    pub fn max_header_size(self, bytes: u64) -> Limits {
        self.with("max_header_size", bytes)
    }

    /// The maximum size of all headers together, in bytes.
    #[must_use]
    pub fn max_headers_size(self, bytes: u64) -> Limits {
        self.with("max_headers_size", bytes)
    }

    /// The memory of each worker for bodies that are held until they are validated, in bytes.
    #[must_use]
    pub fn max_held_size(self, bytes: u64) -> Limits {
        self.with("max_held_size", bytes)
    }

    fn with(mut self, key: &str, value: u64) -> Limits {
        self.0.insert(key.into(), json!(value));
        self
    }
}

/// A duration as the document has it, in milliseconds. Anything above zero is at least one of them.
pub(crate) fn duration(time: Duration) -> Value {
    let millis = if time.is_zero() { 0 } else { time.as_millis().max(1) };
    json!(format!("{millis}ms"))
}

/// A path as the document has it. One that is no text names no file, and the error shows it.
fn path(path: &Path) -> Value {
    json!(path.to_string_lossy())
}
