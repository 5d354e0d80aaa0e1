//! The clock of a machine is set forward and back: under a gateway with a store of keys, and for the commands that change it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use serde_json::Value;
use std::process::Command;
use std::time::{Duration, Instant};
use support::{Process, Scratch, curl, portcullis};

/// The library that tells a program another time of day. What measures time that passes goes on as it does.
fn library() -> String {
    let output = Command::new("faketime").args(["-f", "+0", "printenv", "LD_PRELOAD"]).output();
    let output = output.expect("faketime is installed: `cargo xtask test` installs it");
    String::from_utf8(output.stdout).unwrap().trim().replace("libfaketime.so", "libfaketimeMT.so")
}

struct Site {
    scratch: Scratch,
    config: String,
    library: String,
}

impl Site {
    fn new(name: &str) -> Site {
        let scratch = Scratch::new(name);
        // Nothing listens there: 502 is the answer to a request that is let through.
        let text = "listeners: [{ bind: \"127.0.0.1:0\" }]
access_log: { file: access.log }
brute_force: { free_failures: 1000 }
security: { authentication: { type: api_key }, authorization: { roles_allowed: [user] } }
store: { keys: { sqlite: portcullis.db } }
routes: [{ path: /, upstream: \"http://127.0.0.1:1\" }]
";
        let config = scratch.file("gateway.yaml", text);
        Site { scratch, config, library: library() }
    }

    /// The command on a clock that is `by` ahead, such as `+40d`.
    fn at(&self, by: &str, arguments: &[&str]) -> (i32, String) {
        let mut command = portcullis();
        command.args(arguments).args(["--config", &self.config]);
        if !by.is_empty() {
            command.envs([
                ("LD_PRELOAD", self.library.as_str()),
                ("FAKETIME", by),
                ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            ]);
        }
        let output = command.output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(said).unwrap())
    }

    fn json(&self, by: &str, arguments: &[&str]) -> Value {
        let (code, said) = self.at(by, &[arguments, &["--json"]].concat());
        assert_eq!(code, 0, "{by} {arguments:?}: {said}");
        serde_json::from_str(&said).unwrap()
    }

    /// Makes a key; gives it and its number.
    fn key(&self, by: &str, more: &[&str]) -> (String, String) {
        let made = self.json(by, &[&["keys", "create", "--consumer", "alice"], more].concat());
        (made["key"].as_str().unwrap().to_owned(), made["id"].as_str().unwrap().to_owned())
    }

    fn status_of(&self, by: &str, id: &str) -> String {
        self.json(by, &["keys", "show", id])["status"].as_str().unwrap().to_owned()
    }

    fn set_clock(&self, by: &str) {
        // In one step: the gateway reads it at any time.
        let next = self.scratch.file("clock.next", &format!("{by}\n"));
        std::fs::rename(next, self.scratch.path("clock")).unwrap();
    }

    /// A gateway on a clock that can be set.
    fn gateway(&self) -> (Process, String) {
        self.set_clock("+0");
        let mut command = portcullis();
        command.args(["run", &self.config]).envs([
            ("LD_PRELOAD", self.library.as_str()),
            ("FAKETIME_TIMESTAMP_FILE", &self.scratch.path("clock")),
            ("FAKETIME_NO_CACHE", "1"),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ]);
        let process = Process::start(&mut command, "is listening");
        let at = process.said.find("http://").unwrap();
        let url = process.said[at..].split_whitespace().next().unwrap().to_owned();
        (process, url)
    }
}

const PASSES: u16 = 502;
const REFUSED: u16 = 401;

fn status(url: &str, key: &str) -> u16 {
    curl(url, &["-H", &format!("x-api-key: {key}")]).status
}

/// Waits until the gateway has heard of a change.
fn until(url: &str, key: &str, wanted: u16) {
    let begun = Instant::now();
    while status(url, key) != wanted {
        assert!(begun.elapsed() < Duration::from_secs(20), "{} and not {wanted}", status(url, key));
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_gateway_whose_clock_is_set_judges_keys_by_it_and_goes_on() {
    let site = Site::new("clocks-gateway");
    site.json("", &["consumers", "add", "alice", "--roles", "user"]);
    let (for_a_month, _) = site.key("", &["--expires", "30d"]);
    let (for_ever, _) = site.key("", &[]);
    let (revoked, revoked_id) = site.key("", &["--expires", "30d"]);
    let (old, old_id) = site.key("", &[]);
    let new = site.json("", &["keys", "rotate", &old_id, "--overlap", "24h"]);
    let new = new["key"].as_str().unwrap();
    site.json("", &["keys", "revoke", &revoked_id]);
    let (_process, url) = site.gateway();
    for (clock, month, rotated) in [
        ("+0", PASSES, PASSES),
        ("+2d", PASSES, REFUSED),
        ("+40d", REFUSED, REFUSED),
        ("-40d", PASSES, PASSES),
        ("+29d", PASSES, REFUSED),
        ("+0", PASSES, PASSES),
    ] {
        site.set_clock(clock);
        until(&url, &old, rotated);
        let keys = [&for_a_month, &old, new, &for_ever, &revoked];
        assert_eq!(
            keys.map(|key| status(&url, key)),
            [month, rotated, PASSES, PASSES, REFUSED],
            "{clock}: what was revoked stays so, and what never expires goes on"
        );
        // It goes on hearing of changes.
        let (later, id) = site.key("", &[]);
        until(&url, &later, PASSES);
        site.json("", &["keys", "revoke", &id]);
        until(&url, &later, REFUSED);
    }
}

#[test]
fn commands_on_a_machine_with_another_clock_do_no_harm() {
    let site = Site::new("clocks-commands");
    site.json("", &["consumers", "add", "alice", "--roles", "user"]);
    let (_, id) = site.key("", &["--expires", "30d"]);
    for (clock, told) in [("+40d", "expired"), ("-40d", "active"), ("+29d", "active"), ("", "active")] {
        assert_eq!(site.status_of(clock, &id), told, "{clock}");
        let (code, said) = site.at(clock, &["keys", "list"]);
        assert!(code == 0 && said.contains(&id), "{clock}: {said}");
    }
    let (code, said) = site.at("+40d", &["keys", "rotate", &id, "--overlap", "24h"]);
    assert!(code != 0 && said.contains("expired"), "{said}");
    let listed = site.json("", &["keys", "list"]);
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "no key was made: {listed}");

    let (_process, url) = site.gateway();
    // Made on a machine that is behind by more than the key lasts, it has expired everywhere else.
    let (behind, behind_id) = site.key("-40d", &["--expires", "30d"]);
    let (ahead, ahead_id) = site.key("+40d", &["--expires", "30d"]);
    until(&url, &ahead, PASSES);
    assert_eq!(status(&url, &behind), REFUSED);
    assert_eq!(site.status_of("", &behind_id), "expired");
    // When a key was revoked says nothing of whether it is.
    site.json("-40d", &["keys", "revoke", &ahead_id]);
    until(&url, &ahead, REFUSED);
    for clock in ["", "+40d", "-80d"] {
        assert_eq!(site.status_of(clock, &ahead_id), "revoked", "{clock}");
    }
    // Rotated on a machine that is behind, the old key ends early and never late.
    let (old, old_id) = site.key("", &["--expires", "30d"]);
    let new = site.json("-40d", &["keys", "rotate", &old_id, "--overlap", "24h", "--expires", "90d"]);
    until(&url, new["key"].as_str().unwrap(), PASSES);
    until(&url, &old, REFUSED);
}
