//! What each key of the admin listener does. What it serves is tested over a running gateway (portcullis-cli/tests/admin.rs).

use super::super::harness::{gate, load};
use super::DocumentRow;
use portcullis::document::Admin;
use portcullis_admin::tokens::{Role, Token};
use serde_json::{Value, json};

const TOKEN: &str = "admin-token-0123456789-0123456789-0123";

/// What each key does.
pub(crate) const ROWS: &[DocumentRow] = &[
    ("admin", || {
        assert!(gate(&document(json!(null)).to_string()).observe.admin.is_none());
        assert!(load(&document(json!({ "bind": "127.0.0.1:9901" })).to_string()).blueprint().is_none());
    }),
    ("admin.bind", || assert_eq!(admin(json!({})).bind.to_string(), "127.0.0.1:9901")),
    ("admin.tokens", || {
        assert_eq!(admin(json!({})).settings.tokens, [Token::new(TOKEN, Role::ReadOnly)]);
        let mut made = document(json!({ "bind": "127.0.0.1:9901" }));
        made["state_dir"] = json!("state");
        let made = gate(&made.to_string()).observe.admin.unwrap();
        assert!(made.settings.tokens.is_empty() && made.made_token.unwrap().ends_with("state/admin.token"));
    }),
    ("admin.tokens[].file", || assert_eq!(admin(json!({})).settings.tokens.len(), 1)),
    ("admin.tokens[].role", || {
        let tokens = json!([{ "file": "admin-token.txt", "role": "operator" }]);
        assert_eq!(admin(json!({ "tokens": tokens })).settings.tokens, [Token::new(TOKEN, Role::Operator)]);
    }),
    ("admin.hosts", || {
        let hosts = admin(json!({ "hosts": ["Gateway.Internal:9901"] })).settings.hosts;
        assert_eq!(hosts, ["gateway.internal:9901"]);
    }),
    ("admin.tls", || assert!(admin(json!({ "tls": pair() })).tls.is_some())),
    ("admin.tls.certificate", || {
        assert!(admin(json!({ "tls": pair() })).tls.unwrap().covers("api.example.com"));
    }),
    ("admin.tls.key", || assert!(admin(json!({ "tls": pair() })).tls.is_some())),
    ("admin.remote_access", || an_admin_listener_for_others_needs_tls()),
    ("admin.insecure_open_metrics", || {
        assert!(!admin(json!({})).settings.open_metrics);
        assert!(admin(json!({ "insecure_open_metrics": "a network of its own" })).settings.open_metrics);
    }),
];

fn document(admin: Value) -> Value {
    let mut document = json!({
        "listeners": [{ "bind": "127.0.0.1:3000" }],
        "routes": [{ "path": "/a", "public": "a test", "upstream": "http://127.0.0.1:8080" }],
    });
    if !admin.is_null() {
        document["admin"] = admin;
    }
    document
}

fn with(more: Value) -> Value {
    let mut admin = json!({ "bind": "127.0.0.1:9901", "tokens": [{ "file": "admin-token.txt" }] });
    admin.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    document(admin)
}

fn admin(more: Value) -> Admin {
    gate(&with(more).to_string()).observe.admin.unwrap()
}

fn pair() -> Value {
    json!({ "certificate": "CERTIFICATES/api.pem", "key": "CERTIFICATES/api.key" })
}

#[test]
fn an_admin_listener_for_others_needs_tls() {
    let loads = |more: Value| load(&with(more).to_string()).blueprint().is_some();
    let everywhere = "0.0.0.0:9901";
    assert!(!loads(json!({ "bind": everywhere })));
    assert!(!loads(json!({ "bind": everywhere, "remote_access": "operators are elsewhere" })));
    assert!(!loads(json!({ "bind": everywhere, "tls": pair() })));
    assert!(loads(json!({ "bind": everywhere, "tls": pair(), "remote_access": "operators are elsewhere" })));
}
