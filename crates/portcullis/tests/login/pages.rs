//! What a person sees where a login does not go as usual: a page or a redirect, and never JSON.

use crate::browser::{Browser, SCRIPT};
use crate::site::Site;
use crate::support::{Answer, leaks};
use crate::webdriver::Chromium;
use serde_json::json;
use std::path::Path;

/// That an answer is a page with this heading, and a link there if one is expected.
fn is_page(answer: &Answer, status: u16, heading: &str, link: Option<&str>) {
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert_eq!((answer.status, answer.field("content-type")), (status, "text/html; charset=utf-8"), "{text}");
    assert!(text.contains(&format!("<h1>{heading}</h1>")), "{text}");
    assert_eq!(answer.field("cache-control"), "no-store");
    assert!(answer.field("content-security-policy").starts_with("default-src 'none'"));
    assert!(!text.contains("<script") && answer.fields("location").is_empty());
    let found = text.split("href=\"").nth(1).and_then(|rest| rest.split('"').next());
    assert_eq!(found, link, "{text}");
    assert_eq!(
        leaks(answer, &["client_secret", "nonce", "verifier", "alice", "code="]),
        Vec::<String>::new()
    );
}

/// Where the browser is sent back to with this answer of the provider, for the attempt that it begins now.
async fn back_with(site: &Site, browser: &mut Browser, page: &str, said: &str) -> Answer {
    let sent = browser.go(&site.url(page)).await;
    assert_eq!(sent.status, 303);
    let location = sent.field("location").to_owned();
    let state = location.split('&').find(|pair| pair.starts_with("state=")).unwrap();
    let issuer = site.provider.issuer.replace(':', "%3A").replace('/', "%2F");
    browser.go(&site.url(&format!("/auth/callback?{state}&iss={issuer}&{said}"))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_provider_refuses_is_a_page_with_a_way_on() {
    let site = Site::start(json!({})).await;
    let mut browser = Browser::default();
    for (said, status, heading) in [
        ("error=access_denied&error_description=%3Cscript%3E", 400, "You are not logged in"),
        ("error=login_required", 400, "You are not logged in"),
        ("error=temporarily_unavailable", 503, "The login is not available"),
        ("error=server_error", 503, "The login is not available"),
        ("code=made-up", 400, "You are not logged in"),
    ] {
        let page = "/orders/7?page=2&sort='a'";
        let answer = back_with(&site, &mut browser, page, said).await;
        is_page(&answer, status, heading, Some("/orders/7?page=2&amp;sort=&#39;a&#39;"));
        assert!(answer.field("set-cookie").contains("Max-Age=0"), "{said}");
    }
    // A script learns the same by its status.
    let script = browser.send("GET", &site.url("/auth/callback?state=0x"), SCRIPT, "").await;
    assert_eq!((script.status, script.field("content-type")), (400, "application/problem+json"));
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_fails_for_a_moment_loses_no_login() {
    let site = Site::start(json!({})).await;
    let mut browser = Browser::default();
    let url = browser.log_in_up_to_callback(&site.url("/orders/7"), "alice").await;
    site.provider.fault("/token", "status", json!({ "status": 503 })).await;
    is_page(&browser.go(&url).await, 503, "The login is not available", Some("/orders/7"));
    site.provider.heal("/token").await;
    let back = browser.go(&url).await;
    assert_eq!((back.status, back.field("location")), (303, site.url("/orders/7").as_str()));
    site.end().await;
    // One that was never there: a person waits on a page, and a script has its status.
    let site = Site::start(json!({})).await;
    site.provider.down().await;
    let mut browser = Browser::default();
    is_page(
        &browser.go(&site.url("/orders?a=1")).await,
        503,
        "The login is not available",
        Some("/orders?a=1"),
    );
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn going_back_and_loading_again_lead_to_where_the_login_led() {
    let site = Site::start(json!({})).await;
    let mut browser = Browser::default();
    let url = browser.log_in_up_to_callback(&site.url("/orders/7"), "alice").await;
    assert_eq!(browser.go(&url).await.status, 303);
    for seconds in [0, 100, 400] {
        site.clock.pass(seconds);
        let again = browser.go(&url).await;
        assert_eq!((again.status, again.field("location")), (303, site.url("/orders/7").as_str()));
        assert!(again.fields("set-cookie").is_empty());
    }
    assert_eq!(site.provider.count("/token").await, 1);
    // Without the session there is a page, and no way round and round.
    let mut left = browser.clone();
    left.cookies(&site.origin).remove("gateway-session");
    is_page(&left.go(&url).await, 400, "This login is over", Some("/orders/7"));
    // A link of another login, in a browser that has a session.
    let mut other = Browser::default();
    let theirs = other.log_in_up_to_callback(&site.url("/orders/9"), "root").await;
    is_page(&browser.go(&theirs).await, 400, "You are already logged in", Some("/"));
    assert_eq!(browser.fetch("GET", &site.url("/orders")).await.status, 200);
    assert_eq!(site.backend.seen().last().unwrap().fields("x-consumer-name"), ["alice"]);
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tabs_at_once_end_well() {
    let site = Site::start(json!({})).await;
    let mut browser = Browser::default();
    let mut tabs = Vec::new();
    for number in 0..5 {
        let sent = browser.go(&site.url(&format!("/orders/{number}"))).await;
        tabs.push(sent.field("location").to_owned());
        site.clock.pass(1);
    }
    // The last one logs in; the provider then sends the others back at once.
    assert_eq!(browser.log_in(&tabs[4], "alice").await.status, 200);
    assert_eq!(browser.history.last().unwrap(), &site.url("/orders/4"));
    for (number, tab) in tabs.iter().enumerate().take(4) {
        let end = browser.visit(tab).await;
        if number < 2 {
            is_page(&end, 400, "You are already logged in", Some("/"));
        } else {
            assert_eq!(
                (end.status, browser.history.last().unwrap()),
                (200, &site.url(&format!("/orders/{number}")))
            );
        }
    }
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_begins_at_the_host_to_which_it_leads_back() {
    let site = Site::start(json!({})).await;
    let port = site.gateway().port();
    let mut browser = Browser::default();
    // Another name of the same gateway, as `www.` in front of it.
    let elsewhere = format!("http://127.0.0.2:{port}/orders/7?page=2");
    browser.hosts.insert(format!("127.0.0.2:{port}"), site.gateway());
    let sent = browser.go(&elsewhere).await;
    let there = site.url("/auth/callback?start=%2Forders%2F7%3Fpage%3D2");
    assert_eq!((sent.status, sent.field("location")), (303, there.as_str()));
    assert!(sent.fields("set-cookie").is_empty(), "it would not come back");
    assert_eq!(browser.log_in(&elsewhere, "alice").await.status, 200);
    assert_eq!(browser.history.last().unwrap(), &site.url("/orders/7?page=2"));
    // And then there is a session: nobody is asked again.
    let rounds = site.provider.count("/auth").await;
    assert_eq!(browser.visit(&elsewhere).await.status, 200);
    assert_eq!(site.provider.count("/auth").await, rounds);
    // It leads to this site and nowhere else.
    for bad in ["%2F%2Fevil.example", "https%3A%2F%2Fevil.example", "%2F%5Cevil.example", "x", ""] {
        for mut browser in [browser.clone(), Browser::default()] {
            let url = site.url(&format!("/auth/callback?start={bad}"));
            assert!(!browser.go(&url).await.field("location").contains("evil"), "{bad}");
            let end = browser.log_in(&url, "alice").await;
            assert_eq!(browser.history.last().unwrap(), &site.url("/"), "{bad}");
            assert_eq!(end.status, 404, "this site has no such page");
        }
    }
    let twice = browser.go(&site.url("/auth/callback?start=%2Fa&start=%2Fb")).await;
    assert_eq!(twice.status, 400);
    let script = Browser::default().fetch("GET", &site.url("/auth/callback?start=%2Forders")).await;
    assert_eq!((script.status, script.fields("set-cookie").len()), (400, 0));
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_of_a_page_that_is_older_than_its_session() {
    let site = Site::start(json!({ "idle_timeout": "100s" })).await;
    let mut browser = Browser::default();
    assert_eq!(browser.log_in(&site.url("/orders/7"), "alice").await.status, 200);
    site.clock.pass(101);
    let form = format!(
        "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Site: same-origin\r\nOrigin: {0}\r\nReferer: {0}/orders/7\r\n",
        site.origin
    );
    let seen = site.backend.seen().len();
    let answer = browser.send("POST", &site.url("/orders"), &form, "a=b").await;
    is_page(&answer, 401, "Please log in again", Some("/orders/7"));
    assert_eq!(site.last_denial().0, "credential_expired");
    let answer = Browser::default().send("POST", &site.url("/orders"), &form, "a=b").await;
    is_page(&answer, 401, "Please log in again", Some("/orders/7"));
    assert_eq!(
        (answer.field("www-authenticate"), site.last_denial().0.as_str()),
        ("Cookie", "credential_missing")
    );
    // The field of another site says nothing of this one.
    let other = form.replace(&format!("Referer: {}", site.origin), "Referer: https://evil.example");
    let answer = Browser::default().send("POST", &site.url("/orders"), &other, "a=b").await;
    is_page(&answer, 401, "Please log in again", Some("/"));
    assert_eq!(site.backend.seen().len(), seen, "nothing went upstream");
    site.end().await;
}

/// What axe-core has to say of the page. Nothing where it is not installed.
async fn violations(chromium: &Chromium) -> Vec<String> {
    let axe = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/counterparts/axe/node_modules/axe-core/axe.min.js");
    let Ok(axe) = std::fs::read_to_string(axe) else {
        eprintln!("axe-core is not installed (cargo xtask counterparts): accessibility is not checked");
        return Vec::new();
    };
    chromium.script(&axe).await;
    let found = "axe.run(document).then(result => result.violations.map(one => `${one.impact} ${one.id}`))";
    let found = chromium.promise(found).await;
    found.as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_meets_pages_and_finds_the_way_on() {
    let site = Site::start(json!({})).await;
    let chromium = Chromium::start(json!({})).await;
    chromium.go(&site.url("/orders/7")).await;
    chromium.sees("Sign-in").await;
    // They change their mind.
    chromium.click("a[href*=abort]").await;
    chromium.sees("The login was cancelled").await;
    assert_eq!(violations(&chromium).await, Vec::<String>::new());
    chromium.click("main a").await;
    crate::chromium::log_in(&chromium, "alice").await;
    chromium.sees("GET /orders/7").await;
    // They go on, and back over the link of the login.
    chromium.go(&site.url("/orders/8")).await;
    chromium.back().await;
    chromium.sees("GET /orders/7").await;
    // A login that somebody else began.
    chromium.go(&site.url("/auth/callback?state=0nobody&code=x")).await;
    chromium.sees("You are already logged in").await;
    assert_eq!(violations(&chromium).await, Vec::<String>::new());
    // A form after the session is gone.
    chromium.go(&site.url("/orders/9")).await;
    site.clock.pass(3601);
    chromium.click("#change button").await;
    chromium.sees("Please log in again").await;
    chromium.click("main a").await;
    chromium.sees("GET /orders/9").await;
    chromium.end().await;
    site.end().await;
}
