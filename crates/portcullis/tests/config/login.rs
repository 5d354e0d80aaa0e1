//! Sessions and who is sent to log in, without a browser: what a decision is, whatever a request says.

use super::harness::{Gate, START, gate, get, request, request_at};
use super::network::ISSUER;
use http::{HeaderValue, Request};
use portcullis_checks::authn::openid_connect::seal::{Purpose, Sealer};
use portcullis_checks::authn::openid_connect::session::{Renewal, Session};
use portcullis_core::{Claim, Code};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::time::Duration;

const NOW: Duration = Duration::from_secs(START);
const SECRET: &str = "0123456789abcdef0123456789abcdef";
const NAME: &str = "__Host-gateway-session";

fn document(routes: Value) -> String {
    json!({
        "listeners": [{ "bind": "127.0.0.1:3000" }],
        "security": { "authentication": {
            "type": "openid_connect", "issuer": ISSUER, "client_id": "gate",
            "client_secret": { "env": "TOKEN_SECRET" }, "public_url": "https://app.example.com",
            "session_secret": { "env": "TOKEN_SECRET" },
        } },
        "routes": routes,
    })
    .to_string()
}

fn login() -> Gate {
    gate(&document(json!([{ "path": "/a", "upstream": "http://127.0.0.1:8080" }])))
}

fn cookie(session: &Session) -> String {
    let sealer = Sealer::new(&[SECRET.as_bytes()], ISSUER, "gate").unwrap();
    format!("{NAME}={}", sealer.seal(Purpose::Session, NAME, [1; 16], session.encode()).unwrap())
}

fn session_of(subject: &str, renewal: Option<Renewal>) -> Session {
    Session {
        id: "n".into(),
        subject: subject.into(),
        claims: Claim::Object(Vec::new()),
        scopes: vec!["openid".into(), "orders".into()],
        started: NOW,
        seen: NOW,
        sid: None,
        id_token: None,
        renewal,
    }
}

fn over() -> Option<Renewal> {
    Some(Renewal { due: NOW, over: NOW, token: "a-refresh-token".to_owned().into() })
}

#[test]
fn the_example_of_the_page_loads() {
    let page = include_str!("../../../../docs/login.md");
    let example = page.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let gate =
        gate(&example.replace("CLIENT_SECRET", "TOKEN_SECRET").replace("SESSION_SECRET", "TOKEN_SECRET"));
    for path in ["/auth/callback", "/auth/logout", "/orders/{id}", "/goodbye"] {
        let line = format!("{path} -> ");
        assert!(gate.listing.iter().any(|listed| listed.starts_with(&line)), "{:#?}", gate.listing);
    }
}

#[test]
fn a_session_is_its_subject() {
    let gate = login();
    let sent = cookie(&session_of("alice", None));
    let answer = gate.send(get(&[("cookie", &format!("a=1; {sent}; b=2"))]));
    let shaped = answer.permitted();
    assert_eq!(shaped.headers["x-consumer-name"], "alice");
    assert_eq!(shaped.headers["x-consumer-scopes"], "openid,orders");
    assert_eq!(shaped.headers["cookie"], "a=1; b=2", "the session stays here");
    let told = shaped.told.as_ref().unwrap();
    assert_eq!(told.fields, [("cache-control".parse().unwrap(), HeaderValue::from_static("private"))]);
}

#[test]
fn a_route_for_everything_takes_no_callback() {
    let upstream = "http://127.0.0.1:8080";
    let gate = gate(&document(json!([
        { "path": "/{*rest}", "upstream": upstream },
        { "path": "/{*rest}", "hosts": ["app.example.com", "other.example.com"], "upstream": upstream },
    ])));
    let send = |method: &str, host: &str| {
        let request = Request::builder().method(method).uri("/auth/callback?state=0x&code=x");
        let request = request.header("host", host).header("accept", "text/html").body(()).unwrap();
        gate.send(request)
    };
    // The gateway's own name, and any that a server in front may give it.
    for host in ["app.example.com", "10.0.0.1"] {
        let answer = send("GET", host);
        assert!(!answer.permitted().headers.contains_key("x-consumer-name"), "{host}");
    }
    assert_eq!(send("HEAD", "app.example.com").refusal(), Some(Code::MethodNotAllowed));
    // Where a route for another host has the path, nobody is sent round.
    assert_eq!(send("GET", "other.example.com").refusal(), Some(Code::CredentialMissing));
}

#[test]
fn a_refresh_of_somebody_else_ends_the_session() {
    let gate = login();
    gate.send(get(&[("cookie", &cookie(&session_of("alice", over())))])).permitted();
    let other = cookie(&session_of("mallory", over()));
    assert_eq!(gate.send(get(&[("cookie", &other)])).refusal(), Some(Code::CredentialExpired));
    let page = gate.send(get(&[("cookie", &other), ("accept", "text/html")]));
    assert_eq!(page.refusal(), Some(Code::LoginRequired));
}

#[test]
fn a_provider_that_nobody_reaches_sends_nobody_away() {
    let gate = login();
    gate.network.go_down();
    let page = gate.send(request_at("app.example.com", "GET", "/a", &[("accept", "text/html")]));
    assert_eq!((page.refusal(), page.headers.get("location")), (Some(Code::Fault), None));
    assert_eq!(gate.send(get(&[])).refusal(), Some(Code::CredentialMissing));
    gate.send(get(&[("cookie", &cookie(&session_of("alice", None)))])).permitted();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn no_bytes_are_a_session_and_none_panic(
        value in proptest::collection::vec(any::<u8>(), 0..400),
        slot in proptest::collection::vec(any::<u8>(), 0..400),
        accept in ".{0,30}",
        navigates in any::<bool>(),
    ) {
        let gate = login();
        let mut sent = request("GET", "/a", &[]);
        for (name, bytes) in [(NAME, value), ("__Host-gateway-session-attempt-0", slot)] {
            let bytes = [name.as_bytes(), b"=", &bytes].concat();
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                sent.headers_mut().append("cookie", value);
            }
        }
        if let Ok(accept) = HeaderValue::from_str(&accept) {
            sent.headers_mut().append("accept", accept);
        }
        if navigates {
            sent.headers_mut().append("sec-fetch-mode", HeaderValue::from_static("navigate"));
        }
        prop_assert!(gate.send(sent).refusal().is_some());
    }
}
