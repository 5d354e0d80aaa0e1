//! What is known of a connection before it has said anything.
//!
//! These facts come from the operating system and the transport, never from what the peer writes.

use std::net::SocketAddr;
use std::sync::Arc;

/// How the bytes of a connection travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Nothing protects them.
    Plaintext,
    /// TLS protects them.
    Tls,
    /// They never leave the process: a test, or an embedding program's own call.
    Memory,
}

impl Transport {
    /// The URI scheme that a client used on this transport (RFC 9110, section 4.2).
    pub fn scheme(self) -> &'static str {
        match self {
            Transport::Plaintext | Transport::Memory => "http",
            Transport::Tls => "https",
        }
    }
}

/// A client certificate that the transport verified: its chain, its validity and its usage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// SHA-256 of the certificate's DER form, as `x5t#S256` has it (RFC 8705, section 3.1).
    pub thumbprint: [u8; 32],
    /// Its subject as RFC 4514 writes it, such as `CN=alice,O=Example`.
    pub subject: String,
    /// The names in its subjectAltName extension: DNS names, addresses, e-mail addresses and URIs.
    pub names: Vec<String>,
}

/// One accepted connection.
#[derive(Clone, Debug)]
pub struct Conn {
    /// Who connected: the address that the operating system reports.
    pub peer: SocketAddr,
    /// The address on which the connection was accepted.
    pub local: SocketAddr,
    /// What protects it.
    pub transport: Transport,
    /// The certificate that the client showed, if any. `None` where TLS did not ask for one.
    pub certificate: Option<Arc<ClientCertificate>>,
}
