//! What maps, what does not, and that a control is never dropped in silence.

use super::*;
use crate::Loaded;
use portcullis_config::{Context, Style};

fn imported(product: Product, text: &str) -> (Imported, Loaded) {
    let imported = import(product, "theirs", text.as_bytes()).unwrap();
    let loaded = Loaded::yaml("ours.yaml", imported.yaml.clone(), Context::for_file("."));
    (imported, loaded)
}

const KONG: &str = r#"
_format_version: "3.0"
consumers:
  - username: alice
    keyauth_credentials: [{ key: alice-key-0123456789 }]
    acls: [{ group: admin }]
services:
  - name: orders
    url: http://127.0.0.1:8080
    plugins:
      - { name: key-auth, config: { key_names: [x-key], key_in_query: false } }
      - { name: rate-limiting, config: { minute: 60, limit_by: consumer } }
    routes:
      - name: all
        paths: [/orders]
        methods: [GET]
        strip_path: false
        plugins: [{ name: acl, config: { allow: [admin] } }, { name: ip-restriction, config: { deny: [192.0.2.7] } }]
      - name: guarded
        paths: [/guarded]
        strip_path: false
        plugins: [{ name: bot-detection }]
      - name: stripped
        paths: [/stripped]
"#;

#[test]
fn what_maps_in_kong_is_served_with_its_controls() {
    let (found, loaded) = imported(Product::Kong, KONG);
    let blueprint =
        loaded.blueprint().unwrap_or_else(|| panic!("{}\n{}", loaded.text(Style::Plain), found.yaml));
    let served: Vec<_> = blueprint.listing().map(|listed| listed.route.path.clone()).collect();
    assert_eq!(served, ["/orders", "/orders/{*rest}"]);
    for listed in blueprint.listing() {
        let ids: Vec<_> = listed.controls.iter().map(|control| control.id).collect();
        for id in ["authn.api_key", "authz.roles", "screen.addresses", "quota.rate_limit"] {
            assert!(ids.contains(&id), "{id}: {ids:?}");
        }
    }
    assert!(!found.yaml.contains("alice-key-0123456789"), "keys are hashed");
}

#[test]
fn a_control_is_never_dropped_in_silence() {
    let (found, _) = imported(Product::Kong, KONG);
    for path in ["/guarded", "/stripped"] {
        assert!(
            found.left.iter().any(|what| what.starts_with(&format!("route {path} is not served"))),
            "{:?}",
            found.left
        );
        assert!(found.yaml.contains(&format!("# - {{ path: \"{path}\"")), "{}", found.yaml);
    }
    // A plugin that names its route from the outside could be for any of them.
    let outside = format!("{KONG}plugins: [{{ name: request-termination, route: all }}]\n");
    let (found, loaded) = imported(Product::Kong, &outside);
    assert!(loaded.blueprint().is_none_or(|blueprint| blueprint.listing().count() == 0), "{}", found.yaml);
    // Whatever the plugin is called.
    for name in ["hmac-auth", "opa", "request-validator", "my-own"] {
        let text = KONG.replace("name: acl, config: { allow: [admin] }", &format!("name: {name}"));
        let (found, _) = imported(Product::Kong, &text);
        assert!(found.left.iter().any(|what| what.contains(name)), "{name}");
        assert!(found.yaml.contains("# - { path: \"/orders\""), "{}", found.yaml);
    }
}

const KRAKEND: &str = r#"{
  "version": 3,
  "endpoints": [
    { "endpoint": "/orders/{id}", "method": "GET", "input_headers": ["*"], "input_query_strings": ["*"],
      "backend": [{ "host": ["http://127.0.0.1:8080"], "url_pattern": "/orders/{id}" }],
      "extra_config": {
        "auth/validator": { "alg": "RS256", "issuer": "https://issuer.example", "jwk_url": "https://issuer.example/keys", "audience": ["orders"], "roles_key": "roles", "roles": ["user"] },
        "qos/ratelimit/router": { "max_rate": 100, "client_max_rate": 5, "strategy": "ip", "every": "1m" } } },
    { "endpoint": "/two", "backend": [{ "host": ["http://a"], "url_pattern": "/a" }, { "host": ["http://b"], "url_pattern": "/b" }] },
    { "endpoint": "/cel", "backend": [{ "host": ["http://127.0.0.1:1"], "url_pattern": "/cel" }], "extra_config": { "validation/cel": [] } }
  ]
}"#;

#[test]
fn what_maps_in_krakend_is_served_and_the_rest_is_not() {
    let (found, loaded) = imported(Product::Krakend, KRAKEND);
    let blueprint =
        loaded.blueprint().unwrap_or_else(|| panic!("{}\n{}", loaded.text(Style::Plain), found.yaml));
    let listed: Vec<_> = blueprint.listing().collect();
    assert_eq!(listed.len(), 1, "{}", found.yaml);
    let ids: Vec<_> = listed[0].controls.iter().map(|control| control.id).collect();
    assert!(ids.contains(&"authn.jwt") && ids.contains(&"authz.roles"), "{ids:?}");
    assert_eq!(ids.iter().filter(|id| **id == "quota.rate_limit").count(), 2);
    assert!(found.left.iter().any(|what| what.contains("/two is not served")), "{:?}", found.left);
    assert!(found.left.iter().any(|what| what.contains("validation/cel")), "{:?}", found.left);
}

#[test]
fn a_comment_stays_a_comment() {
    let text = KONG.replace(
        "bot-detection",
        "\"x\\n  - { path: /evil, public: a hole, upstream: \\\"http://127.0.0.1:1\\\" }\"",
    );
    let (found, _) = imported(Product::Kong, &text);
    assert!(
        found.yaml.lines().all(|line| !line.trim_start().starts_with("- { path: /evil")),
        "{}",
        found.yaml
    );
    assert!(import(Product::Kong, "x", b"{}").is_err() && import(Product::Krakend, "x", b"[]").is_err());
}
