//! What each client's address has in a worker: requests that run, and bytes of answers that were read and that it has not taken.
//!
//! A request that was let through may hold a connection to an upstream, a part of its answer and a buffer, for as long as its
//! client takes. So each address has a share of them, whatever connections or streams they come by; behind a trusted proxy it is
//! the forwarded address that counts. An IPv6 /64 counts as one, and a /48 has the share of four.
//!
//! An address that has all its requests is refused the next one. One that leaves unread what it may is refused nothing: its
//! answers are read in small parts, which are not counted, until it takes what there is. Small answers are never counted at all.

use portcullis_core::network::Network;
use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What one address may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Most {
    /// Requests at once.
    pub(crate) requests: usize,
    /// Bytes of answers that it has not taken.
    pub(crate) unread: usize,
}

impl Most {
    /// Whatever there is.
    pub(crate) const ALL: Most = Most { requests: usize::MAX, unread: usize::MAX };
}

/// The shares of a worker.
#[derive(Default)]
pub(crate) struct Shares {
    networks: RefCell<HashMap<Network, Had>>,
    /// The sum of what is counted as unread. Only this worker writes it.
    unread: Arc<AtomicUsize>,
}

/// What a network has.
#[derive(Default)]
struct Had {
    requests: usize,
    unread: usize,
}

/// A place among the requests of an address; given back when dropped.
pub(crate) struct Share {
    unread: Unread,
    /// Where it counts as a request.
    networks: [Option<Network>; 2],
}

/// Bytes of answers that an address has not taken; given back when dropped.
pub(crate) struct Unread {
    shares: Rc<Shares>,
    address: IpAddr,
    most: usize,
    bytes: usize,
}

impl Shares {
    /// Shares with their sum of unread bytes here.
    pub(crate) fn summed(unread: Arc<AtomicUsize>) -> Shares {
        Shares { unread, ..Shares::default() }
    }

    /// A place for a request from this address, which may have so much. `None` where it has.
    pub(crate) fn take(self: &Rc<Self>, address: IpAddr, most: Most) -> Option<Share> {
        let unread = self.unread(address, most.unread);
        let mut share = Share { unread, networks: [None, None] };
        for (place, (network, most)) in share.networks.iter_mut().zip(Network::all_of(address, most.requests))
        {
            let mut networks = self.networks.borrow_mut();
            let had = networks.entry(network).or_default();
            if had.requests >= most {
                drop(networks);
                return None;
            }
            had.requests += 1;
            *place = Some(network);
        }
        Some(share)
    }

    /// What this address will leave unread: nothing yet.
    pub(crate) fn unread(self: &Rc<Self>, address: IpAddr, most: usize) -> Unread {
        Unread { shares: Rc::clone(self), address, most, bytes: 0 }
    }

    /// Counts something of a network. One that has nothing takes no memory.
    fn change(&self, network: Network, change: impl FnOnce(&mut Had)) {
        let mut networks = self.networks.borrow_mut();
        let had = networks.entry(network).or_default();
        change(had);
        if had.requests == 0 && had.unread == 0 {
            networks.remove(&network);
        }
    }
}

impl Share {
    /// What the request holds of its answer.
    pub(crate) fn unread(&mut self) -> &mut Unread {
        &mut self.unread
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        for network in self.networks.into_iter().flatten() {
            self.unread.shares.change(network, |had| had.requests = had.requests.saturating_sub(1));
        }
    }
}

impl Unread {
    /// Counts so many bytes instead of those before. `false` where the address has not got so many; then nothing has changed.
    pub(crate) fn set(&mut self, bytes: usize) -> bool {
        if bytes == self.bytes {
            return true;
        }
        let more = bytes.saturating_sub(self.bytes);
        // SECURITY: what one address leaves unread is bounded, by however many connections and streams it is asked for
        // (what_one_address_leaves_unread_is_bounded).
        if more > 0 && !self.fits(more) {
            return false;
        }
        for (network, _) in Network::all_of(self.address, self.most) {
            self.shares.change(network, |had| had.unread = (had.unread + bytes).saturating_sub(self.bytes));
        }
        let sum = &self.shares.unread;
        sum.store((sum.load(Ordering::Relaxed) + bytes).saturating_sub(self.bytes), Ordering::Relaxed);
        self.bytes = bytes;
        true
    }

    fn fits(&self, more: usize) -> bool {
        let networks = self.shares.networks.borrow();
        Network::all_of(self.address, self.most).all(|(network, most)| {
            let unread = networks.get(&network).map_or(0, |had| had.unread);
            unread.checked_add(more).is_some_and(|sum| sum <= most)
        })
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_share_and_leaves_nothing_behind() {
        let shares = Rc::new(Shares::default());
        let most = Most { requests: 2, unread: 0 };
        let take = |address: &str| shares.take(address.parse().unwrap(), most);
        let first = take("2001:db8::1").unwrap();
        let second = take("2001:db8::2").unwrap();
        assert!(take("2001:db8::3").is_none());
        let other = take("2001:db8:0:1::3").unwrap();
        drop(first);
        let third = take("2001:db8::3").unwrap();
        drop((second, third, other));
        assert!(shares.networks.borrow().is_empty());
        let held: Vec<_> = (0..8).map(|net| take(&format!("2001:db8:1:{net}::1")).unwrap()).collect();
        assert!(take("2001:db8:1:9::1").is_none());
        assert!(take("2001:db8:2::1").is_some());
        drop(held);
        assert!(shares.networks.borrow().is_empty());
    }

    #[test]
    fn an_address_leaves_so_much_unread_and_a_site_four_times_as_much() {
        let sum = Arc::new(AtomicUsize::new(0));
        let shares = Rc::new(Shares::summed(Arc::clone(&sum)));
        let of = |address: &str| shares.unread(address.parse().unwrap(), 100);
        let (mut first, mut second) = (of("192.0.2.1"), of("192.0.2.1"));
        assert!(first.set(60) && second.set(40));
        assert!(!second.set(41) && !first.set(usize::MAX));
        assert!(of("192.0.2.2").set(100), "that is another address");
        assert_eq!(sum.load(Ordering::Relaxed), 100);
        assert!(first.set(10) && second.set(90));
        drop((first, second));
        let mut nets: Vec<_> = (0..5).map(|net| of(&format!("2001:db8:1:{net}::1"))).collect();
        let got: Vec<_> = nets.iter_mut().map(|unread| unread.set(100)).collect();
        assert_eq!(got, [true, true, true, true, false]);
        drop(nets);
        assert!(shares.networks.borrow().is_empty());
        assert_eq!(sum.load(Ordering::Relaxed), 0);
    }
}
