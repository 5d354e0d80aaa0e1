//! What can be done with a store.
//!
//! Every change is a transaction; changes happen one at a time, since each begins by locking the row that counts them. So the
//! numbers of changes are seen in their order, and who has seen one has seen all before it. Whatever is changed is noted in
//! the change log in the same transaction.

mod consumers;
mod feed;
mod keys;
mod rows;

pub use consumers::ConsumerChange;
pub(crate) use feed::{CaughtUp, Position};
pub use keys::{ImportedKey, KeyFilter, NewKey, Rotation};
pub(crate) use rows::Stored;

use crate::fault::StoreError;
use crate::migrations::{self, Dialect};
use crate::model::now;
use crate::pepper::Peppers;
use crate::settings::{Place, Settings};
use crate::sql::postgres::Postgres;
use crate::sql::sqlite::Sqlite;
use crate::sql::{Driver, Purpose};
use std::time::Duration;

/// So many changes are remembered for gateways that were away.
const REMEMBERED: u64 = 100_000;
/// Beyond so many keys in one change, gateways read everything anew.
const FEW: usize = 1000;

/// A connection to a store of keys.
pub struct KeyStore {
    driver: Box<dyn Driver>,
    peppers: Peppers,
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
