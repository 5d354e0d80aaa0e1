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
        ("/cookie", json!({ "any": [{ "type": "api_key", "cookie": "key" }, { "type": "api_key" }] })),
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

#[test]
fn what_is_wrong_with_a_document_is_said_with_its_place_and_the_route_s_line() {
    let text = "listeners: [{ bind: \"127.0.0.1:3000\" }]\nroutes:\n  - path: /a\n    public: a test\n    \
                upstream: http://127.0.0.1:8080\n    openapi: broken.yaml\n";
    let all = load(text).json();
    let error = &all.as_array().unwrap()[0];
    assert_eq!((&error["code"], &error["line"]), (&json!("config.openapi"), &json!(6)));
    let message = error["message"].as_str().unwrap();
    assert!(message.starts_with("broken.yaml#/paths/~1a~1{id}/get (line 5): "), "{message}");
}

#[test]
fn each_inspection_is_inherited_by_itself() {
    let gate = gate(
        &json!({
            "listeners": [{ "bind": "127.0.0.1:3000" }],
            "security": { "graphql": {}, "validation": { "schema": { "type": "object" } } },
            "routes": [{
                "path": "/v1/a",
                "public": "a test",
                "upstream": "http://127.0.0.1:8080",
                "openapi": "a.yaml",
                "security": { "validation": { "schema": { "type": "array" }, "content_types": ["text/json"] } },
            }],
        })
        .to_string(),
    );
    let inspections: Vec<&str> = gate
        .listing
        .iter()
        .filter(|line| line.starts_with("inspect."))
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    assert_eq!(
        inspections,
        ["inspect.body_size", "inspect.graphql", "inspect.validation", "inspect.openapi"]
    );
    assert!(gate.listing.iter().any(|line| line.contains("text/json")), "{:?}", gate.listing);
}

#[test]
fn the_examples_of_the_page_load() {
    let page = include_str!("../../../../docs/openapi.md");
    let blocks: Vec<&str> =
        page.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(blocks.len(), 3);
    let base = "listeners: [{ bind: \"127.0.0.1:3000\" }]\nconsumers: [{ name: alice, keys: [{ env: ALICE_API_KEY }] }]\n";
    let security = "security: { authentication: { type: api_key } }\n";
    let route = "routes: [{ path: \"/{*rest}\", upstream: \"http://127.0.0.1:8080\" }]\n";
    gate(&format!("{base}{security}{}", blocks[0]));
    gate(&format!("{base}{security}{route}{}", blocks[1]));
    gate(&format!("{base}{}  authentication: {{ type: api_key }}\n{route}", blocks[2]));
}

#[test]
fn a_body_that_the_head_does_not_announce_is_judged() {
    let gate = |route: Value| {
        let mut route = route;
        route["public"] = json!("a test");
        route["upstream"] = json!("http://127.0.0.1:8080");
        gate(&json!({ "listeners": [{ "bind": "127.0.0.1:3000" }], "routes": [route] }).to_string())
    };
    let document = gate(json!({ "path": "/v1/a", "openapi": "a.yaml" }));
    document.send(request("GET", "/v1/a", &[])).permitted();
    let undeclared = document.send_body(request("GET", "/v1/a", &[]), "{}");
    assert_eq!(undeclared.refusal(), Some(Code::ContentMalformed));
    let schema =
        gate(json!({ "path": "/a", "security": { "validation": { "schema": { "type": "array" } } } }));
    for method in ["GET", "POST"] {
        let json = [("content-type", "application/json")];
        let invalid = schema.send_body(request(method, "/a", &json), "{}");
        assert_eq!(invalid.refusal(), Some(Code::ContentInvalid), "{method}");
        schema.send_body(request(method, "/a", &json), "[]").permitted();
        let untyped = schema.send_body(request(method, "/a", &[]), "[]");
        assert_eq!(untyped.refusal(), Some(Code::MediaTypeRefused), "{method}");
    }
}

/// A declared field that the gateway removes, or sets anew, is judged as the client sent it, and does not go on.
#[test]
fn a_declared_field_that_the_gateway_removes_is_judged_before() {
    let document = json!({
        "listeners": [{ "bind": "127.0.0.1:3000" }],
        "security": { "identity_token": {
            "issuer": "https://gateway.example.com", "audience": "inside", "header": "X-Internal-Identity",
        } },
        "routes": [{
            "path": "/fields", "public": "a test", "upstream": "http://127.0.0.1:8080",
            "openapi": { "file": "fields.yaml", "base_path": "/" },
        }],
    });
    let gate = gate(&document.to_string());
    let id = ("x-request-id", "0123abcd");
    let answer =
        gate.send(request("GET", "/fields", &[id, ("remote-user", "bob"), ("x-internal-identity", "7")]));
    let headers = &answer.permitted().headers;
    assert_ne!(headers["x-request-id"], "0123abcd");
    assert!(!headers.contains_key("remote-user"));
    assert!(headers.values().all(|value| value != "7"));
    for bad in [
        &[][..],
        &[("x-request-id", "x")],
        &[id, ("x-request-id", "0123abcd")],
        &[id, ("x-forwarded-for", "unknown")],
        &[id, ("remote-user", "alice")],
        &[id, ("x-internal-identity", "seven")],
    ] {
        assert_eq!(refusal(&gate, "/fields", bad), Some(Code::RequestInvalid), "{bad:?}");
    }
}

/// A gateway that searches for a word, in front of a document.
fn searching(mode: &str) -> Gate {
    gate(
        &json!({
            "listeners": [{ "bind": "127.0.0.1:3000" }],
            "security": { "waf": { "rules": ["builtin", { "file": "rules" }] } },
            "routes": [{ "path": "/h", "public": "a test", "upstream": "http://127.0.0.1:8080",
                "openapi": { "file": "harmless.yaml", "base_path": "/", "mode": mode } }],
        })
        .to_string(),
    )
}

fn searched(gate: &Gate, target: &str, media_type: &str, body: &str) -> Option<Code> {
    let fields = [("content-type", media_type), ("content-length", "9")];
    let fields = if body.is_empty() { &[][..] } else { &fields };
    gate.send_body(request("POST", target, fields), body.to_owned()).refusal()
}

#[test]
fn what_a_schema_proves_is_not_searched() {
    let (enforced, observed) = (searching("enforce"), searching("observe"));
    let found = Some(Code::AttackSuspected);
    let (json, form) = ("application/json", "application/x-www-form-urlencoded");
    for (target, media_type, body) in [
        ("/h?kind=forbidden-word", "", ""),
        ("/h?slug=forbidden-word", "", ""),
        ("/h", json, r#"{"kind":"forbidden-word"}"#),
        ("/h", "application/vnd.closed+json", r#"{"in":{"kinds":["forbidden-word"]}}"#),
        ("/h", form, "kind=forbidden-word"),
    ] {
        assert_eq!(searched(&enforced, target, media_type, body), None, "{target} {body}");
        let refused = searched(&observed, target, media_type, body);
        assert_eq!(refused, found, "{target} {body}: what is observed proves nothing");
    }
    for (target, media_type, body) in [
        ("/h?text=forbidden-word", "", ""),
        ("/h?either=forbidden-word", "", ""),
        ("/h", json, r#"{"other":"forbidden-word"}"#),
        ("/h", form, "text=forbidden-word"),
    ] {
        assert_eq!(searched(&enforced, target, media_type, body), found, "{target} {body}");
    }
    // The document refuses another spelling before anything is searched, and proves nothing of it where it only observes.
    let another = r#"{"Kind":"forbidden-word"}"#;
    assert_eq!(searched(&enforced, "/h", json, another), Some(Code::ContentInvalid));
    assert_eq!(searched(&observed, "/h", json, another), found);
}

#[test]
fn a_name_with_a_dot_proves_nothing() {
    let gate = searching("enforce");
    let found = Some(Code::AttackSuspected);
    for body in [r#"{"open.kind":"forbidden-word"}"#, r#"{"open":{"kind":"forbidden-word"}}"#] {
        assert_eq!(searched(&gate, "/h", "application/json", body), found, "{body}");
    }
    let body = r#"{"in.kinds.0":"forbidden-word"}"#;
    assert!(searched(&gate, "/h", "application/vnd.closed+json", body).is_some(), "{body}");
}
