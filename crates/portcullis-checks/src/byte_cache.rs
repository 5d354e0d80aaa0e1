//! A cache for each thread, bounded in entries and in bytes.
//!
//! Nothing is shared and nothing waits. What an entry holds is weighed when it enters, with its key and what the table
//! needs for it; entries that were not used for long leave first. An entry that is larger than the whole cache does not enter.

use quick_cache::{Weighter, unsync::Cache};
use std::cell::RefCell;
use std::hash::Hash;
use thread_local::ThreadLocal;

/// What the table needs for an entry beside its content, in bytes.
const OVERHEAD: usize = 64;

struct Entry<V> {
    value: V,
    weight: u64,
}

#[derive(Clone)]
struct Weigh;

impl<K, V> Weighter<K, Entry<V>> for Weigh {
    fn weight(&self, _: &K, entry: &Entry<V>) -> u64 {
        entry.weight
    }
}

/// The cache.
pub struct ByteCache<K: Send, V: Send> {
    entries: usize,
    bytes: usize,
    threads: ThreadLocal<RefCell<Cache<K, Entry<V>, Weigh>>>,
}

impl<K: Eq + Hash + Send, V: Send> ByteCache<K, V> {
    /// At most so many entries and so many bytes for each thread. Without entries it remembers nothing.
    pub fn new(entries: usize, bytes: usize) -> ByteCache<K, V> {
        ByteCache { entries, bytes, threads: ThreadLocal::new() }
    }

    /// What `read` makes of the entry with this key.
    pub fn find<T>(&self, key: &K, read: impl FnOnce(&V) -> Option<T>) -> Option<T> {
        read(&self.threads.get()?.borrow().get(key)?.value)
    }

    /// Keeps a value that holds so many bytes on the heap.
    pub fn insert(&self, key: K, value: V, heap: usize) {
        if self.entries == 0 {
            return;
        }
        let weight = size_of::<K>() + size_of::<Entry<V>>() + OVERHEAD + heap;
        // SECURITY: many small entries are no more than so many, and few large ones no more than so large
        // (a_cache_is_bounded_in_entries_and_in_bytes).
        let weight = weight.max(self.bytes.div_ceil(self.entries));
        let entry = Entry { value, weight: u64::try_from(weight).unwrap_or(u64::MAX) };
        let cache = self.threads.get_or(|| {
            let bytes = u64::try_from(self.bytes).unwrap_or(u64::MAX);
            RefCell::new(Cache::with_weighter(self.entries, bytes, Weigh))
        });
        cache.borrow_mut().insert(key, entry);
    }

    /// The entries of this thread, and the bytes that they hold.
    #[cfg(test)]
    pub fn held(&self) -> (usize, u64) {
        self.threads.get().map_or((0, 0), |cache| (cache.borrow().len(), cache.borrow().weight()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_is_bounded_in_entries_and_in_bytes() {
        let cache = ByteCache::new(100, 100_000);
        for number in 0..10_000 {
            cache.insert(number, "small", 5);
        }
        assert!((50..=100).contains(&cache.held().0), "{:?}", cache.held());
        for number in 0..10_000 {
            cache.insert(number, "large", 20_000);
        }
        let (entries, bytes) = cache.held();
        assert!(entries <= 5 && bytes <= 100_000, "{entries} entries of {bytes} bytes");
        cache.insert(1, "larger than all", 200_000);
        assert_eq!(cache.find(&1, |value| Some(*value)).filter(|value| *value != "large"), None);
        let off = ByteCache::new(0, 1000);
        off.insert(1, "", 0);
        assert_eq!(off.find(&1, |value| Some(*value)), None);
    }
}
