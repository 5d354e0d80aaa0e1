//! A path that only a wildcard route matches, and that a lax backend reads as a stricter route's, reaches no backend.

#![expect(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test binary has no outside, and a helper that fails fails its test"
)]

#[allow(dead_code, unused_imports, reason = "each test binary uses a part of it")]
mod support;

use support::{ADMIN_KEY, Backend, Client, USER_KEY, World, consumers};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_wildcard_opens_nothing_else() {
    let backend = Backend::start().await;
    let (address, consumers) = (backend.address, consumers());
    let world = World::start(&format!(
        r#"
listeners: [{{ bind: "127.0.0.1:0" }}]
security:
  authentication: {{ type: api_key, header: x-api-key }}
  authorization: {{ roles_allowed: [admin] }}
{consumers}
routes:
  - {{ path: "/{{*rest}}", public: "a test", upstream: "http://{address}" }}
  - {{ path: /admin, upstream: "http://{address}" }}
  - {{ path: "/admin/{{*rest}}", upstream: "http://{address}" }}
  - {{ path: "/v1/users:export", upstream: "http://{address}" }}
  - path: "/v1/{{id}}"
    upstream: "http://{address}"
    security: {{ authorization: {{ roles_allowed: [user] }} }}
"#
    ));
    let cases = [
        ("", "/index.html", 200),
        ("", "/administration", 200),
        ("", "/admin", 401),
        // With an empty rest it is below `/admin`, which is judged alike.
        ("", "/admin/", 401),
        (ADMIN_KEY, "/admin/", 200),
        ("", "/", 200),
        ("", "/ADMIN", 404),
        ("", "/Admin/x", 404),
        ("", "/admin.", 404),
        ("", "/admin%20", 404),
        ("", "/admin%3bx=1", 404),
        ("", "/v1/users:export/", 404),
        (USER_KEY, "/v1/7", 200),
        (USER_KEY, "/v1/a%40b.example", 200),
        (USER_KEY, "/v1/users:export", 403),
        (USER_KEY, "/v1/users%3Aexport", 404),
        (USER_KEY, "/v1/USERS:export", 404),
        (ADMIN_KEY, "/admin/x/", 200),
    ];
    for (key, path, status) in cases {
        let mut client = Client::connect(world.address).await;
        let key = if key.is_empty() { String::new() } else { format!("X-Api-Key: {key}\r\n") };
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n{key}\r\n").as_bytes()).await;
        assert_eq!(client.answer(false).await.unwrap().status, status, "{path}");
    }
    let served = cases.iter().filter(|(_, _, status)| *status == 200).count();
    assert_eq!(backend.seen().len(), served);
    world.end().await;
}
