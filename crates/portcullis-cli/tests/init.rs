//! `portcullis init`: what it writes passes `check --deny warnings`, and guards what it serves.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use support::{Scratch, run};

const OPENAPI: &str = "openapi: 3.1.0\ninfo: { title: Orders, version: '1' }\nservers: [{ url: 'http://127.0.0.1:8080/v1' }]\npaths:\n  /orders:\n    get: { responses: { '200': { description: ok } } }\n    post: { requestBody: { content: { application/json: { schema: { type: object } } } }, responses: { '201': { description: ok } } }\n  /orders/{id}:\n    parameters: [{ name: id, in: path, required: true, schema: { type: string } }]\n    get: { responses: { '200': { description: ok } } }\ncomponents: { securitySchemes: { key: { type: apiKey, in: header, name: X-Orders-Key } } }\n";

#[test]
fn what_is_written_passes_the_check_and_asks_for_a_key() {
    let scratch = Scratch::new("init");
    let openapi = scratch.file("orders.yaml", OPENAPI);
    let folder = std::path::Path::new(&openapi).parent().unwrap().display().to_string();
    let curl = "curl -X POST -H 'X-My-Key: 1' -d '{\"a\": 1}' 'https://api.example.com/v1/orders?x=1'";
    for (number, (options, parts)) in [
        (
            vec!["--upstream", "http://127.0.0.1:8080", "--path", "/orders", "--path", "/orders/{id}"],
            vec!["path: \"/orders/{id}\"", "methods: [GET]"],
        ),
        (
            vec!["--curl", curl],
            vec![
                "header: x-my-key",
                "upstream: \"https://api.example.com\"",
                "path: \"/v1/orders\"",
                "methods: [POST]",
            ],
        ),
        (
            vec!["--openapi", &openapi],
            vec!["header: x-orders-key", "path: \"/v1/orders/{id}\"", "methods: [GET, POST]", "openapi:"],
        ),
        (
            vec!["--upstream", "http://10.0.0.7:8080", "--path", "/orders"],
            vec!["finding: plaintext_upstream"],
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let file = format!("{folder}/made-{number}.yaml");
        let made = run(&[&["init", file.as_str()], options.as_slice()].concat());
        let told = String::from_utf8(made.stdout).unwrap();
        assert_eq!(made.status.code(), Some(0), "{told} {}", String::from_utf8_lossy(&made.stderr));
        let text = std::fs::read_to_string(&file).unwrap();
        for part in parts {
            assert!(text.contains(part), "{part}\n{text}");
        }
        let key = told.split_whitespace().find(|word| word.len() == 64).expect("a key");
        assert!(!text.contains(key), "it stands nowhere but on the screen");
        let checked = run(&["check", &file, "--deny", "warnings"]);
        let said = String::from_utf8(checked.stdout).unwrap();
        assert_eq!(
            checked.status.code(),
            Some(0),
            "{said}\n{}\n{text}",
            String::from_utf8_lossy(&checked.stderr)
        );
        assert!(said.contains("authn.api_key") && !said.contains("public"), "{said}");
        assert!(text.contains("\ntests:\n") && text.contains("code: credential_missing"), "{text}");
        let tested = run(&["test", &file]);
        let said = String::from_utf8(tested.stdout).unwrap();
        assert_eq!(
            tested.status.code(),
            Some(0),
            "{said}\n{}\n{text}",
            String::from_utf8_lossy(&tested.stderr)
        );
        // What is there is not replaced.
        assert_eq!(run(&[&["init", file.as_str()], options.as_slice()].concat()).status.code(), Some(4));
    }
}

#[test]
fn what_makes_no_sense_is_not_written() {
    let scratch = Scratch::new("init-bad");
    let file = scratch.file("there.yaml", "");
    let other = format!("{file}.new");
    for (options, code) in [
        (vec![], 3),
        (vec!["--curl", "wget http://a/"], 3),
        (vec!["--curl", "curl 'http://a/"], 3),
        (vec!["--upstream", "http://127.0.0.1:1", "--path", "/admin/*"], 2),
        (vec!["--upstream", "ftp://127.0.0.1:1", "--path", "/a"], 2),
        (vec!["--openapi", "/nonexistent.yaml"], 3),
    ] {
        let made = run(&[&["init", other.as_str()], options.as_slice()].concat());
        assert_eq!(made.status.code(), Some(code), "{options:?} {}", String::from_utf8_lossy(&made.stderr));
        assert!(!std::path::Path::new(&other).exists());
    }
}
