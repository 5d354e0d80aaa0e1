//! Which route a request belongs to.

use super::{KEY, ask, document};
use crate::support::{Backend, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leaving_a_header_out_opens_no_other_path() {
    let backend = Backend::start().await;
    let upstream = format!("http://{}", backend.address);
    let world = World::start(&document(&format!(
        "  - {{ path: \"/{{*rest}}\", public: a test, upstream: \"{upstream}\" }}\n  \
           - {{ path: /admin, match: {{ headers: {{ x-admin: \"1\" }} }}, upstream: \"{upstream}\" }}\n"
    )));
    assert_eq!(ask(&world, "GET /x", &[]).await.status, 200);
    assert_eq!(ask(&world, "GET /admin", &["X-Admin: 1"]).await.status, 401);
    assert_eq!(ask(&world, "GET /admin", &["X-Admin: 1", KEY]).await.status, 200);
    for fields in [&[][..], &["X-Admin: 2"], &["X-Admin:"], &["X-Admin: 1x"]] {
        assert_eq!(ask(&world, "GET /admin", fields).await.status, 404, "{fields:?}");
    }
    assert_eq!(backend.seen().len(), 2);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_routed_by_stands_once() {
    let (one, two) = (Backend::start().await, Backend::start().await);
    let world = World::start(&document(&format!(
        "  - {{ path: /a, public: a test, match: {{ headers: {{ x-version: \"2\" }}, query: {{ beta: \"*\" }} }}, upstream: \"http://{}\" }}\n  \
           - {{ path: /a, public: a test, upstream: \"http://{}\" }}\n",
        two.address, one.address
    )));
    assert_eq!(ask(&world, "GET /a?beta=1", &["X-Version: 2"]).await.status, 200);
    assert_eq!((two.seen().len(), one.seen().len()), (1, 0));
    for (line, fields) in [
        ("GET /a?beta=1", &["X-Version: 2", "X-Version: 1"][..]),
        ("GET /a?beta=1&b%65ta=2", &["X-Version: 2"]),
        // Another spelling, which is the same to some.
        ("GET /a?beta=1", &["X_Version: 2"]),
    ] {
        assert_eq!(ask(&world, line, fields).await.status, 400, "{line} {fields:?}");
    }
    assert_eq!(ask(&world, "GET /a", &["X-Version: 2"]).await.status, 200);
    assert_eq!((two.seen().len(), one.seen().len()), (1, 1));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_route_with_the_most_conditions_is_first_and_the_one_without_last() {
    let world = World::start(&document(
        "  - { path: /a, public: a test, respond: { body: none } }\n  \
           - { path: /a, public: a test, match: { headers: { x-a: \"1\" } }, respond: { body: one } }\n  \
           - { path: /a, public: a test, match: { headers: { x-b: \"1\" } }, respond: { body: other } }\n  \
           - { path: /a, public: a test, match: { headers: { x-a: \"1\", x-b: \"1\" } }, respond: { body: two } }\n",
    ));
    for (fields, body) in [
        (&[][..], "none"),
        (&["X-A: 1"], "one"),
        (&["X-B: 1"], "other"),
        (&["X-B: 1", "X-A: 1"], "two"),
        (&["X-B: 1", "X-A: 2"], "other"),
    ] {
        assert_eq!(ask(&world, "GET /a", fields).await.body, body.as_bytes(), "{fields:?}");
    }
    world.end().await;
}

#[test]
fn a_client_chooses_no_weaker_route() {
    use portcullis::Loaded;
    use portcullis::load::Context;
    let loads = |routes: &str| {
        let document =
            format!("security_profiles: {{ own: {{ body: {{ max_size: 1kB }} }} }}\n{}", document(routes));
        let loaded = Loaded::yaml("a.yaml", document, Context::for_file("."));
        let text = loaded.text(portcullis::Style::Plain);
        (loaded.blueprint().is_some(), text.contains("config.match_weakens"))
    };
    let pair = |one: &str, other: &str| {
        format!(
            "  - {{ path: /a, match: {{ headers: {{ x-a: \"1\" }} }}, upstream: \"http://127.0.0.1:8080\", {one} }}\n  \
               - {{ path: /a, upstream: \"http://127.0.0.1:8080\", {other} }}\n"
        )
    };
    for (one, other) in [
        ("public: a test", "upgrade: []"),
        ("security: { rate_limiting: { max_requests: 9, per: minute } }", "upgrade: []"),
        ("security: { use: own }", "upgrade: []"),
        ("upgrade: [websocket]", "upgrade: []"),
    ] {
        let (works, named) = loads(&pair(one, other));
        assert!(!works && named, "{one} {other}");
    }
    for (one, other) in [
        ("upgrade: []", "upgrade: []"),
        ("public: a test", "public: another"),
        ("security: { use: own }", "security: { use: own }"),
        ("rewrite: { path: /b }", "preserve_host: true"),
        ("public: a test, methods: [GET]", "methods: [POST]"),
        ("public: a test, hosts: [a.example]", "hosts: [b.example]"),
    ] {
        let routes = pair(one, other);
        let (works, _) = loads(&format!(
            "{routes}  - {{ path: /own, security: {{ use: own }}, upstream: \"http://127.0.0.1:8080\" }}\n"
        ));
        assert!(works, "{one} {other}");
    }
    let elsewhere = pair("public: a test", "upgrade: []").replacen("8080", "8081", 1);
    assert!(
        loads(&format!(
            "{elsewhere}  - {{ path: /own, security: {{ use: own }}, upstream: \"http://127.0.0.1:8080\" }}\n"
        ))
        .0
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_methods_and_empty_rests_have_their_routes() {
    let world = World::start(&document(
        "  - { path: \"/{*rest}\", hosts: [\"*.example.com\"], public: a test, respond: { body: below } }\n  \
           - { path: /own, hosts: [a.example.com], public: a test, respond: { body: exact } }\n  \
           - { path: \"/{*rest}\", hosts: [\"*.b.example.com\"], public: a test, respond: { body: longer } }\n  \
           - { path: /dav, public: a test, methods: [PROPFIND, REPORT, QUERY], respond: { body: dav } }\n  \
           - { path: /any, public: a test, methods: any, respond: { body: any } }\n  \
           - { path: \"/api/{*rest}\", public: a test, respond: { body: rest } }\n  \
           - { path: /login, respond: { body: login } }\n  \
           - { path: \"/login/{*rest}\", public: a test, respond: { body: below login } }\n",
    ));
    for (host, line, status, body) in [
        ("a.example.com", "GET /own", 200, "exact"),
        ("A.EXAMPLE.com.:80", "GET /own", 200, "exact"),
        ("a.example.com", "GET /x", 200, "below"),
        ("a.example.com", "GET /", 200, "below"),
        ("c.d.example.com", "GET /own", 200, "below"),
        ("x.b.example.com", "GET /own", 200, "longer"),
        ("b.example.com", "GET /own", 200, "below"),
        ("example.com", "GET /own", 404, ""),
        ("evilexample.com", "GET /own", 404, ""),
        // Another spelling of a path that another host's route has, with other controls.
        ("z.example", "PROPFIND /dav", 200, "dav"),
        ("z.example", "QUERY /dav", 200, "dav"),
        ("z.example", "GET /dav", 405, ""),
        ("z.example", "propfind /dav", 405, ""),
        ("z.example", "MADE-UP /any", 200, "any"),
        ("z.example", "TRACE /any", 405, ""),
        ("z.example", "GET /api/", 200, "rest"),
        ("z.example", "GET /api/x/y", 200, "rest"),
        ("z.example", "GET /api", 404, ""),
        ("z.example", "GET /login", 401, ""),
        ("z.example", "GET /login/x", 200, "below login"),
        // To many a backend this is `/login`.
        ("z.example", "GET /login/", 404, ""),
    ] {
        let answer = ask(&world, line, &[&format!("Host: {host}")]).await;
        assert_eq!(answer.status, status, "{host} {line}");
        if status == 200 {
            assert_eq!(answer.body, body.as_bytes(), "{host} {line}");
        }
    }
    let allowed = ask(&world, "GET /dav", &[]).await;
    assert_eq!(allowed.field("allow"), "PROPFIND, QUERY, REPORT");
    world.end().await;
}
