//! How many connections a listener has, in all and per client address.
//!
//! The counts are shared by all workers and touched only when a connection begins or ends. A connection over a cap is
//! closed at once: an answer would cost more than the attacker's attempt.

use portcullis_core::network::Network;
use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const SHARDS: usize = 16;

/// The counts of one listener.
pub(crate) struct Caps {
    total: AtomicUsize,
    refused: AtomicU64,
    max: AtomicUsize,
    max_per_address: AtomicUsize,
    shards: [Mutex<HashMap<Network, usize>>; SHARDS],
    hasher: RandomState,
}

/// A place under the caps; given back when dropped.
pub(crate) struct Slot {
    caps: Arc<Caps>,
    /// Where it counts beside the total.
    networks: [Option<Network>; 2],
}

impl Caps {
    pub(crate) fn new(max: usize, max_per_address: usize) -> Caps {
        Caps {
            total: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
            max: AtomicUsize::new(max),
            max_per_address: AtomicUsize::new(max_per_address),
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
        }
    }

    /// Other bounds for the connections to come; those that are there stay, and count.
    pub(crate) fn bound(&self, max: usize, max_per_address: usize) {
        self.max.store(max, Ordering::Relaxed);
        self.max_per_address.store(max_per_address, Ordering::Relaxed);
    }

    /// Connections that have a place now.
    pub(crate) fn taken(&self) -> usize {
        self.total.load(Ordering::Relaxed)
    }

    /// Connections that were refused so far.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// A place for a connection from `peer`; `None` over a cap. An exempt peer counts towards the total only.
    pub(crate) fn admit(self: &Arc<Self>, peer: IpAddr, exempt: bool) -> Option<Slot> {
        let slot = self.place(peer, exempt);
        if slot.is_none() {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        slot
    }

    fn place(self: &Arc<Self>, peer: IpAddr, exempt: bool) -> Option<Slot> {
        let mut slot = Slot { caps: Arc::clone(self), networks: [None, None] };
        // Counted before it is compared, so that two workers cannot both take the last place.
        if self.total.fetch_add(1, Ordering::Relaxed) >= self.max.load(Ordering::Relaxed) {
            return None;
        }
        if !exempt {
            // SECURITY: an IPv6 client owns a /64, and may own a /48, and walks through it at will
            // (one_address_has_so_many_connections, a_site_has_so_many_connections).
            let most = self.max_per_address.load(Ordering::Relaxed);
            for (place, (network, most)) in slot.networks.iter_mut().zip(Network::all_of(peer, most)) {
                if !self.count(network, most) {
                    return None;
                }
                *place = Some(network);
            }
        }
        Some(slot)
    }

    /// Counts a connection of a network. `false` where it has as many as it may.
    fn count(&self, network: Network, most: usize) -> bool {
        let Some(mut shard) = self.shard(&network) else { return false };
        let count = shard.entry(network).or_insert(0);
        if *count >= most {
            return false;
        }
        *count += 1;
        true
    }

    fn shard(&self, network: &Network) -> Option<MutexGuard<'_, HashMap<Network, usize>>> {
        let index = usize::try_from(self.hasher.hash_one(network) % SHARDS as u64).unwrap_or(0);
        self.shards.get(index).map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.caps.total.fetch_sub(1, Ordering::Relaxed);
        for network in self.networks.into_iter().flatten() {
            let Some(mut shard) = self.caps.shard(&network) else { continue };
            if let Entry::Occupied(mut entry) = shard.entry(network) {
                *entry.get_mut() -= 1;
                // A network without connections takes no memory.
                if *entry.get() == 0 {
                    entry.remove();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_has_so_many_connections() {
        let caps = Arc::new(Caps::new(10, 2));
        let first = caps.admit(address("2001:db8::1"), false).unwrap();
        let _second = caps.admit(address("2001:db8::2"), false).unwrap();
        assert!(caps.admit(address("2001:db8::3"), false).is_none());
        assert_eq!(caps.refused(), 1);
        assert!(caps.admit(address("2001:db8::3"), true).is_some());
        assert!(caps.admit(address("2001:db8:1::3"), false).is_some());
        drop(first);
        assert!(caps.admit(address("2001:db8::3"), false).is_some());
        assert!(caps.admit(address("::ffff:10.0.0.1"), false).is_some());
    }

    #[test]
    fn a_site_has_so_many_connections() {
        let caps = Arc::new(Caps::new(100, 2));
        let from = |network: u32| caps.admit(address(&format!("2001:db8:1:{network:x}::1")), false);
        let mut held: Vec<_> = (0..8).map(|network| from(network).unwrap()).collect();
        assert!(from(8).is_none());
        assert!(caps.admit(address("2001:db8:2::1"), false).is_some());
        // What was refused counts nowhere.
        held.pop();
        assert!(from(9).is_some());
        drop(held);
        assert!(caps.shards.iter().all(|shard| shard.lock().unwrap().is_empty()));
    }

    #[test]
    fn a_listener_has_so_many_connections_and_forgets_addresses() {
        let caps = Arc::new(Caps::new(1, 9));
        let only = caps.admit(address("10.0.0.1"), false).unwrap();
        assert!(caps.admit(address("10.0.0.2"), true).is_none());
        drop(only);
        assert!(caps.admit(address("10.0.0.2"), false).is_some());
        assert!(caps.shards.iter().all(|shard| shard.lock().unwrap().is_empty()));
        assert_eq!(caps.total.load(Ordering::Relaxed), 0);
    }
}
