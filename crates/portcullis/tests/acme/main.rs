//! Certificates that the gateway gets by itself, from Pebble, which is Let's Encrypt's server for tests: it checks every
//! signature, rejects half of all nonces here, and looks at each proof over a socket.

#![expect(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test binary has no outside, and a helper that fails fails its test"
)]

#[allow(dead_code, reason = "each test binary uses a part of it")]
#[path = "../support/authority.rs"]
mod authority;
#[allow(dead_code, reason = "each test binary uses a part of it")]
#[path = "../tls/commands.rs"]
mod commands;
#[allow(dead_code, unused_imports, reason = "each test binary uses a part of it")]
#[path = "../support/mod.rs"]
mod support;

mod failures;
mod issue;
mod pebble;
mod renewal;
mod server;
mod wishes;
