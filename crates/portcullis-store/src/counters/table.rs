//! A table of fixed size for keys that anybody can make up.
//!
//! A key belongs to one set of eight entries, chosen by a hash with a secret of this process. Each set has a lock of its
//! own, held for a few nanoseconds; with thousands of sets two cores hardly meet.

use std::sync::{Mutex, PoisonError};

const WAYS: usize = 8;

#[derive(Clone, Copy, Default)]
struct Entry {
    /// Whose key it is: the number of the limit.
    limit: u32,
    /// Half of the key's hash, of which the other half found the set; two keys that share both are counted together, which
    /// never allows more.
    hash: u32,
    /// Its theoretical arrival time; nothing is owed from then on, and the entry is free.
    arrival: u64,
}

/// The table.
pub(super) struct Table {
    sets: Box<[Mutex<[Entry; WAYS]>]>,
}

impl Table {
    /// Room for `entries` keys, rounded up to a power of two.
    pub(super) fn new(entries: usize) -> Table {
        let sets = entries.div_ceil(WAYS).next_power_of_two();
        Table { sets: (0..sets).map(|_| Mutex::default()).collect() }
    }

    /// Works on the arrival time of a key, a fresh one where the key has none. `None` where there is no room.
    pub(super) fn entry<T>(
        &self,
        limit: u32,
        hash: u64,
        now: impl Fn() -> u64,
        work: impl FnOnce(u64, &mut u64) -> T,
    ) -> Option<T> {
        let place = usize::try_from(hash).unwrap_or_default() & (self.sets.len() - 1);
        let hash = u32::try_from(hash >> 32).unwrap_or_default();
        // A poisoned lock means that a thread died between two plain writes; either value is a valid state.
        let mut set = self.sets.get(place)?.lock().unwrap_or_else(PoisonError::into_inner);
        let now = now();
        let there =
            set.iter().position(|entry| entry.hash == hash && entry.limit == limit && entry.arrival > now);
        let place = there.or_else(|| set.iter().position(|entry| entry.arrival <= now))?;
        let entry = set.get_mut(place)?;
        if there.is_none() {
            *entry = Entry { limit, hash, arrival: 0 };
        }
        Some(work(now, &mut entry.arrival))
    }

    /// Works on the arrival time of each key of a limit on which something is owed.
    pub(super) fn each(&self, limit: u32, now: u64, mut work: impl FnMut(&mut u64)) {
        for set in &self.sets {
            let mut set = set.lock().unwrap_or_else(PoisonError::into_inner);
            set.iter_mut()
                .filter(|entry| entry.limit == limit && entry.arrival > now)
                .for_each(|entry| work(&mut entry.arrival));
        }
    }
}
