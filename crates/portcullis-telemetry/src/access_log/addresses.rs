//! How the access log writes addresses: whole, without their last bits, or as a keyed hash.

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

/// How addresses are written.
#[derive(Clone, Default)]
pub enum Addresses {
    /// As they are, a peer with its port.
    #[default]
    Whole,
    /// Without the last 8 bits of an IPv4 address, or the last 80 bits of an IPv6 one.
    Truncated,
    /// As 16 hexadecimal digits: HMAC-SHA-256 under a secret that a process makes at its start. The same address has the
    /// same digits until the process ends.
    Hashed(Arc<Key>),
}

impl Addresses {
    /// Hashed with this secret.
    pub fn hashed(secret: &[u8]) -> Addresses {
        Addresses::Hashed(Arc::new(Key::new(HMAC_SHA256, secret)))
    }

    pub(crate) fn peer(&self, peer: SocketAddr) -> Shown<'_> {
        Shown { addresses: self, address: peer.ip(), port: Some(peer.port()) }
    }

    pub(crate) fn client(&self, address: IpAddr) -> Shown<'_> {
        Shown { addresses: self, address, port: None }
    }
}

/// An address as it is written.
pub(crate) struct Shown<'a> {
    addresses: &'a Addresses,
    address: IpAddr,
    port: Option<u16>,
}

impl Shown<'_> {
    /// The IPv4 address that is written, and the port after it, where nothing else is.
    pub(crate) fn as_ipv4(&self) -> Option<(Ipv4Addr, Option<u16>)> {
        match (self.addresses, self.address) {
            (Addresses::Whole, IpAddr::V4(address)) => Some((address, self.port)),
            _ => None,
        }
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SECURITY: an IPv4 address has one spelling, or 80 bits less of its mapped form would be all zeros, and it would
        // have two hashes (addresses_are_whole_truncated_or_hashed).
        match (self.addresses, self.address.to_canonical(), self.port) {
            (Addresses::Whole, _, Some(port)) => SocketAddr::new(self.address, port).fmt(f),
            (Addresses::Whole, _, None) => self.address.fmt(f),
            (Addresses::Truncated, IpAddr::V4(address), _) => {
                Ipv4Addr::from_bits(address.to_bits() & 0xffff_ff00).fmt(f)
            }
            (Addresses::Truncated, IpAddr::V6(address), _) => {
                Ipv6Addr::from_bits(address.to_bits() & !((1 << 80) - 1)).fmt(f)
            }
            (Addresses::Hashed(key), IpAddr::V4(address), _) => digits(key, &address.octets(), f),
            (Addresses::Hashed(key), IpAddr::V6(address), _) => digits(key, &address.octets(), f),
        }
    }
}

fn digits(key: &Key, bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    sign(key, bytes).as_ref().iter().take(8).try_for_each(|byte| write!(f, "{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_whole_truncated_or_hashed() {
        let (v4, v6): (IpAddr, IpAddr) = ("192.0.2.77".parse().unwrap(), "2001:db8:1:2::7".parse().unwrap());
        let mapped = "::ffff:192.0.2.77".parse().unwrap();
        let shown = |addresses: &Addresses, address| addresses.client(address).to_string();
        assert_eq!(shown(&Addresses::Whole, v4), "192.0.2.77");
        assert_eq!(Addresses::Whole.peer(SocketAddr::new(v4, 9)).to_string(), "192.0.2.77:9");
        assert_eq!(shown(&Addresses::Truncated, v4), "192.0.2.0");
        assert_eq!(shown(&Addresses::Truncated, v6), "2001:db8:1::");
        assert_eq!(shown(&Addresses::Truncated, mapped), "192.0.2.0");
        assert_eq!(Addresses::Truncated.peer(SocketAddr::new(v4, 9)).to_string(), "192.0.2.0");
        let (one, other) = (Addresses::hashed(&[1; 32]), Addresses::hashed(&[2; 32]));
        assert_eq!(shown(&one, v4).len(), 16);
        assert_eq!(shown(&one, v4), one.peer(SocketAddr::new(v4, 9)).to_string());
        assert_eq!(shown(&one, v4), shown(&one, mapped));
        assert_ne!(shown(&one, v4), shown(&other, v4));
        assert_ne!(shown(&one, v4), shown(&one, v6));
    }
}
