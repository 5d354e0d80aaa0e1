//! What each key of `openapi` and `validation` does.

use super::super::harness::{Answer, Gate, gate, get, request};
use super::{DocumentRow, Place, SecurityRow};
use portcullis_core::Code;
use serde_json::{Value, json};

const ALICE: (&str, &str) = ("x-api-key", "alice-key-0123456789");

/// What each key of a document does, for a whole gateway and for a route.
pub(crate) const DOCUMENT_ROWS: &[DocumentRow] = &[
    ("openapi", || {
        for gate in gates(&json!("a.yaml"), "/v1/a") {
            gate.send(request("GET", "/v1/a?n=1", &[])).permitted();
            refused(&gate, "/v1/a?n=x", Code::RequestInvalid);
        }
    }),
    ("openapi.file", || {
        for gate in gates(&json!({ "file": "a.yaml" }), "/v1/{*rest}") {
            gate.send(request("GET", "/v1/a", &[])).permitted();
            refused(&gate, "/v1/b", Code::RouteNotFound);
            let denied = gate.send(request("POST", "/v1/a", &[]));
            assert_eq!(denied.refusal(), Some(Code::MethodNotAllowed));
            assert_eq!(denied.headers["allow"], "GET, HEAD");
        }
    }),
    ("openapi.base_path", || {
        for (base, path) in [("/", "/a"), ("/v2/", "/v2/a")] {
            for gate in gates(&json!({ "file": "a.yaml", "base_path": base }), path) {
                gate.send(request("GET", path, &[])).permitted();
            }
        }
    }),
    ("openapi.unknown_parameters", || {
        for (word, refusal) in [("refuse", Some(Code::RequestInvalid)), ("allow", None)] {
            for gate in gates(&json!({ "file": "a.yaml", "unknown_parameters": word }), "/v1/a") {
                assert_eq!(gate.send(request("GET", "/v1/a?x=1", &[])).refusal(), refusal);
            }
        }
    }),
    ("openapi.other_spellings", || {
        for (word, refusal) in [("refuse", Some(Code::RequestInvalid)), ("allow", None)] {
            let keys = json!({ "file": "a.yaml", "unknown_parameters": "allow", "other_spellings": word });
            for gate in gates(&keys, "/v1/a") {
                assert_eq!(gate.send(request("GET", "/v1/a?n=1&N=2", &[])).refusal(), refusal);
            }
        }
    }),
    ("openapi.encoded_commas", || {
        let refused = Some(Code::RequestInvalid);
        for (word, items, item) in
            [("both", refused, refused), ("split", refused, None), ("keep", None, refused)]
        {
            for gate in gates(&json!({ "file": "a.yaml", "encoded_commas": word }), "/v1/a") {
                let send = |target| gate.send(request("GET", target, &[])).refusal();
                assert_eq!(send("/v1/a?ids=a%2C,b"), items, "{word}: two items or three");
                assert_eq!(send("/v1/a?ids=ab%2Ccd"), item, "{word}: one item that is too long, or two");
            }
        }
    }),
    ("openapi.responses", || {
        for word in ["enforce", "observe"] {
            listed(
                json!({ "responses": word }),
                &format!("answer.openapi {word} an answer that a.yaml declares"),
            );
        }
        for gate in gates(&json!("a.yaml"), "/v1/a") {
            assert!(!gate.listing.iter().any(|line| line.starts_with("answer.openapi")));
        }
    }),
    ("openapi.remove_undeclared", || {
        let keys = json!({ "responses": "enforce", "remove_undeclared": true });
        listed(
            keys,
            "answer.openapi enforce an answer that a.yaml declares, without the members that it does not declare",
        );
    }),
    ("openapi.max_response_size", || {
        let keys = json!({ "file": "a.yaml", "responses": "enforce", "max_response_size": 77 });
        for gate in gates(&keys, "/v1/a") {
            assert_eq!(gate.plan.routes.iter().next().unwrap().controls.inspection.max_answer_bytes, 77);
        }
    }),
    ("openapi.mode", || {
        for gate in gates(&json!({ "file": "a.yaml", "mode": "observe" }), "/v1/{*rest}") {
            let answer = gate.send(request("GET", "/v1/b", &[]));
            answer.permitted();
            assert_eq!(answer.observed, [Code::RouteNotFound]);
        }
        let off = json!({ "file": "a.yaml", "responses": "enforce", "mode": "off" });
        for gate in gates(&off, "/elsewhere") {
            let answer = gate.send(request("GET", "/elsewhere", &[]));
            answer.permitted();
            assert!(answer.observed.is_empty());
            assert!(
                gate.listing.iter().any(|line| line.starts_with("inspect.openapi off")),
                "{:?}",
                gate.listing
            );
        }
    }),
];

/// What each key of `validation` does.
pub(crate) const ROWS: &[SecurityRow] = &[
    ("security.validation", |place| {
        fits(place, json!({ "schema": { "type": "object", "maxProperties": 1 } }))
    }),
    ("security.validation.schema", |place| {
        fits(place, json!({ "schema": { "type": "object", "maxProperties": 1 } }));
    }),
    ("security.validation.file", |place| fits(place, json!({ "file": "order.schema.json" }))),
    ("security.validation.content_types", |place| {
        let gate = validated(place, json!({ "schema": {}, "content_types": ["application/Vnd.a+json"] }));
        post(&gate, "application/vnd.A+json", "{}").permitted();
        assert_eq!(post(&gate, "application/json", "{}").refusal(), Some(Code::MediaTypeRefused));
    }),
    ("security.validation.other_spellings", |place| {
        let schema = json!({ "properties": { "role": { "const": "user" } } });
        for (word, refusal) in [("refuse", Some(Code::ContentInvalid)), ("allow", None)] {
            let gate = validated(place, json!({ "schema": schema, "other_spellings": word }));
            let answer = post(&gate, "application/json", r#"{"role":"user","ROLE":"admin"}"#);
            assert_eq!(answer.refusal(), refusal, "{word}");
        }
    }),
    ("security.validation.mode", |place| {
        let schema = json!({ "type": "array" });
        let gate = validated(place, json!({ "schema": schema, "mode": "observe" }));
        let answer = post(&gate, "application/json", "{}");
        answer.permitted();
        assert_eq!(answer.observed, [Code::ContentInvalid]);
        let gate = validated(place, json!({ "schema": schema, "mode": "off" }));
        assert!(post(&gate, "application/json", "{}").observed.is_empty());
        assert!(gate.listing.iter().any(|line| line.starts_with("inspect.validation off")));
    }),
];

/// A gateway with one public route, with this document for the gateway or for the route.
fn gates(openapi: &Value, path: &str) -> [Gate; 2] {
    let document = json!({
        "listeners": [{ "bind": "127.0.0.1:3000" }],
        "routes": [{ "path": path, "public": "a test", "upstream": "http://127.0.0.1:8080" }],
    });
    let (mut whole, mut route) = (document.clone(), document);
    whole["openapi"] = openapi.clone();
    route["routes"][0]["openapi"] = openapi.clone();
    [gate(&whole.to_string()), gate(&route.to_string())]
}

fn refused(gate: &Gate, target: &str, code: Code) {
    assert_eq!(gate.send(request("GET", target, &[])).refusal(), Some(code), "{target}");
}

fn listed(mut keys: Value, wanted: &str) {
    keys["file"] = json!("a.yaml");
    for gate in gates(&keys, "/v1/a") {
        assert!(gate.listing.iter().any(|line| line == wanted), "{:#?}", gate.listing);
    }
}

fn validated(place: Place, validation: Value) -> Gate {
    place.gate(json!({ "validation": validation, "body": { "max_size": 10_000 } }))
}

fn post(gate: &Gate, media_type: &str, body: &str) -> Answer {
    gate.send_body(
        request("POST", "/a", &[ALICE, ("content-type", media_type), ("content-length", "2")]),
        body.to_owned(),
    )
}

fn fits(place: Place, validation: Value) {
    let gate = validated(place, validation);
    post(&gate, "application/json", "{}").permitted();
    assert_eq!(post(&gate, "application/json", "[]").refusal(), Some(Code::ContentInvalid));
    assert_eq!(post(&gate, "application/json", "{]").refusal(), Some(Code::ContentMalformed));
    assert_eq!(post(&gate, "text/plain", "{}").refusal(), Some(Code::MediaTypeRefused));
    gate.send(get(&[ALICE])).permitted();
}
