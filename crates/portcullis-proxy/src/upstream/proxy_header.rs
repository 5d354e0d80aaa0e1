//! The header of the PROXY protocol, which tells a server whose connection it gets (specification of HAProxy, versions 1 and 2).
//!
//! It stands before anything else on a connection, TLS included. So such a connection serves one request: the next one could be
//! another client's. A connection that is nobody's, such as a health check, says so.

use super::config::ProxyProtocol;
use std::net::{IpAddr, SocketAddr};

/// Whose request a connection carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ends {
    /// The client.
    pub(crate) client: SocketAddr,
    /// Where it connected to.
    pub(crate) gateway: SocketAddr,
}

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// The header.
pub(super) fn header(version: ProxyProtocol, ends: Option<Ends>) -> Vec<u8> {
    let ends = ends.map(|Ends { client, gateway }| one_family(client, gateway));
    match (version, ends) {
        (ProxyProtocol::V1, None) => b"PROXY UNKNOWN\r\n".to_vec(),
        (ProxyProtocol::V1, Some((client, gateway))) => {
            let family = if client.is_ipv4() { "TCP4" } else { "TCP6" };
            let (from, to) = (client.ip(), gateway.ip());
            format!("PROXY {family} {from} {to} {} {}\r\n", client.port(), gateway.port()).into_bytes()
        }
        // LOCAL, without an address.
        (ProxyProtocol::V2, None) => [&SIGNATURE[..], &[0x20, 0, 0, 0]].concat(),
        (ProxyProtocol::V2, Some((client, gateway))) => {
            let octets = |address: SocketAddr| match address.ip() {
                IpAddr::V4(address) => address.octets().to_vec(),
                IpAddr::V6(address) => address.octets().to_vec(),
            };
            let (family, length) = if client.is_ipv4() { (0x11, 12) } else { (0x21, 36) };
            let mut header = [&SIGNATURE[..], &[0x21, family, 0, length]].concat();
            header.extend(octets(client));
            header.extend(octets(gateway));
            header.extend(client.port().to_be_bytes());
            header.extend(gateway.port().to_be_bytes());
            header
        }
    }
}

/// Both addresses in the family of IPv4 where they are, or else in that of IPv6.
fn one_family(client: SocketAddr, gateway: SocketAddr) -> (SocketAddr, SocketAddr) {
    let (from, to) = (client.ip().to_canonical(), gateway.ip().to_canonical());
    let mapped = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => IpAddr::V6(ip.to_ipv6_mapped()),
        IpAddr::V6(_) => ip,
    };
    let (from, to) = if from.is_ipv4() && to.is_ipv4() { (from, to) } else { (mapped(from), mapped(to)) };
    (SocketAddr::new(from, client.port()), SocketAddr::new(to, gateway.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(client: &str, gateway: &str) -> Option<Ends> {
        Some(Ends { client: client.parse().unwrap(), gateway: gateway.parse().unwrap() })
    }

    #[test]
    fn headers_are_as_the_specification_has_them() {
        let v1 = |ends| String::from_utf8(header(ProxyProtocol::V1, ends)).unwrap();
        assert_eq!(
            v1(ends("192.0.2.1:56324", "192.0.2.2:443")),
            "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n"
        );
        assert_eq!(
            v1(ends("[::ffff:192.0.2.1]:1", "192.0.2.2:443")),
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 443\r\n"
        );
        assert_eq!(
            v1(ends("192.0.2.1:1", "[2001:db8::1]:443")),
            "PROXY TCP6 ::ffff:192.0.2.1 2001:db8::1 1 443\r\n"
        );
        assert_eq!(v1(None), "PROXY UNKNOWN\r\n");
        let v2 = header(ProxyProtocol::V2, ends("192.0.2.1:56324", "192.0.2.2:443"));
        assert_eq!(v2.get(..16), Some(&b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"[..]));
        assert_eq!(v2.get(16..), Some(&[192, 0, 2, 1, 192, 0, 2, 2, 0xdc, 0x04, 1, 0xbb][..]));
        assert_eq!(header(ProxyProtocol::V2, ends("[::1]:1", "[::2]:2")).len(), 16 + 36);
        assert_eq!(header(ProxyProtocol::V2, None).len(), 16);
    }
}
