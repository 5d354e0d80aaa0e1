//! The fuzz targets of HTTP/1.1 messages, for a bounded time: what is likely to be a trick, and any bytes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "../../../fuzz/properties/http1.rs"]
mod http1;

use proptest::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that are made of these pieces, and of any others, behind a start that is right more often than not.
fn made_of(
    starts: &'static [&'static str],
    pieces: &'static [&'static str],
) -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        12 => proptest::sample::select(pieces).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
        1 => "[a-z0-9]{1,3}".prop_map(String::into_bytes),
    ];
    let end = proptest::sample::select(&["\r\n\r\n", "\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "\n\n", ""][..]);
    (proptest::sample::select(starts), proptest::collection::vec(piece, 0..12), end)
        .prop_map(|(start, pieces, end)| [start.as_bytes(), &pieces.concat(), end.as_bytes()].concat())
}

const REQUESTS: &[&str] = &[
    "GET / HTTP/1.1\r\nHost: a",
    "GET / HTTP/1.1\r\nHost: a",
    "POST /a?b HTTP/1.1\r\nHost: a\r\nContent-Length: 5",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked",
    "\r\nGET http://a/b HTTP/1.1\r\nHost: a",
    "OPTIONS * HTTP/1.0",
    "",
];
const RESPONSES: &[&str] = &[
    "HTTP/1.1 200 OK",
    "HTTP/1.1 200 OK\r\nContent-Length: 5",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked",
    "HTTP/1.0 304 ",
    "HTTP/1.1 103 Early Hints",
    "HTTP/1.1 204",
    "",
];
const FIELDS: &[&str] = &[
    "\r\na: b",
    "\r\nA:",
    "\r\nX-One: \t1 ",
    "\r\nConnection: close",
    "\r\nUpgrade: x",
    "\r\nContent-Length: 5",
    "\r\nContent-Length: 0",
    "\r\nTransfer-Encoding: chunked",
    "\r\nHost: b",
    "\r\n c",
    "\n",
    "\r",
    "\r\n",
    " ",
    "\t",
    ":",
    ",",
    "\0",
    "GET /x HTTP/1.1",
    "HTTP/1.1 200 OK",
];
const BODIES: &[&str] = &["5\r\nhello\r\n", "0\r\n\r\n", "a;b=\"c\"\r\n0123456789\r\n", "0\r\n", ""];
const CHUNKS: &[&str] = &[
    "5\r\nhello\r\n",
    "1\r\nx\r\n",
    "0\r\n",
    "\r\n",
    "00",
    ";a",
    "=b",
    "\"c\"",
    "\\",
    " ",
    "\n",
    "\r",
    "a: b\r\n",
    "Host: a\r\n",
    "f",
    "0x",
    "+",
    "-",
    "_",
    "\t",
];

/// Runs a property, and says whether enough of the bytes got past the reader for it to mean something.
fn hold(starts: &'static [&'static str], pieces: &'static [&'static str], property: fn(&[u8]) -> bool) {
    let read = AtomicUsize::new(0);
    let config = ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(bytes in made_of(starts, pieces))| {
        read.fetch_add(usize::from(property(&bytes)), Ordering::Relaxed);
    });
    let read = read.into_inner();
    assert!(read > 50, "only {read} were read");
}

#[test]
fn requests_have_one_reading() {
    hold(REQUESTS, FIELDS, http1::request);
}

#[test]
fn responses_have_one_reading() {
    hold(RESPONSES, FIELDS, http1::response);
}

#[test]
fn bodies_have_one_reading() {
    hold(BODIES, CHUNKS, http1::body);
}

#[test]
fn what_is_written_is_what_was_read() {
    hold(REQUESTS, FIELDS, http1::round_trip);
    hold(RESPONSES, FIELDS, http1::round_trip);
}

/// A head at its bounds gets a field more when it is written, for its framing.
#[test]
fn a_head_at_its_bounds_is_written_and_read() {
    let fields: String = (0..99).map(|number| format!("a{number}:b\r\n")).collect();
    assert!(http1::round_trip(format!("POST /a HTTP/1.1\r\nHost: a\r\n{fields}\r\n").as_bytes()));
}

/// Every byte in every place of a head and of a body, so that no class of bytes is left out.
#[test]
fn every_byte_in_every_place() {
    let head = b"POST /a HTTP/1.1\r\nHost: a\r\nX: y\r\nContent-Length: 1\r\n\r\n";
    let answer = b"HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 1\r\n\r\n";
    let chunks = b"1;a=b;c=\"d\"\r\nx\r\n0\r\ne: f\r\n\r\n";
    for (text, property) in
        [(&head[..], http1::request as fn(&[u8]) -> bool), (answer, http1::response), (chunks, http1::body)]
    {
        assert!(property(text));
        for place in 0..text.len() {
            // A few of each class; all of them would take a minute.
            for byte in [
                0, 1, b'\t', b'\n', 0x0b, b'\r', b' ', b'"', b'#', b'+', b',', b'0', b':', b';', b'a', 0x7f,
                0x80, 0xff,
            ] {
                let mut changed = text.to_vec();
                changed[place] = byte;
                let _read = property(&changed);
                changed.insert(place, text[place]);
                let _read = property(&changed);
            }
        }
    }
}
