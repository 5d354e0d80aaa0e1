//! The entry points with bytes by chance, a second each: mutations of texts that are nearly right.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

use std::time::{Duration, Instant};

#[path = "../../../fuzz/properties/openapi.rs"]
mod entries;

/// A generator whose whole state is one number, so that a failure names what repeats it (xorshift64*).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33).unwrap() % bound
    }
}

const PIECES: &[&str] = &[
    "\"",
    "\\u",
    "d800",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "1",
    "-0",
    "1e9",
    "true",
    "null",
    "%",
    "%2C",
    "%7C",
    "+",
    "&",
    "=",
    ";",
    ".",
    "/",
    "?",
    "\n",
    "\r\n",
    "--B",
    "--",
    "Content-Disposition: form-data; name=a",
    "Content-Type: application/json",
    "\r\n\r\n",
    "application/json",
    "multipart/form-data; boundary=B",
    "application/xml",
    "<a>",
    "</a>",
    "<!",
    "&amp;",
    "form=",
    "deep[a]=",
    "doc={}",
    "R=1",
    ";matrix=",
    "\u{e9}",
    "\u{0}",
];

fn drive(entry: fn(&[u8]), seeds: &[&str]) {
    let end = Instant::now() + Duration::from_secs(1);
    let mut seed = u64::from(std::process::id()) << 32;
    let mut runs = 0_u64;
    while Instant::now() < end {
        seed += 1;
        let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let mut bytes = seeds[chance.below(seeds.len())].as_bytes().to_vec();
        for _ in 0..chance.below(8) {
            let at = chance.below(bytes.len() + 1);
            match chance.below(4) {
                0 => drop(bytes.splice(at..at, PIECES[chance.below(PIECES.len())].bytes())),
                1 if !bytes.is_empty() => bytes.truncate(at),
                2 if at < bytes.len() => bytes[at] = u8::try_from(chance.below(256)).unwrap(),
                _ => {
                    let again = bytes[at..].to_vec();
                    bytes.extend(again);
                    bytes.truncate(4096);
                }
            }
        }
        let outcome = std::panic::catch_unwind(|| entry(&bytes));
        assert!(outcome.is_ok(), "seed {seed}: {:?}", String::from_utf8_lossy(&bytes));
        runs += 1;
    }
    println!("{runs} runs");
    assert!(runs > 100, "{runs} runs tell nothing");
}

#[test]
fn json_by_chance() {
    drive(
        entries::json_document,
        &["", "[1,-2.5e3,\"a\\ud83d\\ude00\"]", "{\"a\":{\"b\":[null,true]},\"c\":1}"],
    );
}

#[test]
fn parameters_by_chance() {
    drive(
        entries::parameters,
        &[
            "",
            "1,2/.R=1/;matrix=a;matrix=b?form=1&form=true&space=1%202&pipe=a|b&deep[a]=1&doc={}&x=y\n1, 2\nc=a&c=b",
        ],
    );
}

#[test]
fn bodies_by_chance() {
    drive(
        entries::body,
        &[
            "application/json\n{\"a\":1}",
            "application/x-www-form-urlencoded\na=1&l=b&o={}",
            "application/xml\n<a b=\"1\">x</a>",
            "text/plain\n1",
        ],
    );
}

#[test]
fn parts_by_chance() {
    drive(
        entries::multipart,
        &[
            "",
            "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--B\r\nContent-Disposition: form-data; name=f; filename=x\r\nContent-Type: image/png\r\n\r\nxx\r\n--B--\r\n",
        ],
    );
}
