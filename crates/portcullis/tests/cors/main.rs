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

/// The header `Origin` is compared as it is, from its first byte to its last, and must be there once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pattern_names_somebodys_origins_and_nobody_elses() {
    let backend = Backend::start().await;
    let upstream = backend.address;
    let world = World::start(&format!(
        "listeners: [{{ bind: \"127.0.0.1:0\" }}]\nworkers: 1\n\
         security: {{ cors: {{ origins: [\"https://*.example.com\", \"http://localhost:*\", \"https://pay.example.org:8443\"] }} }}\n\
         routes: [{{ path: /a, public: a test, upstream: \"http://{upstream}\" }}]\n"
    ));
    let read = |fields: Vec<String>| {
        let world = &world;
        async move {
            let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
            let answer = ask(world, "127.0.0.1", "GET", "/a", &fields).await;
            assert_eq!((answer.status, answer.fields("vary")), (200, vec!["Origin"]), "{fields:?}");
            origin_of(&answer).iter().map(|origin| (*origin).to_owned()).collect::<Vec<_>>()
        }
    };
    for own in [
        "https://a.example.com",
        "https://a.b.example.com",
        "http://localhost:3000",
        "http://localhost",
        "https://pay.example.org:8443",
    ] {
        assert_eq!(read(vec![format!("Origin: {own}")]).await, [own]);
    }
    for other in [
        "https://example.com",
        "https://evilexample.com",
        "https://a.example.com.evil.example",
        "https://a.example.com:8443",
        "http://a.example.com",
        "https://A.example.com",
        "https://a.example.com/",
        "https://a.example.com.",
        "https://.example.com",
        "https://evil.example#.example.com",
        "https://evil.example?.example.com",
        "https://evil.example\\.example.com",
        "https://user@a.example.com",
        "http://localhost:3000.evil.example",
        "http://localhost:",
        "http://localhost:99999",
        "http://localhost:03000",
        "http://localhost.evil.example:3000",
        "https://pay.example.org",
        "https://pay.example.org:443",
        "https://a.example.com https://b.example.com",
        "https://a.example.com, https://evil.example",
        "null",
        "*",
        "",
    ] {
        assert_eq!(read(vec![format!("Origin: {other}")]).await, Vec::<String>::new(), "{other}");
    }
    // Which of two is meant nobody can tell.
    for pair in [["https://a.example.com", "https://a.example.com"], ["https://a.example.com", "null"]] {
        let fields = pair.iter().map(|origin| format!("Origin: {origin}")).collect();
        assert_eq!(read(fields).await, Vec::<String>::new(), "{pair:?}");
    }
    world.end().await;
}

/// Two routes share a path by their methods, and a document declares some operations: a preflight is answered by the route of
/// the request that it asks about, and opens nothing on the other one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_preflight_belongs_to_the_request_that_it_asks_about() {
    let backend = Backend::start().await;
    let upstream = format!("\"http://{}\"", backend.address);
    let folder = std::env::temp_dir().join(format!("portcullis-cors-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("api.yaml");
    let api = "openapi: 3.0.3\ninfo: { title: a, version: '1' }\npaths: { /declared: { get: { responses: { '200': { description: ok } } } } }\n";
    std::fs::write(&file, api).unwrap();
    let world = World::start(&format!(
        "listeners: [{{ bind: \"127.0.0.1:0\" }}]\nworkers: 1\nsecurity: {{ authentication: {{ type: api_key }} }}\n\
         consumers: [{{ name: alice, keys: [{{ literal: alice-key-0123456789 }}] }}]\nroutes:\n  \
         - {{ path: /shared, methods: [GET], security: {{ cors: {{ origins: [\"{APP}\"] }} }}, upstream: {upstream} }}\n  \
         - {{ path: /shared, methods: [DELETE], upstream: {upstream} }}\n  \
         - {{ path: /declared, openapi: {}, security: {{ cors: {{ origins: [\"{APP}\"] }} }}, upstream: {upstream} }}\n",
        file.display()
    ));
    let app = format!("Origin: {APP}");
    let asked = |path: &'static str, method: &'static str| {
        let (world, app) = (&world, app.as_str());
        async move {
            let method = format!("Access-Control-Request-Method: {method}");
            let answer = ask(world, "127.0.0.1", "OPTIONS", path, &[app, &method]).await;
            let methods = answer.fields("access-control-allow-methods").join(",");
            (answer.status, origin_of(&answer).len(), methods)
        }
    };
    assert_eq!(asked("/shared", "GET").await, (204, 1, "GET".to_owned()));
    // The route for DELETE has no CORS, so no page may use it, and OPTIONS is no method of any route.
    assert_eq!(asked("/shared", "DELETE").await.2, "");
    assert_eq!(asked("/shared", "PUT").await, (204, 1, String::new()));
    // The document would say 405 to OPTIONS.
    assert_eq!(asked("/declared", "GET").await, (204, 1, "GET".to_owned()));
    let options =
        ask(&world, "127.0.0.1", "OPTIONS", "/declared", &[&app, "X-API-Key: alice-key-0123456789"]).await;
    assert_eq!((options.status, origin_of(&options)), (405, vec![APP]));
    assert_eq!(backend.seen().len(), 0, "nothing of it goes upstream");
    std::fs::remove_dir_all(&folder).unwrap();
    world.end().await;
}
