//! `check`, `run` and `schema`, as an operator meets them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use support::{Process, Scratch, curl, portcullis, run};

const GOOD: &str = r#"
listeners: [{ bind: "127.0.0.1:0" }]
security:
  authentication: { type: api_key, header: x-api-key }
  authorization: { roles_allowed: [user] }
  rate_limiting: { max_requests: 100, per: minute }
  addresses: { deny: [203.0.113.0/24], mode: observe }
consumers:
  - { name: alice, roles: [user], keys: [{ env: TEST_KEY_OF_ALICE }] }
routes:
  - { path: "/orders/{id}", methods: [GET, PUT], upstream: "http://127.0.0.1:9" }
  - { path: /health, public: "liveness probe, no data", upstream: "http://127.0.0.1:9" }
"#;

const KEY: &str = "a-key-of-more-than-sixteen-characters";

#[test]
fn what_the_file_says_cannot_rewrite_the_listing() {
    let scratch = Scratch::new("rewrite");
    let reason = "no\\e[2K\\e[1A\\u202edata\\nauthn.api_key";
    let file = scratch.file(
        "gateway.yaml",
        &format!(
            "listeners: [{{ bind: 127.0.0.1:0 }}]\nroutes: [{{ path: /, public: \"{reason}\", upstream: 'http://127.0.0.1:9' }}]\n"
        ),
    );
    let output = portcullis().args(["check", &file]).env("CLICOLOR_FORCE", "1").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("\\u{1b}[2K\\u{1b}[1A\\u{202e}data\\u{a}authn.api_key"), "{text:?}");
}

#[test]
fn check_lists_the_controls_of_each_route_in_their_order() {
    let scratch = Scratch::new("check");
    let file = scratch.file("gateway.yaml", GOOD);
    let output = portcullis().args(["check", &file]).env("TEST_KEY_OF_ALICE", KEY).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(!text.contains('\u{1b}'), "no colours off a terminal");
    assert!(!text.contains(KEY));
    let place = |word: &str| text.find(word).unwrap_or_else(|| panic!("`{word}` in {text}"));
    let order = [
        "/orders/{id}",
        "screen.addresses",
        "authn.api_key",
        "authz.roles",
        "quota.rate_limit",
        "inspect.body_size",
        "/health",
        "authn.public",
    ];
    assert!(order.windows(2).all(|pair| place(pair[0]) < place(pair[1])), "{text}");
    assert!(text.contains("observe") && text.contains("GET, HEAD, PUT"), "{text}");
    assert!(text.contains("guessing  enforce after 11 wrong credentials an address waits 1s"), "{text}");

    let output =
        portcullis().args(["check", "--json", &file]).env("TEST_KEY_OF_ALICE", KEY).output().unwrap();
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["usable"], true);
    assert_eq!(document["brute_force"]["mode"], "enforce");
    assert_eq!(document["routes"][0]["controls"][0]["id"], "screen.addresses");
    assert_eq!(document["routes"][1]["controls"][1]["id"], "authn.public");
    assert_eq!(document["routes"][1]["controls"][1]["mode"], "public", "and not as if it were switched off");
}

#[test]
fn every_mistake_is_shown_at_once_with_its_line() {
    let scratch = Scratch::new("mistakes");
    let text = GOOD
        .replace("methods:", "metods:")
        .replace("max_requests", "max_request")
        .replace("public:", "pubic:")
        .replace("127.0.0.1:0", "0.0.0.0:0");
    let file = scratch.file("gateway.yaml", &text);
    let output = portcullis().args(["run", &file]).env_remove("TEST_KEY_OF_ALICE").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let shown = String::from_utf8(output.stderr).unwrap();
    for expected in [
        "did you mean `methods`?",
        "did you mean `max_requests`?",
        "did you mean `public`?",
        "error[config.plaintext]",
        "TEST_KEY_OF_ALICE",
        "gateway.yaml:11:",
    ] {
        assert!(shown.contains(expected), "`{expected}` in {shown}");
    }
}

#[test]
fn exit_codes_tell_what_went_wrong() {
    assert_eq!(run(&["check", "/nowhere/gateway.yaml"]).status.code(), Some(2));
    assert_eq!(run(&["check"]).status.code(), Some(3));
    assert_eq!(run(&["chek"]).status.code(), Some(3));
    assert_eq!(run(&["schema"]).status.code(), Some(0));
    let version = run(&["--version"]);
    assert_eq!(version.status.code(), Some(0));
    let text = String::from_utf8(version.stdout).unwrap();
    assert!(text.starts_with(concat!("portcullis ", env!("CARGO_PKG_VERSION"), "\ncommit ")), "{text}");
    assert!(text.contains(" build for "), "{text}");
    let scratch = Scratch::new("codes");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let file = scratch.file("taken.yaml", &format!("listeners: [{{ bind: \"{address}\" }}]\nroutes: [{{ path: /, public: \"a test\", upstream: \"http://127.0.0.1:9\" }}]\n"));
    assert_eq!(run(&["run", &file]).status.code(), Some(4));
}

#[test]
fn the_schema_is_json_with_a_definition_for_each_part() {
    let schema: serde_json::Value = serde_json::from_slice(&run(&["schema"]).stdout).unwrap();
    assert!(schema["properties"]["routes"].is_object() || schema["$ref"].is_string(), "{schema:#}");
}

#[test]
fn a_running_gateway_logs_a_line_per_request_and_no_secret() {
    let scratch = Scratch::new("log");
    let log = scratch.path("access.log");
    let file = scratch.file("gateway.yaml", &format!("access_log: {{ file: \"{log}\" }}\n{GOOD}"));
    let gateway =
        Process::start(portcullis().args(["run", &file]).env("TEST_KEY_OF_ALICE", KEY), "listening on");
    let url = gateway.said.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned();
    curl(&format!("{url}/orders/7?token=s3cret"), &["-H", "x-api-key: wr0ng-key"]).assert_refusal(401);
    curl(&format!("{url}/orders/7"), &["-H", &format!("x-api-key: {KEY}")]).assert_refusal(502);
    assert_eq!(gateway.stop(), Some(0));
    let text = std::fs::read_to_string(&log).unwrap();
    // A machine that allows few open files is told of; a notice is no line of a request.
    let (lines, notices): (Vec<serde_json::Value>, Vec<_>) = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .partition(|line| line.get("request_id").is_some());
    assert_eq!(lines.len(), 2, "{text}");
    assert!(notices.iter().all(|line| line["about"] == "listener"), "{text}");
    assert_eq!(lines[0]["denied"]["code"], "credential_unknown");
    assert_eq!(lines[0]["denied"]["check"], "authn.api_key");
    assert_eq!(lines[1]["denied"]["code"], "upstream_unreachable");
    assert_eq!(lines[1]["consumer"], "alice");
    for secret in [KEY, "wr0ng-key", "s3cret"] {
        assert!(!text.contains(secret), "{text}");
    }
}

/// What it prints is what a file takes, and what a client then sends is right.
#[test]
fn what_is_hashed_is_what_a_client_sends() {
    let scratch = Scratch::new("hash");
    let password = hashed("hash-password", "correct horse battery staple\n");
    assert!(password.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{password}");
    assert_ne!(
        password,
        hashed("hash-password", "correct horse battery staple"),
        "each with a salt of its own"
    );
    let key = hashed("hash-key", KEY);
    let text = format!(
        r#"
listeners: [{{ bind: "127.0.0.1:0" }}]
security: {{ authentication: {{ any: [{{ type: basic }}, {{ type: api_key }}] }} }}
consumers: [{{ name: alice, password: {{ hash: "{password}" }}, keys: [{{ hash: "{key}" }}] }}]
routes: [{{ path: /a, upstream: "http://127.0.0.1:9" }}]
"#
    );
    let file = scratch.file("gateway.yaml", &text);
    let gateway = Process::start(portcullis().args(["run", &file]), "listening on");
    let url =
        gateway.said.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned() + "/a";
    // Nothing listens at the upstream, so whoever is let through gets 502.
    curl(&url, &["-u", "alice:correct horse battery staple"]).assert_refusal(502);
    curl(&url, &["-H", &format!("x-api-key: {KEY}")]).assert_refusal(502);
    curl(&url, &["-u", "alice:correct horse battery staplE"]).assert_refusal(401);
    curl(&url, &["-u", "nobody:correct horse battery staple"]).assert_refusal(401);
    assert_eq!(gateway.stop(), Some(0));
}

fn hash_of(command: &str, secret: &str) -> std::process::Output {
    use std::io::Write;
    use std::process::Stdio;
    let mut child = portcullis()
        .arg(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(secret.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn hashed(command: &str, secret: &str) -> String {
    let output = hash_of(command, secret);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(!String::from_utf8_lossy(&output.stderr).contains(secret.trim()));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

#[test]
fn what_cannot_be_sent_is_not_hashed() {
    for (command, secret) in [
        ("hash-password", ""),
        ("hash-password", "\n"),
        ("hash-password", "tab\tin it"),
        ("hash-password", &"x".repeat(513)),
        ("hash-key", "a key"),
        ("hash-key", "schlüssel"),
        ("hash-key", ""),
    ] {
        let output = hash_of(command, secret);
        assert_eq!(output.status.code(), Some(4), "{command} {secret:?}");
        assert!(output.stdout.is_empty());
    }
}
