//! `cargo bench -p portcullis-openapi`: what judging costs, in time for each message. The bad twin of each message is refused
//! in the same run, so that nothing is measured that does not decide.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a benchmark fails by panicking"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use http::HeaderMap;
use portcullis_openapi::{Api, Files, Match, Options, RequestView};

const DOCUMENT: &[u8] = br##"
openapi: 3.0.3
info: { title: Orders, version: "1" }
paths:
  /orders:
    get:
      parameters:
        - { name: status, in: query, schema: { type: string, enum: [open, paid, sent] } }
        - { name: since, in: query, schema: { type: string, format: date } }
        - { name: limit, in: query, schema: { type: integer, minimum: 1, maximum: 100 } }
        - { name: sort, in: query, explode: false, schema: { type: array, items: { type: string, pattern: "^-?[a-z]+$" } } }
    post:
      requestBody:
        required: true
        content: { application/json: { schema: { $ref: "#/components/schemas/Order" } } }
components:
  schemas:
    Order:
      type: object
      required: [customer, lines]
      additionalProperties: false
      properties:
        id: { type: integer, format: int64, readOnly: true }
        customer: { $ref: "#/components/schemas/Customer" }
        lines: { type: array, minItems: 1, maxItems: 100, items: { $ref: "#/components/schemas/Line" } }
        note: { type: string, maxLength: 200, nullable: true }
    Customer:
      type: object
      required: [name, email]
      additionalProperties: false
      properties:
        name: { type: string, minLength: 1, maxLength: 80 }
        email: { type: string, format: email }
        born: { type: string, format: date }
        address: { type: object, required: [street, city], properties: { street: { type: string }, city: { type: string }, zip: { type: string, pattern: "^[0-9]{5}$" } } }
    Line:
      type: object
      required: [sku, quantity, price]
      additionalProperties: false
      properties:
        sku: { type: string, pattern: "^[A-Z]{3}-[0-9]{4}$" }
        quantity: { type: integer, format: int32, minimum: 1 }
        price: { type: number, minimum: 0 }
        tags: { type: array, uniqueItems: true, items: { type: string, maxLength: 20 } }
"##;

fn order(lines: usize) -> String {
    let line = |n: usize| {
        format!(r#"{{"sku":"ABC-{n:04}","quantity":{},"price":19.99,"tags":["new","sale"]}}"#, n + 1)
    };
    let lines: Vec<String> = (0..lines).map(line).collect();
    format!(
        r#"{{"customer":{{"name":"Ada Lovelace","email":"ada@example.com","born":"1815-12-10","address":{{"street":"12 St James's Square","city":"London","zip":"12345"}}}},"lines":[{}],"note":"please leave it with the neighbours"}}"#,
        lines.join(",")
    )
}

/// The least of many means, since whatever else the machine does only adds.
fn measure(mut once: impl FnMut()) -> Duration {
    const ROUNDS: u32 = 200;
    const TIMES: u32 = 200;
    let rounds = (0..ROUNDS).map(|_| {
        let start = Instant::now();
        (0..TIMES).for_each(|_| once());
        start.elapsed() / TIMES
    });
    rounds.min().unwrap()
}

fn main() {
    let api = Api::compile(&Files::new("orders.yaml", DOCUMENT).unwrap(), &Options::default()).unwrap();
    let mut fields = HeaderMap::new();
    fields.insert("content-type", "application/json".parse().unwrap());
    let judge = |method: &str, query: Option<&str>, body: &[u8]| {
        let Match::Operation(found) = api.operation(method, "/orders") else { panic!("it is declared") };
        found.judge(&RequestView { query, fields: &fields, body })
    };
    let body = order(11);
    let bad = body.replace("ABC-0007", "abc-0007");
    assert!((950..1100).contains(&body.len()), "{}", body.len());
    assert!(judge("POST", None, body.as_bytes()).is_ok());
    assert_eq!(judge("POST", None, bad.as_bytes()).unwrap_err().to_string(), "body /lines/7/sku: pattern");
    let query = "status=open&since=2024-02-29&limit=20&sort=-date,name";
    assert!(judge("GET", Some(query), b"").is_ok());
    assert_eq!(
        judge("GET", Some(&query.replace("20&", "200&")), b"").unwrap_err().to_string(),
        "query limit: maximum"
    );

    let value = measure(|| {
        drop(black_box(portcullis_openapi::json::read(
            black_box(body.as_bytes()),
            &Options::default().limits,
        )))
    });
    println!("reading {} bytes of JSON strictly: {value:?}", body.len());
    let other =
        measure(|| drop(black_box(serde_json::from_slice::<serde_json::Value>(black_box(body.as_bytes())))));
    println!("reading them with serde_json, for comparison: {other:?}");
    let post = measure(|| judge("POST", None, black_box(body.as_bytes())).unwrap());
    println!("judging that order: {post:?}, at most 10 us");
    let get = measure(|| judge("GET", Some(black_box(query)), b"").unwrap());
    println!("judging a GET with four parameters: {get:?}, at most 2 us");
    // `cargo test` runs this without optimisation, for what it asserts above.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    assert!(post < Duration::from_micros(10) && get < Duration::from_micros(2), "slower than it may be");
}
