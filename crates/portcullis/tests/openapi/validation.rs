//! Bodies judged by a schema alone.

use super::{Refused, ask, errors, gzip, support, world};
use support::Backend;

const ROUTES: &str = "
  - path: /inline
    upstream: UPSTREAM
    security:
      validation:
        schema: { type: object, required: [item], properties: { item: { type: string, maxLength: 5 } }, additionalProperties: false }
  - path: /file
    upstream: UPSTREAM
    security: { validation: { file: tests/openapi/order.schema.json, content_types: [application/json, application/merge-patch+json] } }
  - path: /quiet
    upstream: UPSTREAM
    security: { validation: { file: tests/openapi/order.schema.json }, strict_errors: false }
";

#[tokio::test]
async fn a_body_is_judged_by_a_schema() {
    let backend = Backend::start().await;
    let world = world(&backend, ROUTES);
    let json = "Content-Type: application/json";
    let good = br#"{"item":"tea"}"#;
    for path in ["/inline", "/file"] {
        assert_eq!(ask(&world, &format!("POST {path}"), &[json], good).await.status, 200, "{path}");
        assert_eq!(ask(&world, &format!("GET {path}?any=1"), &[], b"").await.status, 200, "{path}");
    }
    let patch = "Content-Type: application/merge-patch+json; charset=utf-8";
    assert_eq!(ask(&world, "PATCH /file", &[patch], good).await.status, 200);
    let coded = [json, "Content-Encoding: gzip"];
    assert_eq!(ask(&world, "POST /inline", &coded, &gzip(good)).await.status, 200);
    assert_eq!(backend.seen().len(), 6);

    let zipped = gzip(br#"{"item":"coffee"}"#);
    let refused: [Refused<'_>; 13] = [
        (422, "POST /inline", &[json], br#"{"item":"coffee"}"#, "/item maxLength"),
        (422, "POST /inline", &[json], br#"{}"#, "/item required"),
        (422, "POST /file", &[json], br#"{"item":"tea","more":1}"#, ""),
        (422, "DELETE /inline", &[json], br#"[]"#, " type"),
        (400, "POST /inline", &[json], br#"{"item":"tea","item":"x"}"#, " json.duplicate_member"),
        (400, "POST /inline", &[json], b"{\"item\":\"tea\"} x", " json.trailing"),
        (400, "PUT /inline", &[json], b"", " required"),
        (415, "PATCH /inline", &[patch], good, "content-type content_type"),
        (415, "POST /inline", &[], good, "content-type required"),
        (400, "POST /inline", &[json, json], good, ""),
        (422, "POST /inline", &coded, &zipped, "/item maxLength"),
        (400, "POST /inline", &coded, good, "content-encoding content_encoding"),
        (415, "POST /inline", &[json, "Content-Encoding: br"], good, "content-encoding content_encoding"),
    ];
    for (status, line, fields, body, wrong) in refused {
        let answer = ask(&world, line, fields, body).await;
        let errors = errors(&answer);
        assert_eq!(answer.status, status, "{line} {errors:?}");
        assert!(wrong.is_empty() || errors.iter().any(|error| error == wrong), "{line}: {errors:?}");
    }
    let quiet = ask(&world, "POST /quiet", &[json], b"[]").await;
    assert_eq!((quiet.status, errors(&quiet)), (422, Vec::new()));
    assert_eq!(backend.seen().len(), 6);
}

#[tokio::test]
async fn an_empty_chunked_body_is_none() {
    let backend = Backend::start().await;
    let world = world(&backend, ROUTES);
    let chunked = |method: &str| {
        format!(
            "{method} /inline HTTP/1.1\r\nHost: a\r\nX-Api-Key: {}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            support::USER_KEY
        )
    };
    for (method, status) in [("POST", 400), ("DELETE", 200)] {
        let answer = support::Client::connect(world.address).await.ask(&chunked(method)).await;
        assert_eq!(answer.status, status, "{method}");
    }
}
