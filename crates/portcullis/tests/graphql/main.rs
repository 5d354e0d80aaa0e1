//! GraphQL through a real gateway to a backend that counts every byte: what is refused never gets there, what is taken
//! gets there as it was sent, and neither slow nor many nor large bodies take the gateway down.

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

mod socket;

use portcullis_core::Code;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use support::{Answer, Backend, Client, USER_KEY, World};

fn world(backend: &Backend, more: &str) -> World {
    patient(backend, "30s", more)
}

/// A gateway that waits so long for the next part of a body.
fn patient(backend: &Backend, patience: &str, more: &str) -> World {
    let (address, consumers) = (backend.address, support::consumers());
    World::start(&format!(
        r#"
listeners: [{{ bind: "127.0.0.1:0", timeouts: {{ body: {patience} }} }}]
workers: 2
security:
  authentication: {{ type: api_key, header: x-api-key }}
{consumers}
routes:
  - path: /graphql
    upstream: "http://{address}"
    security: {{ graphql: {{ }}, body: {{ max_size: 100KiB }} }}
  - path: /quiet
    upstream: "http://{address}"
    security: {{ graphql: {{ }}, strict_errors: false }}
  - path: /observed
    upstream: "http://{address}"
    security: {{ graphql: {{ mode: observe }} }}
  - path: /streamed
    upstream: "http://{address}"
{more}
"#
    ))
}

fn head(target: &str, length: usize) -> String {
    format!(
        "POST {target} HTTP/1.1\r\nHost: a.example\r\nX-Api-Key: {USER_KEY}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n"
    )
}

fn asking(document: &str) -> String {
    json!({ "query": document }).to_string()
}

async fn post(world: &World, target: &str, body: &str) -> Answer {
    Client::connect(world.address).await.ask(&(head(target, body.len()) + body)).await
}

fn problem(answer: &Answer) -> Value {
    assert_eq!(answer.field("content-type"), "application/problem+json");
    serde_json::from_slice(&answer.body).unwrap()
}

#[tokio::test]
async fn what_is_refused_never_reaches_the_backend_and_what_is_taken_does_unchanged() {
    let backend = Backend::start().await;
    let world = world(&backend, "");
    let refused = [
        (400, asking("{ __schema { types { name } } }")),
        (400, asking("subscription { a }")),
        (400, asking("{ ...A } fragment A on T { ...A }")),
        (400, asking(&format!("{}x{}", "{a".repeat(20), "}".repeat(20)))),
        (400, asking(&format!("{{ {} }}", "a:b ".repeat(5000)))),
        (400, r#"{"query": "{ a }", "query": "{ b }"}"#.to_owned()),
        (400, r#"[{"query": "{ a }"}, {"query": "{ a }"}]"#.to_owned()),
        (400, "x".repeat(90_000)),
        (413, "x".repeat(110_000)),
    ];
    for (status, body) in &refused {
        let answer = post(&world, "/graphql", body).await;
        assert_eq!(answer.status, *status, "{body:.100}");
        assert!(support::leaks(&answer, &["__schema", "subscription"]).is_empty(), "{answer:?}");
    }
    let other = format!(
        "POST /graphql HTTP/1.1\r\nHost: a\r\nX-Api-Key: {USER_KEY}\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\n{{ a }}"
    );
    assert_eq!(Client::connect(world.address).await.ask(&other).await.status, 415);
    let get =
        format!("GET /graphql?query=mutation{{a}} HTTP/1.1\r\nHost: a\r\nX-Api-Key: {USER_KEY}\r\n\r\n");
    let answer = Client::connect(world.address).await.ask(&get).await;
    assert_eq!((answer.status, answer.field("allow")), (405, "POST"));
    let nobody = head("/graphql", 5).replace(USER_KEY, "nobodys-key-0123456789") + "{ a }";
    assert_eq!(Client::connect(world.address).await.ask(&nobody).await.status, 401);
    assert!(backend.seen().is_empty(), "{:?}", backend.seen());

    let taken = asking("query Q { me { name } }");
    assert_eq!(post(&world, "/graphql", &taken).await.status, 200);
    let get = get.replace("mutation{a}", "{a}");
    assert_eq!(Client::connect(world.address).await.ask(&get).await.status, 200);
    let seen = backend.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(
        (seen[0].body.as_slice(), seen[1].line().as_str()),
        (taken.as_bytes(), "GET /graphql?query={a}")
    );
    let records = world.end().await.all();
    assert_eq!(records[0]["denied"]["check"], "inspect.graphql");
    assert_eq!(records[0]["denied"]["code"], "graphql_refused");
    assert_eq!(records[0]["bytes_received"], refused[0].1.len());
}

#[tokio::test]
async fn a_client_is_told_where_it_is_wrong_unless_the_route_says_otherwise() {
    let backend = Backend::start().await;
    let world = world(&backend, "");
    let body = asking("{ secret_field ");
    let told = post(&world, "/graphql", &body).await;
    assert_eq!(
        problem(&told)["errors"],
        json!([{ "pointer": "/query", "detail": "the document breaks off", "line": 1, "column": 16 }])
    );
    assert!(!String::from_utf8_lossy(&told.raw).contains("secret_field"));
    let quiet = post(&world, "/quiet", &body).await;
    assert_eq!(support::faults_of_refusal(&quiet), Vec::<String>::new());
    assert_eq!(post(&world, "/observed", &body).await.status, 200);
    let records = world.end().await.all();
    assert_eq!(records[2]["observed"][0]["code"], "content_malformed");
    assert_eq!(backend.seen().len(), 1);
}

#[tokio::test]
async fn a_client_that_sends_a_hash_is_told_to_send_its_document() {
    let backend = Backend::start().await;
    let route = format!(
        "  - path: /persisted\n    upstream: \"http://{}\"\n    security: {{ graphql: {{ automatic_persisted_queries: 1MiB }}, cors: {{ origins: [\"https://app.example\"] }} }}\n",
        backend.address
    );
    let world = patient(&backend, "30s", &route);
    let hash = "b4a53e3f5ce5b8b8f3a8e0ed5a9a5f0b8f3b6b5d6c6b3a6dd7d3ad6b6d3a8d10";
    let alone =
        json!({ "extensions": { "persistedQuery": { "version": 1, "sha256Hash": hash } } }).to_string();
    let answer = post(&world, "/persisted", &alone).await;
    assert_eq!((answer.status, answer.field("content-type")), (200, "application/json"));
    assert_eq!(answer.field("cache-control"), "no-store");
    let told: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(
        told["errors"],
        json!([{ "message": "PersistedQueryNotFound", "extensions": { "code": "PERSISTED_QUERY_NOT_FOUND" } }])
    );
    assert!(backend.seen().is_empty(), "what nobody has judged does not go on");
    let records = world.end().await.all();
    assert_eq!(records[0]["denied"]["code"], "graphql_query_unknown");
}

#[tokio::test]
async fn a_slow_body_is_given_up_and_the_backend_hears_nothing_of_it() {
    let backend = Backend::start().await;
    let world = patient(&backend, "300ms", "");
    let mut client = Client::connect(world.address).await;
    client.send((head("/graphql", 100) + "{").as_bytes()).await;
    let begun = Instant::now();
    let answer = client.answer(false).await.unwrap();
    assert_eq!((answer.status, support::faults_of_refusal(&answer)), (408, Vec::new()));
    assert!(begun.elapsed() > Duration::from_millis(250));
    assert!(backend.seen().is_empty());
    world.end().await;
}

#[tokio::test]
async fn held_bodies_are_bounded_together() {
    let backend = Backend::start().await;
    let world = world(&backend, "limits: { max_held_size: 1MiB }");
    // Each worker has a mebibyte, so more than twice as many of these cannot be held at once.
    let body = asking(&format!("{{ a(x: \"{}\") }}", "x".repeat(99_000)));
    let (most, last) = body.split_at(body.len() - 1);
    let mut clients = Vec::new();
    for _ in 0..40 {
        let mut client = Client::connect(world.address).await;
        client.send((head("/graphql", body.len()) + most).as_bytes()).await;
        clients.push(client);
    }
    let streamed = post(&world, "/streamed", &body).await;
    assert_eq!(streamed.status, 200, "a body that streams needs no room");
    let mut statuses = Vec::new();
    for client in &mut clients {
        client.send(last.as_bytes()).await;
        statuses.push(client.answer(false).await.unwrap().status);
    }
    let count = |status| statuses.iter().filter(|one| **one == status).count();
    assert!(count(503) >= 20 && count(200) + count(503) == 40, "{statuses:?}");
    assert_eq!(backend.seen().len(), count(200) + 1);
    assert_eq!(post(&world, "/graphql", &body).await.status, 200, "and the room comes back");
    let records = world.end().await.all();
    let overloaded = Code::Overloaded.as_str();
    assert_eq!(records.iter().filter(|record| record["denied"]["code"] == overloaded).count(), count(503));
}

#[tokio::test]
async fn sixty_four_uploads_at_once() {
    let backend = Backend::start().await;
    let world = world(&backend, "");
    let mut tasks = Vec::new();
    for number in 0..64 {
        let address = world.address;
        tasks.push(tokio::spawn(async move {
            let good = number % 2 == 0;
            let filling = "x".repeat(20_000);
            let document =
                format!("{{ a(x: \"{number}{filling}\") {} }}", if good { "" } else { "__schema" });
            let body = asking(&document);
            let answer = Client::connect(address).await.ask(&(head("/graphql", body.len()) + &body)).await;
            assert_eq!(answer.status, if good { 200 } else { 400 });
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let seen = backend.seen();
    assert_eq!(seen.len(), 32);
    assert!(seen.iter().all(|seen| seen.complete && !seen.body.windows(8).any(|part| part == b"__schema")));
    world.end().await;
}
