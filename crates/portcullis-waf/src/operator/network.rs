//! Lists of addresses and networks.

use ipnet::IpNet;
use std::net::IpAddr;

/// Addresses and networks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    /// Reads a list with commas or spaces between its entries.
    ///
    /// # Errors
    ///
    /// The entry that is neither an address nor a network.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        text.split([',', ' ', '\t', '\n', '\r'])
            .filter(|entry| !entry.is_empty())
            .map(|entry| {
                entry
                    .parse::<IpNet>()
                    .ok()
                    .or_else(|| entry.parse::<IpAddr>().ok().map(IpNet::from))
                    .ok_or_else(|| entry.to_owned())
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether `value` is an address in one of the networks. An IPv4 address that is written as an IPv6 one is both.
    pub(super) fn contain(&self, value: &[u8]) -> bool {
        let address = std::str::from_utf8(value).ok().and_then(|text| text.trim().parse::<IpAddr>().ok());
        address.is_some_and(|address| {
            let canonical = address.to_canonical();
            self.0.iter().any(|network| network.contains(&address) || network.contains(&canonical))
        })
    }
}
