//! Requests of real clients, byte by byte as they were recorded, through a gateway: all of them pass, and those that a line of
//! the configuration lets through are refused without it.
//!
//! The requests are in `tests/recorded/requests/`, a file for each client, with its version; `cargo xtask record` makes them anew.
//! `tests/recorded/gateway.yaml` is the configuration.

#![expect(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test binary has no outside, and a helper that fails fails its test"
)]

#[allow(dead_code, unused_imports, reason = "each test binary uses a part of it")]
#[path = "../support/mod.rs"]
mod support;

mod frames;
mod replay;
mod requests;
mod twins;

use replay::Stand;
use requests::{Recorded, recorded};
use std::collections::BTreeSet;

/// A line of the configuration without which its route refuses what its clients send.
const NEEDED: &str = "# needed: ";

/// What is refused all the same: the file, the request, and why. One that passes after all does not belong here.
const UNHEARD_OF: &[(&str, &str, &str)] = &[(
    "curl",
    r#"GET /plain/?q=[a]&b={c}&d="x""#,
    "a raw quotation mark in the path of HTTP/2: the `h2` crate resets the stream. Browsers escape it.",
)];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_recorded_request_passes() {
    let all = recorded();
    let recorded: usize = all.len();
    assert!(recorded >= 250, "{recorded} requests are recorded");
    let clients: BTreeSet<&str> = all.iter().map(|request| request.client.as_str()).collect();
    assert!(clients.len() >= 12, "{clients:?}");
    assert!(clients.iter().all(|client| client.bytes().any(|byte| byte.is_ascii_digit())), "{clients:?}");
    let stand = Stand::start(&replay::document(None)).await;
    let mut refused = Vec::new();
    for request in &all {
        let status = stand.send(request).await;
        let refusable =
            UNHEARD_OF.iter().any(|(file, line, _)| request.file == *file && request.line() == *line);
        if refusable == (status == request.expected()) {
            refused.push(format!("{status}: {} {}", request.client, request.line()));
        }
    }
    let reasons = stand.refusals().await;
    assert!(refused.is_empty(), "{} of {recorded}:\n{}\n{reasons}", refused.len(), refused.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_needs_a_line_of_the_configuration_is_refused_without_it() {
    let all = recorded();
    let lines = replay::needed();
    assert!(lines.len() >= 15, "{lines:?}");
    let mut wrong = Vec::new();
    for (number, prefix, status) in lines {
        let stand = Stand::start(&replay::document(Some(number))).await;
        let of_route: Vec<&Recorded> =
            all.iter().filter(|request| request.path().starts_with(&prefix)).collect();
        let mut refused = 0;
        for request in &of_route {
            let found = stand.send(request).await;
            if found == status {
                refused += 1;
            } else if found != request.expected() && !(400..500).contains(&found) {
                wrong.push(format!("line {}: {found} for {}", number + 1, request.line()));
            }
        }
        if refused == 0 {
            wrong.push(format!("line {} is not needed by any of {} requests", number + 1, of_route.len()));
        }
        stand.end().await;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
