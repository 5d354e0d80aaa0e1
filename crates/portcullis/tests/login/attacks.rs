//! Stolen, replayed, forged and misdirected requests.

use crate::browser::{Browser, SCRIPT};
use crate::site::Site;
use crate::support::{Answer, Client, leaks};
use serde_json::json;

/// That an answer sends nobody anywhere, and tells nothing.
fn refused_with_400(site: &Site, answer: &Answer, detail: &str) {
    assert_eq!(answer.status, 400, "{detail}: {:?}", site.records.lines().last());
    assert!(answer.fields("location").is_empty());
    assert_eq!(answer.field("content-type"), "text/html; charset=utf-8");
    let page = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(page.contains("<h1>") && !page.contains("<script"), "{page}");
    let (code, said) = site.last_denial();
    assert_eq!(code, "login_failed");
    assert!(said.contains(detail), "{said:?} does not say {detail:?}");
    assert_eq!(leaks(answer, &["client_secret", "nonce", "verifier", "alice"]), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callback_is_worth_something_once_and_in_one_browser() {
    let site = Site::start(json!({})).await;
    let mut alice = Browser::default();
    let url = alice.log_in_up_to_callback(&site.url("/orders"), "alice").await;
    let mut copy = alice.clone();

    // Another browser: with no attempt, and with one of its own.
    let mut other = Browser::default();
    refused_with_400(&site, &other.go(&url).await, "does not bring the cookie");
    other.go(&site.url("/orders")).await;
    refused_with_400(&site, &other.go(&url).await, "of another attempt");
    assert_eq!(other.fetch("GET", &site.url("/orders")).await.status, 401);

    let back = alice.go(&url).await;
    assert_eq!((back.status, back.field("location")), (303, site.url("/orders").as_str()));
    assert_eq!(back.field("cache-control"), "no-store");
    assert_eq!(alice.fetch("GET", &site.url("/orders")).await.status, 200);
    // The same link again, in the same browser, which is logged in, and with a copy of its cookies from before.
    let again = alice.go(&url).await;
    assert_eq!((again.status, again.field("location")), (303, site.url("/orders").as_str()));
    assert!(again.fields("set-cookie").is_empty(), "it gives nothing");
    refused_with_400(&site, &copy.go(&url).await, "used before");
    assert_eq!(alice.fetch("GET", &site.url("/orders")).await.status, 200, "the session is still good");
    assert_eq!(site.provider.count("/token").await, 1, "the code was exchanged once");
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_part_of_the_way_back_is_checked() {
    let site = Site::start(json!({})).await;
    let mut browser = Browser::default();
    let good = browser.log_in_up_to_callback(&site.url("/orders"), "alice").await;
    let fresh = browser.clone();
    let part = |name: &str| {
        let query = good.split_once('?').unwrap().1;
        query.split('&').find(|pair| pair.starts_with(&format!("{name}="))).unwrap().to_owned()
    };
    let (state, code, issuer) = (part("state"), part("code"), part("iss"));
    let callback = site.url("/auth/callback");
    let other_slot = state.replacen("state=0", "state=1", 1);
    assert_ne!(other_slot, state);
    // Before the attempt is looked at.
    for (query, detail) in [
        (String::new(), "no state"),
        (format!("{code}&{issuer}"), "no state"),
        (format!("state=&{code}&{issuer}"), "none of ours"),
        (format!("state=9&{code}&{issuer}"), "none of ours"),
        (format!("{state}&{state}&{code}&{issuer}"), "repeats"),
        (format!("{state}&st%61te=x&{code}&{issuer}"), "repeats"),
        (format!("{state}A&{code}&{issuer}"), "of another attempt"),
        (format!("{other_slot}&{code}&{issuer}"), "does not bring the cookie"),
    ] {
        let mut browser = fresh.clone();
        refused_with_400(&site, &browser.go(&format!("{callback}?{query}")).await, detail);
    }
    assert_eq!(site.provider.count("/token").await, 0);
    // HEAD exchanges nothing, and POST is not the way.
    let mut browser = fresh.clone();
    let cookie = browser.cookies(&site.origin)["gateway-session-attempt-0"].clone();
    let target = good.strip_prefix(&site.origin).unwrap();
    let head =
        format!("HEAD {target} HTTP/1.1\r\nHost: a\r\nCookie: gateway-session-attempt-0={cookie}\r\n\r\n");
    let mut client = Client::connect(site.origin.strip_prefix("http://").unwrap().parse().unwrap()).await;
    client.send(head.as_bytes()).await;
    assert_eq!(client.answer(true).await.unwrap().status, 405);
    assert_eq!(browser.send("POST", &good, "", "").await.status, 405);
    // What ends the attempt, each with an attempt of its own.
    for (query, detail) in [
        (format!("{state}&{code}"), "does not name itself"),
        (format!("{state}&{code}&iss=https%3A%2F%2Fevil.example"), "another provider"),
        (format!("{state}&{issuer}&error=access_denied"), "access_denied"),
        (format!("{state}&{issuer}&error=a%0Ab"), "no name"),
        (format!("{state}&{issuer}"), "no code"),
        (format!("{state}&{issuer}&code=made-up"), "does not take its code"),
        (format!("{state}&{issuer}&{code}&{code}"), "repeats"),
    ] {
        let mut browser = fresh.clone();
        browser.go(&site.url("/orders")).await;
        let own = browser.history.last().unwrap().clone();
        assert!(own.ends_with("/orders"));
        let sent = browser.go(&site.url("/orders")).await;
        let own =
            sent.field("location").split('&').find(|pair| pair.starts_with("state=")).unwrap().to_owned();
        let answer = browser.go(&format!("{callback}?{}", query.replace(&state, &own))).await;
        refused_with_400(&site, &answer, detail);
        assert!(answer.field("set-cookie").contains("Max-Age=0"), "the attempt is over");
    }
    // Too late.
    let mut late = fresh.clone();
    site.clock.pass(601);
    refused_with_400(&site, &late.go(&good).await, "too long");
    site.end().await;
}

/// Where browsers of this address go.
fn from(site: &Site, source: &str) -> Browser {
    let mut browser = Browser::default();
    browser.from = Some((source.to_owned(), site.gateway()));
    browser
}

/// Begins an attempt and comes back with a code that nobody gave out.
async fn make_up_a_code(site: &Site, source: &str) -> Answer {
    let mut browser = from(site, source);
    let sent = browser.go(&site.url("/orders")).await;
    if sent.status != 303 {
        return sent;
    }
    let location = sent.field("location").to_owned();
    let state = location.split('&').find(|pair| pair.starts_with("state=")).unwrap();
    let issuer = site.provider.issuer.replace(':', "%3A").replace('/', "%2F");
    browser.go(&site.url(&format!("/auth/callback?{state}&iss={issuer}&code=made-up"))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn made_up_codes_count_as_guesses() {
    let site = Site::start(json!({})).await;
    let mut told = Vec::new();
    for _ in 0..13 {
        told.push(make_up_a_code(&site, "127.8.3.1").await.status);
    }
    assert_eq!(told[..11], [400; 11], "ten are free, and the next one makes the address wait");
    assert_eq!(told[11..], [429; 2], "{told:?}");
    assert_eq!(site.provider.count("/token").await, 11, "nobody is asked about the others");
    // An honest browser there waits too, and its login is not lost.
    let mut honest = from(&site, "127.8.3.1");
    let url = honest.log_in_up_to_callback(&site.url("/orders"), "alice").await;
    let waits = honest.go(&url).await;
    assert_eq!((waits.status, site.last_denial().0.as_str()), (429, "too_many_failures"));
    assert!(waits.field("retry-after").parse::<u64>().unwrap() >= 1);
    site.clock.pass(5);
    assert_eq!(honest.go(&url).await.status, 303);
    site.end().await;
}

/// Loops of made-up codes from one address took all slots, while the provider was asked about them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn made_up_codes_of_one_address_keep_nobody_out() {
    let site = std::sync::Arc::new(Site::start(json!({})).await);
    let mut honest = Vec::new();
    for number in 0..8 {
        let mut browser = from(&site, &format!("127.8.5.{}", number + 1));
        let url = browser.log_in_up_to_callback(&site.url("/orders"), "alice").await;
        honest.push((browser, url));
    }
    site.provider.fault("/token", "slow", json!({ "ms": 3000 })).await;
    let flood: Vec<_> = (0..24)
        .map(|_| {
            let site = std::sync::Arc::clone(&site);
            tokio::spawn(async move { make_up_a_code(&site, "127.8.4.1").await.status })
        })
        .collect();
    // The flood holds what it can get.
    while site.provider.count("/token").await < 4 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let begun = std::time::Instant::now();
    let logins: Vec<_> = honest
        .into_iter()
        .map(|(mut browser, url)| tokio::spawn(async move { browser.go(&url).await.status }))
        .collect();
    for login in logins {
        assert_eq!(login.await.unwrap(), 303);
    }
    // They waited for the provider, and not for the flood before them.
    assert!(begun.elapsed() < std::time::Duration::from_millis(4700), "{:?}", begun.elapsed());
    for guess in flood {
        assert!(matches!(guess.await.unwrap(), 400 | 429 | 503));
    }
    std::sync::Arc::into_inner(site).unwrap().end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_that_keeps_no_cookie_goes_round_no_more_than_once() {
    let site = Site::start(json!({})).await;
    let mut browser = Browser::default();
    browser.blocks = Some(site.origin.clone());
    let end = browser.log_in(&site.url("/orders"), "alice").await;
    refused_with_400(&site, &end, "does not bring the cookie");
    // The provider knows the person now and would send them back at once; they end there all the same.
    refused_with_400(&site, &browser.visit(&site.url("/orders")).await, "does not bring the cookie");
    let rounds = browser.history.iter().filter(|url| url.contains("/auth/callback")).count();
    assert_eq!(rounds, 2);
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_logs_in_again_and_again_is_refused() {
    let site = Site::start(json!({})).await;
    let mut browser = Browser::default();
    assert_eq!(browser.log_in(&site.url("/orders"), "alice").await.status, 200);
    for _ in 0..2 {
        browser.cookies(&site.origin).remove("gateway-session");
        assert_eq!(browser.visit(&site.url("/orders")).await.status, 200);
    }
    browser.cookies(&site.origin).remove("gateway-session");
    refused_with_400(&site, &browser.visit(&site.url("/orders")).await, "several logins in a row");
    site.clock.pass(31);
    assert_eq!(browser.visit(&site.url("/orders")).await.status, 200);
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_changes_something_comes_from_this_site() {
    let site = Site::start(json!({})).await;
    let mut browser = Browser::default();
    assert_eq!(browser.log_in(&site.url("/orders"), "alice").await.status, 200);
    let before = site.backend.seen().len();
    let evil = "Origin: http://127.0.0.1:1\r\n";
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        for fields in [
            "",
            evil,
            "Origin: null\r\n",
            "Sec-Fetch-Site: same-site\r\n",
            "Sec-Fetch-Site: cross-site\r\n",
            "Sec-Fetch-Site: none\r\n",
        ] {
            let refused = browser.send(method, &site.url("/orders"), fields, "").await;
            assert_eq!(refused.status, 403, "{method} {fields}");
            assert_eq!(site.last_denial().0, "cross_site");
        }
    }
    let switch = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                  Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for fields in ["", evil] {
        let refused = browser.send("GET", &site.url("/socket"), &format!("{switch}{fields}"), "").await;
        assert_eq!((refused.status, site.last_denial().0.as_str()), (403, "cross_site"));
    }
    assert_eq!(site.backend.seen().len(), before, "nothing went upstream");
    let own = format!("Origin: {}\r\n", site.origin);
    assert_eq!(browser.send("GET", &site.url("/socket"), &format!("{switch}{own}"), "").await.status, 200);
    assert_eq!(browser.send("POST", &site.url("/orders"), &own, "").await.status, 200);
    // Another site's request without the cookie, as browsers send it (SameSite=Lax), is nobody's.
    let mut without = Browser::default();
    assert_eq!(without.send("POST", &site.url("/orders"), evil, "").await.status, 401);
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cookie_is_what_was_sealed_and_nothing_else() {
    let site = Site::start(json!({})).await;
    let mut browser = Browser::default();
    assert_eq!(browser.log_in(&site.url("/orders"), "alice").await.status, 200);
    let session = browser.cookies(&site.origin)["gateway-session"].clone();
    let mut stranger = Browser::default();
    stranger.go(&site.url("/orders")).await;
    let attempt = stranger.cookies(&site.origin)["gateway-session-attempt-0"].clone();
    let mut flipped = session.clone().into_bytes();
    flipped[40] = if flipped[40] == b'A' { b'B' } else { b'A' };
    for bad in [
        String::from_utf8(flipped).unwrap(),
        session[..session.len() - 1].to_owned(),
        format!("{session}A"),
        format!("{session}="),
        attempt.clone(),
        String::new(),
        "A".repeat(4000),
    ] {
        let mut browser = browser.clone();
        browser.cookies(&site.origin).insert("gateway-session".into(), bad.clone());
        let refused = browser.fetch("GET", &site.url("/orders")).await;
        assert_eq!((refused.status, site.last_denial().0.as_str()), (401, "credential_malformed"), "{bad}");
        assert!(refused.fields("set-cookie").is_empty());
        assert_eq!(browser.go(&site.url("/orders")).await.status, 303, "a person is sent to log in");
    }
    // A session is no attempt, and neither is an attempt in another slot.
    for (slot, value) in
        [("gateway-session-attempt-0", session.clone()), ("gateway-session-attempt-1", attempt.clone())]
    {
        let mut browser = Browser::default();
        browser.cookies(&site.origin).insert(slot.into(), value);
        let state = if slot.ends_with('0') { "0x" } else { "1x" };
        let url = site.url(&format!("/auth/callback?state={state}&code=x"));
        refused_with_400(&site, &browser.go(&url).await, "does not bring the cookie");
    }
    // A session that is there twice, for a script and for a person.
    let twice = format!("Cookie: gateway-session={session}; gateway-session={session}\r\n");
    for fields in [SCRIPT, "Accept: text/html\r\n"] {
        let mut bare = Browser::default();
        let refused = bare.send("GET", &site.url("/orders"), &format!("{fields}{twice}"), "").await;
        assert_eq!((refused.status, site.last_denial().0.as_str()), (401, "credential_repeated"));
    }
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_a_request_says_where_a_login_leads() {
    let site = Site::start(json!({})).await;
    let mut browser = Browser::default();
    // The host that a client names is not where the provider sends it back to.
    let (host, fields) = ("evil.example", "Accept: text/html\r\nX-Forwarded-Host: evil.example\r\n");
    let request = format!("GET /orders HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n");
    let address = site.origin.strip_prefix("http://").unwrap().parse().unwrap();
    let sent = Client::connect(address).await.ask(&request).await;
    assert_eq!(sent.status, 303);
    assert!(!sent.field("location").contains("evil"), "{}", sent.field("location"));
    for path in ["//evil.example/", "/\\evil.example/", "/%5cevil.example/", "/orders//evil.example"] {
        assert_eq!(browser.go(&site.url(path)).await.status, 400, "{path}");
    }
    let path = "/orders/http:?next=//evil.example/";
    assert_eq!(browser.log_in(&site.url(path), "alice").await.status, 200);
    assert_eq!(*browser.history.last().unwrap(), site.url(path));
    // However often somebody is sent to log in, what the browser keeps for it stays small.
    let mut busy = Browser::default();
    for number in 0..20 {
        let path = format!("/orders/{number}?{}", "q".repeat(495));
        assert_eq!(busy.go(&site.url(&path)).await.status, 303);
        site.clock.pass(1);
    }
    let kept = busy.cookies(&site.origin);
    let size: usize = kept.iter().map(|(name, value)| name.len() + value.len()).sum();
    // With a session of the largest size this stays below the 8 KiB that a field may have.
    assert!(kept.len() == 3 && size < 3500, "{} cookies of {size} bytes", kept.len());
    assert_eq!(
        busy.log_in(&site.url("/orders/latest"), "alice").await.status,
        200,
        "the last attempt is good"
    );
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_too_large_is_refused() {
    let site = Site::start(json!({ "claims": ["tenant"] })).await;
    for (size, fits) in [(2000, true), (4000, false)] {
        let claims = json!({ "tenant": "t".repeat(size), "roles": ["user"] });
        site.provider.control("/account", json!({ "id": "large", "claims": claims })).await;
        let mut browser = Browser::default();
        let end = browser.log_in(&site.url("/orders"), "large").await;
        if fits {
            assert_eq!(end.status, 200);
            assert!(browser.cookies(&site.origin)["gateway-session"].len() < 4096);
        } else {
            refused_with_400(&site, &end, "`max_session_size` is 4608");
        }
    }
    site.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_provider_may_change_its_keys() {
    let site = Site::start(json!({})).await;
    let mut browser = Browser::default();
    assert_eq!(browser.log_in(&site.url("/orders"), "alice").await.status, 200);
    site.provider.rotate_keys(false).await;
    site.clock.pass(11);
    let mut other = Browser::default();
    assert_eq!(other.log_in(&site.url("/orders"), "alice").await.status, 200);
    assert_eq!(browser.fetch("GET", &site.url("/orders")).await.status, 200, "whoever is in stays in");
    site.end().await;
}
