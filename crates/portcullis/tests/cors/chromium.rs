//! Pages in a browser that people use, which judges by itself what the answers of the gateway let a page read.

use crate::support::{Backend, Reply, World};
use crate::webdriver::Chromium;
use serde_json::{Value, json};

const KEY: &str = "alice-key-0123456789";

/// A gateway, of whose routes pages of `origin` may read some.
fn gateway(origin: &str, backend: &Backend) -> World {
    let upstream = format!("\"http://{}\"", backend.address);
    let document = format!(
        "
listeners: [{{ bind: \"127.0.0.1:0\" }}]
workers: 1
security:
  authentication: {{ type: api_key }}
  cors: {{ origins: [\"{origin}\"], headers: [x-api-key], methods: [GET, PUT], exposed_headers: [x-total], max_age: 10m }}
consumers: [{{ name: alice, keys: [{{ literal: {KEY} }}] }}]
routes:
  - {{ path: /orders, upstream: {upstream} }}
  - {{ path: /open, public: a test, upstream: {upstream} }}
  - {{ path: /limited, public: a test, security: {{ rate_limiting: {{ max_requests: 1, per: hour, by: address }} }}, upstream: {upstream} }}
  - path: /session
    security:
      authentication: {{ type: api_key, cookie: session }}
      cors: {{ origins: [\"{origin}\"], credentials: true }}
    upstream: {upstream}
  - {{ path: /others, public: a test, security: {{ cors: {{ origins: [\"https://*.example.com\"] }} }}, upstream: {upstream} }}
"
    );
    World::start(&document)
}

/// What a page gets: the status, a header and the body; or that the browser keeps the answer from it.
async fn fetch(chromium: &Chromium, url: &str, options: Value, header: &str) -> Value {
    chromium
        .promise(&format!(
            "fetch('{url}', {options}).then(async r => [r.status, r.headers.get('{header}'), await r.text()])"
        ))
        .await
}

fn is_kept_from_the_page(answer: &Value) -> bool {
    answer.as_str().is_some_and(|text| text.contains("TypeError"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_lets_pages_read_what_the_gateway_says_and_no_more() {
    let page = Backend::answering(|_| {
        Reply::with("200 OK", "Content-Type: text/html\r\n", "<!doctype html><title>a page</title>here")
    })
    .await;
    let said = "X-Total: 7\r\nX-Secret: s\r\nAccess-Control-Allow-Origin: *\r\n";
    let backend = Backend::answering(move |seen| Reply::with("200 OK", said, &seen.method)).await;
    // Other ports are other origins of the same site, whose cookies are sent if the page may.
    let origin = format!("http://127.0.0.1:{}", page.address.port());
    let world = gateway(&origin, &backend);
    let at = |path: &str| format!("http://{}{path}", world.address);
    let chromium = Chromium::start(json!({})).await;
    chromium.go(&format!("{origin}/")).await;
    chromium.sees("here").await;

    // Simple requests, and what of them can be read.
    let simple = fetch(&chromium, &at("/open"), json!({}), "x-total").await;
    assert_eq!(simple, json!([200, "7", "GET"]));
    let secret = fetch(&chromium, &at("/open"), json!({}), "x-secret").await;
    assert_eq!(secret[1], json!(null));

    // Preflighted: a header and a method that are allowed, and others.
    let key = json!({ "x-api-key": KEY });
    let read = fetch(&chromium, &at("/orders"), json!({ "headers": key }), "x-request-id").await;
    assert_eq!((&read[0], &read[2]), (&json!(200), &json!("GET")));
    assert!(read[1].as_str().is_some_and(|id| id.len() == 32), "{read}");
    let put = fetch(&chromium, &at("/orders"), json!({ "method": "PUT", "headers": key }), "x-total").await;
    assert_eq!(put, json!([200, "7", "PUT"]));
    let delete =
        fetch(&chromium, &at("/orders"), json!({ "method": "DELETE", "headers": key }), "x-total").await;
    assert!(is_kept_from_the_page(&delete), "{delete}");
    let other = json!({ "headers": { "x-api-key": KEY, "x-other": "1" } });
    let other = fetch(&chromium, &at("/orders"), other, "x-total").await;
    assert!(is_kept_from_the_page(&other), "{other}");

    // Why it was refused can be read.
    let unknown = fetch(&chromium, &at("/orders"), json!({}), "www-authenticate").await;
    assert_eq!(unknown[0], json!(401));
    assert!(unknown[1].is_string() && unknown[2].as_str().unwrap().contains("\"status\":401"), "{unknown}");
    assert_eq!(fetch(&chromium, &at("/limited"), json!({}), "x-total").await[0], json!(200));
    let over = fetch(&chromium, &at("/limited"), json!({}), "retry-after").await;
    assert_eq!(over[0], json!(429));
    assert!(over[1].as_str().is_some_and(|seconds| seconds.parse::<u32>().is_ok()), "{over}");

    // With cookies: only where the route says so.
    chromium.script(&format!("document.cookie = 'session={KEY}'; return ''")).await;
    let with_cookies = json!({ "credentials": "include" });
    assert_eq!(fetch(&chromium, &at("/session"), with_cookies.clone(), "x-total").await[0], json!(200));
    assert_eq!(fetch(&chromium, &at("/session"), json!({}), "x-total").await[0], json!(401));
    let kept = fetch(&chromium, &at("/open"), with_cookies, "x-total").await;
    assert!(is_kept_from_the_page(&kept), "{kept}");

    // Another site's route, and another origin's page.
    let others = fetch(&chromium, &at("/others"), json!({}), "x-total").await;
    assert!(is_kept_from_the_page(&others), "{others}");
    chromium.go(&format!("http://localhost:{}/", page.address.port())).await;
    chromium.sees("here").await;
    let elsewhere = fetch(&chromium, &at("/open"), json!({}), "x-total").await;
    assert!(is_kept_from_the_page(&elsewhere), "{elsewhere}");
    // A page in a sandbox has the origin `null`.
    let sandboxed = format!(
        "new Promise(done => {{ onmessage = event => done(event.data); const frame = document.createElement('iframe'); \
         frame.sandbox = 'allow-scripts'; frame.srcdoc = `<script>fetch('{}').then(() => 'read', () => 'kept').then(said => parent.postMessage(said, '*'))</script>`; \
         document.body.append(frame); }})",
        at("/open")
    );
    assert_eq!(chromium.promise(&sandboxed).await, json!("kept"));
    chromium.end().await;
    world.end().await;
}
