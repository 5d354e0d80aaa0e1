//! Where consumers and keys are kept that come and go while a gateway runs.

use portcullis_checks::Reason;
use portcullis_config::{ByteSize, Context, Secret, Spanned, object};
use portcullis_keys::settings::{Place, PostgresSettings, Protection, Settings};
use portcullis_keys::{ErrorKind, PepperSource};
use std::path::{Path, PathBuf};
use std::time::Duration;
use zeroize::Zeroizing;

/// The name of a pepper that is made, in the `state_dir`.
const PEPPER: &str = "keys.pepper";
/// The shortest and the longest time for which a store may be silent.
const STALE: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(3600));
/// The least memory for keys.
const LEAST_MEMORY: ByteSize = ByteSize::mib(1);

object! {
    /// A database of consumers and API keys: `sqlite` for gateways on one machine, `postgres` for gateways on several. Every
    /// key is also in the gateway's memory, so a request never waits for the database.
    pub struct KeyStoreConfig {
        /// The file of a SQLite database, relative to the folder of the file that names it. Made at first use, mode 0600.
        pub sqlite: Option<Spanned<PathBuf>>,
        /// A PostgreSQL database.
        pub postgres: Option<PostgresConfig>,
        /// The secrets under which keys are hashed (HMAC-SHA-256). The first hashes new keys; all of them are tried, so an
        /// old one stays here until its last key is gone. Gateways that share a store need the same. Default:
        /// `key_pepper`; without it, the file `keys.pepper` in the `state_dir`, or the name of the SQLite file with
        /// `.pepper`, made at first use, mode 0600.
        pub peppers: Option<Spanned<Vec<Spanned<Secret>>>>,
        /// How long after its last answer the store's keys are still accepted, from 3s to 1h. After that, requests with them
        /// get 503. Default: 30s.
        pub max_stale: Spanned<Duration> = Spanned::nowhere(Settings::MAX_STALE),
        /// The most memory for keys, at least 1MiB. A million keys take about 80 MiB. A store with more does not start, and
        /// what comes later than that is 503. Default: 512MiB.
        pub max_memory: Spanned<ByteSize> = Spanned::nowhere(ByteSize(Settings::MAX_MEMORY as u64)),
    }
}

object! {
    /// A PostgreSQL database, version 12 or later. Its tables are made at first use; their names begin with `portcullis_`.
    pub struct PostgresConfig {
        /// The URL, such as `postgres://portcullis:PASSWORD@db.example.com/portcullis`. A host that is not this machine is
        /// spoken to by TLS, and its certificate is verified.
        pub url: Spanned<Secret>,
        /// A PEM file with the CAs that verify the server. If set, no others are trusted for it. Default: the system's.
        pub ca: Option<PathBuf>,
        /// Why hashes of keys, and the password, may cross a network unencrypted.
        pub insecure_plaintext: Option<Reason>,
    }
}

impl KeyStoreConfig {
    /// What runs. `key_pepper` and `state_dir` are those of the whole document.
    pub fn compile(
        &self,
        key_pepper: Option<&Secret>,
        state_dir: Option<&Path>,
        cx: &mut Context,
    ) -> Option<Settings> {
        let place = self.place(cx);
        let peppers = self.peppers(key_pepper, state_dir, cx);
        let stale = self.max_stale.value;
        if stale < STALE.0 || stale > STALE.1 {
            cx.error("config.store_stale", self.max_stale.span, "a store may be silent for 3s to 1h")
                .help("write a time such as `30s`: a gateway asks its store once a second");
            return None;
        }
        if self.max_memory.value < LEAST_MEMORY {
            cx.error("config.store_memory", self.max_memory.span, "this is too little memory for keys")
                .help("write at least `1MiB`, which is enough for some thousand keys");
            return None;
        }
        Some(Settings {
            place: place?,
            peppers: peppers?,
            max_stale: stale,
            max_memory: usize::try_from(self.max_memory.value.bytes()).unwrap_or(usize::MAX),
        })
    }

    fn place(&self, cx: &mut Context) -> Option<Place> {
        match (&self.sqlite, &self.postgres) {
            (Some(file), None) => Some(Place::Sqlite(file.value.clone())),
            (None, Some(postgres)) => postgres.compile(cx).map(Place::Postgres),
            (Some(file), Some(postgres)) => {
                cx.error("config.store_place", postgres.at, "keys are kept in one database")
                    .related(file.span, "the other one")
                    .help("remove one of `sqlite` and `postgres`");
                None
            }
            (None, None) => {
                cx.error("config.store_place", self.at, "this does not say where keys are kept")
                    .help("write `sqlite: portcullis.db`, or `postgres: { url: { env: DATABASE_URL } }`");
                None
            }
        }
    }

    fn peppers(
        &self,
        key_pepper: Option<&Secret>,
        state_dir: Option<&Path>,
        cx: &mut Context,
    ) -> Option<PepperSource> {
        let bytes = |secret: &Secret| Zeroizing::new(secret.expose().as_bytes().to_vec());
        if let Some(peppers) = &self.peppers {
            if peppers.value.is_empty() {
                cx.error("config.empty_list", peppers.span, "without a pepper no key can be hashed")
                    .help("list at least one, such as `{ env: KEY_PEPPER }`, or leave the list out");
                return None;
            }
            for pepper in &peppers.value {
                crate::compile::short_pepper(&pepper.value, pepper.span, cx);
            }
            return Some(PepperSource::Given(
                peppers.value.iter().map(|pepper| bytes(&pepper.value)).collect(),
            ));
        }
        if let Some(pepper) = key_pepper {
            return Some(PepperSource::Given(vec![bytes(pepper)]));
        }
        match (&self.sqlite, &self.postgres, state_dir) {
            (_, Some(postgres), None) => {
                cx.error("config.store_pepper", postgres.at, "nothing says under which secret keys are hashed")
                    .help("add `peppers: [{ env: KEY_PEPPER }]`, the same for every gateway that shares the database");
                None
            }
            (_, Some(postgres), Some(folder)) => {
                cx.warning("config.store_pepper", postgres.at, "keys are hashed with a pepper that only this gateway has")
                    .help("add `peppers: [{ env: KEY_PEPPER }]`, the same for every gateway that shares the database");
                Some(PepperSource::File(folder.join(PEPPER)))
            }
            (_, None, Some(folder)) => Some(PepperSource::File(folder.join(PEPPER))),
            (Some(file), None, None) => {
                let mut beside = file.value.clone().into_os_string();
                beside.push(".pepper");
                Some(PepperSource::File(PathBuf::from(beside)))
            }
            // `place` says what is missing.
            (None, None, None) => None,
        }
    }
}

impl PostgresConfig {
    fn compile(&self, cx: &mut Context) -> Option<PostgresSettings> {
        let settings = PostgresSettings {
            url: Zeroizing::new(self.url.value.expose().to_owned()),
            ca: self.ca.clone(),
            plaintext: self.insecure_plaintext.is_some(),
        };
        match settings.protection() {
            Ok(Protection::Tls | Protection::Local | Protection::Plaintext) => Some(settings),
            Err(error) => {
                debug_assert_eq!(error.kind, ErrorKind::Unusable);
                cx.error("config.store_url", self.url.span, "this is not the URL of a PostgreSQL database")
                    .help("write `postgres://USER:PASSWORD@HOST/DATABASE`, best in a variable: `url: { env: DATABASE_URL }`");
                None
            }
        }
    }
}
