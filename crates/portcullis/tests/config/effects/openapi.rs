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
    ("openapi.read_only", || {
        for (word, refusal) in [("refuse", Some(Code::ContentInvalid)), ("ignore", None), ("strip", None)] {
            for gate in gates(&json!({ "file": "bodies.yaml", "read_only": word }), "/v1/b") {
                assert_eq!(to_b(&gate, "application/json", br#"{"id":1}"#, None), refusal, "{word}");
            }
        }
    }),
    ("openapi.strict_numbers", || {
        for (strict, refusal) in [(true, Some(Code::ContentMalformed)), (false, None)] {
            for gate in gates(&json!({ "file": "bodies.yaml", "strict_numbers": strict }), "/v1/b") {
                assert_eq!(to_b(&gate, "application/json", INEXACT, None), refusal, "{strict}");
            }
        }
    }),
    ("openapi.leave_out", || {
        for (name, refusal) in
            [("PUT /c", Some(Code::MethodNotAllowed)), ("strict", Some(Code::MethodNotAllowed))]
        {
            for gate in gates(&json!({ "file": "bodies.yaml", "leave_out": { name: "a test" } }), "/v1/c") {
                gate.send(request("GET", "/v1/c", &[])).permitted();
                assert_eq!(to_c(&gate, b"[]"), refusal);
            }
        }
    }),
    ("openapi.insecure_unjudged", || {
        for gate in gates(&json!({ "file": "bodies.yaml" }), "/v1/c") {
            assert_eq!(to_c(&gate, b"{}"), Some(Code::ContentInvalid));
        }
        let keys = json!({ "file": "bodies.yaml", "insecure_unjudged": { "PUT /c": "a test" } });
        for gate in gates(&keys, "/v1/c") {
            assert_eq!(to_c(&gate, b"{}"), None);
            assert_eq!(refusal_of(&gate, "GET", "/v1/c?x=1"), Some(Code::RequestInvalid));
        }
    }),
    ("openapi.limits", || limited("depth")),
    ("openapi.limits.depth", || limited("depth")),
    ("openapi.limits.members", || limited("members")),
    ("openapi.limits.items", || limited("items")),
    ("openapi.limits.values", || limited("values")),
    ("openapi.limits.string_length", || limited("string_length")),
    ("openapi.limits.name_length", || limited("name_length")),
    ("openapi.limits.number_length", || limited("number_length")),
    ("openapi.limits.form_fields", || limited("form_fields")),
    ("openapi.limits.parts", || limited("parts")),
    ("openapi.limits.part_headers", || limited("part_headers")),
    ("openapi.limits.decoded_size", || limited("decoded_size")),
    ("openapi.limits.decoded_ratio", || limited("decoded_ratio")),
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
    ("openapi.max_files", || {
        for most in [1, 2] {
            let document = json!({
                "listeners": [{ "bind": "127.0.0.1:3000" }],
                "routes": [{
                    "path": "/v1/a", "public": "a test", "upstream": "http://127.0.0.1:8080",
                    "openapi": { "file": "parted.yaml", "max_files": most },
                }],
            });
            let loaded = crate::harness::load(&document.to_string());
            let text = loaded.text(portcullis::Style::Plain);
            assert_eq!(loaded.blueprint().is_some(), most == 2, "{text}");
            assert_eq!(text.contains("it has more files than 1, which is `max_files`"), most == 1, "{text}");
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
    ("security.validation.strict_numbers", |place| {
        for (strict, refusal) in [(true, Some(Code::ContentMalformed)), (false, None)] {
            let gate = validated(place, json!({ "schema": {}, "strict_numbers": strict }));
            let body = String::from_utf8(INEXACT.to_vec()).unwrap();
            assert_eq!(post(&gate, "application/json", &body).refusal(), refusal, "{strict}");
        }
    }),
    ("security.validation.limits", |place| bounded(place, "depth")),
    ("security.validation.limits.depth", |place| bounded(place, "depth")),
    ("security.validation.limits.members", |place| bounded(place, "members")),
    ("security.validation.limits.items", |place| bounded(place, "items")),
    ("security.validation.limits.values", |place| bounded(place, "values")),
    ("security.validation.limits.string_length", |place| bounded(place, "string_length")),
    ("security.validation.limits.name_length", |place| bounded(place, "name_length")),
    ("security.validation.limits.number_length", |place| bounded(place, "number_length")),
    ("security.validation.limits.decoded_size", |place| bounded(place, "decoded_size")),
    ("security.validation.limits.decoded_ratio", |place| bounded(place, "decoded_ratio")),
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

/// A number that a double cannot hold exactly.
const INEXACT: &[u8] = br#"{"n":18446744073709551616}"#;

/// What meets each bound: the bound, what it is set to, and a body that has one more.
fn beyond(bound: &str) -> (Value, &'static str, Vec<u8>, Option<&'static str>) {
    let json = "application/json";
    let part = "--B\r\nContent-Disposition: form-data; name=\"NAME\"\r\n\r\n1\r\n";
    let parts = |names: [&str; 2]| names.map(|name| part.replace("NAME", name)).concat() + "--B--\r\n";
    let plain = |value: Value, text: &str| (value, json, text.as_bytes().to_vec(), None);
    match bound {
        "depth" => plain(json!(2), r#"{"a":{"b":{}}}"#),
        "members" => plain(json!(1), r#"{"a":1,"b":2}"#),
        "items" => plain(json!(1), r#"{"a":[1,2]}"#),
        "values" => plain(json!(2), r#"{"a":[1,2]}"#),
        "string_length" => plain(json!("3B"), r#"{"a":"abcd"}"#),
        "name_length" => plain(json!("3B"), r#"{"abcd":1}"#),
        "number_length" => plain(json!(3), r#"{"a":1234}"#),
        "form_fields" => (json!(1), "application/x-www-form-urlencoded", b"a=1&b=2".to_vec(), None),
        "parts" => (json!(1), "multipart/form-data; boundary=B", parts(["a", "b"]).into_bytes(), None),
        "part_headers" => {
            (json!("30B"), "multipart/form-data; boundary=B", parts(["a", "b"]).into_bytes(), None)
        }
        "decoded_size" => (json!("20B"), json, gzip(br#"{"a":"0123456789","b":"0123456789"}"#), Some("gzip")),
        "decoded_ratio" => {
            (json!(1), json, gzip(format!(r#"{{"a":"{}"}}"#, "0".repeat(500)).as_bytes()), Some("gzip"))
        }
        other => panic!("{other} is no bound"),
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut encoder, bytes).unwrap();
    encoder.finish().unwrap()
}

/// The row of the page that says what a refusal by this bound is called.
fn names(bound: &str) -> &'static str {
    let page = include_str!("../../../../../docs/openapi.md");
    let row = page.lines().find(|line| line.starts_with(&format!("| `{bound}` | ")));
    row.unwrap_or_else(|| panic!("docs/openapi.md has no row for `{bound}`"))
}

/// A body that is beyond a bound is refused, and passes without it.
fn limited(bound: &str) {
    let (value, media_type, body, coding) = beyond(bound);
    for gate in gates(&json!({ "file": "bodies.yaml", "limits": { bound: value } }), "/v1/b") {
        let mut fields = vec![("content-type", media_type), ("content-length", "2")];
        fields.extend(coding.map(|coding| ("content-encoding", coding)));
        let answer = gate.send_body(request("POST", "/v1/b", &fields), body.clone());
        let code = answer.refusal();
        assert!(matches!(code, Some(Code::ContentMalformed | Code::BodyTooLarge)), "{bound}: {code:?}");
        // The refusal says which bound it was, by a name that the page has in the row of the key.
        let denial = answer.denial.as_ref().unwrap();
        let reasons: Vec<&str> = denial.violations().iter().map(|one| one.detail).collect();
        assert!(reasons.iter().any(|reason| names(bound).contains(*reason)), "{bound}: {reasons:?}");
    }
    for gate in gates(&json!({ "file": "bodies.yaml" }), "/v1/b") {
        assert_eq!(to_b(&gate, media_type, &body, coding), None, "{bound}");
    }
}

/// The same for `validation`.
fn bounded(place: Place, bound: &str) {
    let (value, media_type, body, coding) = beyond(bound);
    let send = |validation: Value| {
        let gate = validated(place, validation);
        let mut fields = vec![ALICE, ("content-type", media_type), ("content-length", "2")];
        fields.extend(coding.map(|coding| ("content-encoding", coding)));
        gate.send_body(request("POST", "/a", &fields), body.clone()).refusal()
    };
    let code = send(json!({ "schema": {}, "limits": { bound: value } }));
    assert!(matches!(code, Some(Code::ContentMalformed | Code::BodyTooLarge)), "{bound}: {code:?}");
    assert_eq!(send(json!({ "schema": {} })), None, "{bound}");
}

fn to_b(gate: &Gate, media_type: &str, body: &[u8], coding: Option<&str>) -> Option<Code> {
    let mut fields = vec![("content-type", media_type), ("content-length", "2")];
    fields.extend(coding.map(|coding| ("content-encoding", coding)));
    gate.send_body(request("POST", "/v1/b", &fields), body.to_vec()).refusal()
}

fn to_c(gate: &Gate, body: &[u8]) -> Option<Code> {
    let fields = [("content-type", "application/json"), ("content-length", "2")];
    gate.send_body(request("PUT", "/v1/c", &fields), body.to_vec()).refusal()
}

fn refusal_of(gate: &Gate, method: &str, target: &str) -> Option<Code> {
    gate.send(request(method, target, &[])).refusal()
}

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
