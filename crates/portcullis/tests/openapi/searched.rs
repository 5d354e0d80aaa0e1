//! Rules that search requests and answers, through a real gateway: what is read once counts for both, and what must not leave
//! does not.

use super::{ask, gzip, world};
use crate::support::{Backend, Reply, Seen};
use serde_json::json;

const JSON: &str = "Content-Type: application/json";
const INJECTION: &str = "1' or '1'='1";

const ROUTES: &str = "
  - path: /alone
    upstream: UPSTREAM
    security: { waf: {} }
  - path: /schema
    upstream: UPSTREAM
    security: { waf: {}, validation: { schema: {}, limits: { depth: 200 } } }
  - path: \"/document/{*rest}\"
    upstream: UPSTREAM
    openapi: { file: tests/openapi/orders.yaml, base_path: /document, limits: { depth: 200 } }
    security: { waf: {} }
";

/// A value in so many lists.
fn nested(depth: usize, value: &str) -> Vec<u8> {
    format!("{}{}{}", "[".repeat(depth), json!(value), "]".repeat(depth)).into_bytes()
}

/// The engine's own parser goes 128 levels deep, and the schema's reader of `limits` as deep as it says: a deeper body that is
/// searched was read by the latter, and by it alone.
#[tokio::test]
async fn a_body_that_a_schema_reads_is_not_read_again() {
    let backend = Backend::start().await;
    let world = world(&backend, ROUTES);
    for (path, depth, value, status) in [
        ("/alone", 100, "tea", 200),
        ("/alone", 100, INJECTION, 403),
        ("/alone", 150, "tea", 400),
        ("/schema", 150, "tea", 200),
        ("/schema", 150, INJECTION, 403),
        ("/schema", 250, "tea", 400),
    ] {
        let answer = ask(&world, &format!("POST {path}"), &[JSON], &nested(depth, value)).await;
        assert_eq!(answer.status, status, "{path} {depth} {value}");
    }
    for (item, status) in [("tea", 200), ("' or 1=1#", 403)] {
        let body = json!({ "item": item }).to_string();
        let answer = ask(&world, "POST /document/orders", &[JSON], body.as_bytes()).await;
        assert_eq!(answer.status, status, "{item}");
    }
    let records = world.end().await.all();
    let searched = |path: &str| {
        let found = records.iter().filter(|record| record["path"] == path && record["status"] == 403);
        found.map(|record| record["searched"]["rules"].clone()).collect::<Vec<_>>()
    };
    for path in ["/alone", "/schema", "/document/orders"] {
        let [rules] = &searched(path)[..] else { panic!("{path}: {records:#?}") };
        assert!(rules.as_array().unwrap().contains(&json!(11030)), "{path}: {rules}");
    }
}

const ANSWERS: &str = "
  - path: /off
    upstream: UPSTREAM
    security: { waf: {} }
  - path: /observe
    upstream: UPSTREAM
    security: { waf: { responses: observe } }
  - path: /enforce
    upstream: UPSTREAM
    security: { waf: { responses: enforce, max_response_size: 1000B } }
  - path: /not
    upstream: UPSTREAM
    security: { waf: { responses: enforce, mode: off } }
";

const TRACE: &str = "Exception: c4ca42\n\tat com.example.Orders.find(Orders.java:42)\n\tat com.example.Main.main(Main.java:7)\n";

/// The backend answers as the request's cookie asks for.
fn answering(seen: &Seen) -> Reply {
    let with = |kind: &str, body: &str| Reply::with("200 OK", &format!("Content-Type: {kind}\r\n"), body);
    match seen.fields("cookie")[..] {
        ["case=trace"] => with("text/plain; charset=utf-8", TRACE),
        ["case=json"] => with("application/problem+json", &json!({ "trace": TRACE }).to_string()),
        ["case=untyped"] => Reply::with("200 OK", "", TRACE),
        ["case=image"] => with("image/png", TRACE),
        ["case=large"] => with("text/html", &"x".repeat(1001)),
        ["case=large-image"] => with("image/png", &"x".repeat(5000)),
        ["case=events"] => with("text/event-stream", "data: 1\n\n"),
        ["case=zipped"] => {
            let body = gzip(TRACE.as_bytes());
            let length = body.len();
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Encoding: gzip\r\nContent-Length: {length}\r\n\r\n"
            );
            Reply::Bytes([head.as_bytes(), &body].concat())
        }
        _ => with("text/html", "<p>tea</p>"),
    }
}

#[tokio::test]
async fn what_must_not_leave_does_not() {
    let backend = Backend::answering(answering).await;
    let world = world(&backend, ANSWERS);
    for (case, status) in [
        ("good", 200),
        ("trace", 502),
        ("json", 502),
        ("untyped", 502),
        ("image", 200),
        ("large", 502),
        ("large-image", 200),
        ("events", 200),
        ("zipped", 502),
    ] {
        let cookie = format!("Cookie: case={case}");
        for path in ["/off", "/observe", "/not"] {
            let passed = ask(&world, &format!("GET {path}"), &[&cookie], b"").await;
            assert_eq!(passed.status, 200, "{path} {case}");
        }
        let enforced = ask(&world, "GET /enforce", &[&cookie], b"").await;
        assert_eq!(enforced.status, status, "{case}");
        if status == 502 {
            assert!(super::support::leaks(&enforced, &["c4ca42", "com.example"]).is_empty(), "{enforced:?}");
        }
    }
    let head = ask(&world, "HEAD /enforce", &["Cookie: case=good"], b"").await;
    assert_eq!(head.status, 200);
    let records = world.end().await.all();
    let count = |path: &str, pointer: &str, value: &str| {
        let of = records.iter().filter(|record| record["path"] == path);
        of.filter(|record| record.pointer(pointer).and_then(|found| found.as_str()) == Some(value)).count()
    };
    assert_eq!(count("/enforce", "/denied/code", "answer_leaks"), 3, "{records:#?}");
    assert_eq!(count("/enforce", "/denied/code", "answer_too_large"), 1);
    assert_eq!(count("/enforce", "/denied/code", "answer_invalid"), 1, "a coding hides the answer");
    assert_eq!(count("/observe", "/observed/0/code", "answer_leaks"), 3);
    assert_eq!(count("/off", "/observed/0/code", "answer_leaks"), 0);
    let found = records.iter().find(|record| record["denied"]["code"] == "answer_leaks").unwrap();
    assert!(
        found["denied"]["detail"].as_str().unwrap().starts_with("score 4: 13050 (RESPONSE_BODY)"),
        "{found}"
    );
}
