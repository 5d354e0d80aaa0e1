//! Where a store is, and how it is used.

use crate::pepper::PepperSource;
pub use crate::sql::postgres::{PostgresSettings, Protection};
use aws_lc_rs::digest;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Where a store is.
#[derive(Clone)]
pub enum Place {
    /// A file on this machine.
    Sqlite(PathBuf),
    /// A server.
    Postgres(PostgresSettings),
}

/// A store, and how it is used.
#[derive(Clone)]
pub struct Settings {
    /// Where it is.
    pub place: Place,
    /// Where its peppers come from.
    pub peppers: PepperSource,
    /// How long after the last answer of the store its keys are accepted.
    pub max_stale: Duration,
    /// The most bytes that keys may take in memory.
    pub max_memory: usize,
}

impl Settings {
    /// The default of [`max_stale`](Settings::max_stale).
    pub const MAX_STALE: Duration = Duration::from_secs(30);
    /// The default of [`max_memory`](Settings::max_memory).
    pub const MAX_MEMORY: usize = 512 * 1024 * 1024;

    /// A name that two settings share only if they say the same. Holds a digest of secrets, and no secret.
    pub fn fingerprint(&self) -> String {
        let mut context = digest::Context::new(&digest::SHA256);
        let mut part = |bytes: &[u8]| {
            context.update(&(bytes.len() as u64).to_le_bytes());
            context.update(bytes);
        };
        match &self.place {
            Place::Sqlite(path) => {
                part(b"sqlite");
                part(path.as_os_str().as_encoded_bytes());
            }
            Place::Postgres(PostgresSettings { url, ca, plaintext }) => {
                part(b"postgres");
                part(url.as_bytes());
                part(ca.as_ref().map_or(&[][..], |ca| ca.as_os_str().as_encoded_bytes()));
                part(&[u8::from(*plaintext)]);
            }
        }
        match &self.peppers {
            PepperSource::Given(peppers) => peppers.iter().for_each(|pepper| part(pepper)),
            PepperSource::File(path) => part(path.as_os_str().as_encoded_bytes()),
        }
        part(&self.max_stale.as_nanos().to_le_bytes());
        part(&self.max_memory.to_le_bytes());
        context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Where it is, for people.
    pub fn describe(&self) -> String {
        match &self.place {
            Place::Sqlite(path) => format!("SQLite, {}", path.display()),
            Place::Postgres(postgres) => postgres.place(),
        }
    }
}

// SECURITY: the URL may hold a password (the_url_of_a_store_is_not_shown).
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("place", &self.describe())
            .field("peppers", &self.peppers)
            .field("max_stale", &self.max_stale)
            .field("max_memory", &self.max_memory)
            .finish()
    }
}
