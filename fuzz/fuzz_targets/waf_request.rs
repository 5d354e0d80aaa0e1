//! Any request is judged: nothing panics, and the prefilter changes no verdict.
//!
//! The first line is the target, the second the content type, the rest the body.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_waf::{Loader, Plan, Report, Request, Settings, Transaction};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::LazyLock;

fn plan() -> Plan {
    let loader = Loader::new().builtin().evaluation();
    Plan::new(loader, &Settings::default().paranoia(4)).expect("the builtin rules load")
}

static WITH: LazyLock<Plan> = LazyLock::new(plan);
static WITHOUT: LazyLock<Plan> = LazyLock::new(|| plan().without_filter());

fn judge(plan: &Plan, target: &[u8], content_type: &[u8], body: &[u8]) -> Report {
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let headers: [(&[u8], &[u8]); 3] = [(b"Host", b"h"), (b"Cookie", target), (b"Content-Type", content_type)];
    let request = Request {
        method: b"POST",
        target,
        protocol: b"HTTP/1.1",
        headers: &headers,
        client: (here, 1),
        server: (here, 2),
        unique_id: b"0",
    };
    let mut transaction = Transaction::new(plan, request).observe().work(u64::MAX);
    transaction.request_headers();
    transaction.request_body(body);
    Report { work: 0, ..transaction.finish() }
}

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(3, |byte| *byte == b'\n');
    let mut next = || parts.next().unwrap_or_default();
    let (target, content_type, body) = (next(), next(), next());
    assert_eq!(judge(&WITH, target, content_type, body), judge(&WITHOUT, target, content_type, body));
});
