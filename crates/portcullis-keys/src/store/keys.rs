//! What can be done with the keys of a store.

use super::consumers::no_consumer;
use super::{FEW, KeyStore, random, rows};
use crate::fault::StoreError;
use crate::model::{Key, KeySettings, Owner, Seconds, now};
use crate::pepper::NO_PEPPER;
use crate::sql::{Purpose, Value};
use crate::text;
use portcullis_core::KeyId;
use std::time::Duration;
use zeroize::Zeroizing;

/// A key that was made a moment ago. Its text is here and nowhere else.
pub struct NewKey {
    /// The key itself, shown once.
    pub text: Zeroizing<String>,
    /// What the store knows of it.
    pub key: Key,
}

/// Which keys are meant.
#[derive(Clone, Debug, Default)]
pub struct KeyFilter {
    /// Those of this consumer.
    pub consumer: Option<String>,
    /// Those beyond this number, in the order of numbers.
    pub after: Option<KeyId>,
    /// At most so many. `None`: all.
    pub most: Option<u32>,
}

/// How a key gives way to the next one.
#[derive(Clone, Copy, Debug)]
pub struct Rotation {
    /// How long the old key is still accepted.
    pub overlap: Duration,
    /// How long the new one is valid. `None`: as long as the old one was, from now.
    pub valid_for: Option<Duration>,
}

/// A key that is known by its hash alone.
#[derive(Clone, Debug)]
pub struct ImportedKey {
    /// Its consumer.
    pub consumer: String,
    /// Whose consumer that is.
    pub owner: Owner,
    /// What the pepper is called; empty for plain SHA-256.
    pub pepper: String,
    /// The hash.
    pub hash: [u8; 32],
    /// What it says for itself.
    pub settings: KeySettings,
    /// From when on it is not valid.
    pub expires: Option<Seconds>,
}

impl KeyStore {
    /// Makes a key for a consumer.
    ///
    /// # Errors
    /// The store has no such consumer and `owner` says that it has; roles or scopes are more than the consumer's; or it fails.
    pub fn create_key(
        &mut self,
        consumer: &str,
        owner: Owner,
        settings: KeySettings,
        expires: Option<Seconds>,
    ) -> Result<NewKey, StoreError> {
        self.change(|store| store.insert_new(consumer, owner, settings, expires))
    }

    fn insert_new(
        &mut self,
        consumer: &str,
        owner: Owner,
        settings: KeySettings,
        expires: Option<Seconds>,
    ) -> Result<NewKey, StoreError> {
        settings.check()?;
        self.check_owner(consumer, owner, &settings)?;
        let text = text::generate()?;
        let (pepper, hash) = self.peppers.hash(text.as_bytes())?;
        let key = Key {
            id: new_id()?,
            consumer: consumer.to_owned(),
            owner,
            pepper,
            hint: text::hint(&text),
            settings,
            created: now(),
            expires,
            revoked: None,
            used: None,
            replaced_by: None,
        };
        self.insert(&key, &hash)?;
        self.note("key", &key.id.0.to_string())?;
        Ok(NewKey { text, key })
    }

    fn insert(&mut self, key: &Key, hash: &[u8; 32]) -> Result<(), StoreError> {
        self.driver.run(rows::INSERT_KEY, &rows::key_values(key, hash)).map(drop)
    }

    /// That the store has this consumer, if it should, and that a key asks for no more than it has.
    fn check_owner(
        &mut self,
        consumer: &str,
        owner: Owner,
        settings: &KeySettings,
    ) -> Result<(), StoreError> {
        let stored = self.find_consumer(consumer)?;
        match (owner, stored) {
            (Owner::Stored, None) => Err(no_consumer(consumer)),
            (Owner::Configured, Some(_)) => Err(StoreError::conflict(format!(
                "the configuration and the store both have a consumer `{consumer}`: remove one"
            ))),
            (Owner::Configured, None) => Ok(()),
            (Owner::Stored, Some(stored)) => {
                let beyond = |own: &Option<Vec<String>>, all: &[String]| {
                    own.iter().flatten().find(|word| !all.contains(word)).cloned()
                };
                if let Some(role) = beyond(&settings.roles, &stored.roles) {
                    return Err(StoreError::invalid(format!("`{consumer}` does not have the role `{role}`")));
                }
                if let Some(all) = &stored.scopes
                    && let Some(scope) = beyond(&settings.scopes, all)
                {
                    return Err(StoreError::invalid(format!(
                        "`{consumer}` does not have the scope `{scope}`"
                    )));
                }
                Ok(())
            }
        }
    }

    /// The key of this number.
    ///
    /// # Errors
    /// There is none, or the store fails.
    pub fn key(&mut self, id: KeyId) -> Result<Key, StoreError> {
        self.stored_key(id)?
            .map(|(key, _)| key)
            .ok_or_else(|| StoreError::not_found(format!("the store has no key {id}")))
    }

    pub(super) fn stored_key(&mut self, id: KeyId) -> Result<Option<(Key, [u8; 32])>, StoreError> {
        let mut found = None;
        self.driver.query(&format!("{} WHERE id = $1", rows::KEYS), &[id.0.into()], &mut |mut row| {
            found = Some(rows::key(&mut row)?);
            Ok(())
        })?;
        Ok(found)
    }

    /// Keys, in the order of their numbers.
    ///
    /// # Errors
    /// The store fails.
    pub fn keys(&mut self, filter: &KeyFilter) -> Result<Vec<Key>, StoreError> {
        let mut found = Vec::new();
        let most = filter.most.map_or(i64::MAX as u64, u64::from);
        let after = filter.after.map_or(-1, |id| i64::try_from(id.0).unwrap_or(i64::MAX));
        let mut each = |mut row| {
            found.push(rows::key(&mut row)?.0);
            Ok(())
        };
        match &filter.consumer {
            None => self.driver.query(
                &format!("{} WHERE id > $1 ORDER BY id LIMIT $2", rows::KEYS),
                &[Value::Integer(after), most.into()],
                &mut each,
            )?,
            Some(consumer) => self.driver.query(
                &format!("{} WHERE id > $1 AND consumer = $2 ORDER BY id LIMIT $3", rows::KEYS),
                &[Value::Integer(after), consumer.as_str().into(), most.into()],
                &mut each,
            )?,
        }
        Ok(found)
    }

    /// Revokes a key. One that is revoked already stays as it is.
    ///
    /// # Errors
    /// No key has this number, or the store fails. If the store fails, the key may still be valid.
    pub fn revoke_key(&mut self, id: KeyId) -> Result<Key, StoreError> {
        self.change(|store| {
            let mut key = store.key(id)?;
            if key.revoked.is_none() {
                key.revoked = Some(now());
                let values = [key.revoked.into(), id.0.into()];
                store.driver.run("UPDATE portcullis_keys SET revoked = $1 WHERE id = $2", &values)?;
                store.note("key", &id.0.to_string())?;
            }
            Ok(key)
        })
    }

    /// Makes a key that says the same as another one, which ends after the overlap.
    ///
    /// # Errors
    /// The old key is unknown, revoked, expired or replaced already; or the store fails.
    pub fn rotate_key(&mut self, id: KeyId, rotation: Rotation) -> Result<NewKey, StoreError> {
        self.change(|store| {
            let old = store.key(id)?;
            let at = now();
            match (old.status(at), old.replaced_by) {
                (crate::model::KeyStatus::Active, None) => {}
                (crate::model::KeyStatus::Active, Some(next)) => {
                    return Err(StoreError::conflict(format!(
                        "{id} was replaced by {next}; rotate that one"
                    )));
                }
                (status @ (crate::model::KeyStatus::Expired | crate::model::KeyStatus::Revoked), _) => {
                    return Err(StoreError::conflict(format!(
                        "{id} is {}; create a new key",
                        status.as_str()
                    )));
                }
            }
            let lifetime = match rotation.valid_for {
                Some(time) => Some(time.as_secs()),
                None => old.expires.map(|expires| expires.saturating_sub(old.created)),
            };
            let expires = lifetime.map(|lifetime| at.saturating_add(lifetime));
            let new = store.insert_new(&old.consumer, old.owner, old.settings.clone(), expires)?;
            let end = at.saturating_add(rotation.overlap.as_secs());
            let end = old.expires.map_or(end, |expires| expires.min(end));
            store.driver.run(
                "UPDATE portcullis_keys SET expires = $1, replaced_by = $2 WHERE id = $3",
                &[end.into(), new.key.id.0.into(), id.0.into()],
            )?;
            store.note("key", &id.0.to_string())?;
            Ok(new)
        })
    }

    /// Adds keys that are known by their hashes, all or none. Gives their numbers.
    ///
    /// # Errors
    /// One of them cannot be added.
    pub fn import(&mut self, keys: &[ImportedKey]) -> Result<Vec<KeyId>, StoreError> {
        self.change(|store| {
            let mut ids = Vec::with_capacity(keys.len());
            for (number, imported) in keys.iter().enumerate() {
                let whose = |error: StoreError| StoreError {
                    text: format!("key {}: {}", number + 1, error.text),
                    ..error
                };
                ids.push(store.import_one(imported).map_err(whose)?);
            }
            if keys.len() > FEW {
                store.note("all", "")?;
            } else {
                for id in &ids {
                    store.note("key", &id.0.to_string())?;
                }
            }
            Ok(ids)
        })
    }

    fn import_one(&mut self, imported: &ImportedKey) -> Result<KeyId, StoreError> {
        imported.settings.check()?;
        if !self.peppers.has(&imported.pepper) {
            return Err(StoreError::invalid("its hash was made with a pepper that is not among `peppers`"));
        }
        self.check_owner(&imported.consumer, imported.owner, &imported.settings)?;
        let key = Key {
            id: new_id()?,
            consumer: imported.consumer.clone(),
            owner: imported.owner,
            pepper: imported.pepper.clone(),
            hint: String::new(),
            settings: imported.settings.clone(),
            created: now(),
            expires: imported.expires,
            revoked: None,
            used: None,
            replaced_by: None,
        };
        self.insert(&key, &imported.hash)?;
        Ok(key.id)
    }

    /// Notes when keys were last used. Tells nobody.
    ///
    /// # Errors
    /// The store fails.
    pub fn note_use(&mut self, uses: &[(KeyId, Seconds)]) -> Result<(), StoreError> {
        if uses.is_empty() {
            return Ok(());
        }
        self.within(Purpose::Write, |store| {
            for (id, at) in uses {
                store.driver.run(
                    "UPDATE portcullis_keys SET used = $1 WHERE id = $2 AND (used IS NULL OR used < $3)",
                    &[(*at).into(), id.0.into(), (*at).into()],
                )?;
            }
            Ok(())
        })
    }

    /// How many valid keys were hashed with a pepper that is not at hand, and what the pepper of one of them is called.
    ///
    /// # Errors
    /// The store fails.
    pub fn keys_without_pepper(&mut self) -> Result<Option<(u64, String)>, StoreError> {
        let mut missing: Option<(u64, String)> = None;
        let peppers = self.peppers.clone();
        let sql = "SELECT pepper, COUNT(*) FROM portcullis_keys WHERE revoked IS NULL AND (expires IS NULL OR expires > $1) GROUP BY pepper";
        self.driver.query(sql, &[now().into()], &mut |mut row| {
            let (pepper, count) = (row.text()?, row.number()?);
            if pepper != NO_PEPPER && !peppers.has(&pepper) {
                missing = Some((missing.as_ref().map_or(0, |(count, _)| *count) + count, pepper));
            }
            Ok(())
        })?;
        Ok(missing)
    }
}

fn new_id() -> Result<KeyId, StoreError> {
    random().map(KeyId)
}
