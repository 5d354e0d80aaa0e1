//! The JSON-Schema-Test-Suite through the way by which schemas are compiled here.
//!
//! The suite's folder is `JSON_SCHEMA_TEST_SUITE`, or where `cargo xtask counterparts` puts it; without either, the
//! test says so and judges nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use portcullis_openapi::{Files, Schema};
use serde_json::Value;

/// What differs, and why. Each entry is the beginning of `file: group: test`.
const KNOWN: &[(&str, &str)] = &[
    ("draft2020-12/format.json: ", "formats are asserted here, as OpenAPI needs them"),
    ("/optional/format/idn-email.json: ", "internationalised addresses need tables that are not linked"),
    ("/optional/format/idn-hostname.json: ", "internationalised names need tables that are not linked"),
];

fn folder() -> Option<PathBuf> {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../target/counterparts/openapi/json-schema-test-suite");
    let folder = std::env::var_os("JSON_SCHEMA_TEST_SUITE").map_or(installed, PathBuf::from);
    folder.join("tests").is_dir().then_some(folder)
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "json") {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn the_suite_passes_but_for_what_is_listed() {
    let Some(folder) = folder() else {
        println!("the suite is not here: run `cargo xtask counterparts`, or set JSON_SCHEMA_TEST_SUITE");
        return;
    };
    let remotes = folder.join("remotes");
    let remotes: Vec<(String, Value)> = files(&remotes)
        .iter()
        .map(|path| {
            (format!("http://localhost:1234/{}", path.strip_prefix(&remotes).unwrap().display()), json(path))
        })
        .collect();
    let mut unexpected = Vec::new();
    let mut used = vec![false; KNOWN.len()];
    for (draft, schema) in [
        ("draft2020-12", "https://json-schema.org/draft/2020-12/schema"),
        ("draft2019-09", "https://json-schema.org/draft/2019-09/schema"),
        ("draft7", "http://json-schema.org/draft-07/schema#"),
    ] {
        let root = folder.join("tests").join(draft);
        let mut figures: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
        for path in files(&root) {
            let name = path.strip_prefix(&root).unwrap().display().to_string();
            let part = if name.starts_with("optional/format") {
                "formats"
            } else if name.starts_with("optional") {
                "optional"
            } else {
                "required"
            };
            for group in json(&path).as_array().unwrap() {
                let mut main = group["schema"].clone();
                if let Some(members) = main.as_object_mut() {
                    members.entry("$schema").or_insert_with(|| schema.into());
                }
                let mut set = Files::from_value("http://suite.test/main.json", main);
                for (address, value) in &remotes {
                    let mut value = value.clone();
                    if let Some(members) = value.as_object_mut() {
                        members.entry("$schema").or_insert_with(|| schema.into());
                    }
                    set.add_value(address, value).unwrap();
                }
                let compiled = Schema::compile(&set);
                for test in group["tests"].as_array().unwrap() {
                    let figures = figures.entry(part).or_default();
                    figures.1 += 1;
                    let said = compiled.as_ref().map(|schema| schema.judge(&test["data"]).is_ok());
                    if said.as_ref().ok() == test["valid"].as_bool().as_ref() {
                        figures.0 += 1;
                        continue;
                    }
                    let about = format!(
                        "{draft}/{name}: {}: {}",
                        group["description"].as_str().unwrap(),
                        test["description"].as_str().unwrap()
                    );
                    match KNOWN.iter().position(|(known, _)| about.contains(known)) {
                        Some(at) => used[at] = true,
                        None => unexpected.push(format!(
                            "{about}: {}",
                            said.map_or_else(|error| error.to_string(), |said| said.to_string())
                        )),
                    }
                }
            }
        }
        for (part, (passed, all)) in figures {
            println!("{draft}, {part}: {passed} of {all}");
        }
    }
    for ((known, why), used) in KNOWN.iter().zip(used) {
        println!("known: {known}: {why}");
        assert!(used, "{known} passes now");
    }
    assert!(unexpected.is_empty(), "{} differ:\n{}", unexpected.len(), unexpected.join("\n"));
}
