//! A table of fixed size for keys that anybody can make up.
//!
//! A key belongs to one set of eight entries, chosen by a hash with a secret of this process. Each set has a lock of its
//! own, held for a few nanoseconds; with thousands of sets two cores hardly meet.

use std::sync::{Mutex, PoisonError};

const WAYS: usize = 8;

/// What an entry keeps.
pub(crate) trait State: Copy + Default {
    /// Whether nothing is owed on it any more, so that another key may have its place. What was never used is free.
    fn is_free(&self, now: u64) -> bool;
}

/// A theoretical arrival time: nothing is owed from then on.
impl State for u64 {
    fn is_free(&self, now: u64) -> bool {
        *self <= now
    }
}

#[derive(Clone, Copy, Default)]
struct Entry<S> {
    /// Whose key it is: the number of the limit.
    limit: u32,
    /// Half of the key's hash, of which the other half found the set; two keys that share both are counted together, which
    /// never allows more.
    hash: u32,
    state: S,
}

/// The table.
pub(crate) struct Table<S> {
    sets: Box<[Mutex<[Entry<S>; WAYS]>]>,
}

impl<S: State> Table<S> {
    /// Bytes of an entry.
    pub(crate) const ENTRY_BYTES: usize = size_of::<Entry<S>>();

    /// Room for `entries` keys, rounded up to a power of two.
    pub(crate) fn new(entries: usize) -> Table<S> {
        let sets = entries.div_ceil(WAYS).next_power_of_two();
        Table { sets: (0..sets).map(|_| Mutex::default()).collect() }
    }

    /// Works on what is kept of a key, something fresh where the key has none. `None` where there is no room.
    pub(crate) fn entry<T>(
        &self,
        limit: u32,
        hash: u64,
        now: impl Fn() -> u64,
        work: impl FnOnce(u64, &mut S) -> T,
    ) -> Option<T> {
        let place = usize::try_from(hash).unwrap_or_default() & (self.sets.len() - 1);
        let hash = u32::try_from(hash >> 32).unwrap_or_default();
        // A poisoned lock means that a thread died between two plain writes; either value is a valid state.
        let mut set = self.sets.get(place)?.lock().unwrap_or_else(PoisonError::into_inner);
        let now = now();
        let there = set
            .iter()
            .position(|entry| entry.hash == hash && entry.limit == limit && !entry.state.is_free(now));
        let place = there.or_else(|| set.iter().position(|entry| entry.state.is_free(now)))?;
        let entry = set.get_mut(place)?;
        if there.is_none() {
            *entry = Entry { limit, hash, state: S::default() };
        }
        Some(work(now, &mut entry.state))
    }

    /// Works on what is kept of each key of a limit on which something is owed.
    pub(super) fn each(&self, limit: u32, now: u64, mut work: impl FnMut(&mut S)) {
        for set in &self.sets {
            let mut set = set.lock().unwrap_or_else(PoisonError::into_inner);
            set.iter_mut()
                .filter(|entry| entry.limit == limit && !entry.state.is_free(now))
                .for_each(|entry| work(&mut entry.state));
        }
    }
}
