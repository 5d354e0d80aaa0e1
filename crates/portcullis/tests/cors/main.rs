//! Pages of other origins (CORS): through a running gateway, as a browser would ask.

#![expect(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test binary has no outside, and a helper that fails fails its test"
)]

#[allow(dead_code, unused_imports, reason = "each test binary uses a part of it")]
#[path = "../support/mod.rs"]
mod support;
#[allow(dead_code, reason = "each test binary uses a part of it")]
#[path = "../login/webdriver.rs"]
mod webdriver;

mod chromium;

use support::{Answer, Backend, Client, Reply, World};

const APP: &str = "https://app.example.com";

fn document(backend: &Backend) -> String {
    let upstream = backend.address;
    format!(
        "listeners: [{{ bind: \"127.0.0.1:0\" }}]\nworkers: 1\n\
         security: {{ authentication: {{ type: api_key }}, cors: {{ origins: [\"{APP}\"] }}, addresses: {{ deny: [127.0.0.9/32] }} }}\n\
         consumers: [{{ name: alice, keys: [{{ literal: alice-key-0123456789 }}] }}]\n\
         routes:\n  \
         - {{ path: /a, methods: [GET, PUT], upstream: \"http://{upstream}\" }}\n  \
         - {{ path: /any, public: a test, security: {{ cors: {{ origins: \"*\" }} }}, upstream: \"http://{upstream}\" }}\n"
    )
}

async fn ask(world: &World, source: &str, method: &str, path: &str, fields: &[&str]) -> Answer {
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    let request = format!("{method} {path} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n{fields}\r\n");
    Client::connect_from(source, world.address).await.ask(&request).await
}

fn origin_of(answer: &Answer) -> Vec<&str> {
    answer.fields("access-control-allow-origin")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_preflight_is_answered_by_the_gateway() {
    let backend = Backend::start().await;
    let world = World::start(&document(&backend));
    let app = format!("Origin: {APP}");
    let preflight = |path: &'static str, more: &'static [&'static str]| {
        let (world, app) = (&world, app.as_str());
        async move {
            let fields: Vec<&str> = [app].into_iter().chain(more.iter().copied()).collect();
            ask(world, "127.0.0.1", "OPTIONS", path, &fields).await
        }
    };
    // Without a credential, since browsers send none, and for a method that is not OPTIONS.
    let answer = preflight(
        "/a",
        &["Access-Control-Request-Method: PUT", "Access-Control-Request-Headers: x-api-key, content-type"],
    )
    .await;
    assert_eq!((answer.status, origin_of(&answer)), (204, vec![APP]));
    assert_eq!(answer.fields("access-control-allow-methods"), ["PUT"]);
    assert_eq!(answer.fields("access-control-allow-headers"), ["x-api-key, content-type"]);
    assert!(answer.body.is_empty());
    // A page cannot read a 405 to its preflight, so that a method is not allowed is said in the words of CORS.
    let other = preflight("/a", &["Access-Control-Request-Method: DELETE"]).await;
    assert_eq!((other.status, origin_of(&other)), (204, vec![APP]));
    assert!(other.fields("access-control-allow-methods").is_empty());
    // What no route has, and what is no preflight, are what they would be without.
    assert_eq!(preflight("/none", &["Access-Control-Request-Method: PUT"]).await.status, 404);
    let plain = preflight("/a", &[]).await;
    assert_eq!((plain.status, origin_of(&plain)), (405, vec![APP]));
    let twice =
        preflight("/a", &["Access-Control-Request-Method: PUT", "Access-Control-Request-Method: GET"]).await;
    assert_eq!(twice.status, 405);
    // The route's addresses come first.
    let denied =
        ask(&world, "127.0.0.9", "OPTIONS", "/a", &[&app, "Access-Control-Request-Method: PUT"]).await;
    assert_eq!(denied.status, 403);
    assert_eq!(backend.seen().len(), 0, "nothing of it goes upstream");
    let records = world.end().await.all();
    assert_eq!(records[0]["denied"]["code"], "preflight");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_origin_is_named_to_nobody() {
    let backend = Backend::start().await;
    let world = World::start(&document(&backend));
    for other in [
        "https://evil.example",
        "https://app.example.com.evil.example",
        "https://evil-app.example.com",
        "http://app.example.com",
        "https://app.example.com:8443",
        "HTTPS://app.example.com",
        "null",
    ] {
        let origin = format!("Origin: {other}");
        let key = "X-API-Key: alice-key-0123456789";
        let read = ask(&world, "127.0.0.1", "GET", "/a", &[&origin, key]).await;
        assert_eq!((read.status, origin_of(&read)), (200, vec![]), "{other}");
        assert_eq!(read.fields("vary"), ["Origin"], "{other}");
        let asked =
            ask(&world, "127.0.0.1", "OPTIONS", "/a", &[&origin, "Access-Control-Request-Method: GET"]).await;
        assert_eq!((asked.status, origin_of(&asked)), (204, vec![]), "{other}");
        assert!(asked.fields("access-control-allow-methods").is_empty());
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_names_the_page_that_may_read_it() {
    let backend = Backend::start().await;
    let world = World::start(&document(&backend));
    let app = format!("Origin: {APP}");
    let good = ask(&world, "127.0.0.1", "GET", "/a", &[&app, "X-API-Key: alice-key-0123456789"]).await;
    assert_eq!((good.status, origin_of(&good)), (200, vec![APP]));
    // A page must be able to read why it was refused.
    let refused = ask(&world, "127.0.0.1", "GET", "/a", &[&app]).await;
    assert_eq!((refused.status, origin_of(&refused)), (401, vec![APP]));
    let any = ask(&world, "127.0.0.1", "GET", "/any", &["Origin: https://whoever.example"]).await;
    assert_eq!((any.status, origin_of(&any)), (200, vec!["*"]));
    assert_eq!(any.fields("vary"), ["Origin"]);
    let nobody = ask(&world, "127.0.0.1", "GET", "/any", &[]).await;
    assert_eq!((nobody.fields("vary"), origin_of(&nobody)), (vec!["Origin"], vec![]));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_opens_no_route_to_pages() {
    let said = "Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Credentials: true\r\nAccess-Control-Expose-Headers: x-secret\r\n";
    let backend = Backend::answering(move |_| Reply::with("200 OK", said, "x")).await;
    let world = World::start(&document(&backend));
    for (origin, named) in [("https://evil.example", vec![]), (APP, vec![APP])] {
        let key = "X-API-Key: alice-key-0123456789";
        let answer = ask(&world, "127.0.0.1", "GET", "/a", &[&format!("Origin: {origin}"), key]).await;
        assert_eq!((answer.status, origin_of(&answer)), (200, named), "{origin}");
        assert!(answer.fields("access-control-allow-credentials").is_empty(), "{origin}");
        let exposed = answer.fields("access-control-expose-headers");
        assert!(!exposed.iter().any(|names| names.contains("x-secret")), "{origin} {exposed:?}");
    }
    world.end().await;
}

/// A page can read why it failed: also what is refused before a route's checks, by a document, or by the front itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_refusal_can_be_read_by_the_page() {
    let backend = Backend::answering(|_| Reply::with("503 Service Unavailable", "", "x")).await;
    let upstream = format!("\"http://{}\"", backend.address);
    let document = format!(
        "listeners: [{{ bind: \"127.0.0.1:0\" }}]\nworkers: 1\n\
         security: {{ authentication: {{ type: api_key }}, cors: {{ origins: [\"{APP}\"] }} }}\n\
         consumers: [{{ name: alice, roles: [user], keys: [{{ literal: alice-key-0123456789 }}] }}]\n\
         routes:\n  \
         - {{ path: /fails, upstream: {upstream} }}\n  \
         - {{ path: /down, upstream: \"http://127.0.0.1:1\" }}\n  \
         - {{ path: /admin, security: {{ authorization: {{ roles_allowed: [user], scopes_required: [all] }} }}, upstream: {upstream} }}\n  \
         - {{ path: /limited, security: {{ rate_limiting: {{ max_requests: 1, per: hour, by: address }} }}, upstream: {upstream} }}\n  \
         - {{ path: /graphql, security: {{ graphql: {{}} }}, upstream: {upstream} }}\n  \
         - {{ path: /small, security: {{ body: {{ max_size: 1B }} }}, upstream: {upstream} }}\n"
    );
    let world = World::start(&document);
    let app = format!("Origin: {APP}");
    let key = "X-API-Key: alice-key-0123456789";
    for (method, path, fields, status) in [
        ("GET", "/fails", &[key][..], 503),
        ("GET", "/down", &[key], 502),
        ("GET", "/admin", &[key], 403),
        ("GET", "/limited", &[key], 503),
        ("GET", "/limited", &[key], 429),
        ("DELETE", "/graphql", &[key], 405),
        ("POST", "/small", &[key, "Content-Length: 2"], 413),
        ("GET", "/fails", &[key, "Connection: upgrade", "Upgrade: websocket"], 400),
        ("GET", "/fails", &["X-API-Key: wrong"], 401),
    ] {
        let fields: Vec<&str> = [app.as_str()].into_iter().chain(fields.iter().copied()).collect();
        let answer = ask(&world, "127.0.0.1", method, path, &fields).await;
        assert_eq!((answer.status, origin_of(&answer)), (status, vec![APP]), "{method} {path}");
        assert_eq!(answer.fields("vary"), ["Origin"], "{method} {path}");
        assert_eq!(answer.fields("access-control-expose-headers").len(), 1, "{method} {path}");
    }
    // A preflight asks about the request, and not about OPTIONS.
    let asked =
        ask(&world, "127.0.0.1", "OPTIONS", "/graphql", &[&app, "Access-Control-Request-Method: POST"]).await;
    assert_eq!((asked.status, asked.fields("access-control-allow-methods")), (204, vec!["POST"]));
    // Limits by address count preflights.
    let over =
        ask(&world, "127.0.0.1", "OPTIONS", "/limited", &[&app, "Access-Control-Request-Method: GET"]).await;
    assert_eq!((over.status, origin_of(&over)), (429, vec![APP]));
    world.end().await;
}
