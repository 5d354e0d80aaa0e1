//! A pattern of another product is no path here; what real interfaces have in their paths is.

use super::harness::{gate, load, request};
use portcullis::Style;
use portcullis_core::Code;
use serde_json::json;

/// A protected route with this path beside an open wildcard.
fn document(path: &str) -> String {
    json!({
        "listeners": [{ "bind": "127.0.0.1:3000" }],
        "consumers": [{ "name": "alice", "roles": ["user"], "keys": [{ "env": "ALICE_API_KEY" }] }],
        "security": { "authentication": { "type": "api_key" } },
        "routes": [
            { "path": path, "upstream": "http://127.0.0.1:8080" },
            { "path": "/{*rest}", "public": "a test", "upstream": "http://127.0.0.1:8080" },
        ],
    })
    .to_string()
}

#[test]
fn patterns_of_other_products_do_not_load() {
    for (path, meant) in [
        ("/admin/*", "did you mean `/admin/{*rest}`?"),
        ("/a/**", "did you mean `/a/{*rest}`?"),
        ("/a/:id", "did you mean `/a/{id}`?"),
        ("/a/.*", "did you mean `/a/{*rest}`?"),
        ("/a/<id>", "did you mean `/a/{id}`?"),
        ("/a/<int:id>/b", "did you mean `/a/{id}/b`?"),
        ("(?i)/a", "did you mean `/a`?"),
        ("/{*rest}?x", "did you mean `/{*rest}`?"),
        ("/a$", "did you mean `/a`?"),
        ("^/a/b", "did you mean `/a/b`?"),
        ("~* ^/a", "did you mean `/a`?"),
        ("/a/{id:int}", "did you mean `/a/{id}`?"),
        ("/a/{proxy+}", "did you mean `/a/{*proxy}`?"),
        ("/a/{rest...}", "did you mean `/a/{*rest}`?"),
        ("/a/[...slug]", "did you mean `/a/{*slug}`?"),
        ("/a/\\d+", "did you mean `/a/{segment}`?"),
        ("/admin*", "write `{name}` for one whole segment"),
        ("/a/%", "no request has this path"),
        ("/a\\{b}", "this is"),
    ] {
        let loaded = load(&document(path));
        let text = loaded.text(Style::Plain);
        assert!(loaded.blueprint().is_none(), "{path} loads");
        assert!(text.contains("config.route_path") && text.contains(meant), "{path}: {text}");
        assert_eq!(loaded.errors(), 1, "{path}: {text}");
    }
}

#[test]
fn what_real_interfaces_have_in_their_paths_is_text() {
    for (path, asked) in [
        ("/items:batch", "/items:batch"),
        ("/@scope/name", "/@scope/name"),
        ("/a+b", "/a+b"),
        ("/c++", "/c%2B%2B"),
        ("/Products(7)/$count", "/Products(7)/$count"),
        ("/$metadata", "/$metadata"),
        ("/~user/x", "/%7Euser/x"),
        ("/a,b", "/a,b"),
        ("/a\\*b", "/a*b"),
        ("/\\:id", "/:id"),
        ("/cost\\$", "/cost$"),
        ("/\\.\\.\\.", "/..."),
    ] {
        let gate = gate(&document(path));
        let answer = gate.send(request("GET", asked, &[]));
        let refused = [Some(Code::CredentialMissing), Some(Code::RouteNotFound)];
        assert!(refused.contains(&answer.refusal()), "{path} protects {asked}");
        gate.send(request("GET", "/elsewhere", &[])).permitted();
    }
}
