//! What each key of `tests` does.

use super::super::harness::load;
use super::DocumentRow;
use portcullis::prove::prove;
use serde_json::{Value, json};
use std::time::Duration;

/// What each key does.
pub(crate) const ROWS: &[DocumentRow] = &[
    ("tests", || {
        assert_eq!(results(&json!({ "request": "GET /a", "as": "alice", "expect": "pass" })).len(), 1)
    }),
    ("tests[].name", || {
        let (name, _) = only(&json!({ "name": "mine", "request": "GET /a", "expect": 401 }));
        assert_eq!(name, "mine");
        assert_eq!(only(&json!({ "request": "GET /a", "expect": 401 })).0, "GET /a");
    }),
    ("tests[].request", || {
        holds(
            &json!({ "request": "curl https://a/a -H 'x-api-key: alice-key-0123456789'", "expect": "pass" }),
        );
        fails(&json!({ "request": "GET /nowhere", "as": "alice", "expect": "pass" }));
    }),
    ("tests[].request.path", || holds(&json!({ "request": { "path": "/nowhere" }, "expect": 404 }))),
    ("tests[].request.method", || {
        holds(&json!({ "request": { "method": "DELETE", "path": "/a" }, "expect": 405 }));
    }),
    ("tests[].request.host", || {
        holds(&json!({ "request": { "path": "/a", "host": "a b" }, "expect": 400 }));
    }),
    ("tests[].request.headers", || {
        let key = json!({ "x-api-key": "alice-key-0123456789" });
        holds(&json!({ "request": { "path": "/a", "headers": key }, "expect": "pass" }));
    }),
    ("tests[].request.body", || {
        let request = json!({ "method": "POST", "path": "/a", "body": "more than ten bytes" });
        holds(&json!({ "request": request, "as": "alice", "expect": 413 }));
    }),
    ("tests[].request.client", || {
        holds(
            &json!({ "request": { "path": "/a", "client": "198.51.100.9" }, "expect": { "code": "address_refused" } }),
        );
    }),
    ("tests[].sender", || {
        holds(&json!({ "request": "GET /a", "sender": "alice", "expect": "pass" }));
        holds(&json!({ "request": "GET /a", "as": "root", "expect": 403 }));
        fails(&json!({ "request": "GET /a", "as": "nobody", "expect": "pass" }));
    }),
    ("tests[].sender.consumer", || {
        holds(&json!({ "request": "GET /a", "as": { "consumer": "alice" }, "expect": "pass" }));
    }),
    ("tests[].sender.subject", || {
        let headers = json!({ "upstream_headers": { "x-consumer-name": "carol" } });
        holds(
            &json!({ "request": "GET /t", "as": { "subject": "carol", "roles": ["admin"] }, "expect": headers }),
        );
    }),
    ("tests[].sender.roles", || {
        holds(&json!({ "request": "GET /t", "as": { "roles": ["admin"] }, "expect": "pass" }));
        holds(
            &json!({ "request": "GET /t", "as": { "roles": ["user"] }, "expect": { "code": "role_missing" } }),
        );
    }),
    ("tests[].sender.scopes", || {
        let sender = json!({ "roles": ["admin"], "scopes": ["read"] });
        let headers = json!({ "upstream_headers": { "x-consumer-scopes": "read" } });
        holds(&json!({ "request": "GET /t", "as": sender, "expect": headers }));
    }),
    ("tests[].sender.claims", || {
        let of = |tenant: &str| json!({ "roles": ["admin"], "claims": { "tenant.id": tenant } });
        holds(&json!({ "request": "GET /c", "as": of("7"), "expect": "pass" }));
        holds(&json!({ "request": "GET /c", "as": of("8"), "expect": { "code": "claim_refused" } }));
    }),
    ("tests[].sender.issuer", || {
        let of = |issuer: &str| json!({ "issuer": issuer, "roles": ["admin"] });
        let headers = json!({ "upstream_headers": { "x-consumer-issuer": "https://b.example" } });
        holds(&json!({ "request": "GET /two", "as": of("https://b.example"), "expect": headers }));
        fails(&json!({ "request": "GET /two", "as": of("https://c.example"), "expect": "pass" }));
    }),
    ("tests[].expect", || {
        holds(&json!({ "request": "GET /a", "expect": 401 }));
        fails(&json!({ "request": "GET /a", "expect": "pass" }));
    }),
    ("tests[].expect.status", || {
        holds(&json!({ "request": "GET /a", "expect": { "status": 401 } }));
        fails(&json!({ "request": "GET /a", "expect": { "status": 403 } }));
    }),
    ("tests[].expect.code", || {
        holds(&json!({ "request": "GET /a", "expect": { "code": "credential_missing" } }));
        fails(&json!({ "request": "GET /a", "expect": { "code": "role_missing" } }));
    }),
    ("tests[].expect.check", || {
        holds(&json!({ "request": "GET /a", "as": "root", "expect": { "check": "authz.roles" } }));
        fails(&json!({ "request": "GET /a", "as": "root", "expect": { "check": "authz.scopes" } }));
    }),
    ("tests[].expect.reason", || {
        holds(&json!({ "request": "GET /a", "as": "root", "expect": { "reason": "none of user" } }));
        fails(&json!({ "request": "GET /a", "as": "root", "expect": { "reason": "too late" } }));
    }),
    ("tests[].expect.upstream_headers", || {
        let named = |name: &str| json!({ "upstream_headers": { "x-consumer-name": name } });
        holds(&json!({ "request": "GET /a", "as": "alice", "expect": named("alice") }));
        fails(&json!({ "request": "GET /a", "as": "alice", "expect": named("bob") }));
    }),
    ("tests[].expect.upstream_without", || {
        holds(
            &json!({ "request": "GET /a", "as": "alice", "expect": { "upstream_without": ["x-api-key"] } }),
        );
        fails(
            &json!({ "request": "GET /a", "as": "alice", "expect": { "upstream_without": ["x-consumer-name"] } }),
        );
    }),
];

/// The faults of each test of a document, by its name.
fn results(test: &Value) -> Vec<(String, Vec<String>)> {
    let jwt =
        |issuer: &str| json!({ "type": "jwt", "issuer": issuer, "jwks_file": "keys.json", "audience": "a" });
    let token = json!({ "authentication": jwt("https://a.example"), "authorization": { "roles_allowed": ["admin"] } });
    let mut claimed = token.clone();
    claimed["authorization"] = json!({ "claims_required": { "tenant.id": 7 } });
    let mut two = token.clone();
    two["authentication"] = json!({ "any": [jwt("https://a.example"), jwt("https://b.example")] });
    let upstream = "http://127.0.0.1:8080";
    let document = json!({
        "listeners": [{ "bind": "127.0.0.1:3000" }],
        "security": {
            "addresses": { "deny": ["198.51.100.0/24"] },
            "authentication": { "type": "api_key" },
            "authorization": { "roles_allowed": ["user"] },
            "body": { "max_size": 10 },
        },
        "consumers": [
            { "name": "alice", "roles": ["user"], "keys": [{ "env": "ALICE_API_KEY" }] },
            { "name": "root", "roles": ["admin"], "keys": [{ "env": "ADMIN_API_KEY" }] },
        ],
        "routes": [
            { "path": "/a", "methods": ["GET", "POST"], "upstream": upstream },
            { "path": "/t", "methods": ["GET"], "upstream": upstream, "security": token },
            { "path": "/c", "methods": ["GET"], "upstream": upstream, "security": claimed },
            { "path": "/two", "methods": ["GET"], "upstream": upstream, "security": two },
        ],
        "tests": [test],
    });
    let loaded = load(&document.to_string());
    let report = prove(&loaded, Duration::ZERO);
    let report = report.unwrap_or_else(|| panic!("{}", loaded.text(portcullis::Style::Plain)));
    report.written.into_iter().map(|result| (result.name, result.faults)).collect()
}

fn only(test: &Value) -> (String, Vec<String>) {
    results(test).pop().unwrap()
}

fn holds(test: &Value) {
    assert_eq!(only(test).1, Vec::<String>::new(), "{test}");
}

fn fails(test: &Value) {
    assert_ne!(only(test).1, Vec::<String>::new(), "{test}");
}
