//! What reaches the backend.

use super::{Refused, ask, errors, gzip, support, world};
use support::{Backend, Client};

const DOCUMENT: &str = "
  - path: \"/{*rest}\"
    upstream: UPSTREAM
    openapi: tests/openapi/orders.yaml
";

const JSON: &str = "Content-Type: application/json";
const FORM: &str = "Content-Type: application/x-www-form-urlencoded";
const MULTIPART: &str = "Content-Type: multipart/form-data; boundary=b";

fn part(name: &str, content: &str) -> String {
    format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{content}\r\n--b--\r\n")
}

#[tokio::test]
async fn what_is_declared_reaches_the_backend_as_it_was_sent() {
    let backend = Backend::start().await;
    let world = world(&backend, DOCUMENT);
    let zipped = gzip(br#"{"item":"tea"}"#);
    let allowed: [(&str, &[&str], &[u8]); 12] = [
        ("GET /orders", &[], b""),
        ("GET /orders?limit=100&tag=a&tag=b", &[], b""),
        ("HEAD /orders", &[], b""),
        (
            "GET /orders/7",
            &["X-Trace: 8d3e7c1a-0b0f-4a7e-9c59-6f1d2a3b4c5d", "Cookie: view=full; other=1"],
            b"",
        ),
        ("DELETE /orders/7", &[], b""),
        ("POST /orders", &[JSON], br#"{"item":"tea","amount":2}"#),
        ("POST /orders", &["Content-Type: application/json; charset=utf-8"], br#" {"item":"tea"} "#),
        ("POST /orders", &[JSON, "Content-Encoding: gzip"], &zipped),
        ("POST /orders", &[FORM], b"item=tea&amount=2"),
        ("POST /orders", &[MULTIPART], part_bytes("item", "tea")),
        ("GET /orders/9007199254740993", &[], b""),
        ("GET /orders?", &[], b""),
    ];
    for (line, fields, body) in allowed {
        let answer = ask(&world, line, fields, body).await;
        assert_eq!(answer.status, 200, "{line} {:?}", String::from_utf8_lossy(&answer.body));
    }
    let seen = backend.seen();
    assert_eq!(seen.len(), allowed.len());
    for (seen, (line, _, body)) in seen.iter().zip(allowed) {
        assert_eq!((seen.line().as_str(), seen.body.as_slice()), (line, body));
    }
}

#[tokio::test]
async fn read_only_members_are_removed_before_the_body_goes_on() {
    let backend = Backend::start().await;
    let document = "
  - path: \"/{*rest}\"
    upstream: UPSTREAM
    openapi: { file: tests/openapi/orders.yaml, read_only: strip }
";
    let world = world(&backend, document);
    let sent = br#"{"item":"tea","total":3.5,"amount":2}"#;
    let zipped = gzip(sent);
    // What is written anew has its members in the order of their names.
    let allowed: [(&[&str], &[u8], &str); 4] = [
        (&[JSON], sent, r#"{"amount":2,"item":"tea"}"#),
        (&[JSON, "Content-Encoding: gzip"], &zipped, r#"{"amount":2,"item":"tea"}"#),
        (&[JSON], br#" {"item":"tea","total":null} "#, r#"{"item":"tea"}"#),
        // What has none of them goes on as it came.
        (&[JSON], br#" {"item":"tea"} "#, r#" {"item":"tea"} "#),
    ];
    for (fields, body, _) in allowed {
        assert_eq!(ask(&world, "POST /orders", fields, body).await.status, 200);
    }
    let seen = backend.seen();
    for (seen, (.., expected)) in seen.iter().zip(allowed) {
        assert_eq!(String::from_utf8_lossy(&seen.body), expected);
        assert_eq!(seen.fields("content-length"), [expected.len().to_string()]);
        assert!(seen.fields("content-encoding").is_empty());
    }
    assert_eq!(seen.len(), allowed.len());
    // What is wrong otherwise stays refused, and so is what cannot be written anew without rounding, or is a form.
    let refused: [(&[&str], &[u8]); 5] = [
        (&[JSON], br#"{"item":7,"total":3}"#),
        (&[JSON], br#"{"total":3}"#),
        (&[JSON], br#"{"item":"tea","total":3,"total":4}"#),
        (&[JSON], br#"{"item":"tea","total":1234567890123456789012345}"#),
        (&[FORM], b"item=tea&total=3"),
    ];
    for (fields, body) in refused {
        let status = ask(&world, "POST /orders", fields, body).await.status;
        assert!(matches!(status, 400 | 422), "{status} {}", String::from_utf8_lossy(body));
    }
    assert_eq!(backend.seen().len(), allowed.len());
}

fn part_bytes(name: &str, content: &str) -> &'static [u8] {
    Box::leak(part(name, content).into_boxed_str()).as_bytes()
}

#[tokio::test]
async fn what_is_not_declared_never_reaches_the_backend() {
    let backend = Backend::start().await;
    let world = world(&backend, DOCUMENT);
    let bomb = gzip(&vec![b' '; 4 << 20]);
    let invalid = gzip(br#"{"item":7}"#);
    let refused: [Refused<'_>; 30] = [
        (404, "GET /", &[], b"", ""),
        (404, "GET /admin", &[], b"", ""),
        (404, "GET /orders/", &[], b"", ""),
        (404, "GET /ORDERS", &[], b"", ""),
        (404, "GET /orders/7/items", &[], b"", ""),
        (400, "GET /orders/seven", &[], b"", "id type"),
        (400, "GET /orders/007", &[], b"", "id type"),
        (400, "GET /orders/0", &[], b"", "id minimum"),
        (400, "GET /orders?limit=1&limit=2", &[], b"", "limit repeated"),
        (400, "GET /orders?limit=1e1", &[], b"", "limit type"),
        (400, "GET /orders?limit=101", &[], b"", "limit maximum"),
        (400, "GET /orders?limit=", &[], b"", "limit type"),
        (400, "GET /orders?admin=1", &[], b"", "admin undeclared"),
        (400, "GET /orders?%6Cimit=1&limit=2", &[], b"", "limit repeated"),
        (400, "GET /orders/7", &["X-Trace: x"], b"", "x-trace format"),
        (400, "GET /orders/7", &["Cookie: view=none"], b"", "view enum"),
        (400, "GET /orders/7", &[JSON], b"{}", " undeclared"),
        (400, "POST /orders", &[], b"", " required"),
        (400, "POST /orders", &[JSON], b"{", " json.syntax"),
        (400, "POST /orders", &[JSON], br#"{"item":"a","item":"b"}"#, " json.duplicate_member"),
        (422, "POST /orders", &[JSON], br#"{"amount":1}"#, "/item required"),
        (422, "POST /orders", &[JSON], br#"{"item":"tea","amount":100}"#, "/amount maximum"),
        (422, "POST /orders", &[JSON], br#"{"item":"tea","admin":true}"#, "additionalProperties"),
        (422, "POST /orders", &[JSON], br#"{"item":"tea","total":1}"#, "/total readOnly"),
        (422, "POST /orders", &[JSON, "Content-Encoding: gzip"], &invalid, "/item type"),
        (413, "POST /orders", &[JSON, "Content-Encoding: gzip"], &bomb, ""),
        (415, "POST /orders", &["Content-Type: text/plain"], br#"{"item":"tea"}"#, ""),
        (415, "POST /orders", &[JSON, "Content-Encoding: br"], br#"{"item":"tea"}"#, ""),
        (422, "POST /orders", &[FORM], b"item=tea&amount=100", "amount maximum"),
        (422, "POST /orders", &[MULTIPART], part_bytes("item", "much too long for it"), "item maxLength"),
    ];
    for (status, line, fields, body, wrong) in refused {
        let answer = ask(&world, line, fields, body).await;
        let errors = errors(&answer);
        assert_eq!(answer.status, status, "{line} {errors:?}");
        assert!(wrong.is_empty() || errors.iter().any(|error| error.contains(wrong)), "{line}: {errors:?}");
        assert!(support::leaks(&answer, &["seven", "much too long"]).is_empty(), "{answer:?}");
    }
    for (line, allow) in [("PUT /orders", "GET, HEAD, POST"), ("POST /orders/7", "GET, HEAD, DELETE")] {
        let answer = ask(&world, line, &[JSON], br#"{"item":"tea"}"#).await;
        assert_eq!((answer.status, answer.field("allow")), (405, allow), "{line}");
    }
    let nobody = "GET /admin HTTP/1.1\r\nHost: a.example\r\n\r\n";
    let answer = Client::connect(world.address).await.ask(nobody).await;
    assert_eq!(answer.status, 401, "whoever has no key learns nothing of the document");
    assert!(backend.seen().is_empty(), "{:?}", backend.seen());
    let records = world.end().await.all();
    assert_eq!(records[1]["denied"]["check"], "inspect.openapi");
    assert_eq!(records[1]["denied"]["code"], "route_not_found");
}

#[tokio::test]
async fn a_route_has_what_its_document_says_and_no_more_than_it_allows_itself() {
    let backend = Backend::start().await;
    let world = world(
        &backend,
        "
  - path: \"/orders/{id}\"
    methods: [GET]
    upstream: UPSTREAM
    openapi: tests/openapi/orders.yaml
  - path: \"/v1/{*rest}\"
    upstream: UPSTREAM
    openapi: { file: tests/openapi/orders.yaml, base_path: /v1, unknown_parameters: allow }
  - path: \"/observed/{*rest}\"
    upstream: UPSTREAM
    openapi: { file: tests/openapi/orders.yaml, base_path: /observed, mode: observe }
",
    );
    let statuses = [
        ("GET /orders/7", 200),
        ("GET /orders/seven", 400),
        ("DELETE /orders/7", 405),
        ("GET /orders", 404),
        ("GET /v1/orders?admin=1", 200),
        ("GET /v1/orders?limit=0", 400),
        ("GET /v1/other", 404),
        ("GET /observed/other", 200),
    ];
    for (line, status) in statuses {
        assert_eq!(ask(&world, line, &[], b"").await.status, status, "{line}");
    }
    assert_eq!(backend.seen().len(), 3);
    let records = world.end().await.all();
    assert_eq!(records[7]["observed"][0]["code"], "route_not_found");
}

#[tokio::test]
async fn a_key_in_the_query_need_not_be_declared_and_does_not_count() {
    let backend = Backend::start().await;
    let world = world(
        &backend,
        "
  - path: /orders
    upstream: UPSTREAM
    openapi: tests/openapi/orders.yaml
    security: { authentication: { type: api_key, query: key } }
",
    );
    let key = support::USER_KEY;
    assert_eq!(ask(&world, &format!("GET /orders?key={key}&limit=5"), &[], b"").await.status, 200);
    assert_eq!(ask(&world, &format!("GET /orders?key={key}&keys=5"), &[], b"").await.status, 400);
    assert_eq!(backend.seen()[0].line(), "GET /orders?limit=5");
    assert_eq!(backend.seen().len(), 1);
}
