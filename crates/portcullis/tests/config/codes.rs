//! Every diagnostic: a document that causes it, where it points, and that it says what to do.
//!
//! The codes come from the sources, so a new one needs a case here.

mod acme;
mod cases;
mod counting;
mod login;
mod passwords;
mod protection;
mod stored_keys;

use super::certificates::placed;
use super::harness::load;
use cases::{ANSWERS_FOR_ITSELF, UNREACHABLE, cases};
use portcullis::Style;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

/// Stands in a case where the diagnostic points to.
const MARK: char = '§';

/// Every code in the sources of the crates that read a configuration, without those of their own tests.
fn codes() -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    for name in ["portcullis-config", "portcullis-checks", "portcullis"] {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name).join("src");
        find(&sources, &mut codes);
    }
    codes
}

fn find(folder: &Path, codes: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && name != "tests" {
            find(&path, codes);
        } else if name.ends_with(".rs") && name != "tests.rs" {
            let text = std::fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            let found = text.split("\"config.").skip(1).filter_map(|rest| rest.split_once('"'));
            codes.extend(found.map(|(code, _)| format!("config.{code}")));
        }
    }
}

/// The document without the mark, and the line and column of what stood behind it.
fn marked(document: &str) -> (String, (u64, u64)) {
    let (before, _) = document.split_once(MARK).unwrap_or_else(|| panic!("no mark in\n{document}"));
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap().chars().count() + 1;
    (document.replace(MARK, ""), (line as u64, column as u64))
}

fn place(diagnostic: &Value) -> (u64, u64) {
    (diagnostic["line"].as_u64().unwrap_or(0), diagnostic["column"].as_u64().unwrap_or(0))
}

fn all_cases() -> Vec<(&'static str, String)> {
    let all = cases().into_iter().chain(passwords::cases()).chain(login::cases()).chain(counting::cases());
    let all = all.chain(protection::cases()).chain(acme::cases()).chain(stored_keys::cases());
    all.map(|(code, document)| (code, placed(&document))).collect()
}

#[test]
fn every_code_has_a_case() {
    let covered: BTreeSet<String> = all_cases()
        .iter()
        .map(|case| case.0.to_owned())
        .chain(UNREACHABLE.iter().map(|code| code.0.to_owned()))
        .collect();
    let codes = codes();
    assert!(codes.len() > 50, "{codes:?}");
    let missing: Vec<_> = codes.difference(&covered).collect();
    assert!(missing.is_empty(), "no document causes these: {missing:#?}");
    let gone: Vec<_> = covered.difference(&codes).collect();
    assert!(gone.is_empty(), "no such codes: {gone:#?}");
}

#[test]
fn every_code_points_to_its_place_and_says_what_to_do() {
    let mut wrong = String::new();
    for (code, document) in all_cases() {
        let (document, at) = marked(&document);
        let loaded = load(&document);
        let text = loaded.text(Style::Plain);
        let shown = document.chars().take(2000).collect::<String>();
        let all = loaded.json();
        let found = all.as_array().unwrap().iter().find(|one| one["code"] == code && place(one) == at);
        let Some(found) = found else {
            wrong.push_str(&format!("no {code} at {at:?}\n{text}\n{shown}\n"));
            continue;
        };
        let advises = ["help", "label", "related"].iter().any(|part| found.get(*part).is_some());
        if advises == ANSWERS_FOR_ITSELF.contains(&code) {
            wrong.push_str(&format!("{code}: what is there to do about it?\n{text}\n"));
        }
        let refuses = found["severity"] == "error";
        if loaded.blueprint().is_none() != refuses {
            wrong.push_str(&format!("an error refuses, a warning does not: {code}\n{text}\n"));
        }
        // One mistake, one error; what follows from it is not said.
        if loaded.errors() > 1 {
            wrong.push_str(&format!("{code} and more\n{text}\n{shown}\n"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn a_private_file_with_a_secret_is_no_warning() {
    let loaded = load(&placed(
        "key_pepper: { file: CERTIFICATES/private.txt }\nlisteners: [{ bind: 127.0.0.1:3000 }]\n\
         routes: [{ path: /a, public: a test, upstream: http://127.0.0.1:8080 }]\n",
    ));
    let all = loaded.json();
    assert!(all.as_array().unwrap().iter().all(|one| one["code"] != "config.secret_readable"), "{all}");
    assert!(loaded.blueprint().is_some(), "{all}");
}

#[test]
fn ten_errors_are_reported_at_once_each_with_its_line() {
    let document = "\
listeners:
  - bind: §127.0.0.1
    max_conections: 5
security:
  authentication: { type: api_kee }
  rate_limiting: { max_requests: 0, per: minute }
  body: { max_size: 1mb }
consumers:
  - name: alice
    keys: [{ env: NOT_SET }]
routes:
  - path: /a
    upstream: ftp://127.0.0.1:8080
    public: true
    methods: [GETT]
trusted_proxies: [10.0.0.1/8]
drain: 30
";
    let loaded = load(&document.replace(MARK, ""));
    assert!(loaded.blueprint().is_none());
    let all = loaded.json();
    let found: Vec<(u64, &str)> =
        all.as_array().unwrap().iter().map(|one| (place(one).0, one["code"].as_str().unwrap())).collect();
    let expected = [
        (2, "config.invalid_address"),
        (3, "config.unknown_key"),
        (5, "config.unknown_value"),
        (6, "config.out_of_range"),
        (7, "config.invalid_size"),
        (10, "config.secret_unavailable"),
        (13, "config.upstream"),
        (14, "config.reason"),
        (15, "config.unknown_value"),
        (16, "config.network"),
        (17, "config.wrong_type"),
    ];
    assert_eq!(found, expected, "{}", loaded.text(Style::Plain));
}

#[test]
fn errors_that_only_compiling_finds_are_reported_at_once_too() {
    let document = "\
listeners:
  - bind: 0.0.0.0:3000
  - bind: 127.0.0.1:3000
  - bind: 127.0.0.1:3000
security:
  authentication: { type: api_key, header: host }
  authorization: { roles_allowed: [] }
  rate_limiting: { max_requests: 5, per: minute, burst: 6 }
consumers:
  - name: alice
  - name: alice
routes:
  - path: a
    methods: []
    hosts: [\"a.example:80\"]
    upgrade: [h2c]
    upstream: http://127.0.0.1:8080
";
    let loaded = load(document);
    let all = loaded.json();
    let errors = all.as_array().unwrap().iter().filter(|one| one["severity"] == "error");
    let found: Vec<(u64, &str)> = errors.map(|one| (place(one).0, one["code"].as_str().unwrap())).collect();
    let expected = [
        (2, "config.plaintext"),
        (4, "config.duplicate_listener"),
        (6, "config.reserved_field"),
        (7, "config.empty_list"),
        (8, "config.burst"),
        (11, "config.duplicate_consumer"),
        (13, "config.route_path"),
        (14, "config.empty_list"),
        (15, "config.host"),
        (16, "config.upgrade"),
    ];
    assert_eq!(found, expected, "{}", loaded.text(Style::Plain));
}
