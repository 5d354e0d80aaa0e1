//! `portcullis replay` and `portcullis import`: what they print, and how they end.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use serde_json::Value;
use std::fmt::Write;
use support::{Scratch, run};

const CONFIG: &str = "listeners: [{ bind: \"127.0.0.1:3000\" }]\n\
    security: { authentication: { type: api_key }, authorization: { roles_allowed: [admin] } }\n\
    consumers: [{ name: alice, roles: [user], keys: [alice-key-0123456789abcdef] }]\n\
    routes:\n  - { path: /orders, upstream: \"http://127.0.0.1:8080\" }\n";

#[test]
fn a_log_is_replayed_line_by_line() {
    let scratch = Scratch::new("replay");
    let config = scratch.file("gateway.yaml", CONFIG);
    let mut log =
        String::from("{\"time\":\"2026-11-27T10:00:00Z\",\"about\":\"reload\",\"notice\":\"n\"}\nno line\n");
    for number in 0..1000 {
        let _ = writeln!(
            log,
            "{{\"time\":\"2026-11-27T10:{:02}:00Z\",\"request_id\":\"r{number}\",\"client\":\"192.0.2.1\",\"method\":\"GET\",\"host\":\"a.example\",\"path\":\"/orders\",\"route\":\"/orders\",\"consumer\":\"alice\",\"authenticated_by\":\"authn.api_key\",\"outcome\":\"served\",\"status\":200}}",
            number / 20
        );
    }
    let log = scratch.file("access.log", &log);
    let output = run(&["replay", "--config", &config, &log, "--json"]);
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!((&json["requests"], &json["skipped"]), (&1000.into(), &2.into()));
    assert_eq!(json["newly_refused"]["count"], 1000);
    assert_eq!(json["newly_refused"]["groups"][0]["reason"], "role_missing");
    let text = String::from_utf8(run(&["replay", "--config", &config, &log]).stdout).unwrap();
    assert!(text.contains("1000 newly refused"), "{text}");
    assert_eq!(run(&["replay", "--config", &config, "/nonexistent.log"]).status.code(), Some(4));
    let broken = scratch.file("broken.yaml", "listeners: []\n");
    assert_eq!(run(&["replay", "--config", &broken, &log]).status.code(), Some(2));
}

#[test]
fn what_is_imported_loads_and_what_is_left_is_told() {
    let scratch = Scratch::new("import");
    let kong = "_format_version: \"3.0\"\nservices:\n  - url: http://127.0.0.1:8080\n    plugins: [{ name: key-auth }]\n    routes: [{ paths: [/a], strip_path: false }, { paths: [/b] }]\nconsumers: [{ username: alice, keyauth_credentials: [{ key: alice-key-0123456789 }] }]\n";
    let theirs = scratch.file("kong.yaml", kong);
    let ours = format!("{theirs}.ours");
    let output = run(&["import", "kong", &theirs, "--output", &ours]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("route /b is not served"), "{told}");
    assert_ne!(run(&["check", &ours]).status.code(), Some(2));
    assert_eq!(run(&["import", "kong", &theirs, "--output", &ours]).status.code(), Some(4), "it is there");
    assert_eq!(run(&["import", "kong", "/nonexistent"]).status.code(), Some(2));
    assert_eq!(run(&["import", "nginx", &theirs]).status.code(), Some(3));
}
