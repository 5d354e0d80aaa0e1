//! What `portcullis check` finds, in each form, and how it ends.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use serde_json::Value;
use std::sync::atomic::{AtomicUsize, Ordering};
use support::{Scratch, run};

/// Open to everybody below a path: a grave finding. And no limit.
const OPEN: &str = "listeners: [{ bind: \"127.0.0.1:3000\" }]\n\
    routes:\n  - { path: \"/files/{*rest}\", public: a test, methods: [GET], upstream: \"http://127.0.0.1:8080\" }\n";

/// No grave finding.
const LIMITED: &str = "listeners: [{ bind: \"127.0.0.1:3000\" }]\n\
    security: { rate_limiting: { max_requests: 100, per: minute, by: address } }\n\
    routes:\n  - { path: /health, public: a test, methods: [GET], upstream: \"http://127.0.0.1:8080\" }\n";

fn check(text: &str, options: &[&str]) -> (i32, String) {
    static NUMBER: AtomicUsize = AtomicUsize::new(0);
    let scratch = Scratch::new(&format!("check-{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
    let file = scratch.file("gateway.yaml", text);
    let output = run(&[&["check", &file], options].concat());
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_grave_finding_fails_and_says_why_and_how_to_close_it() {
    let (code, text) = check(OPEN, &[]);
    assert_eq!(code, 1, "{text}");
    for part in [
        "error[public_wildcard]: this public route covers everything below its path",
        "gateway.yaml:3:13",
        "why: ",
        "help: ",
        "API5:2023",
        "[no_rate_limit]",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let (code, text) = check(LIMITED, &[]);
    assert_eq!(code, 0, "{text}");
    let (code, _) = check("listeners: []\n", &[]);
    assert_eq!(code, 2, "what does not load is no finding");
    let (code, _) = check(LIMITED, &["--format", "yaml"]);
    assert_eq!(code, 3);
}

#[test]
fn programs_get_json_and_sarif() {
    let (code, text) = check(OPEN, &["--format", "json"]);
    assert_eq!(code, 1);
    let document: Value = serde_json::from_str(&text).unwrap();
    assert!(text.contains("\"public_wildcard\"") && document.is_object(), "{text}");

    let (code, text) = check(OPEN, &["--format", "sarif"]);
    assert_eq!(code, 1);
    let sarif: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(sarif["version"], "2.1.0");
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    let found = results.iter().find(|result| result["ruleId"] == "public_wildcard").unwrap();
    assert_eq!(found["level"], "error");
    let place = &found["locations"][0]["physicalLocation"];
    assert_eq!(place["region"]["startLine"], 3);
    assert!(place["artifactLocation"]["uri"].as_str().unwrap().ends_with("gateway.yaml"));
    let rules = sarif["runs"][0]["tool"]["driver"]["rules"].as_array().unwrap();
    assert!(rules.iter().any(|rule| rule["id"] == "public_wildcard"), "{rules:?}");
}

/// SARIF as its own JSON Schema has it, which the test counterparts bring.
#[test]
fn sarif_is_as_its_schema_says() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(
        "../../tests/counterparts/sarif/node_modules/@microsoft/jest-sarif/lib/schemas/sarif-2.1.0-rtm.5.json",
    );
    let schema = std::fs::read_to_string(&file)
        .unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask counterparts`", file.display()));
    // A `]` alone, which the library does not take. `check` says nothing of a language.
    let schema = schema.replace("{2}]?$", "{2}\\\\]?$");
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let told =
        |sarif: &Value| validator.iter_errors(sarif).map(|error| error.to_string()).collect::<Vec<_>>();

    // What is found in a whole file, at a place, and in one that does not load at all; and nothing.
    let broken = OPEN.replace("routes:", "routs:");
    let twice = format!("{OPEN}{OPEN}");
    for (document, code) in [(OPEN, 1), (LIMITED, 0), (broken.as_str(), 2), (twice.as_str(), 2)] {
        let (ended, text) = check(document, &["--format", "sarif"]);
        assert_eq!(ended, code, "{text}");
        let sarif: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(told(&sarif), Vec::<String>::new(), "{text}");
        assert!(code == 0 || !sarif["runs"][0]["results"].as_array().unwrap().is_empty(), "{text}");
    }

    // The schema does say something.
    let (_, text) = check(OPEN, &["--format", "sarif"]);
    let sarif: Value = serde_json::from_str(&text).unwrap();
    for (place, wrong) in [
        ("/version", "2.0"),
        ("/runs/0/results/0/level", "fatal"),
        ("/runs/0/results/0/message", "a text"),
        ("/runs/0/results/0/locations/0/physicalLocation/region/startLine", "3"),
    ] {
        let mut changed = sarif.clone();
        *changed.pointer_mut(place).unwrap() = Value::from(wrong);
        assert!(!told(&changed).is_empty(), "{place} can be {wrong}");
    }
}

#[test]
fn an_accepted_finding_fails_no_more_until_its_day_is_over() {
    let accepted = |until: &str| {
        format!(
            "{OPEN}accepted_findings:\n  - {{ finding: public_wildcard, reason: a mirror of open files, until: {until} }}\n"
        )
    };
    let (code, text) = check(&accepted("9999-12-31"), &[]);
    assert_eq!(code, 0, "{text}");
    assert!(!text.contains("[public_wildcard]") && text.contains("[no_rate_limit]"), "{text}");
    let (code, text) = check(&accepted("2020-12-31"), &[]);
    assert_eq!(code, 1, "{text}");
}

#[test]
fn warnings_can_be_denied() {
    let (code, text) = check(LIMITED, &["--deny", "warnings"]);
    let medium = text.contains("warning[");
    assert_eq!(code, i32::from(medium), "{text}");
    let unlimited = LIMITED.replace("security:", "x-security:");
    let (code, text) = check(&unlimited, &["--deny", "warnings"]);
    assert_eq!(code, 1, "{text}");
}

#[test]
fn a_configuration_without_end_is_refused() {
    let scratch = Scratch::new("check-endless");
    let sparse = scratch.path("gateway.yaml");
    // A file of 1 GB that takes no place on the disk.
    std::fs::File::create(&sparse).unwrap().set_len(1 << 30).unwrap();
    for file in [sparse.as_str(), "/dev/zero"] {
        let begun = std::time::Instant::now();
        let output = run(&["check", file]);
        assert_eq!(output.status.code(), Some(2), "{file}");
        assert!(begun.elapsed() < std::time::Duration::from_secs(20), "{file}");
    }
    // A pipe that nobody writes to, as a file with a secret.
    let pipe = scratch.path("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let text = format!("{LIMITED}consumers: [{{ name: a, keys: [{{ file: \"{pipe}\" }}] }}]\n");
    let file = scratch.file("pipe.yaml", &text);
    let output = run(&["check", &file]);
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("does not come to an end"), "{said}");
}

/// 2,000 routes in 50 files, each with its own group: every error and every finding names the file and line it is about.
#[test]
fn a_large_configuration_in_many_files_stays_readable() {
    let scratch = Scratch::new("check-large");
    let folder = scratch.path("teams");
    std::fs::create_dir_all(&folder).unwrap();
    let file = scratch.file(
        "gateway.yaml",
        "include: [teams/*.yaml]
listeners: [{ bind: \"127.0.0.1:3000\" }]
security:
  authentication: { type: api_key, header: x-api-key }
  authorization: { roles_allowed: [user] }
  rate_limiting: { max_requests: 60, per: minute }
consumers: [{ name: alice, roles: [user], keys: [{ hash: \"sha256:5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5\", expires: \"2030-01-01T00:00:00Z\" }] }]
",
    );
    let team = |number: usize| {
        let routes: String = (0..40)
            .map(|route| format!("  - {{ path: \"/team{number}/r{route}/{{id}}\", methods: [GET], upstream: team{number} }}\n"))
            .collect();
        format!(
            "upstreams: {{ team{number}: {{ servers: [\"http://127.0.0.1:8080\"] }} }}\nroutes:\n{routes}"
        )
    };
    for number in 0..50 {
        scratch.file(&format!("teams/{number:02}.yaml"), &team(number));
    }
    let check = || {
        let output = run(&["check", &file]);
        (output.status.code().unwrap(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    let (code, text) = check();
    assert!(code == 0 && text.contains("2000 routes"), "{text}");
    // Two findings and an error, each in its file.
    let thirty = team(30).replacen("methods: [GET]", "methods: [GET, POST]", 1);
    scratch.file("teams/30.yaml", &thirty);
    let (code, text) = check();
    assert!(code == 0 && text.contains("teams/30.yaml:3:13") && text.contains("[no_schema]"), "{text}");
    scratch.file("teams/37.yaml", &team(37).replace("/r7/{id}\", methods", "/r7/{id}\", methds"));
    let (code, text) = check();
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("unknown key `methds`") && text.contains("teams/37.yaml:10:"), "{text}");
    assert_eq!(text.matches("error[").count(), 1, "{text}");
    // A name that two files define.
    scratch.file(
        "teams/37.yaml",
        &team(37).replace("upstreams: { team37:", "upstreams: { team12: { servers: [] }, team37:"),
    );
    let (code, text) = check();
    assert!(code == 2 && text.contains("`team12` in `upstreams` is defined in two files"), "{text}");
    assert!(text.contains("teams/37.yaml:1:14") && text.contains("teams/12.yaml:1:14"), "{text}");
}
