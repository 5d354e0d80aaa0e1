//! An address or a network in CIDR notation, and sets of them.

use ipnet::{IpNet, Ipv4Net};
use portcullis_config::{Context, Decode, Definitions, Node};
use serde_json::json;
use std::net::IpAddr;

/// An address (`192.0.2.1`) or a network (`10.0.0.0/8`, `2001:db8::/32`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr(pub IpNet);

impl Decode for Cidr {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let text = cx.text(node)?;
        if let Ok(address) = text.parse::<IpAddr>() {
            return Some(Cidr(IpNet::from(address.to_canonical())));
        }
        // SECURITY: some read `010.0.0.0/8` as octal, so it is no network (every_code_points_to_its_place_and_says_what_to_do).
        let has_address = text.split_once('/').is_some_and(|(address, _)| address.parse::<IpAddr>().is_ok());
        match text.parse::<IpNet>().ok().filter(|_| has_address) {
            Some(network) if network.addr() == network.network() => Some(Cidr(canonical(network))),
            Some(network) => {
                let message = format!("`{network}` is an address within a network, not a network");
                cx.error("config.network", node.span, message).help(format!(
                    "write `{}` for the network, `{}` for the address",
                    network.trunc(),
                    network.addr()
                ));
                None
            }
            None => {
                cx.error("config.network", node.span, "this is neither an address nor a network")
                    .help("write an address such as `192.0.2.1` or a network such as `10.0.0.0/8`");
                None
            }
        }
    }

    fn schema(_: &mut Definitions) -> serde_json::Value {
        json!({ "type": "string", "description": "An address or a network in CIDR notation.", "examples": ["10.0.0.0/8"] })
    }

    fn written(&self) -> Option<serde_json::Value> {
        Some(json!(self.0.to_string()))
    }
}

/// An IPv4 network that is written as an IPv6 one, as IPv4: that is how addresses are compared.
// SECURITY: as it is written it would hold no address at all (an_ipv4_network_in_ipv6_form_is_that_network).
fn canonical(network: IpNet) -> IpNet {
    let IpNet::V6(mapped) = network else { return network };
    let prefix = mapped.prefix_len().checked_sub(96);
    match (mapped.network().to_ipv4_mapped(), prefix) {
        (Some(address), Some(prefix)) => Ipv4Net::new(address, prefix).map_or(network, IpNet::V4),
        (Some(_) | None, _) => network,
    }
}

/// A set of addresses, asked in logarithmic time.
#[derive(Clone, Debug, Default)]
pub struct AddressSet {
    /// First and last address of each range, in order, without overlap. IPv4 addresses are counted in their own space.
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

impl AddressSet {
    /// The set of all addresses in these networks.
    pub fn new(networks: impl IntoIterator<Item = IpNet>) -> AddressSet {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for network in networks {
            match network {
                IpNet::V4(network) => v4.push((u32::from(network.network()), u32::from(network.broadcast()))),
                IpNet::V6(network) => {
                    v6.push((u128::from(network.network()), u128::from(network.broadcast())))
                }
            }
        }
        AddressSet { v4: merge(v4), v6: merge(v6) }
    }

    /// Whether `address` is in the set. An IPv4 address in an IPv6 one counts as the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => within(&self.v4, u32::from(address)),
            IpAddr::V6(address) => within(&self.v6, u128::from(address)),
        }
    }
}

/// Ranges in order, with overlapping ones as one.
fn merge<T: Ord + Copy>(mut ranges: Vec<(T, T)>) -> Vec<(T, T)> {
    ranges.sort_unstable();
    let mut merged: Vec<(T, T)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match merged.last_mut() {
            Some((_, end)) if first <= *end => *end = last.max(*end),
            Some(_) | None => merged.push((first, last)),
        }
    }
    merged
}

fn within<T: Ord + Copy>(ranges: &[(T, T)], address: T) -> bool {
    let after = ranges.partition_point(|(first, _)| *first <= address);
    after.checked_sub(1).and_then(|place| ranges.get(place)).is_some_and(|(_, last)| address <= *last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_in_the_networks_that_hold_it() {
        let networks = ["10.0.0.0/8", "10.1.0.0/16", "192.0.2.7/32", "2001:db8::/32", "0.0.0.0/32"];
        let set = AddressSet::new(networks.map(|network| network.parse().unwrap()));
        for inside in [
            "10.0.0.0",
            "10.255.255.255",
            "10.2.3.4",
            "192.0.2.7",
            "2001:db8:ffff::1",
            "::ffff:10.1.2.3",
            "0.0.0.0",
        ] {
            assert!(set.contains(inside.parse().unwrap()), "{inside}");
        }
        for outside in [
            "9.255.255.255",
            "11.0.0.0",
            "192.0.2.6",
            "192.0.2.8",
            "2001:db9::",
            "::1",
            "0.0.0.1",
            "255.255.255.255",
        ] {
            assert!(!set.contains(outside.parse().unwrap()), "{outside}");
        }
        assert!(!AddressSet::default().contains("10.0.0.1".parse().unwrap()));
    }

    #[test]
    fn an_ipv4_network_in_ipv6_form_is_that_network() {
        let network = |text: &str| canonical(text.parse().unwrap()).to_string();
        assert_eq!(network("::ffff:10.0.0.0/104"), "10.0.0.0/8");
        assert_eq!(network("::ffff:192.0.2.7/128"), "192.0.2.7/32");
        assert_eq!(network("::ffff:0.0.0.0/96"), "0.0.0.0/0");
        assert_eq!(network("2001:db8::/32"), "2001:db8::/32");
        assert_eq!(network("::/0"), "::/0");
        let set = AddressSet::new([canonical("::ffff:10.0.0.0/104".parse().unwrap())]);
        assert!(set.contains("10.1.2.3".parse().unwrap()) && !set.contains("11.1.2.3".parse().unwrap()));
    }
}
