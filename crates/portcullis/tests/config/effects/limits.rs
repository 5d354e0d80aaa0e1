//! What each key under `limits` does.

use super::super::harness::{Gate, gate, get, request};
use super::DocumentRow;
use portcullis_core::Code;
use serde_json::{Value, json};

/// What each key does.
pub(crate) const ROWS: &[DocumentRow] = &[
    ("limits", || target()),
    ("limits.max_target_size", || target()),
    ("limits.max_headers", || {
        // One more is the host.
        let gate = limited(json!({ "max_headers": 2 }));
        gate.send(get(&[("a", "1")])).permitted();
        assert_eq!(gate.send(get(&[("a", "1"), ("b", "1")])).refusal(), Some(Code::HeadTooLarge));
    }),
    ("limits.max_header_size", || {
        let gate = limited(json!({ "max_header_size": 50 }));
        gate.send(get(&[("a", &"v".repeat(49))])).permitted();
        assert_eq!(gate.send(get(&[("a", &"v".repeat(50))])).refusal(), Some(Code::HeadTooLarge));
    }),
    ("limits.max_headers_size", || {
        let gate = limited(json!({ "max_headers_size": 60 }));
        gate.send(get(&[("a", &"v".repeat(60 - 1 - "hostapi.example.com".len()))])).permitted();
        let larger = "v".repeat(60 - "hostapi.example.com".len());
        assert_eq!(gate.send(get(&[("a", &larger)])).refusal(), Some(Code::HeadTooLarge));
    }),
    ("limits.max_held_size", || {
        assert_eq!(limited(json!({ "max_held_size": "2MiB" })).plan.max_held_bytes, 2 * 1024 * 1024);
    }),
];

fn limited(limits: Value) -> Gate {
    let document = json!({
        "listeners": [{ "bind": "127.0.0.1:3000" }],
        "limits": limits,
        "routes": [{ "path": "/{*rest}", "public": "a test", "upstream": "http://127.0.0.1:8080" }],
    });
    gate(&document.to_string())
}

fn target() {
    let gate = limited(json!({ "max_target_size": 20 }));
    gate.send(request("GET", "/2345678901234567890", &[])).permitted();
    let longer = gate.send(request("GET", "/23456789012345678901", &[]));
    assert_eq!(longer.refusal(), Some(Code::TargetTooLong));
}
