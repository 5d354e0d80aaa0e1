//! What shares are given to: an address, and for IPv6 the site around it.
//!
//! One customer gets an IPv6 /64 at least and can walk through it at will, so a /64 counts as one address. Many customers, and
//! every rented server at some providers, get a /48 with 65,536 of them, so a /48 has a share as well: that of a few addresses.

use portcullis_core::head::client::fold;
use std::net::{IpAddr, Ipv6Addr};

/// How many addresses' share an IPv6 /48 has.
const SITE: usize = 4;

/// Something that has a share.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Network {
    /// An IPv4 address, or an IPv6 /64.
    Address(IpAddr),
    /// An IPv6 /48.
    Site(Ipv6Addr),
}

impl Network {
    /// The networks of an address, and how much each may have where an address may have so much.
    pub(crate) fn all_of(address: IpAddr, share: usize) -> impl Iterator<Item = (Network, usize)> {
        let address = fold(address);
        let site = match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(address) => {
                let [first, second, third, ..] = address.segments();
                Some(Network::Site(Ipv6Addr::new(first, second, third, 0, 0, 0, 0, 0)))
            }
        };
        let own = (Network::Address(address), share.max(1));
        std::iter::once(own).chain(site.map(|site| (site, share.max(1).saturating_mul(SITE))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
