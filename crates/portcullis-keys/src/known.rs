//! What a gateway knows of its store: the table, and what is needed to keep it as the store is.

use crate::fault::StoreError;
use crate::model::{Consumer, Key, Owner, now};
use crate::pepper::{NO_PEPPER, Peppers};
use crate::store::Stored;
use crate::table::{Entry, Table};
use portcullis_core::{KeyId, KeyProfile};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};

/// What is known beside the table. Changed by one thread alone.
#[derive(Default)]
pub(crate) struct Known {
    consumers: HashMap<String, Consumer>,
    /// The profiles of each consumer's keys, so that keys that say the same share one.
    profiles: HashMap<String, Vec<Weak<KeyProfile>>>,
    profile_bytes: usize,
    /// Valid keys that nobody can use here, since their pepper is missing.
    unusable: HashSet<KeyId>,
    /// How many keys were hashed without a pepper.
    pub(crate) plain: usize,
    /// How many keys had no room.
    left_out: usize,
}

impl Known {
    pub(crate) fn new(consumers: Vec<Consumer>) -> Known {
        let consumers = consumers.into_iter().map(|consumer| (consumer.name.clone(), consumer)).collect();
        Known { consumers, ..Known::default() }
    }

    pub(crate) fn consumers(&self) -> impl Iterator<Item = &str> {
        self.consumers.keys().map(String::as_str)
    }

    /// From now on the consumer is this, or gone.
    pub(crate) fn set_consumer(&mut self, name: String, consumer: Option<Consumer>) {
        match consumer {
            Some(consumer) => drop(self.consumers.insert(name, consumer)),
            None => drop(self.consumers.remove(&name)),
        }
    }

    /// A key as the table has it. `None` for one that is not valid any more or cannot be used here.
    pub(crate) fn entry(&mut self, (key, hash): &Stored, peppers: &Peppers) -> Option<Entry> {
        self.unusable.remove(&key.id);
        if key.revoked.is_some() {
            return None;
        }
        if !peppers.has(&key.pepper) {
            if key.expires.is_none_or(|expires| expires > now()) {
                self.unusable.insert(key.id);
            }
            return None;
        }
        let profile = self.profile(key)?;
        if key.pepper == NO_PEPPER {
            self.plain += 1;
        }
        Some(Entry::new(*hash, key.id, key.expires, profile))
    }

    /// `None` for a key whose consumer should be in the store and is not.
    fn profile(&mut self, key: &Key) -> Option<Arc<KeyProfile>> {
        let own = &key.settings;
        let (roles, scopes, plan) = match key.owner {
            Owner::Configured => (own.roles.clone(), own.scopes.clone(), own.plan.clone()),
            Owner::Stored => {
                // SECURITY: a key never outlives its consumer (a_removed_consumer_takes_its_keys_along).
                let consumer = self.consumers.get(&key.consumer)?;
                (
                    Some(within(own.roles.as_deref(), &consumer.roles)),
                    Some(match (&own.scopes, &consumer.scopes) {
                        (own, Some(all)) => within(own.as_deref(), all),
                        (Some(own), None) => own.clone(),
                        (None, None) => Vec::new(),
                    }),
                    own.plan.clone().or_else(|| consumer.plan.clone()),
                )
            }
        };
        let profile = KeyProfile {
            consumer: key.consumer.clone(),
            is_stored: key.owner == Owner::Stored,
            roles,
            scopes,
            plan,
            addresses: own.addresses.clone(),
            routes: own.routes.clone(),
            count_key: [b"consumer\0", key.consumer.as_bytes()].concat(),
        };
        if !self.profiles.contains_key(&key.consumer) {
            self.profiles.insert(key.consumer.clone(), Vec::with_capacity(1));
        }
        let there = self.profiles.get_mut(&key.consumer)?;
        if let Some(same) = there.iter().filter_map(Weak::upgrade).find(|other| **other == profile) {
            return Some(same);
        }
        there.retain(|old| old.strong_count() > 0);
        let profile = Arc::new(profile);
        there.push(Arc::downgrade(&profile));
        self.profile_bytes += profile.bytes() + key.consumer.len() + 128;
        Some(profile)
    }

    /// Whether one more key has room, beside so many.
    pub(crate) fn has_room(&mut self, keys: usize, max_memory: usize) -> bool {
        let fits = self.profile_bytes + Table::bytes(keys + 1) <= max_memory;
        self.left_out += usize::from(!fits);
        fits
    }

    /// Why it is not certain that a key that is not in the table is not in the store; `None` where it is.
    pub(crate) fn gap(&self) -> Option<StoreError> {
        if !self.unusable.is_empty() {
            let count = self.unusable.len();
            return Some(StoreError::unusable(format!(
                "{count} valid keys of the store were hashed with a pepper that is not among `peppers`"
            )));
        }
        let left_out = self.left_out;
        (left_out > 0).then(|| {
            StoreError::unusable(format!(
                "{left_out} keys of the store have no room in memory: raise `max_memory`"
            ))
        })
    }
}

/// What a key says, as far as its consumer has it; all that the consumer has where it says nothing.
fn within(own: Option<&[String]>, all: &[String]) -> Vec<String> {
    match own {
        None => all.to_vec(),
        Some(own) => own.iter().filter(|word| all.contains(word)).cloned().collect(),
    }
}
