//! Stores of keys: one suite over SQLite and a real PostgreSQL, and what happens when a store fails.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

mod failures;
mod following;
mod killed;
mod postgres;
mod sqlite;
mod suite;
mod support;
