//! What reaches the client.

use super::{ask, gzip, support, world};
use support::{Backend, Reply, Seen};

const ROUTES: &str = "
  - path: \"/off/{*rest}\"
    upstream: UPSTREAM
    openapi: { file: tests/openapi/orders.yaml, base_path: /off }
  - path: \"/observe/{*rest}\"
    upstream: UPSTREAM
    openapi: { file: tests/openapi/orders.yaml, base_path: /observe, responses: observe }
  - path: \"/enforce/{*rest}\"
    upstream: UPSTREAM
    openapi: { file: tests/openapi/orders.yaml, base_path: /enforce, responses: enforce, max_response_size: 1000B }
  - path: \"/remove/{*rest}\"
    upstream: UPSTREAM
    openapi: { file: tests/openapi/orders.yaml, base_path: /remove, responses: enforce, remove_undeclared: true }
";

const JSON: &str = "Content-Type: application/json\r\n";
const LEAKY: &str = r#"{"item":"tea","hash":"c4ca42","owner":{"name":"a","ssn":"078-05"}}"#;

/// The backend answers as the request's cookie asks for.
fn answering(seen: &Seen) -> Reply {
    let json = |body: &str| Reply::with("200 OK", JSON, body);
    match seen.fields("cookie")[..] {
        ["case=good"] => json(r#"{"item":"tea"}"#),
        ["case=leaky"] => json(LEAKY),
        ["case=zipped"] => {
            let body = gzip(LEAKY.as_bytes());
            let head = format!(
                "HTTP/1.1 200 OK\r\n{JSON}Content-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            Reply::Bytes([head.as_bytes(), &body].concat())
        }
        ["case=invalid"] => json(r#"{"item":7,"hash":"c4ca42"}"#),
        ["case=broken"] => json(r#"{"hash":"c4ca42"#),
        ["case=large"] => json(&format!(r#"{{"item":"{}c4ca42"}}"#, "x".repeat(1000))),
        ["case=text"] => Reply::with("200 OK", "Content-Type: text/plain\r\n", "c4ca42"),
        ["case=field"] => Reply::with("200 OK", &format!("{JSON}X-Count: many\r\n"), r#"{"item":"c4ca42"}"#),
        ["case=status"] => Reply::with("202 Accepted", JSON, r#"{"item":"c4ca42"}"#),
        ["case=nothing"] => Reply::Bytes(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()),
        _ => Reply::ok(),
    }
}

#[tokio::test]
async fn an_answer_is_as_declared_or_does_not_come() {
    let backend = Backend::answering(answering).await;
    let world = world(&backend, ROUTES);
    for (case, status) in [
        ("good", 200),
        ("leaky", 200),
        ("zipped", 200),
        ("nothing", 204),
        ("invalid", 502),
        ("broken", 502),
        ("large", 502),
        ("text", 502),
        ("field", 502),
        ("status", 502),
    ] {
        let cookie = format!("Cookie: case={case}");
        let unjudged = ask(&world, "GET /off/orders/7", &[&cookie], b"").await;
        assert!(unjudged.status < 300, "{case}");
        let observed = ask(&world, "GET /observe/orders/7", &[&cookie], b"").await;
        assert_eq!((observed.status, &observed.body), (unjudged.status, &unjudged.body), "{case}");
        let enforced = ask(&world, "GET /enforce/orders/7", &[&cookie], b"").await;
        assert_eq!(enforced.status, status, "{case}");
        if status == 502 {
            assert!(support::leaks(&enforced, &["c4ca42", "many", "item"]).is_empty(), "{enforced:?}");
        }
    }
    let records = world.end().await.all();
    let count = |route: &str, pointer: &str, value: &str| {
        let of = records.iter().filter(|record| record["path"].as_str().unwrap().starts_with(route));
        of.filter(|record| record.pointer(pointer).and_then(|found| found.as_str()) == Some(value)).count()
    };
    assert_eq!(count("/observe/", "/observed/0/check", "answer.openapi"), 5, "{records:#?}");
    assert_eq!(count("/enforce/", "/denied/code", "answer_invalid"), 5);
    assert_eq!(count("/enforce/", "/denied/code", "answer_too_large"), 1);
}

#[tokio::test]
async fn undeclared_fields_are_removed() {
    let backend = Backend::answering(answering).await;
    let world = world(&backend, ROUTES);
    for case in ["leaky", "zipped"] {
        let answer = ask(&world, "GET /remove/orders/7", &[&format!("Cookie: case={case}")], b"").await;
        assert_eq!(answer.status, 200, "{case}");
        assert!(answer.fields("content-encoding").is_empty(), "{case}");
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(body, serde_json::json!({ "item": "tea", "owner": { "name": "a" } }), "{case}");
    }
    assert_eq!(ask(&world, "GET /remove/orders/7", &["Cookie: case=invalid"], b"").await.status, 502);
    let head = ask(&world, "HEAD /remove/orders/7", &["Cookie: case=status"], b"").await;
    assert_eq!(head.status, 502, "the status of an answer to HEAD is judged");
}
