//! Sessions of several cookies, the ID token at logout, forms of the provider, and metadata elsewhere.

use crate::browser::Browser;
use crate::site::Site;
use crate::support::{Backend, OidcProvider, Reply};
use crate::webdriver::Chromium;
use serde_json::json;

/// Somebody with a claim of this size.
async fn large(site: &Site, who: &str, size: usize) {
    let text: String = (0..size).map(|at| char::from(b'a' + u8::try_from(at * 7 % 26).unwrap())).collect();
    let claims = json!({ "tenant": format!("{who}{text}"), "roles": ["user"] });
    site.provider.control("/account", json!({ "id": who, "claims": claims })).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parts_of_two_sessions_make_none() {
    let site =
        Site::start(json!({ "claims": ["tenant"], "max_session_size": "7KiB", "id_token_hint": false }))
            .await;
    let (mut alice, mut carol) = (Browser::default(), Browser::default());
    for (browser, who) in [(&mut alice, "alice"), (&mut carol, "carol")] {
        large(&site, who, 3500).await;
        assert_eq!(browser.log_in(&site.url("/orders"), who).await.status, 200, "{:?}", site.last_denial());
        let kept = browser.cookies(&site.origin);
        assert!(kept["gateway-session"].starts_with("2~") && kept.contains_key("gateway-session-part-1"));
        assert!(kept.iter().all(|(name, value)| name.len() + value.len() < 4096));
        assert_eq!(browser.fetch("GET", &site.url("/orders")).await.status, 200);
        let seen = site.backend.seen();
        assert_eq!(seen.last().unwrap().fields("x-consumer-name"), [who]);
        assert!(seen.last().unwrap().fields("cookie").is_empty(), "no part goes upstream");
    }
    // Any part of another session, none, one more, and one twice.
    let theirs = carol.cookies(&site.origin).clone();
    for name in ["gateway-session", "gateway-session-part-1"] {
        let mut mixed = alice.clone();
        mixed.cookies(&site.origin).insert(name.to_owned(), theirs[name].clone());
        assert_eq!(mixed.fetch("GET", &site.url("/orders")).await.status, 401, "{name}");
        assert_eq!(site.last_denial().0, "credential_malformed");
        mixed.cookies(&site.origin).remove(name);
        assert_eq!(mixed.fetch("GET", &site.url("/orders")).await.status, 401, "{name}");
    }
    let mut more = alice.clone();
    more.cookies(&site.origin).insert("gateway-session-part-2".into(), "x".into());
    assert_eq!(more.fetch("GET", &site.url("/orders")).await.status, 200, "a part that is not of it");
    let own = alice.cookies(&site.origin).clone();
    let twice: Vec<String> = own
        .iter()
        .chain([(&"gateway-session-part-1".to_owned(), &theirs["gateway-session-part-1"])])
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let fields = format!("Cookie: {}\r\n", twice.join("; "));
    let refused = Browser::default().send("GET", &site.url("/orders"), &fields, "").await;
    assert_eq!((refused.status, site.last_denial().0.as_str()), (401, "credential_repeated"));

    // A smaller session leaves nothing of the larger one, and neither does a logout.
    large(&site, "alice", 10).await;
    let mut smaller = alice.clone();
    smaller.cookies(&site.origin).insert("gateway-session".into(), "2~broken".into());
    assert_eq!(smaller.visit(&site.url("/orders")).await.status, 200);
    let kept = smaller.cookies(&site.origin);
    assert!(!kept.contains_key("gateway-session-part-1"), "{:?}", kept.keys());
    let left = alice.send("POST", &site.url("/auth/logout"), "Sec-Fetch-Site: same-origin\r\n", "").await;
    assert_eq!(left.status, 303);
    assert!(alice.cookies(&site.origin).is_empty());
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_fit_is_left_out_in_turn() {
    let site = Site::start(json!({ "claims": ["tenant"], "max_session_size": "2KiB" })).await;
    // The ID token has the claim again, and so do the other tokens not.
    for (size, hint) in [(10, true), (700, false)] {
        large(&site, "alice", size).await;
        let mut browser = Browser::default();
        assert_eq!(browser.log_in(&site.url("/orders"), "alice").await.status, 200);
        let left =
            browser.send("POST", &site.url("/auth/logout"), "Sec-Fetch-Site: same-origin\r\n", "").await;
        assert_eq!(left.field("location").contains("&id_token_hint="), hint, "{size}");
    }
    site.end().await;
    let site = Site::start(json!({ "id_token_hint": false })).await;
    let mut browser = Browser::default();
    assert_eq!(browser.log_in(&site.url("/orders"), "alice").await.status, 200);
    let left = browser.send("POST", &site.url("/auth/logout"), "Sec-Fetch-Site: same-origin\r\n", "").await;
    assert!(!left.field("location").contains("id_token_hint"));
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_of_the_provider_logs_in() {
    let site = Site::start(json!({ "response_mode": "form_post" })).await;
    let chromium = Chromium::start(json!({})).await;
    chromium.go(&site.url("/orders/7")).await;
    crate::chromium::log_in(&chromium, "alice").await;
    chromium.sees("GET /orders/7").await;
    chromium.sees("alice (user)").await;
    chromium.end().await;
    let posted = site
        .records
        .all()
        .iter()
        .any(|record| record["path"] == "/auth/callback" && record["method"] == "POST");
    assert!(posted);

    // Another form, a form without the cookie, a link, and the same once more.
    let mut browser = Browser::default();
    let sent = browser.go(&site.url("/orders")).await;
    let state = sent.field("location").split('&').find(|pair| pair.starts_with("state=")).unwrap().to_owned();
    let issuer = site.provider.issuer.replace(':', "%3A").replace('/', "%2F");
    let answer = format!("{state}&iss={issuer}&code=made-up");
    let navigation = "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\nOrigin: null\r\n";
    let form = format!("{navigation}Content-Type: application/x-www-form-urlencoded\r\n");
    let url = site.url("/auth/callback");
    for (fields, query, body, keeps, why) in [
        (navigation, "", answer.as_str(), true, "no form"),
        (form.as_str(), "", "", true, "no state"),
        (form.as_str(), answer.as_str(), "", true, "no state"),
        (form.as_str(), "", &answer, false, "does not bring the cookie"),
        (form.as_str(), "", &format!("{answer}&{state}"), true, "repeats"),
        (form.as_str(), "", "start=%2Forders", true, "no state"),
        (form.as_str(), "", &answer, true, "does not take its code"),
        (form.as_str(), "", &answer, true, "does not bring the cookie"),
    ] {
        let mut other = Browser::default();
        let browser = if keeps { &mut browser } else { &mut other };
        let url = if query.is_empty() { url.clone() } else { format!("{url}?{query}") };
        let end = browser.send("POST", &url, fields, body).await;
        assert_eq!((end.status, end.field("content-type")), (400, "text/html; charset=utf-8"), "{why}");
        assert!(site.last_denial().1.contains(why), "{:?} does not say {why:?}", site.last_denial());
    }
    let mut browser = Browser::default();
    browser.go(&site.url("/orders")).await;
    assert_eq!(browser.go(&format!("{url}?{answer}")).await.status, 400);
    assert!(site.last_denial().1.contains("told to send it"));
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metadata_is_that_of_the_issuer_that_is_named() {
    // As Azure AD B2C has it: below the policy, with an issuer that is elsewhere; and a public client with PKCE alone.
    let provider = OidcProvider::start().await;
    let issuer = provider.issuer.clone();
    let metadata = Backend::answering(move |seen| {
        let named =
            if seen.target.contains("B2C_1_signin") { issuer.clone() } else { format!("{issuer}/other") };
        let document = json!({
            "issuer": named,
            "authorization_endpoint": format!("{issuer}/auth?p=b2c_1_signin"),
            "token_endpoint": format!("{issuer}/token?p=b2c_1_signin"),
            "end_session_endpoint": format!("{issuer}/session/end?p=b2c_1_signin"),
            "jwks_uri": format!("{issuer}/jwks"),
            "response_modes_supported": ["query", "fragment", "form_post"],
        });
        Reply::with("200 OK", "Content-Type: application/json\r\n", &document.to_string())
    })
    .await;
    let at = |policy: &str| {
        let address = metadata.address;
        json!({ "metadata_url": format!("http://{address}/example.onmicrosoft.com/{policy}/v2.0/.well-known/openid-configuration") })
    };
    let site = Site::behind(provider, at("B2C_1_signin")).await;
    let mut browser = Browser::default();
    let sent = browser.go(&site.url("/orders")).await;
    assert!(
        sent.field("location").contains("/auth?p=b2c_1_signin&response_type=code&"),
        "{}",
        sent.field("location")
    );
    assert_eq!(browser.log_in(&site.url("/orders"), "alice").await.status, 200);
    site.end().await;
    let site = Site::start(at("another")).await;
    assert_eq!(Browser::default().go(&site.url("/orders")).await.status, 503);
    assert!(site.last_denial().1.contains("it is the metadata of issuer"), "{:?}", site.last_denial());
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_with_a_private_key_logs_people_in() {
    let provider = OidcProvider::start().await;
    let (private, public) = provider.pair("ES256").await;
    let (_, other) = provider.pair("ES256").await;
    let site = Site::behind(
        provider,
        json!({
            "client_authentication": "private_key_jwt", "client_secret": private,
            "client_assertion": { "key_id": public["kid"] },
        }),
    )
    .await;
    let register = async |key: &serde_json::Value| {
        let metadata = json!({
            "client_id": "site", "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
            "redirect_uris": [format!("{}/auth/callback", site.origin)],
            "token_endpoint_auth_method": "private_key_jwt", "jwks": { "keys": [key] },
        });
        site.provider.control("/client", metadata).await;
    };
    register(&public).await;
    let mut browser = Browser::default();
    assert_eq!(browser.log_in(&site.url("/orders"), "alice").await.status, 200, "{:?}", site.last_denial());
    assert_eq!(site.backend.seen().last().unwrap().fields("x-consumer-name"), ["alice"]);
    // The provider knows another key: no session, and the fault is recorded.
    register(&other).await;
    let mut browser = Browser::default();
    let page = browser.log_in(&site.url("/orders"), "alice").await;
    assert_ne!(page.status, 200);
    assert!(!browser.cookies(&site.origin).contains_key("gateway-session"));
    assert!(site.last_denial().1.contains("invalid_client"), "{:?}", site.last_denial());
    site.end().await;
}
