//! What can be done with a store.
//!
//! Every change is a transaction; changes happen one at a time, since each begins by locking the row that counts them. So the
//! numbers of changes are seen in their order, and who has seen one has seen all before it. Whatever is changed is noted in
//! the change log in the same transaction.

mod feed;
mod rows;

pub(crate) use feed::{CaughtUp, Position};
pub(crate) use rows::Stored;

use crate::fault::{ErrorKind, StoreError};
use crate::migrations::{self, Dialect};
use crate::model::{Consumer, Key, KeySettings, Owner, Seconds, now};
use crate::pepper::{NO_PEPPER, Peppers};
use crate::settings::{Place, Settings};
use crate::sql::postgres::Postgres;
use crate::sql::sqlite::Sqlite;
use crate::sql::{Driver, Purpose, Value};
use crate::text;
use portcullis_core::KeyId;
use std::time::Duration;
use zeroize::Zeroizing;

/// So many changes are remembered for gateways that were away.
const REMEMBERED: u64 = 100_000;
/// Beyond so many keys in one change, gateways read everything anew.
const FEW: usize = 1000;

/// A connection to a store of keys.
pub struct KeyStore {
    driver: Box<dyn Driver>,
    peppers: Peppers,
}

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

/// What is different about a consumer from now on. `None` leaves it as it is.
#[derive(Clone, Debug, Default)]
pub struct ConsumerChange {
    /// Its roles.
    pub roles: Option<Vec<String>>,
    /// Its scopes; `Some(None)` lets each key say its own.
    pub scopes: Option<Option<Vec<String>>>,
    /// Its plan.
    pub plan: Option<Option<String>>,
    /// What is noted.
    pub note: Option<String>,
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
    /// Connects to a store, makes it if it is a file that is not there, and brings its tables up to date.
    ///
    /// # Errors
    /// It cannot be reached, or cannot be used as it is.
    pub fn open(settings: &Settings) -> Result<KeyStore, StoreError> {
        KeyStore::open_with(settings, migrations::MIGRATIONS, true)
    }

    /// Connects to a store that was there before.
    ///
    /// # Errors
    /// It cannot be reached, it is gone, or it cannot be used as it is.
    pub fn reopen(settings: &Settings) -> Result<KeyStore, StoreError> {
        KeyStore::open_with(settings, migrations::MIGRATIONS, false)
    }

    pub(crate) fn open_with(
        settings: &Settings,
        all: &[&str],
        may_make: bool,
    ) -> Result<KeyStore, StoreError> {
        let (mut driver, dialect): (Box<dyn Driver>, Dialect) = match &settings.place {
            Place::Sqlite(path) => (Box::new(Sqlite::open(path, may_make)?), Dialect::Sqlite),
            Place::Postgres(postgres) => (Box::new(Postgres::open(postgres)?), Dialect::Postgres),
        };
        migrations::migrate(driver.as_mut(), dialect, all, may_make)?;
        first_row(driver.as_mut())?;
        let peppers = Peppers::read(&settings.peppers, || {
            let mut any = false;
            let sql = "SELECT id FROM portcullis_keys WHERE pepper <> '' LIMIT 1";
            driver.query(sql, &[], &mut |_| {
                any = true;
                Ok(())
            })?;
            Ok(!any)
        })?;
        Ok(KeyStore { driver, peppers })
    }

    /// The peppers that it hashes with.
    pub fn peppers(&self) -> &Peppers {
        &self.peppers
    }

    /// What it is, for people.
    pub fn name(&self) -> String {
        self.driver.name()
    }

    /// Waits for `most` at most. Whether something may have changed.
    pub(crate) fn wait(&mut self, most: Duration) -> Result<bool, StoreError> {
        self.driver.wait(most)
    }

    fn within<T>(
        &mut self,
        purpose: Purpose,
        work: impl FnOnce(&mut KeyStore) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.driver.begin(purpose)?;
        let done = work(self).and_then(|done| self.driver.commit().map(|()| done));
        if done.is_err() {
            self.driver.roll_back();
        }
        done
    }

    /// Changes something: one change at a time, in all processes.
    fn change<T>(
        &mut self,
        work: impl FnOnce(&mut KeyStore) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.within(Purpose::Write, |store| {
            // SECURITY: the lock that puts changes into an order: without it a gateway could see a later one first, and
            // never the earlier (changes_are_seen_in_their_order).
            store.driver.run("UPDATE portcullis_state SET seq = seq + 0 WHERE one = 1", &[])?;
            let done = work(store)?;
            store.driver.notify()?;
            Ok(done)
        })
    }

    /// Notes a change of `subject` in the change log.
    fn note(&mut self, kind: &str, subject: &str) -> Result<(), StoreError> {
        let mut seq = 0;
        self.driver.query(
            "UPDATE portcullis_state SET seq = seq + 1 WHERE one = 1 RETURNING seq",
            &[],
            &mut |mut row| {
                seq = row.number()?;
                Ok(())
            },
        )?;
        let values = [seq.into(), random()?.into(), kind.into(), subject.into(), now().into()];
        self.driver.run(
            "INSERT INTO portcullis_changes (seq, mark, kind, subject, at) VALUES ($1, $2, $3, $4, $5)",
            &values,
        )?;
        let old = seq.saturating_sub(REMEMBERED);
        self.driver.run("DELETE FROM portcullis_changes WHERE seq < $1", &[old.into()])?;
        Ok(())
    }

    /// Adds a consumer.
    ///
    /// # Errors
    /// The store has one of this name, or keys for one of this name that a configuration names; or it fails.
    pub fn add_consumer(&mut self, consumer: &Consumer) -> Result<(), StoreError> {
        consumer.check()?;
        self.change(|store| {
            if store.find_consumer(&consumer.name)?.is_some() {
                return Err(StoreError::conflict(format!("the store has a consumer `{}` already", consumer.name)));
            }
            let theirs = "SELECT id FROM portcullis_keys WHERE consumer = $1 AND stored = 0 AND revoked IS NULL LIMIT 1";
            let mut taken = false;
            store.driver.query(theirs, &[consumer.name.as_str().into()], &mut |_| {
                taken = true;
                Ok(())
            })?;
            if taken {
                // SECURITY: keys of one consumer must not become those of another (a_name_is_one_consumers).
                return Err(StoreError::conflict(format!(
                    "the store has keys for a consumer `{}` that a configuration names: revoke them first",
                    consumer.name
                )));
            }
            store.driver.run(
                "INSERT INTO portcullis_consumers (name, roles, scopes, plan, note, created) VALUES ($1, $2, $3, $4, $5, $6)",
                &rows::consumer_values(consumer),
            )?;
            store.note("consumer", &consumer.name)
        })
    }

    /// Changes a consumer. Its keys follow.
    ///
    /// # Errors
    /// There is none of this name, or the store fails.
    pub fn set_consumer(&mut self, name: &str, change: ConsumerChange) -> Result<Consumer, StoreError> {
        self.change(|store| {
            let mut consumer = store.find_consumer(name)?.ok_or_else(|| no_consumer(name))?;
            let ConsumerChange { roles, scopes, plan, note } = change;
            consumer.roles = roles.unwrap_or(consumer.roles);
            consumer.scopes = scopes.unwrap_or(consumer.scopes);
            consumer.plan = plan.unwrap_or(consumer.plan);
            consumer.note = note.unwrap_or(consumer.note);
            consumer.check()?;
            store.driver.run(
                "UPDATE portcullis_consumers SET roles = $1, scopes = $2, plan = $3, note = $4 WHERE name = $5",
                &[
                    rows::list(&consumer.roles),
                    rows::optional_list(consumer.scopes.as_ref()),
                    consumer.plan.as_deref().into(),
                    consumer.note.as_str().into(),
                    name.into(),
                ],
            )?;
            store.note("consumer", name)?;
            Ok(consumer)
        })
    }

    /// Removes a consumer, and revokes its keys. Gives how many those were.
    ///
    /// # Errors
    /// There is none of this name, or the store fails.
    pub fn remove_consumer(&mut self, name: &str) -> Result<u64, StoreError> {
        self.change(|store| {
            let removed = store.driver.run("DELETE FROM portcullis_consumers WHERE name = $1", &[name.into()])?;
            if removed == 0 {
                return Err(no_consumer(name));
            }
            // SECURITY: a consumer that is added later under this name gets none of its keys
            // (a_name_is_one_consumers).
            let revoked = store.driver.run(
                "UPDATE portcullis_keys SET revoked = $1 WHERE consumer = $2 AND stored = 1 AND revoked IS NULL",
                &[now().into(), name.into()],
            )?;
            store.note("consumer", name)?;
            Ok(revoked)
        })
    }

    /// The consumer of this name.
    ///
    /// # Errors
    /// The store fails.
    pub fn find_consumer(&mut self, name: &str) -> Result<Option<Consumer>, StoreError> {
        let mut found = None;
        let sql = format!("{} WHERE name = $1", rows::CONSUMERS);
        self.driver.query(&sql, &[name.into()], &mut |mut row| {
            found = Some(rows::consumer(&mut row)?);
            Ok(())
        })?;
        Ok(found)
    }

    /// All consumers, by name.
    ///
    /// # Errors
    /// The store fails.
    pub fn consumers(&mut self) -> Result<Vec<Consumer>, StoreError> {
        let mut found = Vec::new();
        self.driver.query(&format!("{} ORDER BY name", rows::CONSUMERS), &[], &mut |mut row| {
            found.push(rows::consumer(&mut row)?);
            Ok(())
        })?;
        Ok(found)
    }

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

    fn stored_key(&mut self, id: KeyId) -> Result<Option<(Key, [u8; 32])>, StoreError> {
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
    /// There is none of this number, or the store fails: then it may still be valid.
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

fn no_consumer(name: &str) -> StoreError {
    StoreError::new(
        ErrorKind::NotFound,
        format!("there is no consumer `{}`; `portcullis consumers add` adds one", name.escape_debug()),
    )
}

/// The row that counts changes, made with the store.
fn first_row(driver: &mut dyn Driver) -> Result<(), StoreError> {
    let mut there = false;
    driver.query("SELECT seq FROM portcullis_state", &[], &mut |_| {
        there = true;
        Ok(())
    })?;
    if there {
        return Ok(());
    }
    let instance = format!("{:016x}{:016x}", random()?, random()?);
    let sql =
        "INSERT INTO portcullis_state (one, instance, seq) VALUES (1, $1, 0) ON CONFLICT (one) DO NOTHING";
    driver.run(sql, &[instance.as_str().into()]).map(drop)
}

/// 63 random bits, which a column of either database holds.
fn random() -> Result<u64, StoreError> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes)
        .map_err(|error| StoreError::failed(format!("the system gives no randomness: {error}")))?;
    Ok(u64::from_le_bytes(bytes) >> 1)
}

fn new_id() -> Result<KeyId, StoreError> {
    random().map(KeyId)
}
