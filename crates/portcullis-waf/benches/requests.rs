//! What requests cost: a small one, each further value, and hostile ones.
//!
//! `cargo bench -p portcullis-waf`, with `CRS_DIR` for the Core Rule Set beside the builtin rules. It asserts in the same
//! run that an attack is refused.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark fails by panicking, and prints what it measured"
)]

use portcullis_waf::{Loader, Plan, Report, Request, Settings, Transaction};
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

fn main() {
    let builtin = || Loader::new().builtin();
    measure("builtin rules", &|| builtin().evaluation());
    match std::env::var_os("CRS_DIR").map(PathBuf::from) {
        Some(directory) => measure("Core Rule Set", &|| Loader::new().rule_set(&directory)),
        None => println!("CRS_DIR is not set: the Core Rule Set is not measured"),
    }
}

fn measure(name: &str, load: &dyn Fn() -> Loader) {
    let before = resident();
    let start = processor_time();
    let plan = Plan::new(load(), &Settings::default()).unwrap_or_else(|errors| panic!("{errors}"));
    println!(
        "\n{name}: loaded in {:?}, {} rules, {} decided at load",
        processor_time().saturating_sub(start),
        plan.rules().len(),
        plan.folded()
    );
    let small: &[u8] =
        br#"{"id":1042,"name":"Ada Lovelace","items":[{"sku":"A-17","count":2}],"note":"after 5 pm"}"#;
    let attack = json_body("1' union select password from users where '1'='1");
    assert!(judge(&plan, "/orders?page=2", &attack).interruption.is_some(), "an attack is refused");
    assert!(judge(&plan, "/orders?page=2", small).interruption.is_none(), "an honest request passes");
    println!("  small API request: {:?}", cost(200, || judge(&plan, "/orders?page=2", small)));
    let values = |count: usize| {
        let all: Vec<String> = (0..count).map(|n| format!("\"v{n}\":\"value {n:010}\"")).collect();
        format!("{{{}}}", all.join(",")).into_bytes()
    };
    let (few, many) = (values(10), values(110));
    let more = cost(100, || judge(&plan, "/orders", &many))
        .saturating_sub(cost(100, || judge(&plan, "/orders", &few)));
    println!("  each further value of 16 bytes: {:?}", more / 100);
    let mut worst = (Duration::ZERO, "");
    for (kind, text) in hostile() {
        let body = json_body(&text);
        let report = judge(&plan, "/orders", &body);
        let kib = u32::try_from(body.len() / 1024).unwrap().max(1);
        let each = cost(30, || judge(&plan, "/orders", &body)) / kib;
        println!(
            "  {kind}: {each:?} per KiB, {} units of work per byte{}",
            report.work / body.len() as u64,
            if report.exhausted { ", out of work" } else { "" }
        );
        worst = worst.max((each, kind));
    }
    println!(
        "  worst: {} at {:?} per KiB; memory {} KiB",
        worst.1,
        worst.0,
        resident().saturating_sub(before)
    );
}

fn json_body(value: &str) -> Vec<u8> {
    serde_json::to_vec(&serde_json::json!({ "value": value })).unwrap()
}

/// Texts that are made to cost much.
fn hostile() -> Vec<(&'static str, String)> {
    let fill = |piece: &str| piece.repeat(8_192 / piece.len());
    vec![
        ("$( repeated", fill("$(")),
        ("quotes", fill("'\"")),
        ("spaces", fill(" ")),
        ("spaces and letters", fill("a ")),
        ("brackets", fill("<")),
        ("open parentheses", fill("(")),
        ("select repeated", fill("select ")),
        ("union select repeated", fill("union select ")),
        ("or 1=1 repeated", fill("' or 1=1 ")),
        ("script repeated", fill("<script")),
        ("handlers", fill(" onload=")),
        ("dots", fill("../")),
        ("semicolons and cats", fill(";cat ")),
        ("percent escapes", fill("%27")),
        ("escapes of escapes", fill("%2527")),
        ("entities", fill("&#x27;")),
        ("backslashes", fill("\\u0027")),
        ("comments", fill("/**/")),
        ("comments that stay open", fill("/*")),
        ("hexadecimal", fill("0x41")),
        ("digits", fill("0123456789")),
        ("letters", fill("abcdefghij")),
        ("unicode", fill("\u{ff07}")),
        ("braces", fill("{{7*7}}")),
        ("dollars", fill("${${")),
        ("prose", fill("The quick brown fox's jumps over the lazy dog; it isn't (really) that quick. ")),
    ]
}

fn judge(plan: &Plan, target: &str, body: &[u8]) -> Report {
    let length = body.len().to_string();
    let headers: [(&[u8], &[u8]); 6] = [
        (b"Host", b"api.example.com"),
        (b"User-Agent", b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        (b"Accept", b"application/json"),
        (b"Content-Type", b"application/json"),
        (b"Content-Length", length.as_bytes()),
        (b"Cookie", b"session=7d1c4f0b9a2e4c61; theme=dark"),
    ];
    let request = Request {
        method: b"POST",
        target: target.as_bytes(),
        protocol: b"HTTP/1.1",
        headers: &headers,
        client: (IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)), 50_000),
        server: (IpAddr::V4(Ipv4Addr::LOCALHOST), 443),
        unique_id: b"0123456789abcdef",
    };
    let mut transaction = Transaction::new(plan, request);
    transaction.request_headers();
    transaction.request_body(body);
    transaction.finish()
}

/// The processor time of one run: the best of three rounds, so that other work on the machine does not count.
fn cost(runs: u32, mut run: impl FnMut() -> Report) -> Duration {
    let mut round = || {
        let start = processor_time();
        for _ in 0..runs {
            black_box(run());
        }
        processor_time().saturating_sub(start) / runs
    };
    round();
    (0..3).map(|_| round()).min().unwrap_or_default()
}

/// How long this thread has run on a processor.
fn processor_time() -> Duration {
    let text =
        std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux says how long a thread ran");
    Duration::from_nanos(text.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0))
}

/// Resident memory of the process, in KiB.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or("0");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0)
}
