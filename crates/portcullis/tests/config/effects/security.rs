//! What each key under `security` does.

use super::super::harness::{Answer, Gate, START, get, request};
use super::{Place, SecurityRow};
use portcullis_core::Code;
use serde_json::{Value, json};

const ALICE: (&str, &str) = ("x-api-key", "alice-key-0123456789");
const ADMIN: (&str, &str) = ("x-api-key", "admin-key-0123456789");

/// What each key does.
pub(crate) const ROWS: &[SecurityRow] = &[
    ("security.addresses", |place| denied_address(place)),
    ("security.addresses.allow", |place| {
        let gate = place.gate(json!({ "addresses": { "allow": ["10.0.0.0/8"] } }));
        gate.send_from("10.1.2.3", get(&[ALICE])).permitted();
        assert_eq!(gate.send(get(&[ALICE])).refusal(), Some(Code::AddressRefused));
    }),
    ("security.addresses.deny", |place| denied_address(place)),
    ("security.addresses.mode", |place| {
        let gate = place.gate(json!({ "addresses": { "deny": ["192.0.2.1"], "mode": "observe" } }));
        assert_eq!(observed(&gate.send(get(&[ALICE]))), [Code::AddressRefused]);
        let gate = place.gate(json!({ "addresses": { "deny": ["192.0.2.1"], "mode": "off" } }));
        assert!(observed(&gate.send(get(&[ALICE]))).is_empty());
        lists(&gate, "screen.addresses off");
    }),
    ("security.authentication", |place| key_in(place, json!({ "type": "api_key" }), "x-api-key")),
    ("security.authentication.type", |place| key_in(place, json!({ "type": "APIKey" }), "x-api-key")),
    ("security.authentication.header", |place| {
        key_in(place, json!({ "type": "api_key", "header": "X-Token" }), "x-token");
        lists(
            &place.gate(json!({ "authentication": { "type": "api_key", "header": "X-Token" } })),
            "authn.api_key enforce an API key in the header field x-token",
        );
    }),
    ("security.authentication.scheme", |place| {
        let gate = place.gate(json!({ "authentication": { "type": "api_key", "scheme": "bearer" } }));
        let answer = gate.send(get(&[("authorization", "bearer alice-key-0123456789")]));
        assert!(!answer.permitted().headers.contains_key("authorization"));
        assert_eq!(gate.send(get(&[ALICE])).refusal(), Some(Code::CredentialMissing));
    }),
    ("security.authentication.query", |place| {
        let gate = place.gate(json!({ "authentication": { "type": "api_key", "query": "key" } }));
        let answer = gate.send(request("GET", "/a?key=alice-key-0123456789&page=2", &[]));
        assert_eq!(answer.permitted().path_and_query.as_str(), "/a?page=2");
        assert_eq!(gate.send(get(&[ALICE])).refusal(), Some(Code::CredentialMissing));
    }),
    ("security.authentication.cookie", |place| {
        let gate = place.gate(json!({ "authentication": { "type": "api_key", "cookie": "key" } }));
        let answer = gate.send(get(&[("cookie", "a=1; key=alice-key-0123456789")]));
        assert_eq!(answer.permitted().headers["cookie"], "a=1");
        assert_eq!(gate.send(get(&[ALICE])).refusal(), Some(Code::CredentialMissing));
    }),
    ("security.authentication.keys", |place| {
        own_key(place, json!("literal-key-0123456789"), "literal-key-0123456789")
    }),
    ("security.authentication.keys[].literal", |place| {
        own_key(place, json!({ "literal": "literal-key-0123456789" }), "literal-key-0123456789");
    }),
    ("security.authentication.keys[].env", |place| {
        own_key(place, json!({ "env": "ADMIN_API_KEY" }), "admin-key-0123456789")
    }),
    ("security.authentication.keys[].file", |place| {
        own_key(place, json!({ "file": "key.txt" }), "file-key-0123456789")
    }),
    ("security.authentication.keys[].hash", |place| {
        let hash = "sha256:5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5";
        own_key(place, json!({ "hash": hash }), "12345");
    }),
    ("security.authentication.keys[].expires", |place| {
        let keys = json!([{ "env": "ALICE_API_KEY", "expires": "2027-01-15T08:00:10Z" }]);
        let authorization = json!({ "roles_allowed": ["user"], "mode": "off" });
        let gate = place.gate(
            json!({ "authentication": { "type": "api_key", "keys": keys }, "authorization": authorization }),
        );
        assert_eq!(START, 1_800_000_000);
        gate.clock.advance(9);
        gate.send(get(&[ALICE])).permitted();
        gate.clock.advance(1);
        assert_eq!(gate.send(get(&[ALICE])).refusal(), Some(Code::CredentialExpired));
    }),
    ("security.authentication.mode", |place| {
        let gate = place.gate(json!({ "authentication": { "type": "api_key", "mode": "observe" }, "authorization": { "roles_allowed": ["user"], "mode": "off" } }));
        assert_eq!(observed(&gate.send(get(&[]))), [Code::CredentialMissing]);
    }),
    ("security.authentication.any", |place| {
        let methods =
            json!([{ "type": "api_key", "header": "x-one" }, { "type": "api_key", "header": "x-two" }]);
        let gate = place.gate(json!({ "authentication": { "any": methods } }));
        gate.send(get(&[("x-one", ALICE.1)])).permitted();
        gate.send(get(&[("x-two", ALICE.1)])).permitted();
        assert_eq!(gate.send(get(&[ALICE])).refusal(), Some(Code::CredentialMissing));
    }),
    ("security.authorization", |place| roles(place)),
    ("security.authorization.roles_allowed", |place| roles(place)),
    ("security.authorization.mode", |place| {
        let gate = place.gate(json!({ "authorization": { "roles_allowed": ["admin"], "mode": "observe" } }));
        assert_eq!(observed(&gate.send(get(&[ALICE]))), [Code::RoleMissing]);
        let gate = place.gate(json!({ "authorization": { "roles_allowed": ["admin"], "mode": "off" } }));
        assert!(observed(&gate.send(get(&[ALICE]))).is_empty());
        lists(&gate, "authz.roles off");
    }),
    ("security.rate_limiting", |place| {
        passes(&place.gate(json!({ "rate_limiting": { "max_requests": 3, "per": "day" } })), 3)
    }),
    ("security.rate_limiting.max_requests", |place| {
        passes(&place.gate(json!({ "rate_limiting": { "max_requests": 2, "per": "day" } })), 2)
    }),
    ("security.rate_limiting.per", |place| {
        for (word, seconds) in [("second", 1), ("minute", 60), ("hour", 3600), ("day", 86_400)] {
            period(place, json!({ "max_requests": 1, "per": word }), seconds);
        }
    }),
    ("security.rate_limiting.per_second", |place| {
        period(place, json!({ "max_requests": 1, "per_second": true }), 1)
    }),
    ("security.rate_limiting.per_minute", |place| {
        period(place, json!({ "max_requests": 1, "per_minute": true }), 60)
    }),
    ("security.rate_limiting.per_hour", |place| {
        period(place, json!({ "max_requests": 1, "per_hour": true }), 3600)
    }),
    ("security.rate_limiting.per_day", |place| {
        period(place, json!({ "max_requests": 1, "per_day": true }), 86_400)
    }),
    ("security.rate_limiting.by", |place| {
        let by =
            |by: &str| place.gate(json!({ "rate_limiting": { "max_requests": 1, "per": "day", "by": by } }));
        let gate = by("consumer");
        gate.send(get(&[ALICE])).permitted();
        gate.send(get(&[ADMIN])).permitted();
        assert_eq!(gate.send_from("192.0.2.2", get(&[ALICE])).refusal(), Some(Code::RateLimited));
        let gate = by("address");
        gate.send(get(&[ALICE])).permitted();
        assert_eq!(gate.send(get(&[ADMIN])).refusal(), Some(Code::RateLimited));
        gate.send_from("192.0.2.2", get(&[ADMIN])).permitted();
        let gate = by("route");
        gate.send(get(&[ALICE])).permitted();
        assert_eq!(gate.send_from("192.0.2.2", get(&[ADMIN])).refusal(), Some(Code::RateLimited));
    }),
    ("security.rate_limiting.by.header", |place| {
        let limit = json!({ "max_requests": 1, "per": "day", "by": { "header": "x-tenant" } });
        let gate = place.gate(json!({ "rate_limiting": limit }));
        gate.send(get(&[ALICE, ("x-tenant", "one")])).permitted();
        gate.send(get(&[ALICE, ("x-tenant", "two")])).permitted();
        assert_eq!(gate.send(get(&[ADMIN, ("x-tenant", "two")])).refusal(), Some(Code::RateLimited));
    }),
    ("security.rate_limiting.burst", |place| {
        passes(&place.gate(json!({ "rate_limiting": { "max_requests": 10, "per": "day", "burst": 2 } })), 2)
    }),
    ("security.rate_limiting.name", |place| {
        let gate = place
            .gate(json!({ "rate_limiting": { "max_requests": 1, "per": "hour", "name": "per-client" } }));
        gate.send(get(&[ALICE])).permitted();
        assert_eq!(gate.send(get(&[ALICE])).headers["ratelimit-policy"], "\"per-client\";q=1;w=3600");
    }),
    ("security.rate_limiting.mode", |place| {
        let limit =
            |mode: &str| json!({ "rate_limiting": { "max_requests": 1, "per": "day", "mode": mode } });
        let gate = place.gate(limit("observe"));
        assert!(observed(&gate.send(get(&[ALICE]))).is_empty());
        assert_eq!(observed(&gate.send(get(&[ALICE]))), [Code::RateLimited]);
        let gate = place.gate(limit("off"));
        gate.send(get(&[ALICE])).permitted();
        assert!(observed(&gate.send(get(&[ALICE]))).is_empty());
        lists(&gate, "quota.rate_limit off");
    }),
    ("security.body", |place| body(place)),
    ("security.body.max_size", |place| body(place)),
];

fn observed(answer: &Answer) -> &[Code] {
    answer.permitted();
    &answer.observed
}

fn lists(gate: &Gate, start: &str) {
    assert!(gate.listing.iter().any(|line| line.starts_with(start)), "{:#?}", gate.listing);
}

fn denied_address(place: Place) {
    let gate = place.gate(json!({ "addresses": { "deny": ["192.0.2.0/28"] } }));
    assert_eq!(gate.send(get(&[ALICE])).refusal(), Some(Code::AddressRefused));
    gate.send_from("192.0.2.16", get(&[ALICE])).permitted();
}

fn key_in(place: Place, authentication: Value, field: &str) {
    let gate = place.gate(json!({ "authentication": authentication }));
    let answer = gate.send(get(&[(field, ALICE.1)]));
    assert!(!answer.permitted().headers.contains_key(field), "a key is not forwarded");
    assert_eq!(gate.send(get(&[("x-somewhere-else", ALICE.1)])).refusal(), Some(Code::CredentialMissing));
    assert_eq!(gate.send(get(&[(field, "nobodys-key")])).refusal(), Some(Code::CredentialUnknown));
}

fn own_key(place: Place, key: Value, sent: &str) {
    let authorization = json!({ "roles_allowed": ["user"], "mode": "off" });
    let gate = place.gate(
        json!({ "authentication": { "type": "api_key", "keys": [key] }, "authorization": authorization }),
    );
    gate.send(get(&[("x-api-key", sent)])).permitted();
    assert_eq!(
        gate.send(get(&[ALICE])).refusal(),
        Some(Code::CredentialUnknown),
        "the consumers' keys are not valid here"
    );
}

fn roles(place: Place) {
    let gate = place.gate(json!({ "authorization": { "roles_allowed": ["admin"] } }));
    gate.send(get(&[ADMIN])).permitted();
    assert_eq!(gate.send(get(&[ALICE])).refusal(), Some(Code::RoleMissing));
}

fn passes(gate: &Gate, requests: u32) {
    for _ in 0..requests {
        gate.send(get(&[ALICE])).permitted();
    }
    assert_eq!(gate.send(get(&[ALICE])).refusal(), Some(Code::RateLimited));
}

fn period(place: Place, limit: Value, seconds: u64) {
    let gate = place.gate(json!({ "rate_limiting": limit }));
    gate.send(get(&[ALICE])).permitted();
    gate.clock.advance(seconds - 1);
    let refused = gate.send(get(&[ALICE]));
    assert_eq!(
        (refused.refusal(), &refused.headers["retry-after"]),
        (Some(Code::RateLimited), &"1".parse().unwrap())
    );
    gate.clock.advance(1);
    gate.send(get(&[ALICE])).permitted();
}

fn body(place: Place) {
    let gate = place.gate(json!({ "body": { "max_size": "10kB" } }));
    gate.send(request("POST", "/a", &[ALICE, ("content-length", "10000")])).permitted();
    assert_eq!(
        gate.send(request("POST", "/a", &[ALICE, ("content-length", "10001")])).refusal(),
        Some(Code::BodyTooLarge)
    );
}
