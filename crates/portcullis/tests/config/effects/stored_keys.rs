//! What each key of `store.keys` does.

use super::super::harness::load;
use super::DocumentRow;
use portcullis::Style;
use portcullis::keys::{PepperSource, Peppers, Place, Protection, Settings};
use serde_json::{Value, json};
use std::time::Duration;

pub(crate) const ROWS: &[DocumentRow] = &[
    ("store.keys", || assert!(document(&json!({})).into_blueprint().unwrap().key_store.is_none())),
    ("store.keys.sqlite", || {
        let Place::Sqlite(path) = settings(json!({ "sqlite": "other.db" })).place else { panic!("a file") };
        assert!(
            path.ends_with("tests/config/files/other.db"),
            "relative to the document: {}",
            path.display()
        );
    }),
    ("store.keys.postgres", || assert_eq!(protection(json!({ "url": LOCAL })), Protection::Local)),
    ("store.keys.postgres.url", || {
        assert!(settings(postgres(json!({ "url": LOCAL }))).describe().contains("keys at localhost"));
    }),
    ("store.keys.postgres.url.literal", || {
        assert_eq!(protection(json!({ "url": { "literal": REMOTE } })), Protection::Tls)
    }),
    ("store.keys.postgres.url.env", || {
        assert_eq!(protection(json!({ "url": { "env": "DATABASE_URL" } })), Protection::Tls)
    }),
    ("store.keys.postgres.url.file", || {
        assert_eq!(protection(json!({ "url": { "file": "database-url.txt" } })), Protection::Local);
    }),
    ("store.keys.postgres.ca", || {
        let Place::Postgres(postgres) = settings(postgres(json!({ "url": LOCAL, "ca": "ca.pem" }))).place
        else {
            panic!()
        };
        assert!(postgres.ca.unwrap().ends_with("ca.pem"));
    }),
    ("store.keys.postgres.insecure_plaintext", || {
        let plain = json!({ "url": REMOTE, "insecure_plaintext": "a tunnel protects it" });
        assert_eq!(protection(plain), Protection::Plaintext);
    }),
    ("store.keys.peppers", || {
        let peppers = peppers(json!([{ "literal": "new-pepper" }, { "literal": "old-pepper" }]));
        assert_eq!(peppers.ids().count(), 2);
        let new = Peppers::new(&[b"new-pepper".to_vec().into()]).unwrap();
        assert_eq!(peppers.hash(b"k").unwrap(), new.hash(b"k").unwrap(), "the first one hashes");
    }),
    ("store.keys.peppers[].literal", || hashes_as(json!({ "literal": "Jefe" }))),
    ("store.keys.peppers[].env", || hashes_as(json!({ "env": "PEPPER" }))),
    ("store.keys.peppers[].file", || hashes_as(json!({ "file": "pepper.txt" }))),
    ("store.keys.max_stale", || {
        let stale = |more: Value| settings(with(json!({ "sqlite": "keys.db" }), more)).max_stale;
        assert_eq!(stale(json!({})), Duration::from_secs(30));
        assert_eq!(stale(json!({ "max_stale": "10s" })), Duration::from_secs(10));
    }),
    ("store.keys.max_memory", || {
        assert_eq!(
            settings(json!({ "sqlite": "keys.db", "max_memory": "2MiB" })).max_memory,
            2 * 1024 * 1024
        );
    }),
];

const LOCAL: &str = "postgres://portcullis@localhost/keys";
const REMOTE: &str = "postgres://portcullis:hunter2hunter2@db.example.com/keys";

fn with(mut one: Value, other: Value) -> Value {
    let more = other.as_object().unwrap().clone();
    one.as_object_mut().unwrap().extend(more);
    one
}

fn document(more: &Value) -> portcullis::Loaded {
    let document = json!({
        "listeners": [{ "bind": "127.0.0.1:3000" }],
        "security": { "authentication": { "type": "api_key" } },
        "routes": [{ "path": "/a", "upstream": "http://127.0.0.1:8080" }],
    });
    load(&with(document, more.clone()).to_string())
}

fn settings(keys: Value) -> Settings {
    let loaded = document(&json!({ "store": { "keys": keys } }));
    let text = loaded.text(Style::Plain);
    loaded.into_blueprint().unwrap_or_else(|_| panic!("{text}")).key_store.unwrap()
}

fn postgres(postgres: Value) -> Value {
    json!({ "postgres": postgres, "peppers": [{ "env": "PEPPER" }] })
}

fn protection(of: Value) -> Protection {
    let Place::Postgres(postgres) = settings(postgres(of)).place else { panic!("a server") };
    postgres.protection().unwrap()
}

fn peppers(peppers: Value) -> Peppers {
    let PepperSource::Given(given) = settings(json!({ "sqlite": "keys.db", "peppers": peppers })).peppers
    else {
        panic!()
    };
    Peppers::new(&given).unwrap()
}

/// RFC 4231, section 4.3.
fn hashes_as(pepper: Value) {
    let (_, hash) = peppers(json!([pepper])).hash(b"what do ya want for nothing?").unwrap();
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

#[test]
fn the_pepper_has_one_place_for_each_store() {
    let source = |more: Value| match document(&more).into_blueprint().unwrap().key_store.unwrap().peppers {
        PepperSource::File(path) => path.file_name().unwrap().to_str().unwrap().to_owned(),
        PepperSource::Given(given) => format!("{} given", given.len()),
    };
    let sqlite = json!({ "keys": { "sqlite": "keys.db" } });
    assert_eq!(source(json!({ "store": sqlite })), "keys.db.pepper");
    assert_eq!(source(json!({ "store": sqlite, "state_dir": "state" })), "keys.pepper");
    assert_eq!(source(json!({ "store": sqlite, "key_pepper": { "env": "PEPPER" } })), "1 given");
}

#[test]
fn the_url_of_a_store_is_not_shown() {
    let remote = settings(postgres(json!({ "url": REMOTE })));
    let shown = format!("{remote:?} {} {}", remote.describe(), remote.fingerprint());
    assert!(!shown.contains("hunter2"), "{shown}");
    for wrong in ["postgres://u:hunter2hunter2@", "postgres://u:hunter2hunter2@h:x/d", "hunter2hunter2"] {
        let loaded =
            document(&json!({ "store": { "keys": postgres(json!({ "url": { "literal": wrong } })) } }));
        assert!(loaded.blueprint().is_none(), "{wrong}");
        assert!(!loaded.text(Style::Plain).contains("hunter2"), "{}", loaded.text(Style::Plain));
    }
}

#[test]
fn a_local_name_with_another_address_is_not_local() {
    let of = |url: &str| protection(json!({ "url": url }));
    assert_eq!(of("host=localhost hostaddr=192.0.2.1 user=p dbname=k"), Protection::Tls);
    assert_eq!(of("host=localhost hostaddr=127.0.0.1 user=p dbname=k"), Protection::Local);
    assert_eq!(of("host=localhost,db.example.com user=p dbname=k"), Protection::Tls);
    assert_eq!(of("host=/run/postgresql user=p dbname=k"), Protection::Local);
    assert_eq!(of("postgres://p@localhost/k?sslmode=verify-full"), Protection::Tls);
    // A client that would take either leaves the choice to whoever is on the way.
    assert_eq!(of("postgres://p@db.example.com/k?sslmode=disable"), Protection::Tls);
}
