//! The same in types, before functions of the program.

use super::support::{Client, USER_KEY};
use portcullis::{ApiKey, Gateway, Openapi, RouteOptions, Security};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[tokio::test]
async fn a_function_gets_what_its_document_declares() {
    let calls = Arc::new(AtomicUsize::new(0));
    let (orders, small) = (Arc::clone(&calls), Arc::clone(&calls));
    let running = Gateway::builder()
        .security(Security::new().authentication(ApiKey::header("x-api-key").keys([USER_KEY])))
        .route_with(
            "/orders/{id}",
            RouteOptions::new().openapi(Openapi::file("tests/openapi/orders.yaml").enforce_responses()),
            move |_request| {
                orders.fetch_add(1, Ordering::Relaxed);
                async { portcullis::Json(json!({ "item": "tea" })) }
            },
        )
        .route_with(
            "/small",
            RouteOptions::new()
                .security(Security::new().body_schema(json!({ "type": "object", "maxProperties": 1 }))),
            move |_request| {
                small.fetch_add(1, Ordering::Relaxed);
                async { "ok" }
            },
        )
        .start(0)
        .unwrap();
    let address = running.addresses()[0];
    let ask = async |line: &str, body: &str| {
        let request = format!(
            "{line} HTTP/1.1\r\nHost: a\r\nX-Api-Key: {USER_KEY}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Client::connect(address).await.ask(&request).await.status
    };
    assert_eq!(ask("GET /orders/7", "").await, 200);
    assert_eq!(ask("GET /orders/x", "").await, 400);
    assert_eq!(ask("PUT /orders/7", "{}").await, 405);
    assert_eq!(ask("POST /small", r#"{"a":1}"#).await, 200);
    assert_eq!(ask("POST /small", r#"{"a":1,"b":2}"#).await, 422);
    assert_eq!(calls.load(Ordering::Relaxed), 2);
    running.shutdown();
}
