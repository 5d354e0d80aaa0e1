//! Whose an API key is.
//!
//! Only digests are kept. A digest is made with a secret of this process, so nobody outside can choose where in a table
//! a lookup lands; the final comparison takes the same time wherever two digests differ.

use portcullis_core::{Fault, KeyDigest, KeyRecord, KeySetId, Step, StoredKey};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use subtle::ConstantTimeEq;

/// A store of keys.
pub trait Keys: Send + Sync {
    /// The record of a key. `Ok(None)` only where the store answered that it has none.
    fn find(&self, set: KeySetId, digest: KeyDigest) -> Step<'_, Result<Option<KeyRecord>, Fault>>;
}

/// Keys that come and go while a configuration stays.
pub trait StoredKeys: Send + Sync {
    /// What is known of a key, as the client sent it. `Ok(None)` only where it is certain that there is no such key. Does not
    /// wait.
    ///
    /// # Errors
    /// That is not certain.
    fn find(&self, key: &[u8]) -> Result<Option<StoredKey>, Fault>;

    /// The same for a key that was found before, by its hash.
    ///
    /// # Errors
    /// That is not certain.
    fn find_again(&self, hash: KeyDigest) -> Result<Option<StoredKey>, Fault>;
}

/// Keys in memory, from a configuration.
#[derive(Default)]
pub struct MemoryKeys {
    sets: Vec<HashMap<[u8; 16], (KeyDigest, KeyRecord)>>,
}

impl MemoryKeys {
    /// Adds an empty set.
    pub fn add_set(&mut self) -> KeySetId {
        self.sets.push(HashMap::new());
        KeySetId(u32::try_from(self.sets.len() - 1).unwrap_or(u32::MAX))
    }

    /// Adds a key to a set. `Err` with what is known of it where the set has it already, or has no such number.
    pub fn add(
        &mut self,
        set: KeySetId,
        digest: KeyDigest,
        record: KeyRecord,
    ) -> Result<(), Option<KeyRecord>> {
        let set = self.sets.get_mut(set.0 as usize).ok_or(None)?;
        match set.entry(place(&digest)) {
            Entry::Occupied(there) => Err(Some(there.get().1)),
            Entry::Vacant(free) => {
                free.insert((digest, record));
                Ok(())
            }
        }
    }

    /// How many keys all sets hold.
    pub fn len(&self) -> usize {
        self.sets.iter().map(HashMap::len).sum()
    }

    /// Whether no set holds a key.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The first half of a digest: 128 bits that nobody outside can choose, so two keys do not share them.
fn place(digest: &KeyDigest) -> [u8; 16] {
    let mut place = [0; 16];
    place.iter_mut().zip(digest.0).for_each(|(to, from)| *to = from);
    place
}

impl Keys for MemoryKeys {
    fn find(&self, set: KeySetId, digest: KeyDigest) -> Step<'_, Result<Option<KeyRecord>, Fault>> {
        let Some(set) = self.sets.get(set.0 as usize) else {
            return Step::Ready(Err(Fault { detail: "a key set of another plan".into() }));
        };
        let found = set.get(&place(&digest)).filter(|(kept, _)| bool::from(kept.0.ct_eq(&digest.0)));
        Step::Ready(Ok(found.map(|(_, record)| *record)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_core::ConsumerId;

    fn find(keys: &MemoryKeys, set: KeySetId, digest: [u8; 32]) -> Result<Option<KeyRecord>, Fault> {
        match keys.find(set, KeyDigest(digest)) {
            Step::Ready(answer) => answer,
            Step::Later(_) => panic!("memory answers at once"),
        }
    }

    #[test]
    fn a_key_is_found_in_its_set_and_nowhere_else() {
        let mut keys = MemoryKeys::default();
        let (one, two) = (keys.add_set(), keys.add_set());
        let record = KeyRecord { consumer: ConsumerId(3), counted_as: [7; 16], expires: None };
        keys.add(one, KeyDigest([1; 32]), record).unwrap();
        assert_eq!(keys.add(one, KeyDigest([1; 32]), record), Err(Some(record)));
        assert_eq!(find(&keys, one, [1; 32]), Ok(Some(record)));
        assert_eq!(find(&keys, two, [1; 32]), Ok(None));
        let mut near = [1; 32];
        near[31] = 2;
        assert_eq!(find(&keys, one, near), Ok(None), "the whole digest counts");
        assert!(find(&keys, KeySetId(9), [1; 32]).is_err());
    }
}
