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

use std::path::{Path, PathBuf};
use std::process::Command;

const REQUESTS: &str = "5000";

#[test]
fn the_same_rules_match_as_in_modsecurity() {
    let Some(_) = support::crs_dir() else { return };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("../../target/counterparts/libmodsecurity/bin/python");
    if !python.exists() {
        println!("libmodsecurity is not installed here: run `cargo xtask counterparts`");
        return;
    }
    let output = Command::new(python)
        .arg(root.join("tests/differential/compare.py"))
        .arg(judge())
        .arg(REQUESTS)
        .output()
        .unwrap();
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{said}{errors}");
    assert!(output.status.success(), "there are differences that nobody has judged");
    assert!(said.contains(&format!("of {REQUESTS} requests have the same rules")), "it compared them");
}

/// The example that says which rules match. Cargo builds it with all tests, beside their folder, and not with this one alone.
fn judge() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let judge = tests.parent().unwrap().parent().unwrap().join("examples/waf_judge");
    assert!(judge.exists(), "run `cargo build -p portcullis-waf --example waf_judge` first");
    judge
}
