//! The documentation is written in plain English: none of the phrases that need a second reading.
//!
//! Pages, the descriptions of configuration keys, and the meanings of denials are read. Code is not.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::path::{Path, PathBuf};

/// What is not written, and what is written in its place.
const AVOIDED: [(&str, &str); 14] = [
    ("whoever", "name the client, user or attacker"),
    ("but for", "except"),
    ("is none", "is missing; no …"),
    ("are none", "are missing; no …"),
    ("of its own", "its own …; a separate …"),
    ("of their own", "their own …; separate …"),
    ("told of", "reported"),
    ("taken away", "removed"),
    ("looked at", "checked"),
    ("is believed", "is trusted"),
    ("are believed", "are trusted"),
    ("whose word", "trusted"),
    ("in the clear", "without TLS; unencrypted"),
    ("says nothing", "is missing; is empty"),
];

#[test]
fn pages_are_in_plain_english() {
    let root = root();
    let mut all = pages(&root.join("docs"));
    all.extend(["README.md", "SECURITY.md"].map(|name| root.join(name)));
    let mut found = Vec::new();
    for page in &all {
        let text = fs::read_to_string(page).unwrap();
        for (line, phrase, better) in avoided(&text) {
            let page = page.strip_prefix(&root).unwrap().display();
            found.push(format!("{page}:{line}: \"{phrase}\" (better: {better})"));
        }
    }
    assert!(all.len() > 10, "{all:?}");
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn descriptions_of_keys_are_in_plain_english() {
    let schema = fs::read_to_string(root().join("docs/gateway.schema.json")).unwrap();
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    let mut descriptions = Vec::new();
    collect(&schema, &mut descriptions);
    assert!(descriptions.len() > 300, "{}", descriptions.len());
    let found: Vec<String> = descriptions
        .iter()
        .flat_map(|text| avoided(text).into_iter().map(move |(_, phrase, _)| format!("\"{phrase}\": {text}")))
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn a_phrase_is_noticed() {
    assert_eq!(avoided("a\nWhoever sends it").len(), 1);
    assert_eq!(avoided("a network that is\nbelieved").len(), 1, "over the end of a line");
    assert_eq!(avoided("`whoever_waits` is a test").len(), 0);
    assert_eq!(avoided("```sh\nwhoever\n```").len(), 0);
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn pages(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(pages(&path));
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
    found
}

fn collect(value: &serde_json::Value, found: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(members) => {
            if let Some(text) = members.get("description").and_then(serde_json::Value::as_str) {
                found.push(text.to_owned());
            }
            members.values().for_each(|member| collect(member, found));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        _ => {}
    }
}

/// The avoided phrases of a text, each with its line, without what is code.
fn avoided(text: &str) -> Vec<(usize, &'static str, &'static str)> {
    let mut code = false;
    let mut words: Vec<(usize, String)> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            code = !code;
        } else if !code {
            // Every second part is between backticks.
            let prose = line.split('`').step_by(2).collect::<Vec<_>>().join(" \u{2026} ").to_lowercase();
            let split = prose.split(|c: char| !c.is_alphanumeric() && c != '\u{2026}');
            words.extend(split.filter(|word| !word.is_empty()).map(|word| (number + 1, word.to_owned())));
        }
    }
    let mut found = Vec::new();
    for (phrase, better) in AVOIDED {
        let wanted: Vec<&str> = phrase.split(' ').collect();
        for place in words.windows(wanted.len()) {
            if place.iter().map(|(_, word)| word.as_str()).eq(wanted.iter().copied()) {
                found.push((place[0].0, phrase, better));
            }
        }
    }
    found
}
