//! A PostgreSQL that crashes, hangs, refuses or is newer.

use crate::postgres::{PASSWORD, Server};
use crate::support::{Gateway, Look, key_of, on};
use portcullis_keys::{ErrorKind, KeyStore, Place, PostgresSettings, Settings};
use std::time::{Duration, Instant};

fn settings(url: String, like: &Settings) -> Settings {
    Settings {
        place: Place::Postgres(PostgresSettings { url: url.into(), ca: None, plaintext: false }),
        ..like.clone()
    }
}

#[test]
fn a_store_that_is_silent_is_a_fault() {
    let server = Server::start();
    let fresh = on(&server);
    let mut store = fresh.open();
    let (kept, revoked) = (key_of(&mut store, "alice"), key_of(&mut store, "alice"));
    let patient = fresh.live();
    let hasty = Gateway::start(Settings { max_stale: Duration::from_secs(3), ..fresh.settings.clone() });
    assert_eq!(hasty.look(&kept.text), Look::Known);
    server.crash();
    hasty.until(&kept.text, Look::Fault);
    assert_eq!(hasty.look("nobody-s-key-0123456789"), Look::Fault, "never unknown");
    assert_eq!(patient.look(&kept.text), Look::Known, "not yet");
    server.begin();
    let mut store = KeyStore::open(&fresh.settings).unwrap();
    store.revoke_key(revoked.key.id).unwrap();
    // What was missed is known as soon as the connection is back, and no key is good before that.
    hasty.until(&kept.text, Look::Known);
    assert_eq!(hasty.look(&revoked.text), Look::Unknown, "at once when the connection is back");
    patient.until(&revoked.text, Look::Unknown);
    assert!(hasty.said.lock().unwrap().iter().any(|said| said.contains("answers again")));
}

#[test]
fn a_server_that_hangs_is_one_that_is_away() {
    let server = Server::start();
    let fresh = on(&server);
    let made = key_of(&mut fresh.open(), "alice");
    let gateway = Gateway::start(Settings { max_stale: Duration::from_secs(3), ..fresh.settings.clone() });
    server.freeze(true);
    let begun = Instant::now();
    let mut slowest = Duration::ZERO;
    while gateway.look(&made.text) == Look::Known {
        let look = Instant::now();
        gateway.look(&made.text);
        slowest = slowest.max(look.elapsed());
        assert!(begun.elapsed() < Duration::from_secs(10));
    }
    assert!(begun.elapsed() > Duration::from_secs(1));
    assert!(slowest < Duration::from_secs(2), "a request waits for no store: {slowest:?}");
    assert_eq!(gateway.look(&made.text), Look::Fault);
    server.freeze(false);
    gateway.until(&made.text, Look::Known);
}

#[test]
fn a_server_that_is_away_at_the_start_is_waited_for() {
    let server = Server::start();
    let fresh = on(&server);
    let made = key_of(&mut fresh.open(), "alice");
    server.crash();
    let gateway = fresh.live();
    assert_eq!(gateway.look(&made.text), Look::Fault);
    assert!(!gateway.said.lock().unwrap().is_empty());
    server.begin();
    gateway.until(&made.text, Look::Known);
}

#[test]
fn a_wrong_password_refuses_the_start_and_is_not_shown() {
    let server = Server::shared();
    let like = on(server);
    key_of(&mut KeyStore::open(&settings(server.by_tcp(PASSWORD), &like.settings)).unwrap(), "alice");
    let wrong = settings(server.by_tcp("wrong-password"), &like.settings);
    let refused = Gateway::try_start(wrong.clone()).err().unwrap();
    assert_eq!(refused.kind, ErrorKind::Unusable);
    assert!(refused.text.contains("password authentication failed"), "{refused}");
    let shown = format!("{refused} {refused:?} {wrong:?}");
    assert!(!shown.contains("wrong-password"), "{shown}");
}

#[test]
fn a_server_with_tls_is_verified() {
    let server = Server::start();
    let like = on(&server);
    let by_tcp = server.by_tcp(PASSWORD);
    let with = |host: &str, ca: Option<&std::path::Path>| {
        let url = format!("{}?sslmode=verify-full", by_tcp.replace("127.0.0.1", host));
        let place = PostgresSettings { url: url.into(), ca: ca.map(Into::into), plaintext: false };
        Settings { place: Place::Postgres(place), ..like.settings.clone() }
    };
    assert!(
        KeyStore::open(&with("localhost", None)).is_err(),
        "a server without TLS is not spoken to in the clear"
    );
    let ca = server.with_tls();
    let mut store = KeyStore::open(&with("localhost", Some(&ca))).unwrap();
    let made = key_of(&mut store, "alice");
    let gateway = Gateway::start(with("localhost", Some(&ca)));
    gateway.until(&made.text, Look::Known);
    let secured = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE ssl AND application_name = 'portcullis'";
    assert_eq!(server.sql("postgres", secured).unwrap().trim(), "2");
    store.revoke_key(made.key.id).unwrap();
    gateway.until(&made.text, Look::Unknown);
    assert!(KeyStore::open(&with("localhost", None)).is_err(), "the system's CAs do not know it");
    assert!(KeyStore::open(&with("127.0.0.1", Some(&ca))).is_err(), "the certificate has another name");
}

#[test]
fn a_newer_database_is_not_touched() {
    let server = Server::shared();
    let fresh = on(server);
    drop(fresh.open());
    let Place::Postgres(postgres) = &fresh.settings.place else { panic!() };
    let name = postgres.url.rsplit('=').next().unwrap().to_owned();
    server.sql(&name, "INSERT INTO portcullis_schema VALUES (99, 'later')").unwrap();
    let refused = KeyStore::open(&fresh.settings).err().unwrap();
    assert!(refused.text.contains("too old for this store"), "{refused}");
    server.sql(&name, "DELETE FROM portcullis_schema WHERE version = 99").unwrap();
    let gateway = fresh.live();
    drop(gateway);
    server.sql(&name, "DROP TABLE portcullis_schema").unwrap();
    assert!(KeyStore::reopen(&fresh.settings).err().unwrap().text.contains("lost its tables"));
}

/// A connection that the server ends is made again, and what happened meanwhile is not missed.
#[test]
fn a_cut_connection_catches_up() {
    let server = Server::shared();
    let fresh = on(server);
    let mut store = fresh.open();
    let made = key_of(&mut store, "alice");
    let gateway = fresh.live();
    for _ in 0..3 {
        server
            .sql("postgres", "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'portcullis' AND query LIKE '%LISTEN%' AND pid <> pg_backend_pid() AND datname = current_database()")
            .unwrap();
    }
    let Place::Postgres(postgres) = &fresh.settings.place else { panic!() };
    let name = postgres.url.rsplit('=').next().unwrap().to_owned();
    server
        .sql(
            "postgres",
            &format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"),
        )
        .unwrap();
    let mut store = KeyStore::open(&fresh.settings).unwrap();
    store.revoke_key(made.key.id).unwrap();
    assert!(gateway.until(&made.text, Look::Unknown) < Duration::from_secs(2));
}
