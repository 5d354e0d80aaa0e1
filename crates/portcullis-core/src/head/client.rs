//! Whose address a request comes from, when proxies stand in between.
//!
//! `X-Forwarded-For` is believed only as far as a chain of trusted proxies reaches, read from the nearest one. From
//! anybody else the field is removed before it is read.

use ipnet::IpNet;
use std::net::IpAddr;

/// The client's address: the nearest one, seen from here, that is not a trusted proxy.
///
/// `forwarded_for` are the values of all `X-Forwarded-For` fields in order. If every hop is trusted, the furthest one is
/// the client. With it, how many entries stand behind the client's own, which are those of trusted proxies.
///
/// # Errors
/// A trusted proxy named something that is no address.
pub fn address<'a>(
    peer: IpAddr,
    trusted: &[IpNet],
    forwarded_for: impl DoubleEndedIterator<Item = &'a str>,
) -> Result<(IpAddr, usize), &'static str> {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut client = peer.to_canonical();
    let mut behind = 0;
    if !is_trusted(&client) {
        return Ok((client, behind));
    }
    for (place, entry) in forwarded_for.rev().flat_map(|value| value.rsplit(',')).enumerate() {
        behind = place;
        client = parse(entry.trim_matches([' ', '\t']))
            .ok_or("a trusted proxy forwarded for something that is no address")?;
        if !is_trusted(&client) {
            break;
        }
    }
    Ok((client, behind))
}

/// An address as proxies write it: bare, in brackets, or with a port.
fn parse(entry: &str) -> Option<IpAddr> {
    if let Ok(address) = entry.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    if let Ok(socket) = entry.parse::<std::net::SocketAddr>() {
        return Some(socket.ip().to_canonical());
    }
    let bracketed = entry.strip_prefix('[')?.strip_suffix(']')?;
    bracketed.parse::<std::net::Ipv6Addr>().ok().map(|address| IpAddr::V6(address).to_canonical())
}

/// The network whose hosts are counted as one: an IPv4 address alone, the /64 of an IPv6 address, since that is what
/// one customer gets and can walk through at will.
pub fn fold(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !u128::from(u64::MAX)).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, fields: &[&str]) -> Result<String, &'static str> {
        let trusted = ["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        address(peer.parse().unwrap(), &trusted, fields.iter().copied())
            .map(|(address, _)| address.to_string())
    }

    #[test]
    fn an_untrusted_peer_is_the_client_whatever_it_says() {
        assert_eq!(client("203.0.113.9", &["1.2.3.4"]).as_deref(), Ok("203.0.113.9"));
        assert_eq!(client("203.0.113.9", &["garbage"]).as_deref(), Ok("203.0.113.9"));
    }

    #[test]
    fn a_trusted_chain_is_followed_from_its_near_end() {
        assert_eq!(client("10.0.0.1", &["1.2.3.4, 198.51.100.7, 10.9.9.9"]).as_deref(), Ok("198.51.100.7"));
        assert_eq!(client("10.0.0.1", &["1.2.3.4", "198.51.100.7"]).as_deref(), Ok("198.51.100.7"));
        assert_eq!(client("10.0.0.1", &["junk, 198.51.100.7:443"]).as_deref(), Ok("198.51.100.7"));
        assert_eq!(client("fd00::1", &["[2001:db8::7]:443"]).as_deref(), Ok("2001:db8::7"));
        assert_eq!(client("::ffff:10.0.0.1", &["::ffff:198.51.100.7"]).as_deref(), Ok("198.51.100.7"));
        assert_eq!(client("10.0.0.1", &[]).as_deref(), Ok("10.0.0.1"));
        assert_eq!(client("10.0.0.1", &["10.0.0.2, 10.0.0.3"]).as_deref(), Ok("10.0.0.2"));
    }

    #[test]
    fn what_a_trusted_proxy_must_not_say_is_an_error() {
        for bad in ["", "unknown", "1.2.3.4,", "1.2.3", "1.2.3.4.5", "198.51.100.7:x"] {
            assert!(client("10.0.0.1", &[bad]).is_err(), "{bad}");
        }
    }

    #[test]
    fn ipv6_is_folded_to_its_customer() {
        let fold = |text: &str| super::fold(text.parse().unwrap()).to_string();
        assert_eq!(fold("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(fold("::ffff:192.0.2.1"), "192.0.2.1");
        assert_eq!(fold("192.0.2.1"), "192.0.2.1");
    }
}
