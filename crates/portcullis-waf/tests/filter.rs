//! The prefilter changes no verdict.
//!
//! With all rules at paranoia 4 a run without the prefilter is slow, so the Core Rule Set has fewer values here. As many
//! as the builtin rules have, some minutes:
//!
//! ```sh
//! CRS_DIR=DIR PORTCULLIS_CRS_VALUES=100000 cargo test -p portcullis-waf --test filter
//! ```

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

use portcullis_waf::{Loader, Plan, Report, Request, Settings, Transaction};
use std::net::{IpAddr, Ipv4Addr};

/// How many values, in requests of so many each.
const VALUES: usize = 100_000;
const TOGETHER: usize = 20;

/// Pieces of which values are put together: what attacks are made of, and what everything else is.
const PIECES: &[&str] = &[
    "'",
    "\"",
    "`",
    ";",
    "|",
    "&",
    "&&",
    "||",
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    "<",
    ">",
    "=",
    "==",
    "!",
    "%",
    "%0a",
    "%27",
    "\\",
    "/",
    "//",
    "../",
    "..\\",
    "./",
    ":",
    "#",
    "--",
    "/*",
    "*/",
    "@",
    "$",
    "$(",
    "${",
    "{{",
    "}}",
    "<%",
    "%>",
    "\n",
    "\r\n",
    "\0",
    " ",
    "  ",
    "\t",
    "+",
    "-",
    "*",
    ",",
    ".",
    "?",
    "~",
    "^",
    "é",
    "日本",
    "\u{202e}",
    "0x41",
    "1",
    "0",
    "42",
    "select",
    "SELECT",
    "union",
    "UnIoN",
    "from",
    "where",
    "or",
    "and",
    "sleep(5)",
    "benchmark(",
    "information_schema",
    "waitfor delay",
    "having",
    "order by",
    "script",
    "<script",
    "javascript:",
    "onerror=",
    "onload=",
    "alert(1)",
    "svg",
    "iframe",
    "document.cookie",
    "eval(",
    "expression(",
    "etc/passwd",
    "boot.ini",
    "php://",
    "file:///",
    "http://",
    "169.254.169.254",
    "localhost",
    "jndi",
    "ldap://",
    "cat ",
    "whoami",
    "wget ",
    "/bin/sh",
    "powershell",
    "system(",
    "exec(",
    "passthru",
    "$_GET",
    "<?php",
    "__proto__",
    "constructor",
    "$where",
    "$ne",
    "rO0ABX",
    "O:8:\"a\":0:{",
    "Content-Type:",
    "Set-Cookie:",
    "\\u0061",
    "\\x41",
    "&#x41;",
    "&lt;",
    "chr(",
    "char(",
    "base64",
    "data:text/html",
    "name",
    "value",
    "hello",
    "world",
    "The quick",
    "O'Brien",
    "2024-01-01",
    "true",
    "null",
    "a",
    "b",
    "Z",
];

/// A small generator whose values are the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % below
    }

    fn value(&mut self) -> Vec<u8> {
        let mut value = Vec::new();
        for _ in 0..1 + self.next(9) {
            if self.next(8) == 0 {
                value.push(u8::try_from(self.next(256)).unwrap());
            } else {
                value.extend(PIECES[self.next(PIECES.len())].as_bytes());
            }
        }
        value
    }
}

fn judge(plan: &Plan, values: &[Vec<u8>]) -> Report {
    let mut target = b"/a?".to_vec();
    for (place, value) in values.iter().enumerate() {
        target.extend(format!("v{place}=").into_bytes());
        target.extend(value.iter().flat_map(|byte| format!("%{byte:02x}").into_bytes()));
        target.push(b'&');
    }
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let headers: [(&[u8], &[u8]); 2] = [(b"Host", b"localhost"), (b"User-Agent", &values[0])];
    let request = Request {
        method: b"GET",
        target: &target,
        protocol: b"HTTP/1.1",
        headers: &headers,
        client: (here, 1),
        server: (here, 80),
        unique_id: b"0",
    };
    let mut transaction = Transaction::new(plan, request).observe();
    transaction.request_headers();
    transaction.request_body(b"");
    Report { work: 0, ..transaction.finish() }
}

fn plans(load: impl Fn() -> Loader) -> (Plan, Plan) {
    let settings = Settings::default().paranoia(4);
    let make = || Plan::new(load(), &settings).unwrap_or_else(|errors| panic!("{errors}"));
    (make(), make().without_filter())
}

/// Compares both plans on so many values.
fn compare(name: &str, count: usize, load: impl Fn() -> Loader) {
    let (with, without) = plans(load);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut matches, mut requests) = (0, 0);
    while requests * TOGETHER < count {
        let values: Vec<Vec<u8>> = (0..TOGETHER).map(|_| random.value()).collect();
        let (one, two) = (judge(&with, &values), judge(&without, &values));
        assert_eq!(one, two, "{values:?}");
        matches += one.matches.len();
        requests += 1;
    }
    println!(
        "{name}: {} values in {requests} requests, {matches} matches, no difference",
        requests * TOGETHER
    );
    assert!(matches > requests, "the values match something");
}

#[test]
fn verdicts_are_the_same_with_and_without_the_prefilter() {
    compare("builtin rules", VALUES, || Loader::new().builtin().evaluation());
}

#[test]
fn verdicts_of_the_core_rule_set_are_the_same() {
    let Some(directory) = support::crs_dir() else { return };
    let setup = b"SecAction \"id:900990,phase:1,pass,nolog,setvar:tx.crs_setup_version=4\"\n";
    let count = std::env::var("PORTCULLIS_CRS_VALUES").ok();
    let count = count.map_or(VALUES / 20, |count| count.parse().expect("PORTCULLIS_CRS_VALUES is a number"));
    compare("Core Rule Set", count, || Loader::new().text("setup", setup).path(&directory.join("rules")));
}
