//! Drives `response` of the properties of HTTP/1.1 messages with any bytes.

#![no_main]

#[path = "../properties/http1.rs"]
#[allow(dead_code, reason = "each target drives one of them")]
mod http1;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _read = http1::response(bytes);
});
