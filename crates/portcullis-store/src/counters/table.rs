//! A table of fixed size for keys that anybody can make up.
//!
//! A key belongs to one set of eight entries, chosen by a hash with a secret of this process. Each set has a lock of its
//! own, held for a few nanoseconds; with thousands of sets two cores hardly meet.

use std::sync::{Mutex, PoisonError};

const WAYS: usize = 8;

#[derive(Clone, Copy, Default)]
struct Entry {
    /// The key's whole hash; two keys that share it are counted together, which never allows more.
    hash: u64,
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
        hash: u64,
        now: impl Fn() -> u64,
        work: impl FnOnce(u64, &mut u64) -> T,
    ) -> Option<T> {
        let place = usize::try_from(hash).unwrap_or_default() & (self.sets.len() - 1);
        // A poisoned lock means that a thread died between two plain writes; either value is a valid state.
        let mut set = self.sets.get(place)?.lock().unwrap_or_else(PoisonError::into_inner);
        let now = now();
        let there = set.iter().position(|entry| entry.hash == hash && entry.arrival > now);
        let place = there.or_else(|| set.iter().position(|entry| entry.arrival <= now))?;
        let entry = set.get_mut(place)?;
        if there.is_none() {
            *entry = Entry { hash, arrival: 0 };
        }
        Some(work(now, &mut entry.arrival))
    }
}
