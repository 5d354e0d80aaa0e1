//! A process that changes a store is killed at any moment, again and again: what it acknowledged stays.

use crate::support::{Fresh, Look, consumer, sqlite};
use portcullis_core::KeyId;
use portcullis_keys::{KeySettings, KeyStore, Owner, PepperSource, Place, Settings};
use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Names the folder of the store to the process that is killed.
const FOLDER: &str = "PORTCULLIS_TEST_KILLED";

/// Not a test by itself: the process that is killed. Makes and revokes keys, and says so when it is done.
#[test]
fn the_one_that_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER).map(std::path::PathBuf::from) else { return };
    let mut store = KeyStore::open(&Settings {
        place: Place::Sqlite(folder.join("keys.db")),
        peppers: PepperSource::File(folder.join("keys.pepper")),
        max_stale: Settings::MAX_STALE,
        max_memory: Settings::MAX_MEMORY,
    })
    .unwrap();
    // Not through the harness of the tests, which would hold it back.
    let mut out = std::fs::File::options().append(true).create(true).open(folder.join("said")).unwrap();
    loop {
        let made = store.create_key("alice", Owner::Stored, KeySettings::default(), None).unwrap();
        writeln!(out, "made {} {}", made.key.id, made.text.as_str()).unwrap();
        let other = store.create_key("alice", Owner::Stored, KeySettings::default(), None).unwrap();
        writeln!(out, "made {} {}", other.key.id, other.text.as_str()).unwrap();
        store.revoke_key(made.key.id).unwrap();
        writeln!(out, "revoked {}", made.key.id).unwrap();
    }
}

/// How many keys were acknowledged as made so far.
fn lines(fresh: &Fresh) -> usize {
    said(fresh).len()
}

/// What was acknowledged so far: each key, and whether it was revoked.
fn said(fresh: &Fresh) -> HashMap<KeyId, (String, bool)> {
    let mut keys = HashMap::new();
    let Ok(file) = std::fs::File::open(fresh.folder.join("said")) else { return keys };
    for line in BufReader::new(file).lines().map_while(Result::ok) {
        match line.split(' ').collect::<Vec<_>>().as_slice() {
            ["made", id, text] if text.len() == portcullis_keys::text::LENGTH => {
                keys.insert(id.parse().unwrap(), ((*text).to_owned(), false));
            }
            ["revoked", id] if id.len() == 20 => keys.get_mut(&id.parse().unwrap()).unwrap().1 = true,
            _ => {}
        }
    }
    keys
}

fn kill_in_a_loop(rounds: u32) {
    let fresh = sqlite();
    fresh.open().add_consumer(&consumer("alice")).unwrap();
    // A gateway follows all the while.
    let gateway = fresh.live();
    for round in 0..rounds {
        let before = lines(&fresh);
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "killed::the_one_that_is_killed", "--nocapture"])
            .env(FOLDER, &fresh.folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Some are killed while they start, the others after they have done something, however busy the machine is.
        let begun = Instant::now();
        while round % 4 != 0 && lines(&fresh) == before && begun.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(2));
        }
        std::thread::sleep(Duration::from_millis(u64::from(20 + round * 7 % 60)));
        // SIGKILL.
        child.kill().unwrap();
        child.wait().unwrap();
        // A line that was cut off acknowledges nothing; the next one begins anew.
        let mut file =
            std::fs::File::options().append(true).create(true).open(fresh.folder.join("said")).unwrap();
        writeln!(file).unwrap();
    }
    let Place::Sqlite(path) = &fresh.settings.place else { panic!("a file") };
    let connection = rusqlite::Connection::open(path).unwrap();
    let sound: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
    let (keys, restarted) = (said(&fresh), fresh.live());
    for (id, (text, revoked)) in &keys {
        match (restarted.look(text), revoked) {
            (Look::Known, false) | (Look::Unknown, true) => {}
            // The kill may have come between a change and its acknowledgement.
            (Look::Unknown, false) => {
                let known = fresh.open().key(*id).unwrap();
                assert!(known.revoked.is_some(), "{id} was acknowledged, and is lost");
            }
            (found, _) => panic!("{id} is {found:?}, and revoked: {revoked}"),
        }
        gateway.until(text, restarted.look(text));
    }
    let revoked = keys.values().filter(|(_, revoked)| *revoked).count();
    println!("killed {rounds} times: {} keys made, {revoked} revoked, none lost", keys.len());
    assert!(revoked as u32 > rounds / 4, "the loop killed it before it did anything");
}

#[test]
fn kill_9_loses_no_change_that_was_acknowledged() {
    kill_in_a_loop(40);
}

/// The same 200 times: `cargo test -p portcullis-keys --test stores -- --ignored`.
#[test]
#[ignore = "takes half a minute"]
fn kill_9_two_hundred_times() {
    kill_in_a_loop(200);
}
