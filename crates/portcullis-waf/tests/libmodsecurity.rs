//! The same rules match here and in ModSecurity 3, on thousands of requests that are made up. `differential/compare.py` makes
//! them and asks ModSecurity; the differences that were judged are in `data/differential.txt`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking, and prints what it measured"
)]

mod support;

use portcullis_waf::{Loader, Plan, Request, Settings, Transaction};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::{Command, Stdio};

const PARANOIA: u8 = 4;

#[test]
fn the_same_rules_match_as_in_modsecurity() {
    let Some(rules) = support::crs_dir() else { return };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("../../target/counterparts/libmodsecurity/bin/python");
    if !python.exists() {
        println!("libmodsecurity is not installed here: run `cargo xtask counterparts`");
        return;
    }
    let asked = std::env::var("DIFFERENTIAL").unwrap_or("5000 1".to_owned());
    let (count, seed) = asked.split_once(' ').expect("DIFFERENTIAL is a count, a space and a seed");
    let plan = Plan::new(Loader::new().rule_set(&rules), &Settings::default().paranoia(PARANOIA)).unwrap();
    let mut compare = Command::new(python)
        .arg(root.join("tests/differential/compare.py"))
        .args([count, seed, &PARANOIA.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(compare.stdout.take().unwrap());
    let requests: Vec<String> =
        output.by_ref().lines().take(count.parse().unwrap()).map(Result::unwrap).collect();
    let matches: String = requests.iter().map(|request| matching(&plan, request) + "\n").collect();
    // Dropping the pipe tells the program that this was all.
    compare.stdin.take().unwrap().write_all(matches.as_bytes()).unwrap();
    let mut said = String::new();
    output.read_to_string(&mut said).unwrap();
    println!("{said}");
    assert!(compare.wait().unwrap().success(), "there are differences that nobody has judged");
    assert!(said.contains(&format!("of {count} requests have the same rules")), "it compared them");
}

/// The ids of the rules that a request matches, with spaces between them. The request is an object of JSON.
fn matching(plan: &Plan, request: &str) -> String {
    let value: Value = serde_json::from_str(request).unwrap();
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap();
    let pairs: Vec<(String, String)> =
        serde_json::from_value(value.get("headers").cloned().unwrap()).unwrap();
    let headers: Vec<(&[u8], &[u8])> = pairs.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
    let request = Request {
        method: text("method").as_bytes(),
        target: text("target").as_bytes(),
        protocol: b"HTTP/1.1",
        headers: &headers,
        client: (IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)), 50_000),
        server: (IpAddr::V4(Ipv4Addr::LOCALHOST), 80),
        unique_id: b"0123456789abcdef",
    };
    let mut transaction = Transaction::new(plan, request).observe();
    transaction.request_headers();
    transaction.request_body(text("body").as_bytes());
    let ids: Vec<String> = transaction.finish().ids().map(|id| id.to_string()).collect();
    ids.join(" ")
}
