//! How many requests of each client's address a worker serves at once.
//!
//! A request that was let through may hold a connection to an upstream, a part of its answer and a buffer, for as long as its
//! client takes. So each address has a share of them, whatever connections or streams they come by; behind a trusted proxy it is
//! the forwarded address that counts. An IPv6 /64 counts as one.

use portcullis_core::head::client::fold;
use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;

/// The shares of a worker.
#[derive(Default)]
pub(crate) struct Shares(RefCell<HashMap<IpAddr, usize>>);

/// A place among the requests of an address; given back when dropped.
pub(crate) struct Share {
    shares: Rc<Shares>,
    address: IpAddr,
}

impl Shares {
    /// A place for a request from this address, which may have so many. `None` where it has.
    pub(crate) fn take(self: &Rc<Self>, address: IpAddr, most: usize) -> Option<Share> {
        let address = fold(address);
        let mut running = self.0.borrow_mut();
        let count = running.entry(address).or_insert(0);
        if *count >= most.max(1) {
            return None;
        }
        *count += 1;
        Some(Share { shares: Rc::clone(self), address })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut running = self.shares.0.borrow_mut();
        if let Some(count) = running.get_mut(&self.address) {
            *count -= 1;
            // An address without requests takes no memory.
            if *count == 0 {
                running.remove(&self.address);
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
    }
}
