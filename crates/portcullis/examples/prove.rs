//! What it takes to check and to test a configuration: the time of `portcullis check` and `portcullis test` in one process.
//!
//! ```sh
//! cargo run --profile dist --example prove -- --routes 1000
//! ```
//!
//! Every route asks for a key, a token or a password, a role and a limit. The program fails if a generated test fails, if nothing is
//! proven of a route, or if both together take more than two seconds.

#![expect(clippy::print_stdout, reason = "the program says what it measured")]

use portcullis::Loaded;
use portcullis::load::Context;
use portcullis::prove::prove;
use std::fmt::Write;
use std::time::{Duration, Instant};

type Failure = Box<dyn std::error::Error>;

/// How long both may take.
const MOST: Duration = Duration::from_secs(2);
/// Argon2id of a password that nobody needs here.
const HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$3Z4bCVJ0VhC7d3RTkSxTtUxJ0Lq0n1n2rPq3Rk0m8yo";

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--routes").skip(1);
    let routes: usize = arguments.next().map_or(Ok(1000), |number| number.parse())?;
    let text = document(routes);
    let begun = Instant::now();
    let cx = Context::for_file(".").with_environment(|_| Ok(HASH.to_owned()));
    let loaded = Loaded::yaml("gateway.yaml", text, cx);
    if loaded.blueprint().is_none() {
        return Err(loaded.text(portcullis::Style::Plain).into());
    }
    let findings = loaded.findings("2026-01-01");
    let checked = begun.elapsed();
    let report = prove(&loaded, Duration::from_secs(600)).ok_or("there is nothing to test")?;
    let all = begun.elapsed();
    println!(
        "{routes} routes: checked in {} ms with {} findings, tested by {} requests in {} ms; together {} ms",
        checked.as_millis(),
        findings.len(),
        report.requests(),
        (all - checked).as_millis(),
        all.as_millis()
    );
    if !report.is_good() || report.unproven().count() > 0 {
        return Err(report.faults().join("\n").into());
    }
    if all > MOST {
        return Err(format!("more than {} s", MOST.as_secs()).into());
    }
    Ok(())
}

fn document(routes: usize) -> String {
    let mut text = "listeners: [{ bind: \"127.0.0.1:3000\" }]\n\
        security:\n  authorization: { roles_allowed: [user] }\n  rate_limiting: { max_requests: 100, per: minute }\n\
        consumers:\n  - { name: alice, roles: [user], keys: [{ literal: key-of-alice-0123456789 }], password: { env: HASH } }\n\
        \x20 - { name: bob, roles: [admin], keys: [{ literal: key-of-bob-0123456789xx }] }\nroutes:\n"
        .to_owned();
    for route in 0..routes {
        let authentication = match route % 3 {
            0 => "{ type: api_key }",
            1 => "{ type: basic }",
            _ => "{ type: jwt, issuer: \"https://issuer.example\", audience: orders }",
        };
        let _ = writeln!(
            text,
            "  - {{ path: \"/route-{route}/{{id}}\", methods: [GET], upstream: \"http://127.0.0.1:8080\", security: {{ authentication: {authentication} }} }}"
        );
    }
    text
}
