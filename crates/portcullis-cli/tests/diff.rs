//! `portcullis diff`: what it prints, and how it ends.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use serde_json::Value;
use support::{Scratch, run};

const OLD: &str = "listeners: [{ bind: \"127.0.0.1:3000\" }]\n\
    security: { authentication: { type: api_key }, authorization: { roles_allowed: [admin] } }\n\
    consumers: [{ name: alice, roles: [admin], keys: [alice-key-0123456789abcdef] }]\n\
    routes:\n  - { path: /orders, methods: [GET], upstream: \"http://127.0.0.1:8080\" }\n";

#[test]
fn a_loosened_configuration_is_told_and_fails_where_it_is_asked_for() {
    let scratch = Scratch::new("diff");
    let old = scratch.file("old.yaml", OLD);
    let looser = scratch.file("looser.yaml", &OLD.replace("[admin] } }", "[admin, guest] } }"));
    let other = scratch.file("other.yaml", &OLD.replace(":8080", ":8081"));
    let broken = scratch.file("broken.yaml", "listeners: []\n");
    let diff = |arguments: &[&str]| {
        let output = run(&[&["diff"], arguments].concat());
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, text) = diff(&[&old, &looser]);
    assert_eq!(code, 0);
    assert!(text.contains("loosened   route GET /orders: role guest is now enough"), "{text}");
    assert_eq!(diff(&[&old, &looser, "--fail-on", "loosened"]).0, 1);
    assert_eq!(diff(&[&looser, &old, "--fail-on", "loosened"]).0, 0, "that way it is stricter");
    assert_eq!(diff(&[&old, &other, "--fail-on", "loosened"]).0, 0, "nobody can tell");
    assert_eq!(diff(&[&old, &other, "--fail-on", "changed"]).0, 1);
    assert_eq!(diff(&[&old, &old, "--fail-on", "changed"]), (0, "no difference\n".to_owned()));
    assert_eq!(diff(&[&old, &broken]).0, 2);
    assert_eq!(diff(&[&old]).0, 3);
    let (_, markdown) = diff(&[&old, &looser, "--format", "markdown"]);
    assert!(
        markdown.contains("| ⚠️ loosened | route GET /orders | role guest is now enough |"),
        "{markdown}"
    );
    let (_, json) = diff(&[&old, &looser, "--format", "json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["loosened"], &json["changes"][0]["direction"]), (&1.into(), &"loosened".into()));
}
