//! The audit log of a gateway that runs, is killed and runs again is one chain, and the command finds what was changed in it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::net::TcpListener;
use std::time::{Duration, Instant};
use support::{Process, Scratch, curl, portcullis, run, signal};

const SECRET: &str = "wrong-key-that-no-log-may-show";

fn wait_for(path: &str, words: &str, times: usize) -> String {
    let begun = Instant::now();
    loop {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        if text.matches(words).count() >= times {
            return text;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{words} is not in\n{text}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_log_survives_a_kill_and_shows_every_change() {
    let scratch = Scratch::new("audit");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    scratch.file("alice.key", "alice-key-0123456789abcdef\n");
    let file = scratch.file(
        "gateway.yaml",
        &format!(
            "listeners: [{{ bind: \"127.0.0.1:{port}\" }}]\nworkers: 1\naccess_log: {{ file: access.log }}\n\
             audit_log: {{ file: audit.log }}\n\
             security: {{ authentication: {{ type: api_key, header: x-api-key }} }}\n\
             consumers: [{{ name: alice, keys: [{{ env: ALICE_API_KEY }}] }}]\n\
             routes:\n  - {{ path: /data, upstream: \"http://127.0.0.1:9\" }}\n"
        ),
    );
    let log = scratch.path("audit.log");
    let url = format!("http://127.0.0.1:{port}/data");
    for round in 1..=2 {
        let mut command = portcullis();
        command.env("ALICE_API_KEY", "alice-key-0123456789abcdef").arg("run").arg(&file);
        let process = Process::start(&mut command, "is listening on");
        assert_eq!(curl(&url, &["-H", &format!("x-api-key: {SECRET}")]).status, 401);
        // What is let through is no entry, whatever becomes of it.
        assert_eq!(curl(&url, &["-H", "x-api-key: alice-key-0123456789abcdef"]).status, 502);
        wait_for(&log, "authentication_refused", round);
        signal(process.id(), if round == 1 { "KILL" } else { "TERM" });
        process.wait();
    }
    let text = wait_for(&log, "authentication_refused", 2);
    assert!(
        text.contains("\"code\":\"credential_unknown\"") && text.contains("\"path\":\"/data\""),
        "{text}"
    );
    assert!(!text.contains(SECRET) && !text.contains("alice-key"), "{text}");
    assert_eq!(text.matches("\"event\":\"opened\"").count(), 2, "{text}");

    let verify = |path: &str, more: &[&str]| run(&[&["audit", "verify", path], more].concat());
    let good = verify(&log, &["--key", &scratch.path("audit.log.pub")]);
    let said = String::from_utf8(good.stdout).unwrap();
    assert_eq!(good.status.code(), Some(0), "{said}");
    assert!(said.contains("complete from entry 1"), "{said}");

    // A head that was told in the access log, from before the end was cut off.
    let told = std::fs::read_to_string(scratch.path("access.log")).unwrap();
    let head = told.rsplit_once("has the hash ").unwrap().1.split('"').next().unwrap().to_owned();
    assert_eq!(verify(&log, &["--head", &head]).status.code(), Some(0));
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let cut = scratch.file("cut.log", &lines[..lines.len() - 1].concat());
    assert_eq!(verify(&cut, &[]).status.code(), Some(0), "nothing but a head shows it");
    assert_eq!(verify(&cut, &["--head", &head]).status.code(), Some(1));
    let edited = scratch.file("edited.log", &text.replacen("/data", "/date", 1));
    let found = verify(&edited, &[]);
    assert_eq!(found.status.code(), Some(1));
    assert!(String::from_utf8(found.stdout).unwrap().contains("its hash does not fit"));
    assert_eq!(verify(&scratch.path("gone.log"), &[]).status.code(), Some(4));
}

#[test]
fn what_the_gateway_writes_itself_is_no_reason_to_reload() {
    let scratch = Scratch::new("watched");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let file = scratch.file(
        "gateway.yaml",
        &format!(
            "listeners: [{{ bind: \"127.0.0.1:{port}\" }}]\nworkers: 1\nstate_dir: state\n\
             access_log: {{ file: access.log }}\naudit_log: {{ file: audit.log, key: sign.key }}\n\
             security: {{ authentication: {{ type: api_key, header: x-api-key }} }}\n\
             consumers: [{{ name: alice, keys: [{{ env: ALICE_API_KEY }}] }}]\n\
             routes:\n  - {{ path: /data, upstream: \"http://127.0.0.1:9\" }}\n"
        ),
    );
    let mut command = portcullis();
    command.env("ALICE_API_KEY", "alice-key-0123456789abcdef").args(["run", &file, "--watch"]);
    let process = Process::start(&mut command, "is listening on");
    // Files are looked at twice a second, so each round is several looks with writes between them.
    let generation_after_a_round = || {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(2) {
            assert_eq!(curl(&format!("http://127.0.0.1:{port}/data"), &[]).status, 401);
            std::thread::sleep(Duration::from_millis(150));
        }
        let status = run(&["status", "--json", &scratch.path("state")]);
        let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
        status["generation"].as_u64().unwrap()
    };
    // The configuration was written a moment ago, so it may be read once more.
    let first = generation_after_a_round();
    assert!(first <= 2, "{first}");
    assert_eq!(generation_after_a_round(), first);
    signal(process.id(), "TERM");
    process.wait();
    assert_eq!(run(&["audit", "verify", &scratch.path("audit.log")]).status.code(), Some(0));
}
