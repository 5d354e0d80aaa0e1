//! Login, session, logout, and what each of them is worth.

use crate::browser::Browser;
use crate::site::{API_KEY, Site};
use crate::support::Client;
use serde_json::json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_logs_in_and_comes_back_to_where_they_were_going() {
    let site = Site::start(json!({ "claims": ["tenant"] })).await;
    let mut browser = Browser::default();

    let sent = browser.go(&site.url("/orders/7?page=2")).await;
    assert_eq!(sent.status, 303);
    assert_eq!(sent.field("cache-control"), "no-store");
    assert!(sent.field("location").starts_with(&format!("{}/auth?", site.provider.issuer)));
    for part in ["response_type=code", "code_challenge_method=S256", "scope=openid", "nonce=", "state="] {
        assert!(sent.field("location").contains(part), "{part}");
    }
    let cookie = sent.field("set-cookie");
    assert!(cookie.contains("; Path=/; Max-Age=600; HttpOnly; SameSite=Lax"), "{cookie}");
    assert_eq!(site.last_denial().0, "login_required");

    let page = browser.log_in(&site.url("/orders/7?page=2"), "alice").await;
    assert_eq!(page.status, 200, "{:?}", site.records.lines());
    assert!(String::from_utf8_lossy(&page.body).contains("<h1>GET /orders/7?page=2</h1>"));
    assert_eq!(page.field("cache-control"), "private", "it is one person's");
    let seen = site.backend.seen();
    let seen = seen.last().unwrap();
    assert_eq!(seen.fields("x-consumer-name"), ["alice"]);
    assert_eq!(seen.fields("x-consumer-roles"), ["user"]);
    assert_eq!(seen.fields("x-consumer-issuer"), [site.provider.issuer.as_str()]);
    assert_eq!(seen.fields("x-consumer-client"), ["site"]);
    assert!(seen.fields("cookie").is_empty(), "neither session nor attempt goes upstream: {seen:?}");

    // The session serves scripts too, and is worth its roles.
    assert_eq!(browser.fetch("GET", &site.url("/orders")).await.status, 200);
    assert_eq!(browser.fetch("POST", &site.url("/orders")).await.status, 200);
    assert_eq!(browser.fetch("GET", &site.url("/admin")).await.status, 403);
    assert_eq!(site.last_denial().0, "role_missing");
    let mut root = Browser::default();
    assert_eq!(root.log_in(&site.url("/admin"), "root").await.status, 200);
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_is_told_and_not_sent_away() {
    let site = Site::start(json!({})).await;
    let mut browser = Browser::default();
    let refused = browser.fetch("GET", &site.url("/orders")).await;
    assert_eq!((refused.status, refused.field("www-authenticate")), (401, "Cookie"));
    assert!(refused.fields("set-cookie").is_empty() && refused.fields("location").is_empty());
    assert_eq!(site.last_denial().0, "credential_missing");
    for (method, fields) in [
        ("GET", "Accept: */*\r\n"),
        ("POST", "Accept: text/html\r\n"),
        ("GET", "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: iframe\r\n"),
        ("GET", "Sec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: image\r\nAccept: text/html\r\n"),
    ] {
        let refused = browser.send(method, &site.url("/orders"), fields, "").await;
        assert_eq!(refused.status, 401, "{method} {fields}");
    }
    // A method beside it is asked, wherever it stands, and a browser is still sent to log in.
    let key = format!("X-Api-Key: {API_KEY}\r\n");
    assert_eq!(browser.send("GET", &site.url("/either"), &key, "").await.status, 200);
    let refused = browser.fetch("GET", &site.url("/either")).await;
    assert_eq!((refused.status, refused.fields("www-authenticate")), (401, vec!["Cookie", "ApiKey"]));
    assert_eq!(browser.go(&site.url("/either")).await.status, 303);
    assert_eq!(browser.log_in(&site.url("/either"), "alice").await.status, 200);
    // A cookie that is there and bad is no absent one.
    browser.cookies(&site.origin).insert("gateway-session".into(), "forged".into());
    assert_eq!(browser.send("GET", &site.url("/either"), &key, "").await.status, 401);
    assert_eq!(site.last_denial().0, "credential_malformed");
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_logs_out_here_and_at_the_provider() {
    let site = Site::start(json!({})).await;
    let mut browser = Browser::default();
    assert_eq!(browser.log_in(&site.url("/orders"), "alice").await.status, 200);

    // An image, a link, and a form of another site log nobody out.
    let image = browser.send("GET", &site.url("/auth/logout"), "Sec-Fetch-Dest: image\r\n", "").await;
    assert_eq!((image.status, image.field("allow")), (405, "POST"));
    for fields in ["", "Sec-Fetch-Site: same-site\r\n", "Origin: http://evil.example\r\n", "Origin: null\r\n"]
    {
        let refused = browser.send("POST", &site.url("/auth/logout"), fields, "").await;
        assert_eq!(refused.status, 403, "{fields}");
        assert!(refused.fields("set-cookie").is_empty());
        assert_eq!(site.last_denial().0, "cross_site");
    }
    assert_eq!(browser.fetch("GET", &site.url("/orders")).await.status, 200);

    let mut copy = browser.clone();
    let left = browser.send("POST", &site.url("/auth/logout"), "Sec-Fetch-Site: same-origin\r\n", "").await;
    assert_eq!(left.status, 303);
    let location = left.field("location");
    assert!(
        location.starts_with(&format!("{}/session/end?client_id=site&", site.provider.issuer)),
        "{location}"
    );
    assert!(left.fields("set-cookie").iter().all(|set| set.contains("=; Path=/; Max-Age=0;")));
    assert!(browser.cookies(&site.origin).is_empty());
    assert_eq!(browser.fetch("GET", &site.url("/orders")).await.status, 401);
    // A copy of the cookie, such as a request under way brings back, is worth nothing either.
    assert_eq!(copy.fetch("GET", &site.url("/orders")).await.status, 401);
    assert_eq!(site.last_denial(), ("credential_expired".into(), "it was logged out".into()));
    assert_eq!(copy.go(&site.url("/orders")).await.status, 303);
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logout_outlives_a_reload() {
    let site = Site::start(json!({})).await;
    let mut browser = Browser::default();
    assert_eq!(browser.log_in(&site.url("/orders"), "alice").await.status, 200);
    let mut copy = browser.clone();
    let left = browser.send("POST", &site.url("/auth/logout"), "Sec-Fetch-Site: same-origin\r\n", "").await;
    assert_eq!(left.status, 303);
    assert_eq!(copy.fetch("GET", &site.url("/orders")).await.status, 401);
    // Another setting of the same login: what is remembered of sessions is not the setting's.
    site.reload("\"logged_out_path\":\"/goodbye\"", "\"logged_out_path\":\"/orders\"");
    assert_eq!(copy.fetch("GET", &site.url("/orders")).await.status, 401);
    assert_eq!(site.last_denial(), ("credential_expired".into(), "it was logged out".into()));
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_ends_when_it_is_left_alone_and_when_it_is_old() {
    let site = Site::start(json!({ "idle_timeout": "100s", "session_lifetime": "250s" })).await;
    let mut browser = Browser::default();
    assert_eq!(browser.log_in(&site.url("/orders"), "alice").await.status, 200);
    // It is used, and lives on.
    site.clock.pass(90);
    let used = browser.fetch("GET", &site.url("/orders")).await;
    assert_eq!((used.status, used.fields("set-cookie").len()), (200, 1));
    assert_eq!(used.fields("cache-control"), ["no-store"]);
    site.clock.pass(90);
    assert_eq!(browser.fetch("GET", &site.url("/orders")).await.status, 200);
    // It is old, however much it is used.
    site.clock.pass(75);
    let old = browser.fetch("GET", &site.url("/orders")).await;
    assert_eq!((old.status, site.last_denial().0.as_str()), (401, "credential_expired"));
    // A person is sent to log in; the provider still knows them, so nobody is asked anything.
    assert_eq!(browser.visit(&site.url("/orders")).await.status, 200);
    // It is left alone.
    site.clock.pass(101);
    let left = browser.fetch("GET", &site.url("/orders")).await;
    assert_eq!((left.status, site.last_denial().1.contains("not used")), (401, true));
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_with_its_session() {
    let site = Site::start(json!({})).await;
    let (mut browser, mut other) = (Browser::default(), Browser::default());
    assert_eq!(browser.log_in(&site.url("/orders"), "alice").await.status, 200);
    assert_eq!(other.log_in(&site.url("/orders"), "root").await.status, 200);
    let mut uploads = Vec::new();
    for browser in [&mut browser, &mut other] {
        let cookies: Vec<String> =
            browser.cookies(&site.origin).iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut client = Client::connect(site.gateway()).await;
        let origin = &site.origin;
        let host = origin.trim_start_matches("http://");
        let head = format!(
            "POST /orders HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\nCookie: {}\r\nContent-Length: 100000\r\n\r\nsome",
            cookies.join("; ")
        );
        client.send(head.as_bytes()).await;
        uploads.push(client);
    }
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    let left = browser.send("POST", &site.url("/auth/logout"), "Sec-Fetch-Site: same-origin\r\n", "").await;
    assert_eq!(left.status, 303);
    let begun = std::time::Instant::now();
    let mut others = uploads.pop().unwrap();
    let ended = uploads.pop().unwrap().answer(false).await.expect("an answer");
    assert_eq!(ended.status, 401);
    assert!(begun.elapsed() < std::time::Duration::from_secs(5));
    others.send("x".repeat(100_000 - 4).as_bytes()).await;
    assert_eq!(others.answer(false).await.expect("an answer").status, 200, "another one's session");
    site.end().await;
}
