//! Secrets that tests use, and everything that gateways of tests put out.
//!
//! `cargo xtask test` names a folder in `PORTCULLIS_CANARIES`. Test support writes every secret that a test gives to a gateway
//! or sends to one into it, and everything that operators or clients are shown: lines of logs, notices, metrics, traces,
//! bodies of refusals, pages, debug output. When all tests have run, every secret is searched for in all outputs, and one that
//! is found fails the run (`xtask/src/canaries.rs`). Without the variable nothing is written.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock};

/// Shorter texts stand in outputs for other reasons.
const SHORTEST: usize = 16;
/// Longer ones are made to be too long.
const LONGEST: usize = 4096;
/// A secret that is put out on purpose, so that a search which finds nothing is known to work.
const PLANTED: &str = "planted-7c1f0e9d3b5a48268f70";

fn folder() -> Option<&'static PathBuf> {
    static FOLDER: OnceLock<Option<PathBuf>> = OnceLock::new();
    FOLDER.get_or_init(|| std::env::var_os("PORTCULLIS_CANARIES").map(PathBuf::from)).as_ref()
}

fn append(folder: &str, name: &str, text: &[u8]) {
    let Some(root) = self::folder() else { return };
    let folder = root.join(folder);
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(format!("{}-{name}", std::process::id()));
    let mut file: File = OpenOptions::new().create(true).append(true).open(path).unwrap();
    // In one call, so that lines of several threads stay whole.
    file.write_all(&[text, b"\n"].concat()).unwrap();
}

/// A gateway is given this secret, or a client sends it.
pub fn secret(text: &str) {
    static KNOWN: OnceLock<Mutex<HashSet<String>>> = OnceLock::new();
    let text = text.trim();
    if folder().is_none() || !is_telling(text) {
        return;
    }
    let mut known = KNOWN.get_or_init(Mutex::default).lock().unwrap();
    if known.is_empty() {
        append("secrets", "all", PLANTED.as_bytes());
        append("outputs", "planted", PLANTED.as_bytes());
    }
    if known.insert(text.to_owned()) {
        append("secrets", "all", text.as_bytes());
    }
}

/// Whether a text stands nowhere by chance: not a path, not many times the same letter, and not the digits that tests also use
/// for ids.
fn is_telling(text: &str) -> bool {
    let mut letters: Vec<char> = text.chars().collect();
    letters.sort_unstable();
    letters.dedup();
    (SHORTEST..=LONGEST).contains(&text.len())
        && letters.len() >= 6
        && !text.contains(char::is_whitespace)
        && !text.starts_with(['/', '.'])
        && !text.starts_with("0123456789")
}

/// Somebody is shown this. `kind` says who, in a word.
pub fn output(kind: &str, shown: &[u8]) {
    append("outputs", kind, shown);
}

/// The secrets of a configuration: what stands behind `literal:`, and in the variables behind `env:`.
pub fn of_document(document: &str) {
    if folder().is_none() {
        return;
    }
    for (word, from_environment) in [("literal:", false), ("env:", true)] {
        for (place, _) in document.match_indices(word) {
            let rest = document[place + word.len()..].trim_start();
            let end = |quote: char| rest[1..].split(quote).next();
            let value = match rest.chars().next() {
                Some(quote @ ('"' | '\'')) => end(quote),
                _ => rest.split([',', '}', '\n', ']', ' ']).next(),
            };
            let value = value.unwrap_or_default().to_owned();
            match from_environment {
                true => std::env::var(value).iter().for_each(|value| secret(value)),
                false => secret(&value),
            }
        }
    }
}

/// Fields of which the values are credentials.
fn is_credential(name: &str) -> bool {
    let name = name.trim().to_ascii_lowercase();
    matches!(
        name.as_str(),
        "authorization" | "proxy-authorization" | "cookie" | "x-api-key" | "api-key" | "dpop"
    )
}

/// The secrets of a request as a client writes it.
pub fn of_request(bytes: &[u8]) {
    if folder().is_none() {
        return;
    }
    let text = String::from_utf8_lossy(bytes);
    for (name, value) in text.lines().filter_map(|line| line.split_once(':')) {
        if !is_credential(name) {
            continue;
        }
        match name.trim().eq_ignore_ascii_case("cookie") {
            true => {
                value.split(';').filter_map(|pair| pair.split_once('=')).for_each(|(_, value)| secret(value))
            }
            // A token stands behind its scheme.
            false => value.split([' ', ',']).for_each(secret),
        }
    }
}
