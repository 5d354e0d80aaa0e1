//! Automatic persisted queries and forms with files: what passes, what does not, and what hostile clients can make of them.

use super::*;
use std::time::{Duration, Instant};

fn persisting() -> Graphql {
    check(json!({ "automatic_persisted_queries": "64KiB", "max_depth": 3 }))
}

fn post(check: &Graphql, body: &Value) -> Result<(), Code> {
    let fields = [("content-type", "application/json")];
    judge(check, "POST", "/graphql", &fields, body.to_string().as_bytes()).map_err(|denial| denial.code())
}

fn named(hash: &[u8; 32]) -> Value {
    json!({ "persistedQuery": { "version": 1, "sha256Hash": hex(hash) } })
}

#[test]
fn a_hash_alone_passes_once_its_document_was_judged() {
    let check = persisting();
    let text = "query Q { a { b } }";
    let alone = json!({ "extensions": named(&hash_of(text)), "operationName": "Q" });
    assert_eq!(post(&check, &alone), Err(Code::GraphqlQueryUnknown));
    assert_eq!(post(&check, &json!({ "query": text, "extensions": named(&hash_of(text)) })), Ok(()));
    assert_eq!(post(&check, &alone), Ok(()));
    let url = |operation: &str, hash: &[u8; 32]| {
        let extensions = named(hash).to_string().replace('"', "%22").replace('{', "%7B").replace('}', "%7D");
        format!("/graphql?operationName={operation}&extensions={extensions}")
    };
    let get = |target: &str| judge(&check, "GET", target, &[], b"").map_err(|denial| denial.code());
    assert_eq!(get(&url("Q", &hash_of(text))), Ok(()));
    // It is judged with this request's operation, and an id beside it names it twice.
    assert_eq!(get(&url("Other", &hash_of(text))), Err(Code::ContentMalformed));
    assert_eq!(
        post(&check, &json!({ "extensions": named(&hash_of(text)), "id": "x" })),
        Err(Code::ContentMalformed)
    );
    // What changes something is not asked for by a link, by its hash either.
    let mutation = "mutation M { a }";
    assert_eq!(post(&check, &json!({ "query": mutation, "extensions": named(&hash_of(mutation)) })), Ok(()));
    assert_eq!(get(&url("M", &hash_of(mutation))), Err(Code::MethodNotAllowed));
}

#[test]
fn a_hash_that_is_not_known_does_not_go_on() {
    let check = persisting();
    let deep = "{ a { b { c { d } } } }";
    let other = "{ a }";
    // Neither a document that was refused nor one under another's hash is remembered.
    assert_eq!(
        post(&check, &json!({ "query": deep, "extensions": named(&hash_of(deep)) })),
        Err(Code::GraphqlRefused)
    );
    assert_eq!(
        post(&check, &json!({ "query": other, "extensions": named(&hash_of(deep)) })),
        Err(Code::ContentMalformed)
    );
    assert_eq!(post(&check, &json!({ "extensions": named(&hash_of(deep)) })), Err(Code::GraphqlQueryUnknown));
    // A document without a hash is not remembered, and without the key no hash is enough.
    assert_eq!(post(&check, &json!({ "query": other })), Ok(()));
    assert_eq!(
        post(&check, &json!({ "extensions": named(&hash_of(other)) })),
        Err(Code::GraphqlQueryUnknown)
    );
    let off = self::check(json!({}));
    assert_eq!(post(&off, &json!({ "query": other, "extensions": named(&hash_of(other)) })), Ok(()));
    assert_eq!(post(&off, &json!({ "extensions": named(&hash_of(other)) })), Err(Code::GraphqlRefused));
}

#[test]
fn a_remembered_document_costs_what_its_variables_ask_for() {
    let check = check(json!({
        "automatic_persisted_queries": "64KiB", "cost": { "schema": "schema.graphql", "max": 100 },
    }));
    let text = "query($n: Int) { users(first: $n) { id } }";
    let asking = |count: u32| json!({ "extensions": named(&hash_of(text)), "variables": { "n": count } });
    let whole = json!({ "query": text, "extensions": named(&hash_of(text)), "variables": { "n": 1 } });
    assert_eq!(post(&check, &whole), Ok(()));
    assert_eq!(post(&check, &asking(100)), Ok(()));
    assert_eq!(post(&check, &asking(101)), Err(Code::GraphqlRefused));
}

#[test]
fn many_documents_take_bounded_memory_and_time() {
    let check = persisting();
    let begun = Instant::now();
    for number in 0..3000 {
        let text = format!("{{ a{number} {{ {} }} }}", "field ".repeat(50));
        let judged = post(&check, &json!({ "query": text, "extensions": named(&hash_of(&text)) }));
        assert_eq!(judged, Ok(()));
    }
    let (entries, bytes) = check.persisted.as_ref().unwrap().held();
    assert!(entries <= 256 && bytes <= 64 * 1024, "{entries} documents of {bytes} bytes");
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}

const OPERATIONS: &str =
    r#"{"query":"mutation($f: Upload!) { add(file: $f) { id } }","variables":{"f":null}}"#;

/// A form of these parts: name, name of a file, content.
fn form(parts: &[(&str, Option<&str>, &str)]) -> String {
    let part = |(name, file, body): &(&str, Option<&str>, &str)| {
        let file = file.map(|file| format!("; filename=\"{file}\"")).unwrap_or_default();
        format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n{body}\r\n")
    };
    parts.iter().map(part).collect::<String>() + "--B--\r\n"
}

fn upload(check: &Graphql, body: &str) -> Result<(), Code> {
    let fields = [("content-type", "multipart/form-data; boundary=B")];
    judge(check, "POST", "/graphql", &fields, body.as_bytes()).map_err(|denial| denial.code())
}

#[test]
fn a_form_with_files_is_judged_by_its_operations() {
    let check = self::check(json!({ "uploads": true, "max_batch": 2 }));
    let map = r#"{"0":["variables.f"]}"#;
    let file = ("0", Some("a.txt"), "hello");
    let whole = form(&[("operations", None, OPERATIONS), ("map", None, map), file]);
    assert_eq!(upload(&check, &whole), Ok(()));
    assert_eq!(upload(&self::check(json!({})), &whole), Err(Code::MediaTypeRefused));
    let batch = format!("[{OPERATIONS},{OPERATIONS}]");
    let both = r#"{"a":["0.variables.f"],"b":["1.variables.f"]}"#;
    let files = [("a", Some("a"), ""), ("b", Some("b"), "{\"query\":")];
    let of_batch = form(&[("operations", None, &batch), ("map", None, both), files[0], files[1]]);
    assert_eq!(upload(&check, &of_batch), Ok(()));
    let hidden = r#"{"query":"{ __schema { types { name } } }","variables":{"f":null}}"#;
    let asks = form(&[("operations", None, hidden), ("map", None, map), file]);
    assert_eq!(upload(&check, &asks), Err(Code::GraphqlRefused));
}

#[test]
fn a_form_has_one_reading() {
    let check = self::check(json!({ "uploads": true }));
    let (operations, map) = (("operations", None, OPERATIONS), ("map", None, r#"{"0":["variables.f"]}"#));
    let file = ("0", Some("a.txt"), "hello");
    for (why, parts) in [
        ("no map", vec![operations, file]),
        ("the map first", vec![map, operations, file]),
        ("no file", vec![operations, map]),
        ("a file twice", vec![operations, map, file, file]),
        ("a file that the map does not have", vec![operations, map, file, ("1", Some("b"), "")]),
        ("operations twice", vec![operations, map, file, operations]),
        ("operations as a file", vec![("operations", Some("x"), OPERATIONS), map, file]),
        ("another spelling", vec![("Operations", None, OPERATIONS), map, file]),
        ("a map that is a list", vec![operations, ("map", None, "[]"), file]),
        ("a place that is no list", vec![operations, ("map", None, r#"{"0":"variables.f"}"#), file]),
        (
            "a name twice in the map",
            vec![operations, ("map", None, r#"{"0":["variables.f"],"0":["variables.g"]}"#), file],
        ),
    ] {
        assert_eq!(upload(&check, &form(&parts)), Err(Code::ContentMalformed), "{why}");
    }
    assert_eq!(upload(&check, "--B\r\n"), Err(Code::ContentMalformed));
    assert_eq!(upload(&check, ""), Err(Code::ContentMalformed));
}

#[test]
fn a_file_stands_in_a_variable() {
    let check = self::check(json!({ "uploads": true }));
    for place in [
        "query",
        "variables",
        "variables.",
        "0.query",
        "extensions.persistedQuery",
        "x.variables.f",
        ".variables.f",
        "",
    ] {
        let map = json!({ "0": [place] }).to_string();
        let body =
            form(&[("operations", None, OPERATIONS), ("map", None, &map), ("0", Some("a"), "{ evil }")]);
        assert_eq!(upload(&check, &body), Err(Code::ContentMalformed), "{place}");
    }
}

#[test]
fn hostile_forms_are_refused_soon() {
    let check = self::check(json!({ "uploads": true }));
    let many: String = (0..5000).map(|number| format!("\"{number}\":[\"variables.f\"],")).collect();
    let map = format!("{{{}}}", many.trim_end_matches(','));
    let places = format!("{{\"0\":[{}\"variables.f\"]}}", "\"variables.f\",".repeat(30_000));
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let parts = "--B\r\nContent-Disposition: form-data; name=\"0\"\r\n\r\n\r\n".repeat(20_000);
    for body in [
        form(&[("operations", None, OPERATIONS), ("map", None, &map)]),
        form(&[("operations", None, OPERATIONS), ("map", None, &places), ("0", Some("a"), "")]),
        form(&[("operations", None, &deep), ("map", None, "{}")]),
        form(&[("operations", None, OPERATIONS), ("map", None, &deep)]),
        parts,
        "--B\r\n".repeat(200_000),
        format!("--B{}", "\r\n--".repeat(200_000)),
    ] {
        let begun = Instant::now();
        assert!(upload(&check, &body).is_err());
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}: {:.60}", begun.elapsed(), body);
    }
}
