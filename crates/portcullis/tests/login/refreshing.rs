//! Refresh: once for all requests of a session, and what a provider that is down does.

use crate::browser::Browser;
use crate::site::Site;
use crate::support::Client;
use serde_json::json;
use std::time::Duration;

/// The provider's access tokens live for 600 s, so a session is refreshed from 480 s on, and must be from 600 s on.
const DUE: u64 = 490;
const OVER: u64 = 610;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_token_is_used_once_by_all_requests_together() {
    let site = Site::start(json!({})).await;
    let mut browser = Browser::default();
    assert_eq!(browser.log_in(&site.url("/orders"), "alice").await.status, 200);
    let token_requests = site.provider.count("/token").await;
    site.clock.pass(OVER);
    let old = browser.clone();
    site.provider.fault("/token", "slow", json!({ "ms": 300 })).await;
    let mut together = Vec::new();
    for _ in 0..8 {
        let (mut browser, url) = (browser.clone(), site.url("/orders"));
        together.push(tokio::spawn(async move {
            let answer = browser.fetch("GET", &url).await;
            (answer, browser)
        }));
    }
    for one in together {
        let (answer, after) = one.await.unwrap();
        assert_eq!((answer.status, answer.field("cache-control")), (200, "no-store"));
        browser = after;
    }
    assert_eq!(site.provider.count("/token").await, token_requests + 1);
    site.provider.heal("/token").await;
    // Whoever comes late with the old cookie gets the same answer; whoever has the new one needs none.
    for mut late in [old.clone(), browser.clone()] {
        assert_eq!(late.fetch("GET", &site.url("/orders")).await.status, 200);
    }
    assert_eq!(site.provider.count("/token").await, token_requests + 1);
    // The new refresh token is good for the next time.
    site.clock.pass(DUE);
    assert_eq!(browser.fetch("GET", &site.url("/orders")).await.status, 200);
    assert_eq!(site.provider.count("/token").await, token_requests + 2);
    // The old one, long after, is theft to the provider: it ends the session of whoever has either.
    let mut thief = old;
    let refused = thief.fetch("GET", &site.url("/orders")).await;
    assert_eq!((refused.status, site.last_denial().0.as_str()), (401, "credential_expired"));
    site.clock.pass(OVER);
    assert_eq!(browser.fetch("GET", &site.url("/orders")).await.status, 401);
    // A person logs in again; the provider still knows them.
    assert_eq!(browser.log_in(&site.url("/orders"), "alice").await.status, 200);
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refresh_brings_what_the_provider_says_now() {
    let site = Site::start(json!({})).await;
    let mut browser = Browser::default();
    assert_eq!(browser.log_in(&site.url("/orders"), "alice").await.status, 200);
    assert_eq!(browser.fetch("GET", &site.url("/admin")).await.status, 403);
    site.provider.control("/account", json!({ "id": "alice", "claims": { "roles": ["admin"] } })).await;
    assert_eq!(browser.fetch("GET", &site.url("/admin")).await.status, 403, "not before the refresh");
    site.clock.pass(DUE);
    assert_eq!(browser.fetch("GET", &site.url("/admin")).await.status, 200);
    // A cross-site request causes no refresh.
    site.clock.pass(OVER);
    let before = site.provider.count("/token").await;
    assert_eq!(
        browser.send("POST", &site.url("/orders"), "Sec-Fetch-Site: same-site\r\n", "").await.status,
        403
    );
    assert_eq!(site.provider.count("/token").await, before);
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_is_down_takes_nobodys_session() {
    let site = Site::start(json!({ "idle_timeout": "2h" })).await;
    let mut browser = Browser::default();
    assert_eq!(browser.log_in(&site.url("/orders"), "alice").await.status, 200);
    for fault in ["garbage", "status", "huge"] {
        site.provider.fault("/token", fault, json!({})).await;
        site.clock.pass(6);
        if fault == "garbage" {
            site.clock.pass(DUE);
        }
        let early = browser.fetch("GET", &site.url("/orders")).await;
        assert_eq!(early.status, 200, "{fault}: what it said before still holds");
    }
    site.provider.down().await;
    site.clock.pass(OVER - DUE);
    for _ in 0..3 {
        let refused = browser.fetch("GET", &site.url("/orders")).await;
        assert_eq!((refused.status, site.last_denial().0.as_str()), (503, "fault"));
        assert!(refused.fields("set-cookie").is_empty());
        assert_eq!(
            browser.go(&site.url("/orders")).await.status,
            503,
            "a person waits, and is not sent away"
        );
    }
    site.provider.up().await;
    site.provider.heal("/token").await;
    site.clock.pass(6);
    assert_eq!(browser.fetch("GET", &site.url("/orders")).await.status, 200);

    // The same when somebody comes back from the provider, and when nobody is logged in yet.
    let mut other = Browser::default();
    let url = other.log_in_up_to_callback(&site.url("/orders"), "alice").await;
    site.provider.fault("/token", "status", json!({ "status": 500 })).await;
    let failed = other.go(&url).await;
    assert_eq!((failed.status, site.last_denial().0.as_str()), (503, "fault"));
    assert_eq!(failed.field("content-type"), "text/html; charset=utf-8");
    // The page is loaded again, and the login is not lost.
    assert!(failed.fields("set-cookie").is_empty());
    assert_eq!(other.go(&url).await.status, 503);
    site.provider.heal("/token").await;
    assert_eq!(other.go(&url).await.status, 303, "{:?}", site.last_denial());
    assert_eq!(other.go(&site.url("/orders")).await.status, 200);
    let asked = site.provider.count("/token").await;
    let again = other.go(&url).await;
    assert_eq!((again.status, again.fields("set-cookie").len()), (303, 0), "to where the login led");
    assert_eq!(site.provider.count("/token").await, asked, "once, all the same");
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_that_goes_away_meanwhile_loses_no_session() {
    let site = Site::start(json!({})).await;
    let mut browser = Browser::default();
    assert_eq!(browser.log_in(&site.url("/orders"), "alice").await.status, 200);
    let before = site.provider.count("/token").await;
    site.clock.pass(OVER);
    site.provider.fault("/token", "slow", json!({ "ms": 500 })).await;
    let session = browser.cookies(&site.origin)["gateway-session"].clone();
    let mut gone = Client::connect(site.origin.strip_prefix("http://").unwrap().parse().unwrap()).await;
    gone.send(
        format!("GET /orders HTTP/1.1\r\nHost: a\r\nCookie: gateway-session={session}\r\n\r\n").as_bytes(),
    )
    .await;
    while site.provider.count("/token").await == before {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(gone);
    // The provider has used the old refresh token up, and its answer is not lost.
    assert_eq!(browser.fetch("GET", &site.url("/orders")).await.status, 200);
    assert_eq!(site.provider.count("/token").await, before + 1);
    site.clock.pass(OVER);
    assert_eq!(browser.fetch("GET", &site.url("/orders")).await.status, 200, "with the new one");
    site.end().await;
}
