//! Memory for what is counted by address, consumer or key, bounded in bytes.
//!
//! When a table is full, entries that were idle for long leave, and if those are few, the quietest of the others. So a crowd
//! of addresses that send once pushes out no address that sends much.

use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

/// What a table needs to know of an entry.
pub trait Entry: Default {
    /// When it last counted something.
    fn last(&self) -> Duration;
    /// How much it would be missed.
    fn weight(&self) -> u32;
}

/// Entries by key.
pub struct Table<K, V> {
    entries: HashMap<K, V, RandomState>,
    most: usize,
    idle: Duration,
}

impl<K: Hash + Eq + Copy, V: Entry> Table<K, V> {
    /// At most so many bytes, and at least 8 entries. An entry that was idle for so long is the first to go.
    pub fn new(bytes: usize, idle: Duration) -> Table<K, V> {
        let each = size_of::<(K, V)>() + 1;
        let places = (bytes / each).max(32);
        // A table has a power of two of places, of which seven eighths can be used. With more than half of those in use, it
        // grows when entries have left, instead of using their places again.
        let places = 1_usize << places.ilog2();
        Table { entries: HashMap::default(), most: places / 16 * 7, idle }
    }

    /// The entry of this key, which is made if it is missing.
    pub fn entry(&mut self, key: K, now: Duration) -> &mut V {
        // SECURITY: clients choose keys, so they must not choose how much memory is used (a_flood_of_keys_is_bounded).
        if self.entries.len() >= self.most && !self.entries.contains_key(&key) {
            self.make_room(now);
        }
        self.entries.entry(key).or_default()
    }

    /// The entry of this key, if there is one.
    pub fn find(&mut self, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key)
    }

    fn make_room(&mut self, now: Duration) {
        let idle = self.idle;
        self.entries.retain(|_, entry| now.saturating_sub(entry.last()) < idle);
        if self.entries.len() <= self.most / 8 * 7 {
            return;
        }
        let mut weights: Vec<u32> = self.entries.values().map(Entry::weight).collect();
        let (_, quiet, _) = {
            let quarter = weights.len() / 4;
            weights.select_nth_unstable(quarter)
        };
        let quiet = *quiet;
        // Of those that weigh the same, as many go as are needed.
        let mut surplus = self.entries.len() / 4 + 1;
        self.entries.retain(|_, entry| {
            let stays = entry.weight() > quiet || surplus == 0;
            surplus = surplus.saturating_sub(usize::from(!stays));
            stays
        });
    }

    /// The bytes that it takes.
    pub fn bytes(&self) -> usize {
        self.entries.capacity() / 7 * 8 * (size_of::<(K, V)>() + 1)
    }

    /// Every entry.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.entries.iter_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Counted {
        last: Duration,
        count: u32,
    }

    impl Entry for Counted {
        fn last(&self) -> Duration {
            self.last
        }

        fn weight(&self) -> u32 {
            self.count
        }
    }

    #[test]
    fn a_flood_of_keys_is_bounded() {
        let mut table = Table::<u64, Counted>::new(64 * 1024, Duration::from_secs(600));
        for number in 0..200_000_u64 {
            let now = Duration::from_millis(number);
            let entry = table.entry(1000 + number, now);
            (entry.last, entry.count) = (now, 1);
            let loud = table.entry(7, now);
            (loud.last, loud.count) = (now, loud.count + 1);
            assert!(table.bytes() <= 64 * 1024, "{}", table.bytes());
        }
        assert_eq!(table.find(&7).unwrap().count, 200_000, "who sends much is not pushed out");
    }

    #[test]
    fn entries_that_were_idle_make_room() {
        let mut table = Table::<u64, Counted>::new(4096, Duration::from_secs(600));
        for number in 0..10_000_u64 {
            let now = Duration::from_secs(number * 60);
            let entry = table.entry(number, now);
            (entry.last, entry.count) = (now, 1000);
        }
        assert!(table.find(&0).is_none() && table.find(&9_999).is_some());
    }
}
