//! What is SQLite's alone: its file.

use crate::support::{Look, key_of, sqlite};
use portcullis_keys::{ErrorKind, KeyStore, Place};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::time::Duration;

fn file(settings: &portcullis_keys::Settings) -> PathBuf {
    match &settings.place {
        Place::Sqlite(path) => path.clone(),
        Place::Postgres(_) => panic!("a file"),
    }
}

fn set_mode(path: &std::path::Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_file_is_made_for_its_owner_alone() {
    let fresh = sqlite();
    let mut store = fresh.open();
    key_of(&mut store, "alice");
    for entry in std::fs::read_dir(&fresh.folder).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().mode() & 0o777, 0o600, "{:?}", entry.path());
    }
    let connection = rusqlite::Connection::open(file(&fresh.settings)).unwrap();
    let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, "wal");
}

#[test]
fn a_file_that_others_can_read_is_refused() {
    let fresh = sqlite();
    drop(fresh.open());
    for (path, mode) in [(file(&fresh.settings), 0o640), (fresh.folder.join("keys.pepper"), 0o604)] {
        set_mode(&path, mode);
        let refused = KeyStore::open(&fresh.settings).err().unwrap();
        assert_eq!(refused.kind, ErrorKind::Unusable);
        assert!(refused.text.contains("chmod 600"), "{refused}");
        set_mode(&path, 0o600);
    }
    fresh.open();
}

#[test]
fn a_pepper_that_is_gone_is_not_replaced() {
    let fresh = sqlite();
    key_of(&mut fresh.open(), "alice");
    std::fs::remove_file(fresh.folder.join("keys.pepper")).unwrap();
    let refused = KeyStore::open(&fresh.settings).err().unwrap();
    assert!(refused.text.contains("put it back"), "{refused}");
    assert!(!fresh.folder.join("keys.pepper").exists());
}

#[test]
fn a_newer_store_is_not_touched() {
    let fresh = sqlite();
    drop(fresh.open());
    let connection = rusqlite::Connection::open(file(&fresh.settings)).unwrap();
    connection.execute_batch("INSERT INTO portcullis_schema VALUES (99, 'later')").unwrap();
    let refused = KeyStore::open(&fresh.settings).err().unwrap();
    assert_eq!(refused.kind, ErrorKind::Unusable);
    assert!(refused.text.contains("too old for this store"), "{refused}");
    connection
        .execute_batch(
            "DELETE FROM portcullis_schema WHERE version = 99; UPDATE portcullis_schema SET digest = 'x'",
        )
        .unwrap();
    assert!(KeyStore::open(&fresh.settings).err().unwrap().text.contains("another schema"));
}

#[test]
fn a_file_of_something_else_is_refused() {
    let fresh = sqlite();
    std::fs::write(file(&fresh.settings), "this is not a database, and it is long enough to look like one")
        .unwrap();
    set_mode(&file(&fresh.settings), 0o600);
    let refused = KeyStore::open(&fresh.settings).err().unwrap();
    assert!(refused.text.contains("not a whole SQLite database"), "{refused}");
}

#[test]
fn a_binding_that_cannot_be_read_is_an_error() {
    let fresh = sqlite();
    let mut store = fresh.open();
    let made = key_of(&mut store, "alice");
    let connection = rusqlite::Connection::open(file(&fresh.settings)).unwrap();
    for column in ["addresses", "routes", "scopes", "roles"] {
        connection.execute_batch(&format!("UPDATE portcullis_keys SET {column} = 'nonsense'")).unwrap();
        assert!(store.key(made.key.id).is_err(), "{column}");
        assert!(crate::support::Gateway::try_start(fresh.settings.clone()).is_err(), "{column}");
        connection.execute_batch(&format!("UPDATE portcullis_keys SET {column} = '[]'")).unwrap();
    }
}

#[test]
fn a_store_that_is_gone_is_not_made_anew() {
    let fresh = sqlite();
    let made = key_of(&mut fresh.open(), "alice");
    let mut settings = fresh.settings.clone();
    settings.max_stale = Duration::from_secs(3);
    let gateway = crate::support::Gateway::start(settings);
    for name in ["keys.db", "keys.db-wal", "keys.db-shm"] {
        let _ = std::fs::remove_file(fresh.folder.join(name));
    }
    assert_eq!(gateway.look(&made.text), Look::Known, "it is not said yet");
    gateway.until(&made.text, Look::Fault);
    assert!(!file(&fresh.settings).exists());
    assert!(gateway.said.lock().unwrap().iter().any(|said| said.contains("removed or replaced")));
}

/// A copy that is put back is another store as far as a gateway can tell: what it does not have is gone.
#[test]
fn a_store_that_was_put_back_is_read_anew() {
    let fresh = sqlite();
    let mut store = fresh.open();
    let old = key_of(&mut store, "alice");
    let copy = fresh.folder.join("copy.db");
    let connection = rusqlite::Connection::open(file(&fresh.settings)).unwrap();
    connection.execute_batch(&format!("VACUUM INTO '{}'", copy.display())).unwrap();
    set_mode(&copy, 0o600);
    drop(connection);
    let new = key_of(&mut store, "alice");
    let gateway = fresh.live();
    assert_eq!((gateway.look(&old.text), gateway.look(&new.text)), (Look::Known, Look::Known));
    drop(store);
    for name in ["keys.db-wal", "keys.db-shm"] {
        let _ = std::fs::remove_file(fresh.folder.join(name));
    }
    std::fs::rename(&copy, file(&fresh.settings)).unwrap();
    // As many changes as before, so that only what they were marked with tells the two apart.
    let mut store = KeyStore::open(&fresh.settings).unwrap();
    let other = key_of(&mut store, "alice");
    gateway.until(&other.text, Look::Known);
    gateway.until(&new.text, Look::Unknown);
    assert_eq!(gateway.look(&old.text), Look::Known);
}

#[test]
fn a_file_that_was_replaced_is_opened_anew() {
    let fresh = sqlite();
    let made = key_of(&mut fresh.open(), "alice");
    let gateway = fresh.live();
    let other = sqlite();
    std::fs::copy(fresh.folder.join("keys.pepper"), other.folder.join("keys.pepper")).unwrap();
    let theirs = key_of(&mut other.open(), "bob");
    for name in ["keys.db-wal", "keys.db-shm"] {
        let _ = std::fs::remove_file(fresh.folder.join(name));
    }
    std::fs::rename(file(&other.settings), file(&fresh.settings)).unwrap();
    gateway.until(&theirs.text, Look::Known);
    assert_eq!(gateway.look(&made.text), Look::Unknown);
}
