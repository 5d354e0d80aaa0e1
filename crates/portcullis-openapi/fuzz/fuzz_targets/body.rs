#![no_main]
//! See `body` among the entries.

#[allow(dead_code, reason = "each target has one entry")]
#[path = "../../tests/entries/mod.rs"]
mod entries;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| entries::body(bytes));
