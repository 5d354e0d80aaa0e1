//! How many requests of each client's address a worker serves at once.
//!
//! A request that was let through may hold a connection to an upstream, a part of its answer and a buffer, for as long as its
//! client takes. So each address has a share of them, whatever connections or streams they come by; behind a trusted proxy it is
//! the forwarded address that counts. An IPv6 /64 counts as one, and a /48 has the share of four.

use portcullis_core::network::Network;
use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;

/// The shares of a worker.
#[derive(Default)]
pub(crate) struct Shares(RefCell<HashMap<Network, usize>>);

/// A place among the requests of an address; given back when dropped.
pub(crate) struct Share {
    shares: Rc<Shares>,
    networks: [Option<Network>; 2],
}

impl Shares {
    /// A place for a request from this address, which may have so many. `None` where it has.
    pub(crate) fn take(self: &Rc<Self>, address: IpAddr, most: usize) -> Option<Share> {
        let mut share = Share { shares: Rc::clone(self), networks: [None, None] };
        for (place, (network, most)) in share.networks.iter_mut().zip(Network::all_of(address, most)) {
            let mut running = self.0.borrow_mut();
            let count = running.entry(network).or_insert(0);
            if *count >= most {
                drop(running);
                return None;
            }
            *count += 1;
            *place = Some(network);
        }
        Some(share)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut running = self.shares.0.borrow_mut();
        for network in self.networks.into_iter().flatten() {
            if let Some(count) = running.get_mut(&network) {
                *count -= 1;
                // A network without requests takes no memory.
                if *count == 0 {
                    running.remove(&network);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_share_and_leaves_nothing_behind() {
        let shares = Rc::new(Shares::default());
        let take = |address: &str| shares.take(address.parse().unwrap(), 2);
        let first = take("2001:db8::1").unwrap();
        let second = take("2001:db8::2").unwrap();
        assert!(take("2001:db8::3").is_none());
        let other = take("2001:db8:0:1::3").unwrap();
        drop(first);
        let third = take("2001:db8::3").unwrap();
        drop((second, third, other));
        assert!(shares.0.borrow().is_empty());
        let held: Vec<_> = (0..8).map(|net| take(&format!("2001:db8:1:{net}::1")).unwrap()).collect();
        assert!(take("2001:db8:1:9::1").is_none());
        assert!(take("2001:db8:2::1").is_some());
        drop(held);
        assert!(shares.0.borrow().is_empty());
    }
}
