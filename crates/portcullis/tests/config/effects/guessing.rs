//! What each key does that is about guessing credentials.

use super::super::harness::{Gate, gate, get};
use super::DocumentRow;
use portcullis_core::Code;
use serde_json::{Value, json};

/// What each key does.
pub(crate) const ROWS: &[DocumentRow] = &[
    ("brute_force", || assert_eq!(waits(&json!({ "free_failures": 0 })), [1, 2, 4])),
    ("brute_force.mode", || {
        assert!(waits(&json!({ "mode": "off", "free_failures": 0 })).is_empty());
        let gate = with(&json!({ "mode": "observe", "free_failures": 0 }));
        assert_eq!(guess(&gate).refusal(), Some(Code::CredentialUnknown));
        let answer = guess(&gate);
        assert_eq!(answer.refusal(), Some(Code::CredentialUnknown));
        assert_eq!(answer.observed, [Code::TooManyFailures]);
        let answer = gate.send(get(&[ALICE]));
        answer.permitted();
        assert_eq!(answer.observed, [Code::TooManyFailures], "a good one that was not seen before");
    }),
    ("brute_force.free_failures", || {
        let gate = with(&json!({ "free_failures": 3 }));
        for _ in 0..4 {
            assert_eq!(guess(&gate).refusal(), Some(Code::CredentialUnknown));
        }
        assert_eq!(guess(&gate).refusal(), Some(Code::TooManyFailures));
    }),
    ("brute_force.first_wait", || {
        assert_eq!(waits(&json!({ "free_failures": 0, "first_wait": "7s" })), [7, 14, 28]);
    }),
    ("brute_force.longest_wait", || {
        assert_eq!(waits(&json!({ "free_failures": 0, "longest_wait": "3s" })), [1, 2, 3]);
    }),
];

const ALICE: (&str, &str) = ("x-api-key", "alice-key-0123456789");

fn with(brute_force: &Value) -> Gate {
    gate(
        &json!({
            "listeners": [{ "bind": "127.0.0.1:3000" }],
            "security": { "authentication": { "type": "api_key" } },
            "brute_force": brute_force,
            "consumers": [{ "name": "alice", "keys": [{ "env": "ALICE_API_KEY" }] }],
            "routes": [{ "path": "/a", "upstream": "http://127.0.0.1:8080" }],
        })
        .to_string(),
    )
}

fn guess(gate: &Gate) -> super::super::harness::Answer {
    gate.send(get(&[("x-api-key", "guess-key-0123456789")]))
}

/// How long the client must wait after the first, second and third wrong key; nothing where it need not.
fn waits(brute_force: &Value) -> Vec<u64> {
    let gate = with(brute_force);
    let mut waits = Vec::new();
    for _ in 0..3 {
        assert_eq!(guess(&gate).refusal(), Some(Code::CredentialUnknown));
        let answer = guess(&gate);
        if answer.refusal() == Some(Code::TooManyFailures) {
            let wait = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
            waits.push(wait);
            gate.clock.advance(wait);
        }
    }
    waits
}
