//! Drives `cookie` of the properties of heads with any bytes.

#![no_main]

#[path = "../properties/head.rs"]
#[allow(dead_code, reason = "each target drives one of them")]
mod head;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| head::cookie(bytes));
