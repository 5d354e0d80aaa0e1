//! Which addresses send most, and are refused most.
//!
//! Each worker keeps a bounded table. When it is full all counts are halved, and addresses that fall to zero leave: whoever
//! sends much stays, and a crowd of addresses that send once cannot push them out. So counts are estimates, and those of
//! long ago weigh less.

use crate::lanes::{FastMap, Lanes};
use portcullis_core::head::client::fold;
use portcullis_core::{Outcome, Plan, Record, RecordSink};
use std::net::IpAddr;

/// The most addresses that a worker keeps.
pub const MOST: usize = 2048;

/// Requests by address.
#[derive(Default)]
pub struct Sources {
    lanes: Lanes<FastMap<IpAddr, Traffic>>,
}

/// What came from an address: an IPv4 address, or the /64 of an IPv6 one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Requests.
    pub requests: u64,
    /// Those of them that were refused.
    pub refused: u64,
}

impl Sources {
    /// The addresses that sent most, at most so many.
    pub fn top(&self, most: usize) -> Vec<(IpAddr, Traffic)> {
        let mut all: FastMap<IpAddr, Traffic> = FastMap::default();
        self.lanes.each(|lane| {
            for (address, traffic) in lane.iter() {
                let sum = all.entry(*address).or_default();
                sum.requests += traffic.requests;
                sum.refused += traffic.refused;
            }
        });
        let mut all: Vec<_> = all.into_iter().collect();
        all.sort_by_key(|(address, traffic)| (std::cmp::Reverse(traffic.requests), *address));
        all.truncate(most);
        all
    }
}

fn count(table: &mut FastMap<IpAddr, Traffic>, address: IpAddr, refused: bool) {
    // SECURITY: an attacker with many addresses must not fill memory (a_crowd_does_not_hide_who_sends_much).
    if table.len() >= MOST && !table.contains_key(&address) {
        table.retain(|_, traffic| {
            traffic.requests /= 2;
            traffic.refused /= 2;
            traffic.requests > 0
        });
        if table.len() >= MOST {
            return;
        }
    }
    let traffic = table.entry(address).or_default();
    traffic.requests += 1;
    traffic.refused += u64::from(refused);
}

impl RecordSink for Sources {
    fn write(&self, record: &Record, _: &Plan) {
        let address = fold(record.client.unwrap_or(record.peer.ip()));
        let refused = matches!(record.outcome, Outcome::Refused(_));
        self.lanes.with(|table| count(table, address, refused));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[test]
    fn a_crowd_does_not_hide_who_sends_much() {
        let sources = Sources::default();
        let loud: IpAddr = "192.0.2.7".parse().unwrap();
        sources.lanes.with(|table| {
            for number in 0..100_000_u32 {
                count(table, IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + number)), true);
                if number % 50 == 0 {
                    count(table, loud, false);
                }
            }
            assert!(table.len() <= MOST);
        });
        let top = sources.top(1);
        assert_eq!(top[0].0, loud, "{top:?}");
        assert!(top[0].1.refused == 0);
    }
}
