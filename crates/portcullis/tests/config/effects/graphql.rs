//! What each key of `graphql` does, and what a client is told of a refusal.

use super::super::harness::{Answer, Gate, get, request};
use super::{Place, SecurityRow};
use portcullis_core::Code;
use serde_json::{Value, json};

const ALICE: (&str, &str) = ("x-api-key", "alice-key-0123456789");

/// What each key does.
pub(crate) const ROWS: &[SecurityRow] = &[
    ("security.graphql", |place| bound(place, json!({}), "{ a }", "subscription { a }")),
    ("security.graphql.max_tokens", |place| bound(place, json!({ "max_tokens": 3 }), "{ a }", "{ a b }")),
    ("security.graphql.max_depth", |place| {
        bound(place, json!({ "max_depth": 2 }), "{ a { b } }", "{ a { b { c } } }")
    }),
    ("security.graphql.max_fields", |place| {
        bound(place, json!({ "max_fields": 2 }), "{ a { b } }", "{ a { b c } }")
    }),
    ("security.graphql.max_root_fields", |place| {
        bound(place, json!({ "max_root_fields": 1 }), "{ a }", "{ a b }")
    }),
    ("security.graphql.max_aliases", |place| bound(place, json!({ "max_aliases": 0 }), "{ a }", "{ x: a }")),
    ("security.graphql.max_directives", |place| {
        bound(place, json!({ "max_directives": 0 }), "{ a }", "{ a @d }")
    }),
    ("security.graphql.max_batch", |place| {
        let of = |count: usize| format!("[{}]", vec![r#"{"query":"{ a }"}"#; count].join(","));
        let gate = graphql(place, json!({ "max_batch": 2 }));
        json_body(&gate, &of(2)).permitted();
        assert_eq!(json_body(&gate, &of(3)).refusal(), Some(Code::GraphqlRefused));
    }),
    ("security.graphql.introspection", |place| {
        let asks = "{ __schema { types { name } } }";
        bound(place, json!({}), "{ a }", asks);
        document(&graphql(place, json!({ "introspection": true })), asks).permitted();
    }),
    ("security.graphql.subscriptions", |place| {
        document(&graphql(place, json!({ "subscriptions": true })), "subscription { a }").permitted();
    }),
    ("security.graphql.uploads", |place| {
        let form = "--B\r\nContent-Disposition: form-data; name=\"operations\"\r\n\r\n{\"query\":\"{ a }\",\"variables\":{\"f\":null}}\r\n\
             --B\r\nContent-Disposition: form-data; name=\"map\"\r\n\r\n{\"0\":[\"variables.f\"]}\r\n\
             --B\r\nContent-Disposition: form-data; name=\"0\"; filename=\"a.txt\"\r\n\r\nhello\r\n--B--";
        let send = |gate: &Gate| {
            let kind = ("content-type", "multipart/form-data; boundary=B");
            gate.send_body(request("POST", "/a", &[ALICE, kind]), form.to_owned())
        };
        send(&graphql(place, json!({ "uploads": true }))).permitted();
        assert_eq!(send(&graphql(place, json!({}))).refusal(), Some(Code::MediaTypeRefused));
    }),
    ("security.graphql.automatic_persisted_queries", |place| {
        let hash = "e5f1f4a5c8d94ef1c0cb66f5f5f8a4b1f0a9b4fd1d3e1e2fa9f4c6f4a3b2c1d0";
        let alone = format!(r#"{{"extensions":{{"persistedQuery":{{"version":1,"sha256Hash":"{hash}"}}}}}}"#);
        let gate = graphql(place, json!({ "automatic_persisted_queries": "64KiB" }));
        assert_eq!(json_body(&gate, &alone).refusal(), Some(Code::GraphqlQueryUnknown));
        assert_eq!(json_body(&graphql(place, json!({})), &alone).refusal(), Some(Code::GraphqlRefused));
    }),
    ("security.graphql.cost", |place| {
        cost(place, json!({ "max": 1 }), "{ me { name } }", "{ me { name } user(id: 1) { name } }")
    }),
    ("security.graphql.cost.schema", |place| {
        let gate = graphql(place, json!({ "cost": { "schema": "schema.graphql" } }));
        document(&gate, "{ me { name } }").permitted();
        assert_eq!(document(&gate, "{ me { secret } }").refusal(), Some(Code::ContentMalformed));
    }),
    ("security.graphql.cost.max", |place| {
        cost(place, json!({ "max": 7 }), "{ users(first: 7) { id } }", "{ users(first: 8) { id } }")
    }),
    ("security.graphql.cost.list_size", |place| {
        let friends =
            |count| format!("{{ me {{ {} }} }}", vec!["friends { edges { node { id } } }"; count].join(" "));
        cost(place, json!({ "max": 11, "list_size": 4 }), &friends(1), &friends(2));
    }),
    ("security.graphql.cost.list_arguments", |place| {
        let asks = "{ me { friends(last: 50) { edges { node { id } } } } }";
        cost(place, json!({ "max": 50, "list_arguments": ["first"] }), asks, "{ users(first: 51) { id } }");
        cost(place, json!({ "max": 50, "list_arguments": ["last"] }), "{ users(first: 51) { id } }", asks);
    }),
    ("security.graphql.safelist", |place| registered(place, json!({ "file": "operations.json" }))),
    ("security.graphql.safelist.file", |place| registered(place, json!({ "file": "operations.json" }))),
    ("security.graphql.safelist.hashes", |place| {
        registered(place, json!({ "hashes": [sha256("{ a }")] }));
    }),
    ("security.graphql.mode", |place| {
        let gate = graphql(place, json!({ "mode": "observe" }));
        let answer = document(&gate, "subscription { a }");
        answer.permitted();
        assert_eq!(answer.observed, [Code::GraphqlRefused]);
        let gate = graphql(place, json!({ "mode": "off" }));
        let answer = document(&gate, "subscription { a }");
        answer.permitted();
        assert!(answer.observed.is_empty());
        assert!(
            gate.listing.iter().any(|line| line.starts_with("inspect.graphql off")),
            "{:#?}",
            gate.listing
        );
    }),
    ("security.strict_errors", |place| {
        for strict in [true, false] {
            let gate = place.gate(json!({ "graphql": {}, "strict_errors": strict }));
            let denial = document(&gate, "subscription { a }").denial.unwrap();
            assert_eq!(denial.told_violations().is_empty(), !strict);
            assert_eq!(denial.violations()[0].pointer, "/query");
        }
    }),
];

fn graphql(place: Place, config: Value) -> Gate {
    place.gate(json!({ "graphql": config, "body": { "max_size": 10_000 } }))
}

fn document(gate: &Gate, text: &str) -> Answer {
    gate.send_body(request("POST", "/a", &[ALICE, ("content-type", "application/graphql")]), text.to_owned())
}

fn json_body(gate: &Gate, text: &str) -> Answer {
    gate.send_body(request("POST", "/a", &[ALICE, ("content-type", "application/json")]), text.to_owned())
}

/// With this configuration one document passes, and another does not.
fn bound(place: Place, config: Value, good: &str, bad: &str) {
    let gate = graphql(place, config);
    document(&gate, good).permitted();
    assert_eq!(document(&gate, bad).refusal(), Some(Code::GraphqlRefused), "{bad}");
    assert_eq!(
        gate.send(get(&[ALICE])).refusal(),
        Some(Code::GraphqlRefused),
        "a request without a document"
    );
}

fn cost(place: Place, mut config: Value, good: &str, bad: &str) {
    config["schema"] = json!("schema.graphql");
    bound(place, json!({ "cost": config }), good, bad);
}

fn registered(place: Place, safelist: Value) {
    let gate = graphql(place, json!({ "safelist": safelist }));
    document(&gate, "{ a }").permitted();
    assert_eq!(document(&gate, "{ a  }").refusal(), Some(Code::GraphqlRefused));
    let by_hash =
        format!(r#"{{"extensions": {{"persistedQuery": {{"sha256Hash": "{}"}}}}}}"#, sha256("{ a }"));
    json_body(&gate, &by_hash).permitted();
}

fn sha256(text: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}
