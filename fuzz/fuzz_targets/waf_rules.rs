//! Any bytes are a rule file or none: nothing panics, and what loads can be run.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_waf::{Loader, Plan, Request, Settings, Transaction};
use std::net::{IpAddr, Ipv4Addr};

fuzz_target!(|text: &[u8]| {
    let Ok(plan) = Plan::new(Loader::new().text("fuzz", text), &Settings::default()) else { return };
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let request = Request {
        method: b"POST",
        target: b"/a?b=1&c=%27x",
        protocol: b"HTTP/1.1",
        headers: &[(b"Host", b"h"), (b"Cookie", b"a=b"), (b"Content-Type", b"application/json")],
        client: (here, 1),
        server: (here, 2),
        unique_id: b"0",
    };
    let mut transaction = Transaction::new(&plan, request).work(1_000_000);
    transaction.request_headers();
    transaction.request_body(br#"{"a":["b",{"c":"d"}]}"#);
    let _report = transaction.finish();
});
