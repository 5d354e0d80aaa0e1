//! Drives `json_document` of the properties of messages with any bytes.

#![no_main]

#[path = "../properties/openapi.rs"]
#[allow(dead_code, reason = "each target drives one of them")]
mod openapi;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| openapi::json_document(bytes));
