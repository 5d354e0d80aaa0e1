//! HTTPS from outside: a gateway from a document, certificates that are made here, and the clients that people use, curl and
//! openssl, beside ones that do what those would not.

#![expect(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test binary has no outside, and a helper that fails fails its test"
)]

#[allow(dead_code, reason = "each test binary uses a part of it")]
#[path = "../support/authority.rs"]
mod authority;
#[allow(dead_code, unused_imports, reason = "each test binary uses a part of it")]
#[path = "../support/mod.rs"]
mod support;

mod admin;
mod balancers;
mod calls;
mod certificates;
mod clients;
mod commands;
mod handshakes;
mod http2;
mod multiplexed;
mod redirects;
mod streams;
mod tunnels;
mod uploads;
mod upstreams;
