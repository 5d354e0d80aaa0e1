//! What routes change.

use super::{KEY, ask, document};
use crate::support::{Backend, Reply, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_rewritten_is_judged_again() {
    let backend = Backend::start().await;
    let upstream = format!("\"http://{}\"", backend.address);
    let world = World::start(&document(&format!(
        "  - {{ path: \"/api/{{*rest}}\", public: a test, encoded_paths: {{ double_slash: keep, slash: keep }}, rewrite: {{ strip_prefix: /api }}, upstream: {upstream} }}\n  \
           - {{ path: \"/t/{{tenant}}/{{*rest}}\", public: a test, rewrite: {{ path: \"/{{tenant}}/v2/{{rest}}\" }}, upstream: \"http://{}/base\" }}\n",
        backend.address
    )));
    for (sent, seen) in [
        ("/api/orders/7?a=b%20c", "/orders/7?a=b%20c"),
        ("/api/", "/"),
        ("/api/a//b", "/a//b"),
        ("/api/a%2Fb", "/a%2Fb"),
        ("/t/acme/x/y?q", "/base/acme/v2/x/y?q"),
        ("/t/acme/", "/base/acme/v2/"),
        ("/t/%61cme/x", "/base/acme/v2/x"),
    ] {
        assert_eq!(ask(&world, &format!("GET {sent}"), &[]).await.status, 200, "{sent}");
        assert_eq!(backend.seen().last().unwrap().target, seen, "{sent}");
    }
    let before = backend.seen().len();
    for sent in ["/api//evil.example/x", "/api///x", "/api/../x", "/t/../x", "/t/%2e%2e/x", "/t/a/..%2fx"] {
        let status = ask(&world, &format!("GET {sent}"), &[]).await.status;
        assert!(matches!(status, 400 | 404), "{sent} {status}");
    }
    assert_eq!(backend.seen().len(), before);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_changed_back_and_protected() {
    let backend = Backend::answering(|seen| match seen.target.as_str() {
        "/moved" => Reply::with(
            "302 Found",
            "Location: /elsewhere?x\r\nSet-Cookie: a=1; Path=/; HttpOnly\r\nX-Inner: 1\r\nX-Set: theirs\r\nContent-Type: text/html\r\n",
            "<p>",
        ),
        "/json" => Reply::with("200 OK", "Content-Type: application/json\r\n", "{}"),
        "/broken" => Reply::with("503 Service Unavailable", "Content-Type: application/json\r\n", "{\"why\":1}"),
        _ => Reply::with("500 Internal Server Error", "Content-Type: text/html\r\n", "<pre>trace</pre>"),
    })
    .await;
    let upstream = format!("\"http://{}\"", backend.address);
    let world = World::start(&document(&format!(
        "  - path: \"/api/{{*rest}}\"\n    public: a test\n    rewrite: {{ strip_prefix: /api }}\n    preserve_host: true\n    upstream_errors: pass\n    \
             request_headers: {{ set: {{ x-env: prod }}, remove: [x-debug] }}\n    response_headers: {{ set: {{ x-set: ours }}, remove: [x-inner] }}\n    upstream: {upstream}\n"
    )));
    let fields = ["Host: API.example.com:8443", "X_Env: theirs", "X-Debug: 1", "X-Forwarded-Port: 1"];
    let moved = ask(&world, "GET /api/moved", &fields).await;
    assert_eq!((moved.status, moved.field("location")), (302, "/api/elsewhere?x"));
    assert_eq!(moved.field("set-cookie"), "a=1; Path=/api/; HttpOnly");
    assert_eq!((moved.field("x-set"), moved.fields("x-inner").len()), ("ours", 0));
    // A page that brings no policy gets none.
    assert_eq!(moved.field("x-content-type-options"), "nosniff");
    assert!(moved.fields("content-security-policy").is_empty() && moved.fields("x-frame-options").is_empty());
    let seen = backend.seen().remove(0);
    assert_eq!(seen.fields("host"), ["api.example.com:8443"]);
    assert_eq!(seen.fields("x-forwarded-host"), ["api.example.com:8443"]);
    assert_eq!(seen.fields("x-forwarded-port"), ["8443"]);
    assert_eq!(
        (seen.fields("x-env"), seen.fields("x_env"), seen.fields("x-debug")),
        (vec!["prod"], vec![], vec![])
    );
    let json = ask(&world, "GET /api/json", &[]).await;
    assert_eq!(json.field("content-security-policy"), "default-src 'none'; frame-ancestors 'none'");
    let broken = ask(&world, "GET /api/broken", &[]).await;
    assert_eq!((broken.status, broken.body.as_slice()), (503, b"{\"why\":1}".as_slice()));
    let page = ask(&world, "GET /api/page", &[]).await;
    assert_eq!((page.status, page.field("content-type")), (500, "application/problem+json"));
    assert!(!String::from_utf8_lossy(&page.body).contains("trace"));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redirect_stays_at_its_host() {
    let world = World::start(&document(
        "  - { path: \"/old/{*rest}\", public: a test, encoded_paths: { double_slash: keep, backslash: keep }, redirect: { to: \"https://new.example.com/{rest}\", status: 308 } }\n  \
           - { path: \"/here/{*rest}\", public: a test, encoded_paths: { double_slash: keep }, redirect: { to: \"/{rest}\" } }\n  \
           - { path: /query, public: a test, redirect: { to: \"/b?x=1\", status: 301 } }\n  \
           - { path: /secret, redirect: { to: /b } }\n",
    ));
    for (sent, status, location) in [
        ("/old/a/b?c=d", 308, "https://new.example.com/a/b?c=d"),
        ("/old/", 308, "https://new.example.com/"),
        ("/old/@evil.example", 308, "https://new.example.com/@evil.example"),
        ("/here/x", 307, "/x"),
        ("/query?y", 301, "/b?x=1"),
    ] {
        let answer = ask(&world, &format!("GET {sent}"), &[]).await;
        assert_eq!((answer.status, answer.field("location")), (status, location), "{sent}");
        assert_eq!(answer.field("x-request-id").len(), 32);
    }
    for sent in ["/here//evil.example", "/here///evil.example", "/old//evil.example"] {
        let answer = ask(&world, &format!("GET {sent}"), &[]).await;
        assert!(answer.status >= 400 && answer.fields("location").is_empty(), "{sent} {}", answer.status);
    }
    assert_eq!(ask(&world, "GET /secret", &[]).await.status, 401);
    // A key does not go along.
    let with_key = ask(&world, "GET /secret?a=1", &[KEY]).await;
    assert_eq!(with_key.field("location"), "/b?a=1");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fixed_answer_needs_no_upstream() {
    let world = World::start(&document(
        "  - { path: /health, public: a test, respond: { body: ok, content_type: text/plain } }\n  \
           - { path: /gone, public: a test, respond: { status: 410 } }\n  \
           - { path: /closed, respond: { body: secret } }\n",
    ));
    let health = ask(&world, "GET /health", &[]).await;
    assert_eq!(
        (health.status, health.body.as_slice(), health.field("content-type")),
        (200, b"ok".as_slice(), "text/plain")
    );
    assert_eq!(ask(&world, "POST /health", &["Content-Length: 5000000"]).await.status, 413);
    assert_eq!(ask(&world, "GET /gone", &[]).await.status, 410);
    assert_eq!(ask(&world, "GET /closed", &[]).await.status, 401);
    assert_eq!(ask(&world, "GET /closed", &[KEY]).await.body, b"secret");
    let records = world.end().await.all();
    let health = records.iter().find(|record| record["status"] == 200).unwrap();
    assert_eq!((&health["bytes_sent"], &health["method"]), (&2.into(), &"GET".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_have_the_bodies_of_the_operator() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("error-bodies");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("error.html");
    std::fs::write(&file, "<p>Sorry. {request_id}</p>").unwrap();
    let world = World::start(&format!(
        "{}error_bodies: [{{ statuses: [401, 404, 502], file: \"{}\", content_type: text/html }}]\n",
        document("  - { path: /closed, upstream: \"http://127.0.0.1:1\" }\n"),
        file.display()
    ));
    for (line, fields, status) in
        [("GET /none", &[][..], 404), ("GET /closed", &[], 401), ("GET /closed", &[KEY], 502)]
    {
        let answer = ask(&world, line, fields).await;
        let id = answer.field("x-request-id");
        assert_eq!(
            (answer.status, String::from_utf8_lossy(&answer.body)),
            (status, format!("<p>Sorry. {id}</p>").into())
        );
        assert_eq!(answer.field("content-type"), "text/html");
        assert_eq!(answer.fields("www-authenticate").len(), usize::from(status == 401));
    }
    let other = ask(&world, "TRACE /closed", &[]).await;
    assert_eq!((other.status, other.field("content-type")), (405, "application/problem+json"));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_gateway_says_cannot_be_set() {
    let backend = Backend::start().await;
    // Values of the operator stand before the gateway's own, which win.
    let world = World::start(&document(&format!(
        "  - {{ path: /a, request_headers: {{ set: {{ authorization: \"Basic inner\", x-forwarded-prefix: /a }} }}, upstream: \"http://{}\" }}\n",
        backend.address
    )));
    assert_eq!(
        ask(&world, "GET /a", &[KEY, "Authorization: Bearer theirs", "X-Forwarded-Prefix: /b"]).await.status,
        200
    );
    let seen = backend.seen().remove(0);
    assert_eq!(seen.fields("authorization"), ["Basic inner"]);
    assert_eq!(seen.fields("x-forwarded-prefix"), ["/a"]);
    assert_eq!(seen.fields("x-consumer-name"), ["alice"]);
    assert!(seen.fields("x-api-key").is_empty());
    world.end().await;
}
