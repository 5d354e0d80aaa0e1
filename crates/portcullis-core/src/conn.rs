//! What is known of a connection before it has said anything.
//!
//! These facts come from the operating system and the transport, never from what the peer writes.

use std::net::SocketAddr;

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

/// One accepted connection.
#[derive(Clone, Copy, Debug)]
pub struct Conn {
    /// Who connected: the address that the operating system reports.
    pub peer: SocketAddr,
    /// The address on which the connection was accepted.
    pub local: SocketAddr,
    /// What protects it.
    pub transport: Transport,
}
