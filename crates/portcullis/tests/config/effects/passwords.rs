//! What each key does that is about names and passwords.

use super::super::harness::{Gate, gate, get};
use super::{DocumentRow, SecurityRow};
use base64ct::{Base64, Encoding};
use portcullis_core::Code;
use serde_json::{Value, json};

/// What each key of the method does.
pub(crate) const ROWS: &[SecurityRow] = &[
    ("security.authentication.realm", |place| {
        let gate = place.gate(json!({ "authentication": { "type": "basic", "realm": "orders" } }));
        let answer = gate.send(get(&[]));
        assert_eq!(answer.refusal(), Some(Code::CredentialMissing));
        assert_eq!(answer.headers["www-authenticate"], "Basic realm=\"orders\", charset=\"UTF-8\"");
    }),
    ("security.authentication.cached_for", |place| {
        let with = |seconds: &str| {
            let method = json!({ "type": "basic", "cached_for": seconds });
            let mut document = place.document(json!({ "authentication": method }));
            document["consumers"][0]["password"] = json!({ "env": "PASSWORD_HASH" });
            gate(&document.to_string())
        };
        for (time, later, verified) in [("10s", 9, 1), ("10s", 10, 2), ("0s", 0, 2)] {
            let gate = with(time);
            gate.send(get(&[("authorization", &basic("alice", "open sesame"))])).permitted();
            gate.clock.advance(later);
            gate.send(get(&[("authorization", &basic("alice", "open sesame"))])).permitted();
            assert_eq!(gate.network.verified().len(), verified, "{time} {later}");
        }
    }),
];

/// What each key of a consumer does.
pub(crate) const CONSUMER_ROWS: &[DocumentRow] = &[
    ("consumers[].password", || opens(json!({ "env": "PASSWORD_HASH" }))),
    ("consumers[].password.env", || opens(json!({ "env": "PASSWORD_HASH" }))),
    ("consumers[].password.file", || opens(json!({ "file": "password.txt" }))),
    ("consumers[].password.hash", || opens(json!({ "hash": include_str!("../files/password.txt").trim() }))),
];

fn opens(password: Value) {
    let gate = of_alice(password);
    let answer = gate.send(get(&[("authorization", &basic("alice", "open sesame"))]));
    assert_eq!(answer.permitted().headers["x-consumer-name"], "alice");
    assert!(answer.permitted().headers.get("authorization").is_none());
    for wrong in [basic("alice", "open sesamE"), basic("Alice", "open sesame"), basic("bob", "open sesame")] {
        let answer = gate.send(get(&[("authorization", &wrong)]));
        assert_eq!(answer.refusal(), Some(Code::CredentialUnknown));
    }
}

fn of_alice(password: Value) -> Gate {
    gate(
        &json!({
            "listeners": [{ "bind": "127.0.0.1:3000" }],
            "security": { "authentication": { "type": "basic" } },
            "consumers": [{ "name": "alice", "password": password }, { "name": "bob" }],
            "routes": [{ "path": "/a", "upstream": "http://127.0.0.1:8080" }],
        })
        .to_string(),
    )
}

fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", Base64::encode_string(format!("{name}:{password}").as_bytes()))
}
