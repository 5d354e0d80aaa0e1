//! One login at two gateways: they seal sessions with the same secret, and share who has logged out in a real Redis.

use crate::browser::Browser;
use crate::chromium::log_in;
use crate::site::{Site, page};
use crate::support::{Backend, OidcProvider, PATIENCE};
use crate::webdriver::Chromium;
use serde_json::json;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A Redis server that ends with the test.
struct Redis(Child, u16);

impl Redis {
    fn start() -> Redis {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed: `cargo xtask test` installs it");
        let redis = Redis(child, port);
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < PATIENCE * 2, "redis-server does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        redis
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _status = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_logs_out_at_one_gateway_is_logged_out_at_the_other() {
    let redis = tokio::task::spawn_blocking(Redis::start).await.unwrap();
    let store = json!({ "counters": { "redis": {
        "url": { "literal": format!("redis://127.0.0.1:{}", redis.1) }, "timeout": "2s",
    } } });
    let site =
        Site::sharing(OidcProvider::start().await, Backend::answering(page).await, json!({}), store).await;
    // A gateway with the same configuration and nothing else of the first one's.
    let other = site.another();
    let elsewhere = |path: &str| format!("http://{}{path}", other.addresses()[0]);

    let chromium = Chromium::start(json!({})).await;
    chromium.go(&site.url("/orders/7")).await;
    log_in(&chromium, "alice").await;
    chromium.sees("GET /orders/7").await;
    chromium.go(&elsewhere("/orders/8")).await;
    chromium.sees("GET /orders/8").await;
    chromium.sees("alice (user)").await;

    // Somebody has copied the cookie; and somebody else has a session of their own.
    let cookies = chromium.cookies().await;
    let session = cookies.iter().find(|cookie| cookie["name"] == "gateway-session").unwrap();
    let cookie = format!("Cookie: gateway-session={}\r\n", session["value"].as_str().unwrap());
    let copied = async |url: String| Browser::default().send("GET", &url, &cookie, "").await.status;
    for url in [site.url("/orders"), elsewhere("/orders")] {
        assert_eq!(copied(url.clone()).await, 200, "{url}");
    }
    let mut carol = Browser::default();
    assert_eq!(carol.log_in(&site.url("/orders"), "carol").await.status, 200);

    chromium.go(&site.url("/orders/9")).await;
    chromium.click("#logout button").await;
    chromium.sees("GET /goodbye").await;
    for url in [elsewhere("/orders"), site.url("/orders"), elsewhere("/orders")] {
        assert_eq!(copied(url.clone()).await, 401, "{url}");
    }
    chromium.go(&elsewhere("/orders/10")).await;
    chromium.sees("Sign-in").await;
    let theirs = carol.cookies(&site.origin)["gateway-session"].clone();
    let theirs = format!("Cookie: gateway-session={theirs}\r\n");
    let status = Browser::default().send("GET", &elsewhere("/orders"), &theirs, "").await.status;
    assert_eq!(status, 200, "another session goes on");

    // While nobody can tell who has logged out, nobody's session is good.
    drop(redis);
    for url in [site.url("/orders"), elsewhere("/orders")] {
        let status = Browser::default().send("GET", &url, &theirs, "").await.status;
        assert_eq!(status, 503, "{url}");
    }
    chromium.end().await;
    other.shutdown();
    tokio::time::timeout(PATIENCE, other.finished()).await.expect("the gateway ends");
    site.end().await;
}
