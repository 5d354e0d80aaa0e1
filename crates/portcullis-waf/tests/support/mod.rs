//! What several tests need.

#![allow(dead_code, reason = "each test uses a part of it")]

pub(crate) mod crs;
pub(crate) mod harmless;
pub(crate) mod yaml;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The folder with the Core Rule Set, its tests and the vectors, if there is one.
pub(crate) fn crs_dir() -> Option<PathBuf> {
    match std::env::var_os("CRS_DIR").filter(|value| !value.is_empty()) {
        Some(path) => Some(PathBuf::from(path)),
        None => {
            println!("CRS_DIR is not set: the Core Rule Set and its vectors are not tested here");
            None
        }
    }
}

/// A data file of two columns: a key, spaces, and a reason. `#` starts a comment.
pub(crate) fn table(name: &str) -> Vec<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name);
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .map(|line| {
            let (key, reason) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
            (key.to_owned(), reason.trim().to_owned())
        })
        .collect()
}

/// A new folder for this process and call.
pub(crate) fn scratch(name: &str) -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("portcullis-waf-{name}-{}-{number}", std::process::id()));
    std::fs::create_dir_all(&path).unwrap();
    path
}
