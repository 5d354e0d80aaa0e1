//! What requests cost: a small one, each further value, and hostile ones; and what Apache and nginx with ModSecurity need
//! for the small one, where they are installed (Debian's `apache2`, `libapache2-mod-security2`, `modsecurity-crs` and
//! `libnginx-mod-http-modsecurity`).
//!
//! `cargo bench -p portcullis-waf`, with `CRS_DIR` for the Core Rule Set beside the builtin rules. It asserts in the same
//! run that an attack is refused, here and by each of the others. `-- small COUNT` judges the small request alone, so
//! often, for a profiler, and `-- values COUNT NUMBER` one with so many values. A target that is missed is printed and does not fail.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark fails by panicking, and prints what it measured"
)]

#[path = "../../tests/support/harmless.rs"]
mod harmless;
mod peers;

use portcullis_waf::{Loader, Plan, Report, Request, Settings, Transaction, WORK};
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

/// The targets: a small request, each further value of 16 bytes, a KiB of the worst text, and loading.
const SMALL: Duration = Duration::from_micros(100);
const VALUE: Duration = Duration::from_micros(10);
const WORST: Duration = Duration::from_millis(1);
const LOAD: Duration = Duration::from_millis(1_500);

const SMALL_BODY: &[u8] =
    br#"{"id":1042,"name":"Ada Lovelace","items":[{"sku":"A-17","count":2}],"note":"after 5 pm"}"#;
const SMALL_TARGET: &str = "/orders?page=2";

/// The gateway's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Load<'l> = &'l dyn Fn() -> Loader;

fn main() {
    let all: Vec<String> = std::env::args().skip(1).collect();
    // `cargo bench` says this, and `cargo test`, which builds it as well, does not.
    let measures = all.iter().any(|argument| argument == "--bench");
    let arguments: Vec<String> = all.into_iter().filter(|argument| argument != "--bench").collect();
    let directory = std::env::var_os("CRS_DIR").map(PathBuf::from);
    let core_rules = || Loader::new().rule_set(directory.as_deref().unwrap());
    if let [word, count, rest @ ..] = arguments.as_slice()
        && matches!(word.as_str(), "small" | "values")
    {
        let plan = plan(&core_rules);
        let (target, body) = match rest {
            [number] => ("/orders", values(number.parse().unwrap())),
            _ => (SMALL_TARGET, SMALL_BODY.to_vec()),
        };
        for _ in 0..count.parse::<u32>().unwrap() {
            black_box(judge(&plan, target, &body));
        }
        return;
    }
    if !measures {
        println!("run it with cargo bench -p portcullis-waf");
        return;
    }
    measure("builtin rules", &|| Loader::new().builtin().evaluation());
    match directory {
        Some(_) => measure("Core Rule Set", &core_rules),
        None => println!("CRS_DIR is not set: the Core Rule Set is not measured"),
    }
    peers::measure(directory.as_deref(), SMALL_TARGET, SMALL_BODY);
}

fn plan(load: Load<'_>) -> Plan {
    Plan::new(load(), &Settings::default()).unwrap_or_else(|errors| panic!("{errors}"))
}

/// A figure beside its target.
fn against(figure: Duration, target: Duration) -> String {
    let word = if figure <= target { "meets" } else { "MISSES" };
    format!("{figure:?} ({word} the target of {target:?})")
}

fn measure(name: &str, load: Load<'_>) {
    let before = resident();
    let start = processor_time();
    let plan = plan(load);
    let loaded = processor_time().saturating_sub(start);
    println!(
        "\n{name}: {} rules, {} decided at load, {} filters of {} searches",
        plan.rules().len(),
        plan.folded(),
        plan.filtered().0,
        plan.filtered().1
    );
    println!("  loaded in {}", against(loaded, LOAD));
    let attack = json_body("1' union select password from users where '1'='1");
    assert!(judge(&plan, SMALL_TARGET, &attack).interruption.is_some(), "an attack is refused");
    assert!(judge(&plan, SMALL_TARGET, SMALL_BODY).interruption.is_none(), "an honest request passes");
    let small = cost(|| judge(&plan, SMALL_TARGET, SMALL_BODY));
    println!("  small API request: {}", against(small, SMALL));
    let (few, many) = (values(10), values(110));
    let more = cost(|| judge(&plan, "/orders", &many)).saturating_sub(cost(|| judge(&plan, "/orders", &few)));
    println!("  each further value of 16 bytes: {}", against(more / 100, VALUE));
    let mut worst = (Duration::ZERO, "");
    for (kind, text) in hostile() {
        let body = json_body(&text);
        let report = judge(&plan, "/orders", &body);
        let each = cost(|| judge(&plan, "/orders", &body)).mul_f64(1024.0 / body.len() as f64);
        println!(
            "  {kind}: {each:?} per KiB, {} units of work per byte{}",
            report.work / body.len() as u64,
            if report.exhausted { ", out of work" } else { "" }
        );
        worst = worst.max((each, kind));
    }
    println!("  worst: {} at {} per KiB", worst.1, against(worst.0, WORST));
    let (mut count, mut most) = (0, 0);
    for (kind, text) in harmless::values() {
        let report = judge(&plan, "/orders", &json_body(&text));
        assert!(!report.exhausted, "{kind} is out of work");
        (count, most) = (count + 1, most.max(report.work));
    }
    println!("  {count} harmless values: none is out of work, the most is {most} units of {WORK}");
    println!(
        "  memory of the rules and of one worker that has run all of this: {} KiB",
        resident().saturating_sub(before)
    );
}

/// A body with so many values of 16 bytes.
fn values(count: usize) -> Vec<u8> {
    let all: Vec<String> = (0..count).map(|n| format!("\"v{n}\":\"value {n:010}\"")).collect();
    format!("{{{}}}", all.join(",")).into_bytes()
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

/// The processor time of one run. The kernel counts it in steps of some milliseconds, so a round takes a tenth of a second
/// at least; the median of five is told.
fn cost(mut run: impl FnMut() -> Report) -> Duration {
    let mut round = || {
        let (start, mut runs) = (processor_time(), 0_u32);
        loop {
            for _ in 0..8 {
                black_box(run());
            }
            runs += 8;
            let spent = processor_time().saturating_sub(start);
            if spent >= Duration::from_millis(100) {
                return spent / runs;
            }
        }
    };
    round();
    let mut rounds: [Duration; 5] = std::array::from_fn(|_| round());
    rounds.sort();
    rounds[2]
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
