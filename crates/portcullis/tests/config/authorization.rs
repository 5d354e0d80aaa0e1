//! Whether the principal may: what is absent, of another type, or cannot be evaluated, refuses.

use super::harness::{Gate, gate, request};
use super::network::{ISSUER, SigningKey};
use portcullis_core::Code;
use serde_json::{Value, json};

/// A gateway that lets those through to `path` who may by this; they have an API key or a token.
fn may(path: &str, authorization: Value) -> Gate {
    let document = json!({
        "listeners": [{ "bind": "127.0.0.1:3000" }],
        "security": {
            "authentication": { "any": [
                { "type": "api_key" },
                { "type": "jwt", "issuer": ISSUER, "audience": "api" },
            ] },
            "authorization": authorization,
        },
        "consumers": [{ "name": "alice", "roles": ["user"], "scopes": ["read"], "keys": [{ "env": "ALICE_API_KEY" }] }],
        "routes": [{ "path": path, "upstream": "http://127.0.0.1:8080" }],
    });
    gate(&document.to_string())
}

/// What becomes of a GET of `target` with a token that has these claims.
fn by_token(gate: &Gate, target: &str, claims: Value) -> Option<Code> {
    let token = format!("Bearer {}", SigningKey::issuers().token(claims));
    gate.send(request("GET", target, &[("authorization", &token)])).refusal()
}

/// What becomes of it with alice's key.
fn by_key(gate: &Gate, target: &str) -> Option<Code> {
    gate.send(request("GET", target, &[("x-api-key", "alice-key-0123456789")])).refusal()
}

#[test]
fn an_object_belongs_to_its_owner() {
    let own = may("/users/{id}", json!({ "path_parameters_equal": { "id": "sub" } }));
    let refused = Some(Code::NotOwner);
    for (target, subject, expected) in [
        ("/users/alice", json!("alice"), None),
        ("/users/%61lice", json!("alice"), None),
        ("/users/bob", json!("alice"), refused),
        ("/users/alic", json!("alice"), refused),
        ("/users/alice%20", json!("alice"), refused),
        ("/users/ALICE", json!("alice"), refused),
        ("/users/a%C3%A9", json!("a\u{e9}"), None),
        ("/users/a%C3%A9", json!("ae\u{301}"), refused),
    ] {
        assert_eq!(by_token(&own, target, json!({ "sub": subject })), expected, "{target} {subject}");
    }
    assert_eq!(by_key(&own, "/users/alice"), None, "a consumer's sub is its name");
    assert_eq!(by_key(&own, "/users/bob"), refused);

    let tenant = may("/tenants/{id}/{*rest}", json!({ "path_parameters_equal": { "id": "tenant.id" } }));
    for (claims, expected) in [
        (json!({ "tenant": { "id": "7" } }), None),
        (json!({ "tenant": { "id": 7 } }), None),
        (json!({ "tenant": { "id": 7.0 } }), refused),
        (json!({ "tenant": { "id": ["7"] } }), refused),
        (json!({ "tenant": { "id": true } }), refused),
        (json!({ "tenant": { "id": null } }), refused),
        (json!({ "tenant": "7" }), refused),
        (json!({}), refused),
    ] {
        assert_eq!(by_token(&tenant, "/tenants/7/orders/1", claims.clone()), expected, "{claims}");
    }
    assert_eq!(by_key(&tenant, "/tenants/alice/orders"), refused, "a consumer has no other claim");
}

#[test]
fn a_claim_is_compared_with_its_type() {
    let gate =
        may("/a", json!({ "claims_required": { "level": [3, "high"], "groups": "staff", "ok": true } }));
    let refused = Some(Code::ClaimRefused);
    let claims =
        |level: Value, groups: Value, ok: Value| json!({ "level": level, "groups": groups, "ok": ok });
    for (claims, expected) in [
        (claims(json!(3), json!("staff"), json!(true)), None),
        (claims(json!("high"), json!(["guests", "staff"]), json!(true)), None),
        (claims(json!("3"), json!("staff"), json!(true)), refused),
        (claims(json!(3.5), json!("staff"), json!(true)), refused),
        (claims(json!(3), json!("staff guests"), json!(true)), refused),
        (claims(json!(3), json!([["staff"]]), json!(true)), refused),
        (claims(json!(3), json!({ "staff": true }), json!(true)), refused),
        (claims(json!(3), json!("staff"), json!("true")), refused),
        (claims(json!(3), json!("staff"), json!(1)), refused),
        (json!({ "level": 3, "groups": "staff" }), refused),
    ] {
        assert_eq!(by_token(&gate, "/a", claims.clone()), expected, "{claims}");
    }
    assert_eq!(by_key(&gate, "/a"), refused, "no issuer speaks of a consumer");
}

#[test]
fn a_condition_sees_the_request_and_the_principal() {
    for (condition, expected) in [
        ("request.method == 'GET' && request.path == '/things/1' && request.host == 'api.example.com'", None),
        ("request.parameters.id == '1'", None),
        ("request.client == '192.0.2.1'", None),
        ("principal.name == 'alice' && principal.issuer == 'https://auth.example.com'", None),
        ("'user' in principal.roles && principal.scopes.exists(scope, scope == 'read')", None),
        ("claims.level >= 3 && claims.tenant.id in ['a', 'b']", None),
        ("claims.level > 3", Some(Code::ExpressionRefused)),
        ("principal.roles.size() == 0", Some(Code::ExpressionRefused)),
    ] {
        let gate = may("/things/{id}", json!({ "condition": condition }));
        let claims = json!({ "scope": "read", "level": 3, "tenant": { "id": "a" } });
        assert_eq!(by_token(&gate, "/things/1", claims), expected, "{condition}");
    }
}

#[test]
fn a_condition_that_fails_refuses() {
    for condition in [
        "claims.absent == 1",
        "!(claims.absent == 1)",
        "claims.level / 0 == 1",
        "claims.level % 0 != 1",
        "claims.level == 'three' || claims.absent",
        "claims.level",
        "claims.name",
        "claims.nothing",
        "claims.name < 5",
        "int(claims.name) != 5",
        "claims.list[7] != 1",
        "claims.level.matches('a')",
        "principal.client != 'app'",
        "request.parameters.other != '1'",
    ] {
        let document = may("/things/{id}", json!({ "condition": condition }));
        let claims = json!({ "level": 3, "name": "alice", "nothing": null, "list": [1] });
        assert_eq!(by_token(&document, "/things/1", claims), Some(Code::ExpressionRefused), "{condition}");
    }
    // What an issuer says is not there where no issuer speaks.
    let gate = may("/things/{id}", json!({ "condition": "claims.level != 3" }));
    assert_eq!(by_key(&gate, "/things/1"), Some(Code::ExpressionRefused));
}

#[test]
fn scopes_are_compared_byte_by_byte() {
    let gate = may("/a", json!({ "scopes_required": ["read"] }));
    let refused = Some(Code::ScopeMissing);
    for (scope, expected) in [
        (json!("read"), None),
        (json!("write read"), None),
        (json!(["read"]), None),
        (json!("Read"), refused),
        (json!("reader"), refused),
        (json!("read,write"), refused),
        (json!("\tread"), refused),
        (json!(["read write"]), refused),
        (json!([["read"]]), refused),
        (json!({ "read": true }), refused),
        (json!(""), refused),
    ] {
        assert_eq!(by_token(&gate, "/a", json!({ "scope": scope })), expected, "{scope}");
    }
    assert_eq!(by_key(&gate, "/a"), None, "a consumer has the scopes that the configuration gives it");
}
