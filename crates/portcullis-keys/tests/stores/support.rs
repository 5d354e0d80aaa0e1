//! Stores for tests, each new and empty.

use crate::postgres::Server;
use portcullis_keys::{
    Consumer, KeySettings, KeyStore, LiveKeys, Owner, PepperSource, Place, PostgresSettings, Settings,
};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A store, and what goes with the test.
pub(crate) struct Fresh {
    pub(crate) settings: Settings,
    pub(crate) folder: PathBuf,
}

impl Drop for Fresh {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

pub(crate) fn folder() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(format!("portcullis-keys-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn fresh(folder: PathBuf, place: Place) -> Fresh {
    let settings = Settings {
        place,
        peppers: PepperSource::File(folder.join("keys.pepper")),
        max_stale: Duration::from_secs(30),
        max_memory: Settings::MAX_MEMORY,
    };
    Fresh { settings, folder }
}

pub(crate) fn sqlite() -> Fresh {
    let folder = folder();
    let file = folder.join("keys.db");
    fresh(folder, Place::Sqlite(file))
}

pub(crate) fn postgres() -> Fresh {
    on(Server::shared())
}

/// A new database of this server.
pub(crate) fn on(server: &Server) -> Fresh {
    let url = server.database();
    fresh(folder(), Place::Postgres(PostgresSettings { url: url.into(), ca: None, plaintext: false }))
}

impl Fresh {
    pub(crate) fn open(&self) -> KeyStore {
        KeyStore::open(&self.settings).unwrap()
    }

    pub(crate) fn live(&self) -> Gateway {
        Gateway::start(self.settings.clone())
    }
}

/// A gateway's view of a store, and what it told its operator.
pub(crate) struct Gateway {
    pub(crate) live: LiveKeys,
    pub(crate) said: Arc<Mutex<Vec<String>>>,
}

impl Gateway {
    pub(crate) fn start(settings: Settings) -> Gateway {
        Gateway::try_start(settings).unwrap()
    }

    pub(crate) fn try_start(settings: Settings) -> Result<Gateway, portcullis_keys::StoreError> {
        let said: Arc<Mutex<Vec<String>>> = Arc::default();
        let to = Arc::clone(&said);
        let notice = Arc::new(move |text: &str| to.lock().unwrap().push(text.to_owned()));
        Ok(Gateway { live: LiveKeys::start(settings, notice)?, said })
    }

    /// Whether a key is accepted, unknown, or a fault.
    pub(crate) fn look(&self, key: &str) -> Look {
        use portcullis_store::StoredKeys as _;
        match self.live.find(key.as_bytes()) {
            Ok(Some(_)) => Look::Known,
            Ok(None) => Look::Unknown,
            Err(_) => Look::Fault,
        }
    }

    /// Waits until that is so; gives how long it took.
    pub(crate) fn until(&self, key: &str, expected: Look) -> Duration {
        let begun = Instant::now();
        while self.look(key) != expected {
            assert!(
                begun.elapsed() < Duration::from_secs(20),
                "{:?} and not {expected:?}: {:?}",
                self.look(key),
                self.said.lock().unwrap()
            );
            std::thread::sleep(Duration::from_millis(2));
        }
        begun.elapsed()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    Known,
    Unknown,
    Fault,
}

pub(crate) fn consumer(name: &str) -> Consumer {
    Consumer { name: name.to_owned(), roles: vec!["user".to_owned()], ..Consumer::default() }
}

/// Makes a consumer and a key.
pub(crate) fn key_of(store: &mut KeyStore, name: &str) -> portcullis_keys::NewKey {
    if store.find_consumer(name).unwrap().is_none() {
        store.add_consumer(&consumer(name)).unwrap();
    }
    store.create_key(name, Owner::Stored, KeySettings::default(), None).unwrap()
}

pub(crate) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}
