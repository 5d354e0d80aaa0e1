//! What is known of a connection before it has said anything.
//!
//! These facts come from the operating system and the transport, never from what the peer writes.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

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

/// A name in the subjectAltName extension of a certificate (RFC 5280, section 4.2.1.6).
///
/// An authority may be constrained to names of one kind and free in another, so a name is never compared with one of another
/// kind, whatever its text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CertificateName {
    /// A DNS name, in lower case.
    Dns(String),
    /// A URI, such as a SPIFFE ID, as it is written.
    Uri(String),
    /// An e-mail address, its host in lower case.
    Email(String),
    /// An address.
    Ip(IpAddr),
}

impl CertificateName {
    /// A DNS name, whatever its case.
    pub fn dns(name: &str) -> CertificateName {
        CertificateName::Dns(name.to_ascii_lowercase())
    }

    /// An e-mail address, whatever the case of its host.
    pub fn email(address: &str) -> CertificateName {
        CertificateName::Email(match address.rsplit_once('@') {
            Some((name, host)) => format!("{name}@{}", host.to_ascii_lowercase()),
            None => address.to_owned(),
        })
    }
}

impl fmt::Display for CertificateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CertificateName::Dns(name) => write!(f, "dns:{name}"),
            CertificateName::Uri(uri) => write!(f, "uri:{uri}"),
            CertificateName::Email(address) => write!(f, "email:{address}"),
            CertificateName::Ip(address) => write!(f, "ip:{address}"),
        }
    }
}

/// The address that a request comes from, behind the proxies that are trusted. Among the extensions of requests that are
/// answered inside the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

/// A client certificate that the transport verified: its chain, its validity and its usage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// SHA-256 of the certificate's DER form, as `x5t#S256` has it (RFC 8705, section 3.1).
    pub thumbprint: [u8; 32],
    /// Its subject as RFC 4514 writes it, such as `CN=alice,O=Example`.
    pub subject: String,
    /// The names in its subjectAltName extension.
    pub names: Vec<CertificateName>,
    /// Time since 1970 at which it ends.
    pub not_after: Duration,
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
