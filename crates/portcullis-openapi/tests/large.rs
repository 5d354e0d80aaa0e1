//! A large description that somebody else has written: the GitHub API's, from the npm package `@octokit/openapi`. It compiles
//! in time, and its own examples are what it says they are, apart from what is listed.
//!
//! The file is `OCTOKIT_OPENAPI`, or where the counterparts are installed; without either, the test says so and judges
//! nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "support/examples.rs"]
mod support;

use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis_openapi::{Api, Files, Match, Options, RequestView};
use serde_json::Value;
use support::{Listed, Tally, examples, follow, sample, written};

/// How long this thread has been on a processor, which other programs do not lengthen.
fn on_the_processor() -> Duration {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(statistics.split_whitespace().next().unwrap().parse().unwrap())
}

fn file() -> Option<PathBuf> {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/counterparts/openapi/node_modules/@octokit/openapi/generated/api.github.com.json");
    let file = std::env::var_os("OCTOKIT_OPENAPI").map_or(installed, PathBuf::from);
    file.is_file().then_some(file)
}

#[test]
fn it_compiles_and_its_examples_are_valid() {
    let Some(file) = file() else {
        println!("the description is not here: run `cargo xtask counterparts`, or set OCTOKIT_OPENAPI");
        return;
    };
    let start = on_the_processor();
    let files = Files::load(&file).unwrap_or_else(|error| panic!("{error}"));
    println!("read in {:?}", (on_the_processor() - start));
    let start = on_the_processor();
    let api = Api::compile(&files, &Options::default()).unwrap_or_else(|error| panic!("{error}"));
    let took = on_the_processor() - start;
    println!("{} operations: requests alone compiled in {took:?}", api.operations().count());
    assert!(took < Duration::from_secs(3), "{took:?}");
    let start = on_the_processor();
    let options = Options { responses: true, ..Options::default() };
    let api = Api::compile(&files, &options).unwrap_or_else(|error| panic!("{error}"));
    println!("requests and responses compiled in {:?}", (on_the_processor() - start));

    let document = files.document().unwrap();
    let (mut requests, mut responses) = (Tally::default(), Tally::default());
    for (template, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if !["get", "put", "post", "delete", "patch"].contains(&method.as_str()) {
                continue;
            }
            judge(document, &api, template, method, operation, &mut requests, &mut responses);
        }
    }
    let mut unexpected = Vec::new();
    for (about, tally) in [("requests", &requests), ("responses", &responses)] {
        let wrong: usize = tally.wrong.values().map(Vec::len).sum();
        println!("{about}: {} of {} examples are valid", tally.judged - wrong, tally.judged);
        for (reason, list) in &tally.wrong {
            println!("  {reason}: {}", list.len());
            unexpected.extend(list.iter().map(|line| format!("{about}: {reason}: {line}")));
        }
    }
    unexpected.sort();
    let listed = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/large.txt");
    if std::env::var_os("REWRITE").is_some() {
        let head: String = KNOWN_HEAD.iter().map(|line| format!("# {line}\n")).collect();
        std::fs::write(&listed, format!("{head}{}\n", unexpected.join("\n"))).unwrap();
    }
    let known = std::fs::read_to_string(&listed).unwrap();
    let known: Vec<&str> = known.lines().filter(|line| !line.starts_with('#')).collect();
    let fresh: Vec<&String> = unexpected.iter().filter(|line| !known.contains(&line.as_str())).collect();
    let gone: Vec<&&str> =
        known.iter().filter(|line| !unexpected.iter().any(|wrong| wrong == *line)).collect();
    assert!(fresh.is_empty() && gone.is_empty(), "not listed: {fresh:#?}\nlisted, and valid now: {gone:#?}");
}

/// What stands at the head of the list. `REWRITE=1` writes the list anew, for a new version of the package.
const KNOWN_HEAD: [&str; 8] = [
    "The examples of the GitHub API's description that are not what it says they are, and by which rule. Each was compared with",
    "what another validator (draft 4 with `nullable`, no formats, no discriminators) says of the same example: it agrees on all",
    "responses in JSON, apart from those that lack `user_view_type` (the description names it as discriminator, the examples",
    "leave it out) and the one whose `page_url` is no URI (formats are not asserted there). The others leave out members that",
    "the schema requires, are null or an empty object where the schema allows neither, or have values that its enum has not.",
    "Of the requests: keys of SSH in the examples are shortened with dots, which the pattern refuses; some bodies are null, or",
    "list texts where integers are declared; and path parameters without an example are filled with `abc`, which is too short",
    "or does not match.",
];

fn judge(
    document: &Value,
    api: &Api,
    template: &str,
    method: &str,
    operation: &Value,
    requests: &mut Tally,
    responses: &mut Tally,
) {
    let about = format!("{} {template}", method.to_uppercase());
    let mut path = template.to_owned();
    let mut query: Vec<String> = Vec::new();
    let mut fields = Vec::new();
    for parameter in operation.get("parameters").and_then(Value::as_array).into_iter().flatten() {
        let parameter = follow(document, parameter);
        let name = parameter["name"].as_str().unwrap();
        let Some(text) = sample(document, parameter) else { continue };
        match parameter["in"].as_str().unwrap() {
            "path" => path = path.replace(&format!("{{{name}}}"), &text),
            "query" => query.push(format!("{name}={text}")),
            "header" => fields.push((name.to_owned(), text)),
            _ => {}
        }
    }
    let query = query.join("&");
    let method = method.to_uppercase();
    let Match::Operation(found) = api.operation(&method, &path) else {
        panic!("{about} is not found at {path}")
    };
    let none = serde_json::Map::new();
    let contents = operation
        .get("requestBody")
        .map(|body| follow(document, body)["content"].as_object().unwrap())
        .unwrap_or(&none);
    let mut bodies: Vec<(Option<&str>, Vec<u8>)> = Vec::new();
    for (media_type, content) in contents {
        for example in examples(document, content) {
            let bytes = written(media_type, example).into_bytes();
            bodies.push((Some(media_type), bytes));
        }
    }
    if contents.is_empty() {
        bodies.push((None, Vec::new()));
    }
    for (media_type, body) in &bodies {
        let mut fields = Listed(fields.clone());
        fields.0.extend(media_type.map(|media_type| ("content-type".to_owned(), media_type.to_owned())));
        let view = RequestView { query: Some(&query), fields: &fields, body };
        requests.add(&about, found.judge(&view));
    }
    for (status, response) in operation["responses"].as_object().unwrap() {
        let response = follow(document, response);
        let Ok(number) = status.parse::<u16>() else { continue };
        for (media_type, content) in response.get("content").and_then(Value::as_object).unwrap_or(&none) {
            for example in examples(document, content) {
                let body = written(media_type, example);
                let mut fields = vec![("content-type".to_owned(), media_type.clone())];
                for (name, header) in response.get("headers").and_then(Value::as_object).unwrap_or(&none) {
                    let header = follow(document, header);
                    if name.eq_ignore_ascii_case("content-type") {
                        continue;
                    }
                    fields.extend(examples(document, header).first().map(|value| {
                        (name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned))
                    }));
                }
                let said = found.operation().judge_response(number, &Listed(fields), body.as_bytes());
                responses.add(&format!("{about} {status} {media_type}"), said);
            }
        }
    }
}
