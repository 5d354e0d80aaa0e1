//! The front over real sockets: what it passes on, what it refuses, what it cuts off, and that every request leaves
//! exactly one record.

#![expect(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test binary has no outside, and a helper that fails fails its test"
)]

mod common;
mod connection;
mod deadlines;
mod draining;
mod early;
mod failures;
mod forwarding;
mod handlers;
mod inspection;
mod limits;
mod reuse;
mod unread;
mod upgrades;
