//! What every store does.

use crate::support::{Fresh, consumer, key_of, words};
use portcullis_core::KeyId;
use portcullis_keys::model::now;
use portcullis_keys::{
    ConsumerChange, ErrorKind, ImportedKey, KeyFilter, KeySettings, KeyStatus, KeyStore, Owner, Rotation,
    text,
};
use std::collections::BTreeSet;
use std::time::Duration;

macro_rules! over_both {
    ($($name:ident)+) => {
        mod on_sqlite { $(#[test] fn $name() { super::$name(&crate::support::sqlite()); })+ }
        mod on_postgres { $(#[test] fn $name() { super::$name(&crate::support::postgres()); })+ }
    };
}

over_both! {
    a_key_is_made_found_listed_and_revoked
    the_text_of_a_key_is_nowhere_in_the_store
    what_is_kept_comes_back
    a_rotated_key_gives_way_after_the_overlap
    a_name_is_one_consumers
    a_key_asks_for_no_more_than_its_consumer_has
    imports_are_all_or_nothing
    words_that_cannot_be_are_refused
    statements_are_never_made_of_values
    many_writers_at_once_lose_nothing
    changes_are_seen_in_their_order
}

fn missing<T>(result: Result<T, portcullis_keys::StoreError>) -> ErrorKind {
    match result {
        Ok(_) => panic!("it should have been refused"),
        Err(error) => error.kind,
    }
}

fn a_key_is_made_found_listed_and_revoked(fresh: &Fresh) {
    let mut store = fresh.open();
    let made = key_of(&mut store, "alice");
    assert_eq!(text::form(made.text.as_bytes()), text::Form::Ours);
    let key = store.key(made.key.id).unwrap();
    assert_eq!(key, made.key);
    assert_eq!(key.status(now()), KeyStatus::Active);
    assert!(made.text.starts_with(&key.hint) && key.hint.len() == 12);
    let other = key_of(&mut store, "bob");
    let of = |store: &mut KeyStore, consumer: Option<&str>| {
        let filter = KeyFilter { consumer: consumer.map(str::to_owned), ..KeyFilter::default() };
        store.keys(&filter).unwrap().iter().map(|key| key.id).collect::<BTreeSet<_>>()
    };
    assert_eq!(of(&mut store, None), BTreeSet::from([key.id, other.key.id]));
    assert_eq!(of(&mut store, Some("bob")), BTreeSet::from([other.key.id]));
    let first = store.keys(&KeyFilter { most: Some(1), ..KeyFilter::default() }).unwrap();
    let second = store.keys(&KeyFilter { after: Some(first[0].id), ..KeyFilter::default() }).unwrap();
    assert_eq!((first.len(), second.len()), (1, 1), "one page after the other");
    let revoked = store.revoke_key(key.id).unwrap();
    assert_eq!(revoked.status(now()), KeyStatus::Revoked);
    assert_eq!(store.revoke_key(key.id).unwrap().revoked, revoked.revoked, "once is enough");
    assert_eq!(missing(store.revoke_key(KeyId(1))), ErrorKind::NotFound);
    assert_eq!(missing(store.key(KeyId(1))), ErrorKind::NotFound);
    drop(store);
    assert_eq!(
        fresh.open().key(key.id).unwrap().status(now()),
        KeyStatus::Revoked,
        "by the next process too"
    );
}

fn the_text_of_a_key_is_nowhere_in_the_store(fresh: &Fresh) {
    let mut store = fresh.open();
    let made = key_of(&mut store, "alice");
    let json = made.key.json(now()).to_string();
    let debug = format!("{:?}", made.key);
    for place in [json, debug] {
        assert!(!place.contains(made.text.as_str()) && !place.contains(&made.text[12..]), "{place}");
    }
    for entry in std::fs::read_dir(&fresh.folder).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(20).any(|window| window == &made.text.as_bytes()[12..32]));
    }
}

fn what_is_kept_comes_back(fresh: &Fresh) {
    let mut store = fresh.open();
    let mut alice = consumer("alice");
    alice.scopes = Some(words(&["read", "write"]));
    alice.plan = Some("free".to_owned());
    alice.note = "Alice; \"quoted\", 'so' too\nand ümlaut".to_owned();
    store.add_consumer(&alice).unwrap();
    assert_eq!(store.find_consumer("alice").unwrap(), Some(alice.clone()));
    assert_eq!(store.consumers().unwrap(), [alice]);
    let settings = KeySettings {
        roles: Some(Vec::new()),
        scopes: Some(words(&["read"])),
        plan: Some("gold".to_owned()),
        addresses: vec!["10.0.0.0/8".parse().unwrap(), "2001:db8::/32".parse().unwrap()],
        routes: words(&["/orders/{id}", "api.example.com/a"]),
        note: "for the cron job".to_owned(),
    };
    let made = store.create_key("alice", Owner::Stored, settings.clone(), Some(u64::from(u32::MAX))).unwrap();
    let kept = store.key(made.key.id).unwrap();
    assert_eq!((kept.settings, kept.expires), (settings, Some(u64::from(u32::MAX))));
    let change =
        ConsumerChange { plan: Some(None), scopes: Some(None), roles: Some(words(&["admin"])), note: None };
    let changed = store.set_consumer("alice", change).unwrap();
    assert_eq!((changed.plan, changed.scopes, changed.roles), (None, None, words(&["admin"])));
    assert!(changed.note.contains("ümlaut"));
    store.note_use(&[(made.key.id, 5000), (made.key.id, 4000)]).unwrap();
    assert_eq!(store.key(made.key.id).unwrap().used, Some(5000), "an older use takes nothing back");
}

fn a_rotated_key_gives_way_after_the_overlap(fresh: &Fresh) {
    let mut store = fresh.open();
    store.add_consumer(&consumer("alice")).unwrap();
    let settings =
        KeySettings { note: "cron".to_owned(), scopes: Some(words(&["read"])), ..KeySettings::default() };
    let old = store.create_key("alice", Owner::Stored, settings.clone(), Some(now() + 90 * 86_400)).unwrap();
    let rotation = Rotation { overlap: Duration::from_secs(3600), valid_for: None };
    let new = store.rotate_key(old.key.id, rotation).unwrap();
    assert_ne!(*new.text, *old.text);
    assert_eq!(new.key.settings, settings, "it says the same");
    let days = new.key.expires.unwrap() - new.key.created;
    assert_eq!(days, 90 * 86_400, "and is valid for as long");
    let old = store.key(old.key.id).unwrap();
    assert_eq!(old.replaced_by, Some(new.key.id));
    assert!(old.expires.unwrap() <= now() + 3600);
    assert_eq!(old.status(now()), KeyStatus::Active);
    assert_eq!(missing(store.rotate_key(old.id, rotation)), ErrorKind::Conflict, "once");
    let soon = store.create_key("alice", Owner::Stored, KeySettings::default(), Some(now() + 60)).unwrap();
    store.rotate_key(soon.key.id, rotation).unwrap();
    assert_eq!(store.key(soon.key.id).unwrap().expires, soon.key.expires, "an overlap makes no key longer");
    let at_once = Rotation { overlap: Duration::ZERO, valid_for: Some(Duration::from_secs(10)) };
    let last = store.rotate_key(new.key.id, at_once).unwrap();
    assert_eq!(store.key(new.key.id).unwrap().status(now()), KeyStatus::Expired);
    assert_eq!(last.key.expires.unwrap() - last.key.created, 10);
    store.revoke_key(last.key.id).unwrap();
    assert_eq!(missing(store.rotate_key(last.key.id, rotation)), ErrorKind::Conflict);
}

fn a_name_is_one_consumers(fresh: &Fresh) {
    let mut store = fresh.open();
    store.add_consumer(&consumer("alice")).unwrap();
    assert_eq!(missing(store.add_consumer(&consumer("alice"))), ErrorKind::Conflict);
    // A configuration that has one of this name as well gets no key for it.
    let settings = KeySettings::default;
    assert_eq!(missing(store.create_key("alice", Owner::Configured, settings(), None)), ErrorKind::Conflict);
    assert_eq!(missing(store.create_key("bob", Owner::Stored, settings(), None)), ErrorKind::NotFound);
    let filed = store.create_key("bob", Owner::Configured, settings(), None).unwrap();
    assert_eq!(
        missing(store.add_consumer(&consumer("bob"))),
        ErrorKind::Conflict,
        "its key would be another's"
    );
    store.revoke_key(filed.key.id).unwrap();
    store.add_consumer(&consumer("bob")).unwrap();
    let made = key_of(&mut store, "alice");
    assert_eq!(store.remove_consumer("alice").unwrap(), 1);
    assert_eq!(missing(store.remove_consumer("alice")), ErrorKind::NotFound);
    store.add_consumer(&consumer("alice")).unwrap();
    assert!(store.key(made.key.id).unwrap().revoked.is_some(), "a name that comes back brings no key back");
}

fn a_key_asks_for_no_more_than_its_consumer_has(fresh: &Fresh) {
    let mut store = fresh.open();
    let mut alice = consumer("alice");
    alice.scopes = Some(words(&["read"]));
    store.add_consumer(&alice).unwrap();
    let with = |roles: &[&str], scopes: &[&str]| KeySettings {
        roles: Some(words(roles)),
        scopes: Some(words(scopes)),
        ..KeySettings::default()
    };
    store.create_key("alice", Owner::Stored, with(&["user"], &["read"]), None).unwrap();
    for beyond in [with(&["admin"], &[]), with(&[], &["read", "write"])] {
        assert_eq!(missing(store.create_key("alice", Owner::Stored, beyond, None)), ErrorKind::Invalid);
    }
}

fn imports_are_all_or_nothing(fresh: &Fresh) {
    let mut store = fresh.open();
    store.add_consumer(&consumer("alice")).unwrap();
    let pepper = store.peppers().ids().next().unwrap().to_owned();
    let key = |number: u8, consumer: &str, pepper: &str| ImportedKey {
        consumer: consumer.to_owned(),
        owner: Owner::Stored,
        pepper: pepper.to_owned(),
        hash: [number; 32],
        settings: KeySettings::default(),
        expires: None,
    };
    let ids = store.import(&[key(1, "alice", ""), key(2, "alice", &pepper)]).unwrap();
    assert_eq!(ids.len(), 2);
    for (wrong, kind) in [
        (key(1, "alice", ""), ErrorKind::Conflict),
        (key(3, "nobody", ""), ErrorKind::NotFound),
        (key(3, "alice", "00000000"), ErrorKind::Invalid),
    ] {
        assert_eq!(missing(store.import(&[key(4, "alice", ""), wrong])), kind);
        assert_eq!(store.keys(&KeyFilter::default()).unwrap().len(), 2, "nothing of it is there");
    }
}

fn words_that_cannot_be_are_refused(fresh: &Fresh) {
    let mut store = fresh.open();
    let long = "x".repeat(300);
    for name in ["", " alice", "al\nice", "älice", long.as_str()] {
        assert_eq!(missing(store.add_consumer(&consumer(name))), ErrorKind::Invalid, "{name:?}");
    }
    let with = |change: fn(&mut KeySettings)| {
        let mut settings = KeySettings::default();
        change(&mut settings);
        settings
    };
    store.add_consumer(&consumer("alice")).unwrap();
    for wrong in [
        with(|settings| settings.roles = Some(vec!["a,b".to_owned()])),
        with(|settings| settings.scopes = Some(vec!["a b".to_owned()])),
        with(|settings| settings.routes = vec!["orders".to_owned()]),
        with(|settings| settings.plan = Some(String::new())),
        with(|settings| settings.note = "\u{1b}[2J".to_owned()),
    ] {
        assert_eq!(missing(store.create_key("alice", Owner::Stored, wrong, None)), ErrorKind::Invalid);
    }
}

fn statements_are_never_made_of_values(fresh: &Fresh) {
    let mut store = fresh.open();
    let names = ["'; DROP TABLE portcullis_keys; --", "$1", "\\", "a' OR '1'='1", "%"];
    for name in names {
        let mut one = consumer(name);
        one.note = name.to_owned();
        store.add_consumer(&one).unwrap();
        key_of(&mut store, name);
    }
    for name in names {
        assert_eq!(store.find_consumer(name).unwrap().unwrap().note, name);
        let filter = KeyFilter { consumer: Some(name.to_owned()), ..KeyFilter::default() };
        assert_eq!(store.keys(&filter).unwrap().len(), 1, "{name}");
    }
    assert_eq!(store.remove_consumer("a' OR '1'='1").unwrap(), 1);
    assert_eq!(store.consumers().unwrap().len(), names.len() - 1);
}

fn many_writers_at_once_lose_nothing(fresh: &Fresh) {
    let mut store = fresh.open();
    store.add_consumer(&consumer("alice")).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut store = fresh.open();
                for _ in 0..10 {
                    let made =
                        store.create_key("alice", Owner::Stored, KeySettings::default(), None).unwrap();
                    store.revoke_key(made.key.id).unwrap();
                }
            });
        }
    });
    let keys = store.keys(&KeyFilter::default()).unwrap();
    assert_eq!((keys.len(), keys.iter().filter(|key| key.revoked.is_some()).count()), (40, 40));
}

/// A gateway that follows while four write ends with what the store has, without reading all of it again.
fn changes_are_seen_in_their_order(fresh: &Fresh) {
    let mut store = fresh.open();
    store.add_consumer(&consumer("alice")).unwrap();
    let gateway = fresh.live();
    let kept = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut store = fresh.open();
                for number in 0..15 {
                    let made =
                        store.create_key("alice", Owner::Stored, KeySettings::default(), None).unwrap();
                    if number % 3 == 0 {
                        store.revoke_key(made.key.id).unwrap();
                    }
                    kept.lock().unwrap().push((made.text, number % 3 == 0));
                }
            });
        }
    });
    for (text, revoked) in kept.into_inner().unwrap() {
        let expected = if revoked { crate::support::Look::Unknown } else { crate::support::Look::Known };
        gateway.until(&text, expected);
    }
    assert_eq!(gateway.live.standing().0, 40);
}
