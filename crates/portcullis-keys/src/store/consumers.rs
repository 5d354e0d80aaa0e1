//! What can be done with the consumers of a store.

use super::{KeyStore, rows};
use crate::fault::{ErrorKind, StoreError};
use crate::model::{Consumer, now};

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

impl KeyStore {
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
    /// No consumer has this name, or the store fails.
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
    /// No consumer has this name, or the store fails.
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
}

pub(super) fn no_consumer(name: &str) -> StoreError {
    StoreError::new(
        ErrorKind::NotFound,
        format!("there is no consumer `{}`; `portcullis consumers add` adds one", name.escape_debug()),
    )
}
