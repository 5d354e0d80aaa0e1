//! The provider ends sessions: OpenID Connect Back-Channel Logout.

use crate::browser::Browser;
use crate::site::Site;
use crate::support::{Answer, Client};
use base64ct::{Base64UrlUnpadded, Encoding};
use serde_json::{Value, json};

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

async fn site() -> Site {
    Site::start(json!({ "backchannel_logout_path": "/auth/provider-logout" })).await
}

/// Posts this body as the provider does.
async fn post(site: &Site, body: &str) -> Answer {
    Browser::default().send("POST", &site.url("/auth/provider-logout"), FORM, body).await
}

/// A token with these claims in place of the usual ones, made by the provider's key, or by another one.
async fn token(site: &Site, header: Value, claims: Value, key: &str) -> String {
    let now = portcullis_core::Clock::now(&site.clock).unix.as_secs();
    let mut all = json!({
        "iss": site.provider.issuer, "aud": "site", "iat": now, "exp": now + 120, "jti": format!("{now}-{claims}"),
        "events": { EVENT: {} },
    });
    all.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
    all.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    let signed = site.provider.control("/sign", json!({ "header": header, "claims": all, "key": key })).await;
    signed["token"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_ends_sessions() {
    let site = site().await;
    let (mut alice, mut elsewhere, mut root) = (Browser::default(), Browser::default(), Browser::default());
    assert_eq!(alice.log_in(&site.url("/orders"), "alice").await.status, 200);
    assert_eq!(elsewhere.log_in(&site.url("/orders"), "alice").await.status, 200);
    assert_eq!(root.log_in(&site.url("/orders"), "root").await.status, 200);

    // One session of the provider, in which the same browser logged in twice. It is named in the ID token.
    let mut second = alice.clone();
    second.cookies(&site.origin).remove("gateway-session");
    assert_eq!(second.visit(&site.url("/orders")).await.status, 200);
    let left = alice.send("POST", &site.url("/auth/logout"), "Sec-Fetch-Site: same-origin\r\n", "").await;
    let (_, hint) = left.field("location").split_once("&id_token_hint=").unwrap();
    let payload = Base64UrlUnpadded::decode_vec(hint.split('.').nth(1).unwrap()).unwrap();
    let said: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(second.fetch("GET", &site.url("/orders")).await.status, 200, "its own logout alone");
    let by_session = token(&site, json!({}), json!({ "sid": said["sid"], "sub": "alice" }), "").await;
    let answer = post(&site, &format!("logout_token={by_session}")).await;
    assert_eq!(answer.status, 200, "{:?}", site.records.lines().last());
    assert_eq!(second.fetch("GET", &site.url("/orders")).await.status, 401);
    let other = elsewhere.fetch("GET", &site.url("/orders")).await;
    assert_eq!(other.status, 200, "another session of the same person");

    // All of a person, however they are called; and those who log in afterwards are let in.
    let by_person = token(&site, json!({ "typ": "logout+jwt" }), json!({ "sub": "alice" }), "").await;
    let answer = post(&site, &format!("logout_token={by_person}")).await;
    assert_eq!((answer.status, answer.field("cache-control")), (200, "no-store"));
    assert_eq!(elsewhere.fetch("GET", &site.url("/orders")).await.status, 401);
    assert_eq!(site.last_denial(), ("credential_expired".into(), "it was logged out".into()));
    assert_eq!(root.fetch("GET", &site.url("/orders")).await.status, 200);
    site.clock.pass(1);
    let mut again = Browser::default();
    assert_eq!(again.log_in(&site.url("/orders"), "alice").await.status, 200);
    // A copy of the token does not end it.
    assert_eq!(post(&site, &format!("logout_token={by_person}")).await.status, 400);
    assert_eq!(site.last_denial(), ("logout_refused".into(), "the logout token was used before".into()));
    assert_eq!(again.fetch("GET", &site.url("/orders")).await.status, 200);
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_when_the_provider_says_so() {
    let site = site().await;
    let mut browser = Browser::default();
    assert_eq!(browser.log_in(&site.url("/orders"), "alice").await.status, 200);
    let cookies: Vec<String> =
        browser.cookies(&site.origin).iter().map(|(name, value)| format!("{name}={value}")).collect();
    let before = site.backend.connections();
    let host = site.origin.trim_start_matches("http://");
    let head = format!(
        "POST /orders HTTP/1.1\r\nHost: {host}\r\nOrigin: {}\r\nCookie: {}\r\nContent-Length: 100000\r\n\r\nsome",
        site.origin,
        cookies.join("; ")
    );
    let mut clients = Vec::new();
    for _ in 0..6 {
        let mut client = Client::connect(site.gateway()).await;
        client.send(head.as_bytes()).await;
        clients.push(client);
    }
    // They were let in when the gateway has connected for them; a few connections were there before.
    for _ in 0..2000 {
        if site.backend.connections() >= before + 2 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let token = token(&site, json!({}), json!({ "sub": "alice" }), "").await;
    assert_eq!(post(&site, &format!("logout_token={token}")).await.status, 200);
    for mut client in clients {
        assert_eq!(client.answer(false).await.expect("an answer").status, 401);
    }
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn made_up_logout_tokens_end_nothing() {
    let site = site().await;
    let mut alice = Browser::default();
    assert_eq!(alice.log_in(&site.url("/orders"), "alice").await.status, 200);
    let good = json!({ "sub": "alice" });
    let mut bodies = vec![
        (String::new(), "no logout token"),
        ("logout_token=".to_owned(), "cannot be read"),
        ("logout_token=a.b.c".to_owned(), "cannot be read"),
        (format!("logout_token={}", "a".repeat(20_000)), "too long"),
    ];
    for (header, claims, key, why) in [
        (json!({}), good.clone(), "another", "signature"),
        (json!({ "alg": "none" }), good.clone(), "", "cannot be read"),
        (json!({ "alg": "HS256" }), good.clone(), "", "the logout token"),
        (json!({ "kid": "made-up" }), good.clone(), "another", "the logout token"),
        (json!({ "typ": "at+jwt" }), good.clone(), "", "another purpose"),
        (json!({}), json!({ "sub": "alice", "nonce": "n" }), "", "nonce"),
        (json!({}), json!({ "sub": "alice", "aud": "other" }), "", "another client"),
        (json!({}), json!({ "sub": "alice", "iss": "https://evil.example" }), "", "another issuer"),
        (json!({}), json!({ "sub": "alice", "events": {} }), "", "no logout"),
        (json!({}), json!({ "sub": "alice", "iat": 1000, "exp": null }), "", "too old"),
        (json!({}), json!({ "sub": "alice", "jti": null }), "", "no jti"),
        (json!({}), json!({}), "", "neither"),
    ] {
        bodies.push((format!("logout_token={}", token(&site, header, claims, key).await), why));
    }
    // An ID token, which the browser has, is no logout token.
    let left = alice.clone().send("POST", &site.url("/auth/logout"), "Origin: null\r\n", "").await;
    assert_eq!(left.status, 403);
    let real = token(&site, json!({}), good, "").await;
    bodies.push((format!("logout_token={real}&logout_token={real}"), "several"));
    for (body, why) in bodies {
        let answer = post(&site, &body).await;
        let (code, said) = site.last_denial();
        assert_eq!((answer.status, code.as_str()), (400, "logout_refused"), "{why}: {said}");
        assert!(said.to_lowercase().contains(why), "{said:?} does not say {why:?}");
        assert_eq!(alice.fetch("GET", &site.url("/orders")).await.status, 200, "{why}");
    }
    // Only a POST, and not by what a link can do.
    assert_eq!(alice.go(&site.url(&format!("/auth/provider-logout?logout_token={real}"))).await.status, 405);
    let query = format!("/auth/provider-logout?logout_token={real}");
    assert_eq!(Browser::default().send("POST", &site.url(&query), FORM, "").await.status, 400);
    // While the provider's keys cannot be had for a token that may need them, nobody can tell; the session goes on.
    assert_eq!(alice.fetch("GET", &site.url("/orders")).await.status, 200);
    assert_eq!(post(&site, &format!("logout_token={real}")).await.status, 200);
    assert_eq!(alice.fetch("GET", &site.url("/orders")).await.status, 401);
    site.end().await;
}
