//! A decision that another service makes, over real connections: what it is told, and what happens while it is slow or gone.

use super::support::{Backend, Client, PATIENCE, Reply, World};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const KEY: &str = "a-key-of-alice-0123456789";

fn document(backend: &Backend, external: &str) -> String {
    format!(
        "listeners: [{{ bind: \"127.0.0.1:0\" }}]\noutbound: {{ allow: [\"127.0.0.0/8\"] }}\n\
         consumers: [{{ name: alice, roles: [clerk], keys: [{KEY}] }}]\n\
         routes:\n  - path: /orders/{{id}}\n    upstream: \"http://{}\"\n    security: {{ authentication: {{ any: [{{ type: api_key }}, {{ type: api_key, query: key }}] }}, authorization: {{ external: {external} }} }}\n",
        backend.address
    )
}

async fn get(world: &World, target: &str, fields: &str) -> u16 {
    let request = format!("GET {target} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n{fields}\r\n");
    Client::connect_from("127.0.0.1", world.address).await.ask(&request).await.status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_server_decides_by_what_it_is_told() {
    let backend = Backend::start().await;
    // As a rule of Open Policy Agent would: only orders that begin with 7, only clerks.
    let policy = Backend::answering(|seen| {
        let told: Value = serde_json::from_slice(&seen.body).unwrap_or_default();
        let input = &told["input"];
        let clerk =
            input["principal"]["roles"].as_array().is_some_and(|roles| roles.contains(&json!("clerk")));
        let own = input["request"]["segments"][1].as_str().is_some_and(|id| id.starts_with('7'));
        Reply::with(
            "200 OK",
            "Content-Type: application/json\r\n",
            &json!({ "result": clerk && own }).to_string(),
        )
    })
    .await;
    let external =
        format!("{{ url: \"http://{}/v1/data/orders/allow\", headers: [x-tenant] }}", policy.address);
    let world = World::start(&document(&backend, &external));
    let key = format!("X-Api-Key: {KEY}\r\n");
    assert_eq!(get(&world, "/orders/7", &key).await, 200, "{:?}", world.records.lines());
    assert_eq!(get(&world, "/orders/8", &key).await, 403);
    assert_eq!(get(&world, "/orders/7", "").await, 401, "nobody is asked about nobody");
    assert_eq!(policy.seen().len(), 2);
    // The query is told to nobody: a credential may stand in it.
    assert_eq!(get(&world, &format!("/orders/7?key={KEY}&a=b"), "X-Tenant: blue\r\n").await, 200);
    for seen in policy.seen() {
        assert_eq!(seen.line(), "POST /v1/data/orders/allow");
        let text = [&seen.head[..], &seen.body[..]].concat();
        assert!(!String::from_utf8_lossy(&text).contains(KEY), "the_query_is_told_to_nobody");
    }
    let told: Value = serde_json::from_slice(&policy.seen()[2].body).unwrap();
    assert_eq!(told["input"]["request"]["headers"], json!({ "x-tenant": "blue" }));
    assert_eq!(told["input"]["request"]["path"], "/orders/7");
    let records = world.end().await.all();
    assert!(records.iter().any(|record| record["denied"]["code"] == "external_refused"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_of_forward_auth_decides_by_its_status() {
    let backend = Backend::start().await;
    let service = Backend::answering(|seen| match seen.fields("x-forwarded-uri").join("").as_str() {
        "/orders/1" => Reply::with("204 No Content", "", ""),
        "/orders/2" => Reply::with("403 Forbidden", "", ""),
        "/orders/3" => Reply::with("302 Found", "Location: https://login.example/\r\n", ""),
        _ => Reply::Close,
    })
    .await;
    let external =
        format!("{{ url: \"http://{}/verify\", form: forward_auth, headers: [x-tenant] }}", service.address);
    let world = World::start(&document(&backend, &external));
    let key = format!("X-Api-Key: {KEY}\r\nX-Consumer-Name: root\r\nX-Tenant: blue\r\n");
    for (path, status) in [("/orders/1", 200), ("/orders/2", 403), ("/orders/3", 503), ("/orders/4", 503)] {
        assert_eq!(get(&world, path, &key).await, status, "{path}: {:?}", world.records.lines().last());
    }
    let seen = &service.seen()[0];
    assert_eq!(seen.line(), "GET /verify");
    assert_eq!(
        (seen.fields("x-consumer-name"), seen.fields("x-consumer-roles")),
        (vec!["alice"], vec!["clerk"])
    );
    assert_eq!((seen.fields("x-forwarded-method"), seen.fields("x-tenant")), (vec!["GET"], vec!["blue"]));
    assert_eq!(backend.seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_slow_or_gone_lets_nobody_on() {
    let backend = Backend::start().await;
    let silent = Backend::answering(|_| Reply::Silence).await;
    let key = format!("X-Api-Key: {KEY}\r\n");
    for url in [format!("http://{}/allow", silent.address), "http://127.0.0.1:9/allow".to_owned()] {
        let world = World::start(&document(&backend, &format!("{{ url: \"{url}\", timeout: 200ms }}")));
        let begun = Instant::now();
        assert_eq!(get(&world, "/orders/7", &key).await, 503);
        assert!(begun.elapsed() < PATIENCE.min(Duration::from_secs(5)), "{:?}", begun.elapsed());
    }
    assert!(backend.seen().is_empty());
}
