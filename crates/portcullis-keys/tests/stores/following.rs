//! Gateways that follow a store: what reaches them, and how soon.

use crate::support::{Fresh, Gateway, Look, consumer, key_of, words};
use portcullis_keys::model::now;
use portcullis_keys::{ConsumerChange, ImportedKey, KeySettings, Owner, Rotation};
use portcullis_store::StoredKeys as _;
use std::time::{Duration, Instant};

macro_rules! over_both {
    ($($name:ident)+) => {
        mod on_sqlite { $(#[test] fn $name() { super::$name(&crate::support::sqlite()); })+ }
        mod on_postgres { $(#[test] fn $name() { super::$name(&crate::support::postgres()); })+ }
    };
}

over_both! {
    a_revocation_reaches_four_gateways_within_a_second
    a_key_says_what_it_may
    a_removed_consumer_takes_its_keys_along
    peppers_rotate
    a_missing_pepper_refuses_the_start
    imported_hashes_are_found
    uses_are_written_late
    what_has_no_room_is_a_fault
}

fn a_revocation_reaches_four_gateways_within_a_second(fresh: &Fresh) {
    let mut store = fresh.open();
    let gateways: Vec<Gateway> = (0..4).map(|_| fresh.live()).collect();
    let mut times = Vec::new();
    for round in 0..10 {
        let made = key_of(&mut store, "alice");
        for gateway in &gateways {
            gateway.until(&made.text, Look::Known);
        }
        // Changes come at any moment of a gateway's second.
        std::thread::sleep(Duration::from_millis(round * 37));
        store.revoke_key(made.key.id).unwrap();
        let revoked = Instant::now();
        for gateway in &gateways {
            gateway.until(&made.text, Look::Unknown);
            times.push(revoked.elapsed());
        }
    }
    times.sort();
    let at = |share: usize| times[(times.len() - 1) * share / 100];
    println!(
        "revocation to the last of four gateways: median {:?}, 90 % {:?}, most {:?}",
        at(50),
        at(90),
        at(100)
    );
    assert!(at(100) < Duration::from_secs(1), "{times:?}");
}

fn a_key_says_what_it_may(fresh: &Fresh) {
    let mut store = fresh.open();
    let mut alice = consumer("alice");
    alice.roles = words(&["user", "admin"]);
    alice.plan = Some("free".to_owned());
    store.add_consumer(&alice).unwrap();
    let gateway = fresh.live();
    let settings = KeySettings {
        roles: Some(words(&["admin"])),
        scopes: Some(words(&["read"])),
        addresses: vec!["10.0.0.0/8".parse().unwrap()],
        ..KeySettings::default()
    };
    let narrow = store.create_key("alice", Owner::Stored, settings, Some(now() + 60)).unwrap();
    let wide = store.create_key("alice", Owner::Stored, KeySettings::default(), None).unwrap();
    gateway.until(&wide.text, Look::Known);
    let profile = |text: &str| gateway.live.find(text.as_bytes()).unwrap().unwrap().profile;
    let found = profile(&narrow.text);
    assert_eq!(
        (found.roles.as_deref(), found.scopes.as_deref()),
        (Some(&words(&["admin"])[..]), Some(&words(&["read"])[..]))
    );
    assert_eq!((found.plan.as_deref(), found.addresses.len()), (Some("free"), 1));
    assert_eq!(profile(&wide.text).roles.as_ref().unwrap().len(), 2);
    // What is taken from a consumer is taken from its keys.
    let change = ConsumerChange { roles: Some(words(&["user"])), ..ConsumerChange::default() };
    store.set_consumer("alice", change).unwrap();
    let begun = Instant::now();
    while !profile(&narrow.text).roles.as_ref().unwrap().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(5));
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(profile(&wide.text).roles.as_deref(), Some(&words(&["user"])[..]));
}

fn a_removed_consumer_takes_its_keys_along(fresh: &Fresh) {
    let mut store = fresh.open();
    let (alice, bob) = (key_of(&mut store, "alice"), key_of(&mut store, "bob"));
    let gateway = fresh.live();
    assert_eq!((gateway.look(&alice.text), gateway.look(&bob.text)), (Look::Known, Look::Known));
    assert_eq!(gateway.live.conflicts(|name| name == "bob"), ["bob"]);
    store.remove_consumer("alice").unwrap();
    assert!(gateway.until(&alice.text, Look::Unknown) < Duration::from_secs(1));
    assert_eq!(gateway.look(&bob.text), Look::Known);
}

fn given(fresh: &Fresh, peppers: &[&str]) -> portcullis_keys::Settings {
    let peppers = peppers.iter().map(|pepper| pepper.as_bytes().to_vec().into()).collect();
    portcullis_keys::Settings {
        peppers: portcullis_keys::PepperSource::Given(peppers),
        ..fresh.settings.clone()
    }
}

fn peppers_rotate(fresh: &Fresh) {
    let old = given(fresh, &["old pepper 0123456789"]);
    let mut store = portcullis_keys::KeyStore::open(&old).unwrap();
    let before = key_of(&mut store, "alice");
    drop(store);
    let both = given(fresh, &["new pepper 0123456789", "old pepper 0123456789"]);
    let mut store = portcullis_keys::KeyStore::open(&both).unwrap();
    let rotation = Rotation { overlap: Duration::from_secs(3600), valid_for: None };
    let after = store.rotate_key(before.key.id, rotation).unwrap();
    assert_ne!(after.key.pepper, before.key.pepper);
    let gateway = Gateway::start(both);
    assert_eq!((gateway.look(&before.text), gateway.look(&after.text)), (Look::Known, Look::Known));
    assert_eq!(store.keys_without_pepper().unwrap(), None);
    store.revoke_key(before.key.id).unwrap();
    let gateway = Gateway::start(given(fresh, &["new pepper 0123456789"]));
    assert_eq!((gateway.look(&before.text), gateway.look(&after.text)), (Look::Unknown, Look::Known));
}

fn a_missing_pepper_refuses_the_start(fresh: &Fresh) {
    let ours = given(fresh, &["our pepper 0123456789"]);
    let theirs = given(fresh, &["their pepper 0123456789"]);
    let mut store = portcullis_keys::KeyStore::open(&ours).unwrap();
    let gateway = Gateway::start(theirs.clone());
    let made = key_of(&mut store, "alice");
    // One that came while the gateway ran must not look unknown.
    gateway.until(&made.text, Look::Fault);
    assert!(gateway.said.lock().unwrap().iter().any(|said| said.contains("pepper")));
    let refused = Gateway::try_start(theirs.clone()).err().unwrap();
    assert!(refused.text.contains("pepper"), "{refused}");
    store.revoke_key(made.key.id).unwrap();
    gateway.until(&made.text, Look::Unknown);
    Gateway::start(theirs);
}

fn imported_hashes_are_found(fresh: &Fresh) {
    let mut store = fresh.open();
    store.add_consumer(&consumer("alice")).unwrap();
    let gateway = fresh.live();
    assert_eq!(gateway.look("12345"), Look::Unknown);
    // SHA-256("12345"), by coreutils' sha256sum.
    let csv =
        "consumer,hash\nalice,sha256:5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5\n";
    let pepper = store.peppers().ids().next().unwrap().to_owned();
    let keys: Vec<ImportedKey> = portcullis_keys::import::read_csv(csv, &pepper, |_| Owner::Stored).unwrap();
    let ids = store.import(&keys).unwrap();
    gateway.until("12345", Look::Known);
    assert_eq!(gateway.look("12346"), Look::Unknown);
    store.revoke_key(ids[0]).unwrap();
    gateway.until("12345", Look::Unknown);
}

fn uses_are_written_late(fresh: &Fresh) {
    let mut store = fresh.open();
    let made = key_of(&mut store, "alice");
    let gateway = fresh.live();
    assert_eq!(store.key(made.key.id).unwrap().used, None);
    for _ in 0..1000 {
        assert_eq!(gateway.look(&made.text), Look::Known);
    }
    // The end of a gateway writes what is left.
    drop(gateway);
    let used = store.key(made.key.id).unwrap().used.unwrap();
    assert!(now() - used < 60);
}

fn what_has_no_room_is_a_fault(fresh: &Fresh) {
    let mut store = fresh.open();
    let first = key_of(&mut store, "alice");
    let room = portcullis_keys::Settings { max_memory: 1000, ..fresh.settings.clone() };
    let gateway = Gateway::start(room.clone());
    assert_eq!(gateway.look(&first.text), Look::Known);
    let more: Vec<_> = (0..20).map(|_| key_of(&mut store, "alice")).collect();
    // Which of them found room is by chance; that one without is a fault, and never unknown, is not.
    let begun = Instant::now();
    while !more.iter().any(|key| gateway.look(&key.text) == Look::Fault) {
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", gateway.said.lock().unwrap());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(gateway.look(&first.text), Look::Known, "what has room is still good");
    assert!(gateway.said.lock().unwrap().iter().any(|said| said.contains("max_memory")));
    assert!(Gateway::try_start(room).err().unwrap().text.contains("max_memory"));
}
