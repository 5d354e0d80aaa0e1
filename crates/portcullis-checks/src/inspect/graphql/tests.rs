//! The tables of what is taken and what is refused, hostile documents, and a comparison with another parser.

mod hostile;
mod oracle;
mod persisted;

use super::*;
use http::Request;
use portcullis_config::{Decode, Node};
use portcullis_core::{Conn, Head, HeadPolicy, Transport};
use serde_json::{Value, json};
use std::path::Path;

const ALLOW: &str = include_str!("tests/allow.txt");
const DENY: &str = include_str!("tests/deny.txt");

/// The check with this configuration; files are those beside this one.
fn check(config: Value) -> Graphql {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/inspect/graphql/tests");
    let mut cx = Context::for_file(folder);
    let config = GraphqlConfig::decode(&Node::from_json(config), &mut cx);
    let check = config.and_then(|config| config.check(&mut cx));
    check.unwrap_or_else(|| panic!("{:?}", cx.diagnostics.sorted()))
}

/// The check that a case asks for with a word in brackets.
fn chosen(word: &str) -> Graphql {
    check(match word {
        "" => json!({}),
        "batch" => json!({ "max_batch": 2 }),
        "open" => json!({ "introspection": true, "subscriptions": true }),
        "safelist" => {
            let listed = hex(&hash_of("{ listed }"));
            json!({ "safelist": { "file": "registered.json", "hashes": [listed] } })
        }
        "cost" => json!({ "cost": { "schema": "schema.graphql", "max": 100 } }),
        other => panic!("no such configuration: {other}"),
    })
}

fn hex(hash: &[u8]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A case of a table.
struct Case<'a> {
    title: &'a str,
    config: &'a str,
    /// What is said after `=>`.
    refusal: Option<&'a str>,
    text: &'a str,
}

fn cases(table: &str) -> Vec<Case<'_>> {
    table
        .split("\n=== ")
        .skip(1)
        .map(|block| {
            let (line, text) = block.split_once('\n').unwrap();
            let (line, refusal) = match line.split_once(" => ") {
                Some((line, refusal)) => (line, Some(refusal)),
                None => (line, None),
            };
            let (title, config) = match line.split_once(" [") {
                Some((title, config)) => (title, config.trim_end_matches(']')),
                None => (line, ""),
            };
            Case { title, config, refusal, text: text.strip_suffix('\n').unwrap_or(text) }
        })
        .collect()
}

/// Puts hashes in where they are asked for.
fn with_hashes(text: &str) -> String {
    let mut parts = text.split("$SHA256(");
    let mut out = parts.next().unwrap().to_owned();
    for part in parts {
        // The document ends at the last parenthesis before a quote, in JSON or in a URL.
        let end = part.find(")\"").or_else(|| part.find(")%22")).unwrap();
        out.push_str(&hex(&hash_of(&part[..end])));
        out.push_str(&part[end + 1..]);
    }
    out
}

fn judge(
    check: &Graphql,
    method: &str,
    target: &str,
    fields: &[(&str, &str)],
    body: &[u8],
) -> Result<(), Denial> {
    judge_within(check, method, target, fields, body, &())
}

fn judge_within(
    check: &Graphql,
    method: &str,
    target: &str,
    fields: &[(&str, &str)],
    body: &[u8],
    memory: &dyn Memory,
) -> Result<(), Denial> {
    let mut request = Request::builder().method(method).uri(target).header("host", "a.example");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let conn = Conn {
        peer: "192.0.2.1:5".parse().unwrap(),
        local: "127.0.0.1:1".parse().unwrap(),
        transport: Transport::Memory,
        certificate: None,
    };
    let parts = request.body(()).unwrap().into_parts().0;
    let head = Head::admit(parts, &conn, &HeadPolicy::default())?;
    request::judge_head(&head, check.uploads)?;
    let body = Bytes::copy_from_slice(body);
    let asked = request::read(&head, &body, check.batch, check.uploads, memory)?;
    check.judge(asked, *head.method() != Method::POST, head.client(), memory)
}

fn document(check: &Graphql, text: &str) -> Result<(), Denial> {
    judge(check, "POST", "/graphql", &[("content-type", "application/graphql")], text.as_bytes())
}

fn run(case: &Case<'_>) -> Result<(), Denial> {
    let check = chosen(case.config);
    let text = with_hashes(case.text);
    let methods = ["GET /", "HEAD /", "POST /", "PUT /"];
    if !methods.iter().any(|method| text.starts_with(method)) {
        return document(&check, &text);
    }
    let (head, body) = text.split_once("\n\n").unwrap_or((&text, ""));
    let mut lines = head.lines();
    let (method, target) = lines.next().unwrap().split_once(' ').unwrap();
    let fields: Vec<_> = lines.map(|line| line.split_once(": ").unwrap()).collect();
    judge(&check, method, target, &fields, body.as_bytes())
}

#[test]
fn what_is_taken() {
    let cases = cases(ALLOW);
    for case in &cases {
        assert_eq!(run(case).map_err(|denial| denial.detail().to_owned()), Ok(()), "{}", case.title);
    }
    assert!(cases.len() >= 45, "{}", cases.len());
}

#[test]
fn what_is_refused() {
    let cases = cases(DENY);
    for case in &cases {
        let denial = run(case).expect_err(case.title);
        let said = format!("{}: {}", denial.code(), denial.detail());
        assert_eq!(Some(said.as_str()), case.refusal, "{}", case.title);
    }
    assert!(cases.len() >= 100, "{}", cases.len());
}

/// So many bytes, and no more.
struct Left(std::cell::Cell<usize>);

impl Memory for Left {
    fn take(&self, bytes: usize) -> bool {
        self.0.get().checked_sub(bytes).map(|left| self.0.set(left)).is_some()
    }
}

#[test]
fn what_is_read_of_a_request_is_counted() {
    let check = check(json!({ "max_tokens": 10_000, "max_fields": 10_000, "max_root_fields": 10_000 }));
    let json = [("content-type", "application/json")];
    let plain = [("content-type", "application/graphql")];
    let variables = format!(r#"{{"query":"{{a}}","variables":{{"a":[{}]}}}}"#, ["0"; 5000].join(","));
    let many = format!("{{{}}}", "a ".repeat(2000));
    for (method, target, fields, body) in [
        ("POST", "/", &json[..], variables.as_str()),
        ("POST", "/", &plain, &many),
        ("GET", &format!("/?query=%7B{}%7D", "a%20".repeat(1500)), &[], ""),
    ] {
        let taken = |bytes: usize| {
            let left = Left(std::cell::Cell::new(bytes));
            let judged = judge_within(&check, method, target, fields, body.as_bytes(), &left);
            (judged.map_err(|denial| denial.code()), bytes - left.0.get())
        };
        let size = body.len().max(target.len());
        let (judged, used) = taken(8 << 20);
        assert_eq!(judged, Ok(()));
        assert!(used >= size && used < 200 * size + 16_384, "{used} for {size}");
        assert_eq!(taken(used).0, Ok(()));
        assert_eq!(taken(used - 1).0, Err(Code::Overloaded), "{method} {target:.20}");
        assert_eq!(taken(0).0, Err(Code::Overloaded));
    }
}

/// What a refusal tells is fixed, and points to the operation.
#[test]
fn violations_point_to_the_operation_and_echo_nothing() {
    let pointers = |check: &Graphql, method, target, body: &str| {
        let denial = judge(check, method, target, &[("content-type", "application/json")], body.as_bytes());
        let denial = denial.unwrap_err();
        denial.violations().iter().map(|violation| violation.pointer.clone()).collect::<Vec<_>>()
    };
    let (one, two) = (chosen(""), chosen("batch"));
    assert_eq!(pointers(&one, "POST", "/", r#"{"query": "{ secret_name"}"#), ["/query"]);
    assert_eq!(pointers(&two, "POST", "/", r#"[{"query": "{ a }"}, {"query": "{"}]"#), ["/1/query"]);
    assert_eq!(pointers(&one, "GET", "/?query={", ""), ["/query"]);
}

#[test]
fn a_flaw_has_a_line_and_a_column() {
    let at = |document: &str| {
        let body = json!({ "query": document }).to_string();
        let fields = [("content-type", "application/json")];
        let denial = judge(&chosen(""), "POST", "/", &fields, body.as_bytes()).unwrap_err();
        denial.violations()[0].position
    };
    for (document, line, column) in [
        ("{ a ", 1, 5),
        ("{ a\n  b(x: ) }", 2, 8),
        ("{\r\n  \u{e9} }", 2, 3),
        ("{ \"\u{e9}\" }", 1, 3),
        ("query Q { a } ?", 1, 15),
        ("", 1, 1),
    ] {
        assert_eq!(at(document), Some(Position::Line { line, column }), "{document:?}");
    }
}

#[test]
fn a_compressed_document_is_judged() {
    let gzip = |text: &str| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let coded = |media_type: &'static str, body: &str| {
        let fields = [("content-type", media_type), ("content-encoding", "gzip")];
        judge(&chosen(""), "POST", "/", &fields, &gzip(body)).map_err(|denial| denial.code())
    };
    assert_eq!(coded("application/json", r#"{"query":"{ a }"}"#), Ok(()));
    assert_eq!(coded("application/graphql", "{ a }"), Ok(()));
    assert_eq!(coded("application/json", r#"{"query":"{ __schema { a } }"}"#), Err(Code::GraphqlRefused));
    assert_eq!(coded("application/json", &" ".repeat(4 << 20)), Err(Code::BodyTooLarge));
}

#[test]
fn relay_names_a_document_by_doc_id() {
    let safe = check(json!({ "safelist": { "file": "registered.json" } }));
    let known: std::collections::BTreeMap<String, String> =
        serde_json::from_str(include_str!("tests/registered.json")).unwrap();
    let (id, _) = known.iter().find(|(_, text)| text.trim_start().starts_with(['{', 'q'])).unwrap();
    let post = |body: Value| {
        let fields = [("content-type", "application/json")];
        judge(&safe, "POST", "/", &fields, body.to_string().as_bytes()).map_err(|denial| denial.code())
    };
    assert_eq!(post(json!({ "doc_id": id, "variables": {} })), Ok(()));
    assert_eq!(post(json!({ "doc_id": "nowhere" })), Err(Code::GraphqlRefused));
    assert_eq!(post(json!({ "doc_id": id, "id": id })), Err(Code::ContentMalformed));
}

#[test]
fn all_operations_of_a_request_share_the_tokens_and_the_cost() {
    let two =
        check(json!({ "max_batch": 2, "max_tokens": 10, "cost": { "schema": "schema.graphql", "max": 3 } }));
    let post =
        |body: &str| judge(&two, "POST", "/", &[("content-type", "application/json")], body.as_bytes());
    let me = r#"{"query": "{ me { id } }"}"#;
    assert!(post(&format!("[{me}]")).is_ok());
    let denial = post(&format!("[{me}, {me}]")).unwrap_err();
    assert_eq!(denial.detail(), "the document has more tokens than allowed");
    let two = check(json!({ "max_batch": 3, "cost": { "schema": "schema.graphql", "max": 2 } }));
    let post =
        |body: &str| judge(&two, "POST", "/", &[("content-type", "application/json")], body.as_bytes());
    assert!(post(&format!("[{me}, {me}]")).is_ok());
    let denial = post(&format!("[{me}, {me}, {me}]")).unwrap_err();
    assert_eq!(denial.detail(), "the operation costs more than allowed");
}

/// That the table has these cases, and that they are refused.
fn refused(titles: &[&str]) {
    let cases = cases(DENY);
    for title in titles {
        let case =
            cases.iter().find(|case| case.title == *title).unwrap_or_else(|| panic!("no case: {title}"));
        assert!(run(case).is_err(), "{title}");
    }
}

#[test]
fn fragments_that_spread_themselves() {
    refused(&["a fragment that spreads itself", "a fragment that spreads itself by way of others"]);
}

#[test]
fn mutations_over_get_are_refused() {
    refused(&[
        "a mutation with GET",
        "a mutation beside the query with GET",
        "a registered mutation with GET",
        "a hash with GET of which nobody knows what it does",
    ]);
}

#[test]
fn every_operation_of_a_document_is_judged() {
    refused(&[
        "introspection in an operation that is not meant",
        "eleven deep in the operation that is not meant",
    ]);
}

#[test]
fn a_document_stands_in_one_place_and_one_spelling() {
    refused(&[
        "a document in the URL beside the body",
        "a name in the URL in other letters",
        "a list in the URL",
        "a parameter twice in another spelling",
        "a semicolon between parameters",
        "a member twice in another spelling",
        "a member in other letters",
        "a member that some servers fold to another",
        "a GET with a body",
    ]);
}

#[test]
fn a_hash_of_another_document_is_refused() {
    refused(&["the hash of another document", "a registered hash with another document"]);
}

#[test]
fn a_length_in_another_form_is_refused() {
    refused(&["a length in another form", "a negative length", "more than there are numbers"]);
}
