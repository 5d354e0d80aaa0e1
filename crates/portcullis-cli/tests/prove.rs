//! `portcullis test` and `portcullis explain`: what they print, and how they end.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use serde_json::Value;
use std::sync::atomic::{AtomicUsize, Ordering};
use support::{Scratch, run};

const GATEWAY: &str = "\
listeners: [{ bind: \"127.0.0.1:3000\" }]
security:
  authentication: { type: api_key }
  authorization: { roles_allowed: [user] }
  rate_limiting: { max_requests: 100, per: minute }
consumers:
  - { name: alice, roles: [user], keys: [alice-key-0123456789] }
routes:
  - { path: \"/orders/{id}\", methods: [GET], upstream: \"http://127.0.0.1:8080\" }
";

fn scratch() -> Scratch {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    Scratch::new(&format!("prove-{}", NUMBER.fetch_add(1, Ordering::Relaxed)))
}

fn portcullis(arguments: &[&str]) -> (i32, String, String) {
    let output = run(arguments);
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_configuration_that_keeps_what_it_says_passes() {
    let scratch = scratch();
    let tests = "tests:\n  - { request: GET /orders/7, as: alice, expect: pass }\n  - { request: GET /orders/7, expect: 401 }\n";
    let file = scratch.file("gateway.yaml", &format!("{GATEWAY}{tests}"));
    let report = scratch.file("report.xml", "");
    let (code, text, _) = portcullis(&["test", &file, "--junit", &report]);
    assert_eq!(code, 0, "{text}");
    for part in
        ["GET /orders/{id}", "no credential          refused by authn.api_key", "path trick", "passed: "]
    {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let junit = std::fs::read_to_string(&report).unwrap();
    assert!(
        junit.starts_with("<?xml") && junit.contains("failures=\"0\"") && junit.contains("wrong role"),
        "{junit}"
    );
    let (_, text, _) = portcullis(&["test", &file, "--json"]);
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["passed"], true);
    assert!(document["targets"][0]["attacks"].as_array().unwrap().len() > 20);
}

#[test]
fn a_test_that_fails_and_a_file_that_does_not_load_end_differently() {
    let scratch = scratch();
    let wrong = scratch
        .file("wrong.yaml", &format!("{GATEWAY}tests: [{{ request: GET /orders/7, expect: pass }}]\n"));
    let (code, text, _) = portcullis(&["test", &wrong]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("FAILED") && text.contains("wrong.yaml:10"), "{text}");
    let broken = scratch.file("broken.yaml", "listeners: []\n");
    assert_eq!(portcullis(&["test", &broken]).0, 2);
    assert_eq!(portcullis(&["test"]).0, 3);
}

#[test]
fn a_decision_is_explained_with_the_line_that_makes_it() {
    let scratch = scratch();
    let file = scratch.file("gateway.yaml", GATEWAY);
    let explain = |command: &str| portcullis(&["explain", &file, command]);
    let (code, text, _) =
        explain("curl -H 'x-api-key: alice-key-0123456789' https://api.example.com/orders/7");
    assert_eq!(code, 0);
    for part in [
        "forwarded to http://127.0.0.1:8080",
        "authn.api_key knows who it is",
        "gateway.yaml:3",
        "x-consumer-name: alice",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert!(!text.contains("alice-key"), "the key must not be shown:\n{text}");
    let (code, text, _) = explain("curl https://api.example.com/orders/7");
    assert_eq!(code, 0);
    assert!(text.contains("refused with 401 credential_missing"), "{text}");
    let (code, _, problem) = explain("curl http://a http://b");
    assert_eq!((code, problem.contains("several URLs")), (3, true), "{problem}");
    let (_, text, _) = portcullis(&["explain", &file, "curl http://a/orders/7", "--json"]);
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["decision"], "refused");
    assert_eq!(document["place"]["line"], 3);
}

#[test]
fn archives_and_logs_are_explained() {
    let scratch = scratch();
    let file = scratch.file("gateway.yaml", GATEWAY);
    let har = r#"{"log":{"entries":[{"request":{"method":"GET","url":"https://a/orders/7","headers":[{"name":"x-api-key","value":"alice-key-0123456789"}]}}]}}"#;
    let har = scratch.file("a.har", har);
    let (code, text, _) = portcullis(&["explain", &file, "--har", &har]);
    assert_eq!(code, 0);
    assert!(text.contains("forwarded"), "{text}");
    let line = r#"{"time":"2026-11-27T12:00:00Z","request_id":"abc","peer":"192.0.2.7:5","client":"192.0.2.7","method":"GET","host":"a","path":"/orders/7","outcome":"refused","denied":{"code":"credential_unknown","check":"authn.api_key","detail":"nobody has this key"}}"#;
    let log = scratch.file("access.log", &format!("{line}\n"));
    let (code, text, _) = portcullis(&["explain", &file, "--log", &log, "--id", "abc"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("it was refused then: credential_unknown by authn.api_key"), "{text}");
    assert_eq!(portcullis(&["explain", &file, "--log", &log, "--id", "other"]).0, 3);
}

#[test]
fn a_reload_that_fails_its_tests_changes_nothing() {
    let scratch = scratch();
    let text = GATEWAY.replace("127.0.0.1:3000", "127.0.0.1:0");
    let file = scratch.file("gateway.yaml", &text);
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_portcullis"));
    let process = support::Process::start(command.args(["run", &file]), "is listening on");
    let address =
        process.said.lines().find_map(|line| line.split("http://").nth(1)).unwrap().trim().to_owned();
    let asked = || {
        let output = std::process::Command::new("curl")
            .args(["-s", "-o", "/dev/null", "-w", "%{http_code}", &format!("http://{address}/orders/7")])
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(asked(), "401");
    // The route becomes public, and a test says that it must not be.
    let open = text.replace("methods: [GET]", "methods: [GET], public: by mistake");
    let open = open.replace("security:\n", "tests: [{ request: GET /orders/7, expect: 401 }]\nsecurity:\n");
    scratch.file("gateway.yaml", &open);
    support::signal(process.id(), "HUP");
    std::thread::sleep(std::time::Duration::from_millis(1500));
    assert_eq!(asked(), "401");
    assert_eq!(process.stop(), Some(0));
}

#[test]
fn nobody_else_is_probed() {
    let scratch = scratch();
    let file = scratch.file("gateway.yaml", GATEWAY);
    // An address that is set apart for documents: nothing is sent there.
    let (code, _, problem) = portcullis(&["probe", "http://192.0.2.1:80", "--config", &file]);
    assert_eq!(code, 4);
    assert!(problem.contains("--i-own 192.0.2.1"), "{problem}");
}

#[test]
fn a_probe_finds_a_route_that_is_open() {
    let scratch = scratch();
    let text = GATEWAY.replace("127.0.0.1:3000", "127.0.0.1:0");
    let claimed = scratch.file("gateway.yaml", &text);
    let probed = |running: &str| {
        let file = scratch.file("running.yaml", running);
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_portcullis"));
        let process = support::Process::start(command.args(["run", &file]), "is listening on");
        let url =
            process.said.lines().find_map(|line| line.split("http://").nth(1)).unwrap().trim().to_owned();
        let result = portcullis(&["probe", &format!("http://{url}"), "--config", &claimed]);
        assert_eq!(process.stop(), Some(0));
        result
    };
    let (code, text_of_good, problem) = probed(&text);
    assert_eq!(code, 0, "{text_of_good}{problem}");
    assert!(text_of_good.contains("refused by 401"), "{text_of_good}");
    // The same, but for a route that somebody opened: nothing is behind it, so the gateway answers 502.
    let open = text.replace("methods: [GET]", "methods: [GET], public: by mistake");
    let (code, text_of_open, _) = probed(&open);
    assert_eq!(code, 1, "{text_of_open}");
    assert!(text_of_open.contains("HOLE"), "{text_of_open}");
}

/// What honest configurations say, and once failed: plans and quotas below a route's limit, quotas by the calendar, signatures that
/// go on to the upstream, hosts with a wildcard, and routes that are chosen by a header.
const HONEST: &str = "\
listeners: [{ bind: \"127.0.0.1:3000\" }]
plans:
  free: { rate_limiting: { max_requests: 6, per: minute }, quota: { max_requests: 10, per: day } }
consumers:
  - { name: alice, plan: free, keys: [alice-key-0123456789] }
security:
  authentication: { type: api_key }
  concurrency: { max_requests: 2 }
  quota: { max_requests: 100, per: month }
  rate_limiting: { max_requests: 9, per: second, by: address }
routes:
  - { path: /a, methods: [GET], upstream: \"http://127.0.0.1:8080\" }
  - { path: /b, hosts: [\"*.example.com\"], methods: [GET], upstream: \"http://127.0.0.1:8080\" }
  - { path: /c, methods: [GET], match: { headers: { x-version: \"2\" } }, upstream: \"http://127.0.0.1:8081\" }
  - { path: /c, methods: [GET], upstream: \"http://127.0.0.1:8080\" }
  - path: /hook
    methods: [POST]
    upstream: http://127.0.0.1:8080
    security: { authentication: { type: signature, signed_by: github, secret: a-secret-of-a-hook-0123456789 } }
";

#[test]
fn honest_configurations_are_proven_and_pass() {
    let scratch = scratch();
    let file = scratch.file("gateway.yaml", HONEST);
    let (code, text, told) = portcullis(&["test", &file]);
    assert_eq!(code, 0, "{text}{told}");
    assert!(!text.contains("not provable") && !text.contains("not proven"), "{text}");
}
