//! The tables, and how they came to be.
//!
//! A migration is never changed once it was released; the next one is added at the end. A store remembers which it had and what
//! they said. One that had more than this program knows is not touched.

use crate::fault::StoreError;
use crate::sql::{Driver, Purpose, Value};
use aws_lc_rs::digest;

/// How a database spells what the two spell differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Sqlite,
    Postgres,
}

impl Dialect {
    fn spell(self, sql: &str) -> String {
        match self {
            Dialect::Sqlite => sql.replace("BIGINT", "INTEGER"),
            Dialect::Postgres => sql.replace("BLOB", "BYTEA"),
        }
    }
}

/// Each migration, the oldest first.
pub(crate) const MIGRATIONS: &[&str] = &["
CREATE TABLE portcullis_state (
    one BIGINT PRIMARY KEY CHECK (one = 1),
    instance TEXT NOT NULL,
    seq BIGINT NOT NULL
);
CREATE TABLE portcullis_consumers (
    name TEXT PRIMARY KEY NOT NULL,
    roles TEXT NOT NULL,
    scopes TEXT,
    plan TEXT,
    note TEXT NOT NULL,
    created BIGINT NOT NULL
);
CREATE TABLE portcullis_keys (
    id BIGINT PRIMARY KEY NOT NULL,
    consumer TEXT NOT NULL,
    stored BIGINT NOT NULL,
    pepper TEXT NOT NULL,
    hash BLOB NOT NULL,
    hint TEXT NOT NULL,
    roles TEXT,
    scopes TEXT,
    plan TEXT,
    addresses TEXT NOT NULL,
    routes TEXT NOT NULL,
    note TEXT NOT NULL,
    created BIGINT NOT NULL,
    expires BIGINT,
    revoked BIGINT,
    used BIGINT,
    replaced_by BIGINT,
    UNIQUE (hash, pepper)
);
CREATE INDEX portcullis_keys_consumer ON portcullis_keys (consumer);
CREATE TABLE portcullis_changes (
    seq BIGINT PRIMARY KEY NOT NULL,
    mark BIGINT NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    at BIGINT NOT NULL
);
"];

const VERSIONS: &str = "CREATE TABLE IF NOT EXISTS portcullis_schema (version BIGINT PRIMARY KEY NOT NULL, digest TEXT NOT NULL)";

fn digest_of(migration: &str) -> String {
    let digest = digest::digest(&digest::SHA256, migration.as_bytes());
    digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Brings the tables to the newest form, or makes them where `may_make` says so.
///
/// # Errors
/// The store is newer than this program, or had other migrations; or it fails. Then nothing was changed.
pub(crate) fn migrate(
    driver: &mut dyn Driver,
    dialect: Dialect,
    all: &[&str],
    may_make: bool,
) -> Result<(), StoreError> {
    driver.begin(Purpose::Write)?;
    let done = migrate_within(driver, dialect, all, may_make).and_then(|()| driver.commit());
    if done.is_err() {
        driver.roll_back();
    }
    done
}

fn migrate_within(
    driver: &mut dyn Driver,
    dialect: Dialect,
    all: &[&str],
    may_make: bool,
) -> Result<(), StoreError> {
    if dialect == Dialect::Postgres {
        // Of several gateways that start at once, one goes first.
        driver.script("SELECT pg_advisory_xact_lock(7232617374)")?;
    }
    driver.script(&dialect.spell(VERSIONS))?;
    let mut there: Vec<(u64, String)> = Vec::new();
    driver.query("SELECT version, digest FROM portcullis_schema ORDER BY version", &[], &mut |mut row| {
        there.push((row.number()?, row.text()?));
        Ok(())
    })?;
    if there.is_empty() && !may_make {
        // SECURITY: a store that is gone has not become an empty one (a_store_that_is_gone_is_not_made_anew).
        return Err(StoreError::unusable(format!("{} has lost its tables", driver.name())));
    }
    if there.len() > all.len() {
        return Err(StoreError::unusable(format!(
            "{} has schema {}, and this program knows schemas up to {}: it is too old for this store",
            driver.name(),
            there.len(),
            all.len()
        )));
    }
    for (number, migration) in (1_u64..).zip(all) {
        match there.get(usize::try_from(number - 1).unwrap_or(usize::MAX)) {
            Some((version, digest)) if *version == number && *digest == digest_of(migration) => {}
            Some(_) => {
                return Err(StoreError::unusable(format!(
                    "{} has another schema {number} than this program: something else has made or changed its tables",
                    driver.name()
                )));
            }
            None => {
                driver.script(&dialect.spell(migration))?;
                let values = [Value::from(number), Value::Text(digest_of(migration))];
                driver.run("INSERT INTO portcullis_schema (version, digest) VALUES ($1, $2)", &values)?;
            }
        }
    }
    Ok(())
}
