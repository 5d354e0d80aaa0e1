//! OpenAPI documents and schemas through a real gateway to a backend that counts every byte: what is not declared never
//! gets there, what is declared gets there as it was sent, and what comes back is as declared or does not come back. So are
//! the rules that search for attacks.

#![expect(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test binary has no outside, and a helper that fails fails its test"
)]

#[allow(dead_code, unused_imports, reason = "each test binary uses a part of it")]
#[path = "../support/mod.rs"]
mod support;

#[allow(
    dead_code,
    clippy::wildcard_enum_match_arm,
    reason = "the engine's own tests use all of it, and allow the same"
)]
#[path = "../../../portcullis-waf/tests/support/crs.rs"]
mod crs;
#[allow(clippy::wildcard_enum_match_arm, reason = "the engine's own tests allow the same")]
#[path = "../../../portcullis-waf/tests/support/yaml.rs"]
mod yaml;

mod answers;
mod core_rule_set;
mod library;
mod requests;
mod schemathesis;
mod searched;
mod validation;

use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;
use support::{Answer, Backend, Client, USER_KEY, World};

/// A gateway for consumers with a key, with these routes; `UPSTREAM` stands for the backend.
fn world(backend: &Backend, routes: &str) -> World {
    let (address, consumers) = (backend.address, support::consumers());
    let routes = routes.replace("UPSTREAM", &format!("\"http://{address}\""));
    World::start(&format!(
        "listeners: [{{ bind: \"127.0.0.1:0\" }}]\nworkers: 2\nsecurity: {{ authentication: {{ type: api_key }} }}\n\
         {consumers}\nroutes:\n{routes}"
    ))
}

/// A status, the request with its fields and body that gets it, and a word of what the client is told.
type Refused<'a> = (u16, &'a str, &'a [&'a str], &'a [u8], &'a str);

/// A request with a valid key.
fn request(line: &str, fields: &[&str], body: &[u8]) -> Vec<u8> {
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let head = format!("{line} HTTP/1.1\r\nHost: a.example\r\nX-Api-Key: {USER_KEY}\r\n{fields}{length}\r\n");
    [head.as_bytes(), body].concat()
}

async fn ask(world: &World, line: &str, fields: &[&str], body: &[u8]) -> Answer {
    let mut client = Client::connect(world.address).await;
    client.send(&request(line, fields, body)).await;
    client.answer(line.starts_with("HEAD")).await.expect("an answer")
}

/// What is wrong by a refusal: each pointer and word.
fn errors(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.field("content-type"), "application/problem+json");
    let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let list = problem["errors"].as_array().cloned().unwrap_or_default();
    list.iter()
        .map(|one| format!("{} {}", one["pointer"].as_str().unwrap(), one["detail"].as_str().unwrap()))
        .collect()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}
