//! The security requirements of a document: covered by the route's methods, scopes and all, or not loaded.

use super::harness::{Gate, gate, load, request};
use super::network::SigningKey;
use portcullis_core::Code;
use serde_json::{Value, json};

const KEY: (&str, &str) = ("x-api-key", "alice-key-0123456789");

fn document(path: &str, authentication: &Value) -> String {
    json!({
        "listeners": [{ "bind": "127.0.0.1:3000" }],
        "consumers": [{ "name": "alice", "keys": [{ "env": "ALICE_API_KEY" }], "password": { "env": "PASSWORD_HASH" } }],
        "routes": [{
            "path": path,
            "upstream": "http://127.0.0.1:8080",
            "openapi": { "file": "scopes.yaml", "base_path": "/" },
            "security": { "authentication": authentication },
        }],
    })
    .to_string()
}

fn token_method() -> Value {
    json!({ "type": "jwt", "issuer": "https://auth.example.com", "audience": "api" })
}

fn token(scope: &str) -> String {
    format!("Bearer {}", SigningKey::issuers().token(json!({ "scope": scope })))
}

fn refusal(gate: &Gate, path: &str, fields: &[(&str, &str)]) -> Option<Code> {
    gate.send(request("GET", path, fields)).refusal()
}

#[test]
fn scopes_of_an_operation_are_required() {
    let gate = gate(&document("/read", &token_method()));
    let (reads, writes) = (token("orders.read other"), token("orders.write"));
    assert_eq!(refusal(&gate, "/read", &[("authorization", &reads)]), None);
    let denied = gate.send(request("GET", "/read", &[("authorization", &writes)]));
    assert_eq!(denied.refusal(), Some(Code::ScopeMissing));
    assert_eq!(
        denied.headers["www-authenticate"],
        "Bearer error=\"insufficient_scope\", scope=\"orders.read\""
    );
    assert_eq!(refusal(&gate, "/read", &[]), Some(Code::CredentialMissing));
}

#[test]
fn a_key_does_not_stand_in_for_a_token() {
    let any = json!({ "any": [{ "type": "api_key" }, token_method()] });
    let (reads, writes) = (token("orders.read"), token("orders.read orders.write"));
    let write = gate(&document("/write", &any));
    assert_eq!(refusal(&write, "/write", &[KEY]), None, "a key needs no scope here");
    assert_eq!(refusal(&write, "/write", &[("authorization", &writes)]), None);
    assert_eq!(refusal(&write, "/write", &[("authorization", &reads)]), Some(Code::ScopeMissing));
    let only = gate(&document("/token", &any));
    assert_eq!(refusal(&only, "/token", &[("authorization", &reads)]), None);
    assert_eq!(refusal(&only, "/token", &[KEY]), Some(Code::ScopeMissing));
}

#[test]
fn a_document_never_opens_what_the_route_protects() {
    for path in ["/open", "/optional"] {
        let gate = gate(&document(path, &token_method()));
        assert_eq!(refusal(&gate, path, &[]), Some(Code::CredentialMissing), "{path}");
        assert_eq!(refusal(&gate, path, &[("authorization", &token(""))]), None, "{path}");
    }
}

#[test]
fn a_scheme_without_a_counterpart_does_not_load() {
    let key = json!({ "type": "api_key" });
    let both = json!({ "all": [{ "type": "api_key" }, token_method()] });
    let either = json!({ "any": [{ "type": "api_key" }, token_method()] });
    let covered = [
        ("/read", token_method()),
        ("/both", both),
        ("/cookie", json!({ "type": "api_key", "cookie": "key" })),
        ("/basic", json!({ "type": "basic" })),
        ("/open", key.clone()),
    ];
    for (path, authentication) in covered {
        assert!(load(&document(path, &authentication)).blueprint().is_some(), "{path}");
    }
    let uncovered = [
        ("/read", key.clone()),
        ("/write", key.clone()),
        ("/both", either),
        ("/cookie", key.clone()),
        ("/basic", token_method()),
        ("/digest", json!({ "type": "basic" })),
        ("/certificate", key.clone()),
        ("/{*rest}", key),
    ];
    for (path, authentication) in uncovered {
        let loaded = load(&document(path, &authentication));
        assert!(loaded.blueprint().is_none(), "{path}");
        assert!(loaded.json().to_string().contains("config.openapi_security"), "{path}");
    }
}

#[test]
fn a_public_route_has_only_operations_that_are_open() {
    let public = |path: &str| {
        let mut document: Value = serde_json::from_str(&document(path, &json!({}))).unwrap();
        let route = document["routes"][0].as_object_mut().unwrap();
        route.remove("security");
        route.insert("public".into(), json!("a test"));
        document.to_string()
    };
    for (path, loads) in [("/open", true), ("/optional", true), ("/read", false)] {
        assert_eq!(load(&public(path)).blueprint().is_some(), loads, "{path}");
    }
    assert_eq!(refusal(&gate(&public("/optional")), "/optional", &[]), None);
}
