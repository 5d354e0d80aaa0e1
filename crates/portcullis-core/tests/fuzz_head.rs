//! The fuzz targets of heads, for a bounded time: what is likely to be a trick, and any bytes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "../../../fuzz/properties/head.rs"]
mod head;

use proptest::prelude::*;

/// Bytes that are made of these pieces, and of any others.
fn made_of(pieces: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        8 => proptest::sample::select(pieces).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
        1 => "[a-z0-9]{1,3}".prop_map(String::into_bytes),
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

const HEAD: &[&str] = &[
    "/",
    "..",
    "%2e",
    "%2F",
    "%3B",
    "%20",
    "?",
    "key=",
    "k%65y=1",
    "&",
    "http://a",
    "\nhost:a",
    "\nhost:b:80",
    "\ncookie:session=1; a=b",
    "\nx-api-key:1",
    "\nx_api_key:1",
    "\nx-forwarded-for:9.9.9.9",
    "\nconnection:",
    "close",
    "x-api-key",
    "\ncontent-length:1",
    "\ntransfer-encoding:chunked",
    "\nupgrade:h2c",
    ",",
    "%",
    "\nx-consumer-name:a",
    "\nremote_user:a",
    "\nexpect:100-continue",
    "\nx-forwarded-host:",
];
const QUERY: &[&str] =
    &["key", "k%65y", "k%2565y", "=", "&", ";", "+", "%", "%00", "%ff", "\n", "[]", "#", "?"];
const COOKIE: &[&str] =
    &["session", "session ", "other", "=", ";", "; ", ",", "\"", "\t", "$Version=1", "\\", " "];

#[test]
fn what_is_plain_is_admitted_and_looked_at() {
    assert!(head::admit(
        b"/a%20b?key=1&c=d\nhost:a\nx-api-key:1\ncookie:session=1; other=2\nx-consumer-name:x"
    ));
    assert!(!head::admit(b"/a\nhost:a\nx_api_key:1"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8000, ..ProptestConfig::default() })]

    #[test]
    fn any_head(bytes in made_of(HEAD), plain in any::<bool>()) {
        head::admit(&if plain { [&b"/x\nhost:a"[..], &bytes].concat() } else { bytes });
    }

    #[test]
    fn any_query(bytes in made_of(QUERY)) {
        head::query(&bytes);
    }

    #[test]
    fn any_cookies(bytes in made_of(COOKIE)) {
        head::cookie(&bytes);
    }
}
