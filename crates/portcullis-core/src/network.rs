//! What shares are given to: an address, and for IPv6 the site around it.
//!
//! One customer gets an IPv6 /64 at least and can walk through it at will, so a /64 counts as one address. Many customers, and
//! every rented server at some providers, get a /48 with 65,536 of them, so a /48 has a share as well: that of four addresses.

use crate::head::client::fold;
use std::net::{IpAddr, Ipv6Addr};

/// How many addresses' share an IPv6 /48 has, unless a pool says less.
pub const SITE: usize = 4;

/// Something that has a share.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Network {
    /// An IPv4 address, or an IPv6 /64.
    Address(IpAddr),
    /// An IPv6 /48.
    Site(Ipv6Addr),
}

impl Network {
    /// The networks of an address, and how much each may have where an address may have so much.
    pub fn all_of(address: IpAddr, share: usize) -> impl Iterator<Item = (Network, usize)> {
        let own = (Network::of(address), share.max(1));
        let site = Network::site(address);
        std::iter::once(own).chain(site.map(|site| (site, share.max(1).saturating_mul(SITE))))
    }

    /// The network that counts as one address.
    pub fn of(address: IpAddr) -> Network {
        Network::Address(fold(address))
    }

    /// The site around an address. `None` for IPv4.
    pub fn site(address: IpAddr) -> Option<Network> {
        match address.to_canonical() {
            IpAddr::V4(_) => None,
            IpAddr::V6(address) => {
                let [first, second, third, ..] = address.segments();
                Some(Network::Site(Ipv6Addr::new(first, second, third, 0, 0, 0, 0, 0)))
            }
        }
    }

    /// Who takes turns where clients wait: an IPv4 address, or one of four parts of an IPv6 /48, which so has four turns.
    pub fn turn(address: IpAddr) -> Network {
        match address.to_canonical() {
            IpAddr::V4(address) => Network::Address(IpAddr::V4(address)),
            IpAddr::V6(address) => {
                let [first, second, third, fourth, ..] = address.segments();
                let part = fourth % SITE as u16;
                Network::Address(IpAddr::V6(Ipv6Addr::new(first, second, third, part, 0, 0, 0, 0)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_site_has_a_share_beside_its_addresses() {
        let of = |address: &str| Network::all_of(address.parse().unwrap(), 10).collect::<Vec<_>>();
        assert_eq!(of("192.0.2.1"), [(Network::Address("192.0.2.1".parse().unwrap()), 10)]);
        let site = Network::Site("2001:db8:1::".parse().unwrap());
        assert_eq!(
            of("2001:db8:1:2:3::4"),
            [(Network::Address("2001:db8:1:2::".parse().unwrap()), 10), (site, 40)]
        );
        assert_eq!(of("2001:db8:1:9::1")[1], (site, 40));
        assert_ne!(of("2001:db8:2:9::1")[1].0, site);
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }

    #[test]
    fn a_site_has_four_turns() {
        let turns = |addresses: &mut dyn Iterator<Item = String>| {
            addresses.map(|address| Network::turn(address.parse().unwrap())).collect::<HashSet<_>>().len()
        };
        assert_eq!(turns(&mut (0..1000).map(|net| format!("2001:db8:1:{net:x}::1"))), SITE);
        assert_eq!(turns(&mut (0..1000).map(|host| format!("2001:db8:1:2::{host:x}"))), 1);
        assert_eq!(turns(&mut (0..10).map(|site| format!("2001:db8:{site:x}::1"))), 10);
        assert_eq!(turns(&mut (0..10).map(|host| format!("192.0.2.{host}"))), 10);
        assert_eq!(
            Network::turn("::ffff:192.0.2.1".parse().unwrap()),
            Network::turn("192.0.2.1".parse().unwrap())
        );
    }
}
