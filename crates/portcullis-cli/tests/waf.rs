//! From a false alarm to an exclusion: `waf tune` proposes it from the log, and what it prints works as it stands.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::net::TcpListener;
use support::{Process, Scratch, curl, portcullis, run};

/// What honest people write in a comment, and the rules take for SQL.
const COMMENT: &str = "{\"comment\":\"he said ' OR '1'='1' is the usual example\"}";
/// The same where nobody writes such a thing.
const ATTACK: &str = "{\"name\":\"x' OR '1'='1\"}";

fn document(port: u16, waf: &str) -> String {
    let consumers: String = (0..6)
        .map(|number| {
            format!("  - {{ name: c{number}, keys: [{{ literal: key-of-c{number}-0123456789abcdef }}] }}\n")
        })
        .collect();
    format!(
        "listeners: [{{ bind: \"127.0.0.1:{port}\" }}]\nworkers: 1\naccess_log: {{ file: access.log }}\n\
         consumers:\n{consumers}\
         routes:\n  - path: /comments\n    upstream: http://127.0.0.1:9\n{waf}"
    )
}

fn send(port: u16, consumer: usize, body: &str) -> u16 {
    let key = format!("x-api-key: key-of-c{consumer}-0123456789abcdef");
    let url = format!("http://127.0.0.1:{port}/comments");
    curl(&url, &["-H", &key, "-H", "content-type: application/json", "--data", body]).status
}

#[test]
fn a_proposed_exclusion_works_as_it_is_printed() {
    let scratch = Scratch::new("waf-tune");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let security = "    security:\n      authentication: { type: api_key }\n";
    let observing = document(port, &format!("{security}      waf: {{ mode: observe }}\n"));
    let file = scratch.file("gateway.yaml", &observing);
    let gateway = Process::start(portcullis().args(["run", &file]), "listening on");
    for number in 0..24 {
        // The upstream is not there, so what passes is 502.
        assert_eq!(send(port, number % 6, COMMENT), 502);
    }
    for _ in 0..30 {
        assert_eq!(send(port, 0, ATTACK), 502);
    }
    gateway.stop();
    let log = scratch.path("access.log");
    let proposed = run(&["waf", "tune", &log]);
    assert_eq!(proposed.status.code(), Some(0));
    let text = String::from_utf8(proposed.stdout).unwrap();
    assert!(text.contains("targets: [\"ARGS:json.comment\"]"), "{text}");
    assert!(text.contains("24 of 54 requests, from 6 clients, all authenticated"), "{text}");
    assert!(!text.contains("targets: [\"ARGS:json.name\"]"), "one client is no evidence:\n{text}");
    assert!(text.contains("on ARGS:json.name: 30 of 54 requests, from 1 client"), "{text}");

    let block: String = text
        .lines()
        .skip_while(|line| line.trim() != "waf:")
        .take_while(|line| !line.contains("not proposed") && !line.is_empty())
        .map(|line| format!("  {line}\n"))
        .collect();
    let file = scratch.file("gateway.yaml", &document(port, &format!("{security}{block}")));
    let gateway = Process::start(portcullis().args(["run", &file]), "listening on");
    assert_eq!(send(port, 1, COMMENT), 502, "{block}");
    assert_eq!(send(port, 1, ATTACK), 403);
    gateway.stop();
}

#[test]
fn a_log_that_is_not_there_is_an_error() {
    assert_eq!(run(&["waf", "tune", "/a/log/that/is/not/there"]).status.code(), Some(4));
    assert_eq!(run(&["waf", "tune"]).status.code(), Some(3));
}
