//! A table of fixed size for keys that anybody can make up.
//!
//! A key belongs to one set of seven entries, chosen by a hash with a secret of this process. Each set has a lock of its
//! own, held for a few nanoseconds; with thousands of sets two cores hardly meet. Where an entry is a single number, a set with
//! its lock is two cache lines that a processor fetches together, since a large table is no longer in any cache.

use std::sync::{Mutex, MutexGuard, PoisonError};

const WAYS: usize = 7;

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

#[derive(Default)]
#[repr(align(128))]
struct Set<S>(Mutex<[Entry<S>; WAYS]>);

impl<S> Set<S> {
    fn lock(&self) -> MutexGuard<'_, [Entry<S>; WAYS]> {
        // A poisoned lock means that a thread died between two plain writes; either value is a valid state.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The table.
pub(crate) struct Table<S> {
    sets: Box<[Set<S>]>,
}

impl<S: State> Table<S> {
    /// Bytes of an entry, with its part of the lock.
    pub(crate) const ENTRY_BYTES: usize = size_of::<Set<S>>().div_ceil(WAYS);

    /// Room for `entries` keys, rounded up to whole sets.
    pub(crate) fn new(entries: usize) -> Table<S> {
        let sets = entries.div_ceil(WAYS).clamp(1, u32::MAX as usize);
        Table { sets: (0..sets).map(|_| Set::default()).collect() }
    }

    /// Works on what is kept of a key, something fresh where the key has none. `None` where there is no room.
    pub(crate) fn entry<T>(
        &self,
        limit: u32,
        hash: u64,
        now: impl Fn() -> u64,
        work: impl FnOnce(u64, &mut S) -> T,
    ) -> Option<T> {
        // The lower half of the hash as a share of all sets, whose number need be no power of two.
        let place = ((hash & u64::from(u32::MAX)) * self.sets.len() as u64) >> 32;
        let mut set = self.sets.get(usize::try_from(place).ok()?)?.lock();
        let hash = u32::try_from(hash >> 32).unwrap_or_default();
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
            set.lock()
                .iter_mut()
                .filter(|entry| entry.limit == limit && !entry.state.is_free(now))
                .for_each(|entry| work(&mut entry.state));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_numbers_is_two_cache_lines() {
        assert_eq!(size_of::<Set<u64>>(), 128);
        assert_eq!(Table::<u64>::ENTRY_BYTES, 19);
    }

    #[test]
    fn every_set_is_used_and_none_beyond() {
        let table = Table::<u64>::new(100);
        assert_eq!(table.sets.len(), 15);
        for number in 0..=u64::from(u32::MAX >> 16) {
            let hash = number << 16 | 0xffff;
            assert!(table.entry(1, hash, || 5, |_, until| *until = 0).is_some(), "{number}");
        }
        // One key after another in each set, until it has no room.
        let mut room = 0;
        for number in 0..10_000_u64 {
            let hash = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            room += usize::from(table.entry(1, hash, || 5, |_, until| *until = 10).is_some());
        }
        assert_eq!(room, 15 * WAYS);
    }
}
