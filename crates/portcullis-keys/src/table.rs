//! Every key of a store, in memory, by its hash.
//!
//! A request looks a key up without a lock and without a question to the store. The table is cut into many small parts; each is
//! never changed but exchanged as a whole, so a reader sees the part before a change or after it. A hash is made with a
//! pepper, so nobody outside chooses in which part a lookup ends; the whole hash is compared in constant time.

use arc_swap::ArcSwapOption;
use portcullis_core::{KeyDigest, KeyId, KeyProfile, StoredKey};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;
use subtle::ConstantTimeEq as _;

/// How many keys a part holds on average.
const PER_PART: usize = 16;

/// A key.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) hash: [u8; 32],
    pub(crate) id: KeyId,
    /// Seconds since 1970; `u64::MAX` for never.
    pub(crate) expires: u64,
    pub(crate) profile: Arc<KeyProfile>,
    /// The minute since 1970 in which its use was last noted.
    used: AtomicU32,
}

impl Entry {
    pub(crate) fn new(hash: [u8; 32], id: KeyId, expires: Option<u64>, profile: Arc<KeyProfile>) -> Entry {
        Entry { hash, id, expires: expires.unwrap_or(u64::MAX), profile, used: AtomicU32::new(0) }
    }

    pub(crate) fn stored_key(&self) -> StoredKey {
        let expires = (self.expires != u64::MAX).then(|| Duration::from_secs(self.expires));
        StoredKey { id: self.id, hash: KeyDigest(self.hash), expires, profile: Arc::clone(&self.profile) }
    }

    /// Whether this is the first use in this minute.
    pub(crate) fn is_first_use(&self, minute: u32) -> bool {
        // Read first, so that a key that many use is written to once in a minute.
        self.used.load(Ordering::Relaxed) != minute && self.used.swap(minute, Ordering::Relaxed) != minute
    }
}

impl Clone for Entry {
    fn clone(&self) -> Entry {
        Entry {
            hash: self.hash,
            id: self.id,
            expires: self.expires,
            profile: Arc::clone(&self.profile),
            used: AtomicU32::new(self.used.load(Ordering::Relaxed)),
        }
    }
}

type Part = Box<[Entry]>;

/// The table.
pub(crate) struct Table {
    parts: Box<[ArcSwapOption<Part>]>,
    /// By how much the first 64 bits of a hash are shifted to get the number of its part.
    shift: u32,
    len: AtomicUsize,
}

/// The first 64 bits of a hash.
fn head(hash: &[u8; 32]) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = *hash;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

impl Table {
    /// The table of these keys. Of two with one hash the later counts.
    pub(crate) fn new(mut entries: Vec<Entry>) -> Table {
        entries.sort_by_key(|entry| entry.hash);
        entries.reverse();
        entries.dedup_by(|one, other| one.hash == other.hash);
        let len = entries.len();
        let bits = (len / PER_PART).max(2).next_power_of_two().trailing_zeros();
        let shift = 64 - bits;
        // From the end, so that what is taken is given back at once.
        let parts = (0..1_u64 << bits).map(|number| {
            let from = entries.iter().rev().take_while(|entry| head(&entry.hash) >> shift == number).count();
            let mut part: Vec<Entry> = entries.split_off(entries.len() - from);
            part.reverse();
            let part = (!part.is_empty()).then(|| Arc::new(part.into_boxed_slice()));
            ArcSwapOption::new(part)
        });
        Table { parts: parts.collect(), shift, len: AtomicUsize::new(len) }
    }

    fn part(&self, hash: &[u8; 32]) -> Option<&ArcSwapOption<Part>> {
        self.parts.get(usize::try_from(head(hash) >> self.shift).ok()?)
    }

    /// What `look` makes of the key with this hash, if there is one.
    pub(crate) fn find<T>(&self, hash: &[u8; 32], look: impl FnOnce(&Entry) -> T) -> Option<T> {
        let part = self.part(hash)?.load();
        let entries: &Part = part.as_ref()?;
        let wanted = head(hash);
        let from = entries.partition_point(|entry| head(&entry.hash) < wanted);
        let same = entries.iter().skip(from).take_while(|entry| head(&entry.hash) == wanted);
        let found = same.into_iter().find(|entry| bool::from(entry.hash.ct_eq(hash)));
        found.map(look)
    }

    /// Puts these keys in, or takes them out. Only one thread does.
    pub(crate) fn change(&self, mut changes: Vec<([u8; 32], Option<Entry>)>) {
        changes.sort_by_key(|(hash, _)| *hash);
        let mut changes = changes.into_iter().peekable();
        while let Some((hash, _)) = changes.peek() {
            let Some(place) = self.part(hash) else { return };
            let number = head(hash) >> self.shift;
            let mut entries: Vec<Entry> = place.load().as_ref().map_or_else(Vec::new, |part| part.to_vec());
            let before = entries.len();
            while let Some((hash, entry)) = changes.next_if(|(hash, _)| head(hash) >> self.shift == number) {
                match (entries.binary_search_by(|entry| entry.hash.cmp(&hash)), entry) {
                    (Ok(at), Some(entry)) => {
                        if let Some(there) = entries.get_mut(at) {
                            entry.used.store(there.used.load(Ordering::Relaxed), Ordering::Relaxed);
                            *there = entry;
                        }
                    }
                    (Ok(at), None) => drop(entries.remove(at)),
                    (Err(at), Some(entry)) => entries.insert(at, entry),
                    (Err(_), None) => {}
                }
            }
            self.len.fetch_add(entries.len().wrapping_sub(before), Ordering::Relaxed);
            let part = (!entries.is_empty()).then(|| Arc::new(entries.into_boxed_slice()));
            place.store(part);
        }
    }

    /// Whether it has outgrown its parts.
    pub(crate) fn is_crowded(&self) -> bool {
        self.len() > self.parts.len() * PER_PART * 4
    }

    /// All keys.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.parts
            .iter()
            .flat_map(|part| part.load().as_ref().map_or_else(Vec::new, |part| part.to_vec()))
            .collect()
    }

    /// How many keys there are.
    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// The bytes that so many keys take, without their profiles.
    pub(crate) fn bytes(keys: usize) -> usize {
        // A pointer for each part, and with it two counters, the length and the allocator's due.
        keys * size_of::<Entry>() + keys / PER_PART.min(8) * 64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn profile() -> Arc<KeyProfile> {
        Arc::new(KeyProfile {
            consumer: "alice".into(),
            is_stored: true,
            roles: None,
            scopes: None,
            plan: None,
            addresses: Vec::new(),
            routes: Vec::new(),
            count_key: Vec::new(),
        })
    }

    fn hash(number: u16) -> [u8; 32] {
        // Some share their first 64 bits.
        let mut hash = [0; 32];
        hash[0] = (number >> 3) as u8;
        hash[1] = (number >> 11) as u8;
        hash[31] = (number & 7) as u8;
        hash
    }

    fn entry(number: u16, id: u64) -> Entry {
        Entry::new(hash(number), KeyId(id), None, profile())
    }

    #[test]
    fn an_entry_takes_64_bytes() {
        assert_eq!(size_of::<Entry>(), 64);
    }

    #[test]
    fn the_whole_hash_counts() {
        let table = Table::new(vec![entry(8, 1)]);
        assert!(table.find(&hash(8), |_| ()).is_some());
        for near in 9..16 {
            assert!(table.find(&hash(near), |_| ()).is_none(), "{near}");
        }
    }

    #[test]
    fn a_use_is_noted_once_in_a_minute() {
        let table = Table::new(vec![entry(8, 1)]);
        let first = |minute| table.find(&hash(8), |entry| entry.is_first_use(minute));
        assert_eq!([first(7), first(7), first(8)], [Some(true), Some(false), Some(true)]);
        table.change(vec![(hash(8), Some(entry(8, 1)))]);
        assert_eq!(first(8), Some(false), "a change does not forget it");
    }

    proptest! {
        #[test]
        fn a_table_is_a_map(first in prop::collection::vec((0_u16..600, 1_u64..9), 0..400),
                            later in prop::collection::vec((0_u16..600, prop::option::of(1_u64..9)), 0..200)) {
            let mut map: BTreeMap<u16, u64> = BTreeMap::new();
            let unique: BTreeMap<u16, u64> = first.into_iter().collect();
            map.extend(&unique);
            let table = Table::new(unique.iter().map(|(number, id)| entry(*number, *id)).collect());
            for (number, id) in later {
                match id {
                    Some(id) => drop(map.insert(number, id)),
                    None => drop(map.remove(&number)),
                }
                table.change(vec![(hash(number), id.map(|id| entry(number, id)))]);
            }
            prop_assert_eq!(table.len(), map.len());
            let again = Table::new(table.entries());
            for number in 0..600 {
                let expected = map.get(&number).copied();
                prop_assert_eq!(table.find(&hash(number), |entry| entry.id.0), expected);
                prop_assert_eq!(again.find(&hash(number), |entry| entry.id.0), expected);
            }
        }
    }
}
