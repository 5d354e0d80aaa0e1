//! What each key of a login does. That people get in by it is seen with a real provider, in `tests/login`.

use super::super::harness::{Gate, get, request, request_at};
use super::super::network::ISSUER;
use super::{Place, SecurityRow};
use portcullis_checks::authn::openid_connect::seal::{Purpose, Sealer};
use portcullis_checks::authn::openid_connect::session::{Renewal, Session};
use portcullis_core::{Claim, Code};
use serde_json::{Value, json};
use std::time::Duration;

const NOW: Duration = Duration::from_secs(super::super::harness::START);
const SECRET: &str = "0123456789abcdef0123456789abcdef";
const OTHER_SECRET: &str = "another-secret-of-at-least-32-bytes";
const NAME: &str = "__Host-gateway-session";

/// What each key does.
pub(crate) const ROWS: &[SecurityRow] = &[
    ("security.authentication.public_url", |place| {
        let gate = login(place, json!({ "public_url": "https://shop.example.com:8443" }));
        let location = location(&gate);
        assert!(location.contains("&redirect_uri=https%3A%2F%2Fshop.example.com%3A8443%2Fauth%2Fcallback&"));
        let post = |origin: &str| {
            let cookie = format!("{NAME}={}", sealed(SECRET, NAME, &session()));
            gate.send(request("POST", "/a", &[("cookie", &cookie), ("origin", origin)])).refusal()
        };
        assert_eq!(post("https://shop.example.com:8443"), None);
        assert_eq!(post("https://shop.example.com"), Some(Code::CrossSite));
    }),
    ("security.authentication.session_secret", |place| sealed_with(place, json!(SECRET))),
    ("security.authentication.session_secret.env", |place| {
        sealed_with(place, json!({ "env": "TOKEN_SECRET" }))
    }),
    ("security.authentication.session_secret.file", |place| {
        sealed_with(place, json!({ "file": "token-secret.txt" }));
    }),
    ("security.authentication.session_secret.literal", |place| {
        sealed_with(place, json!({ "literal": SECRET }))
    }),
    ("security.authentication.session_secret[].env", |place| {
        several(place, json!({ "env": "TOKEN_SECRET" }))
    }),
    ("security.authentication.session_secret[].file", |place| {
        several(place, json!({ "file": "token-secret.txt" }));
    }),
    ("security.authentication.session_secret[].literal", |place| {
        several(place, json!({ "literal": SECRET }))
    }),
    ("security.authentication.scopes", |place| {
        let gate = login(place, json!({ "scopes": ["profile", "openid", "offline_access"] }));
        assert!(location(&gate).contains("&scope=openid%20profile%20offline_access&"));
        assert!(location(&login(place, json!({}))).contains("&scope=openid&"));
    }),
    ("security.authentication.claims", |place| {
        for (claims, refusal) in [(json!(["tenant.name"]), None), (json!([]), Some(Code::ClaimRefused))] {
            let gate = place.gate(json!({
                "authentication": method(json!({ "claims": claims })),
                "authorization": { "claims_required": { "tenant.name": "blue" } },
            }));
            // The claims are kept when the provider says them: here when the session is refreshed.
            let renewal = Renewal { due: NOW, over: NOW, token: "a-refresh-token".to_owned().into() };
            let session = Session { renewal: Some(renewal), ..session() };
            assert_eq!(with(&gate, NAME, &sealed(SECRET, NAME, &session)), refusal);
        }
    }),
    ("security.authentication.session_lifetime", |place| {
        let gate = login(place, json!({ "session_lifetime": "10m", "idle_timeout": "20m" }));
        ends_after(&gate, 600);
    }),
    ("security.authentication.idle_timeout", |place| {
        ends_after(&login(place, json!({ "idle_timeout": "5m" })), 300)
    }),
    ("security.authentication.cookie_name", |place| {
        let gate = login(place, json!({ "cookie_name": "shop" }));
        let own = "__Host-shop";
        assert_eq!(with(&gate, own, &sealed(SECRET, own, &session())), None);
        assert_eq!(with(&gate, NAME, &sealed(SECRET, NAME, &session())), Some(Code::CredentialMissing));
    }),
    ("security.authentication.callback_path", |place| {
        let gate = login(place, json!({ "callback_path": "/in" }));
        assert!(location(&gate).contains("&redirect_uri=https%3A%2F%2Fapp.example.com%2Fin&"));
        gate.send(request("GET", "/in", &[])).permitted();
        assert_eq!(gate.send(request("GET", "/auth/callback", &[])).refusal(), Some(Code::RouteNotFound));
    }),
    ("security.authentication.logout_path", |place| {
        let gate = login(place, json!({ "logout_path": "/out" }));
        gate.send(request("POST", "/out", &[])).permitted();
        assert_eq!(gate.send(request("GET", "/out", &[])).refusal(), Some(Code::MethodNotAllowed));
    }),
    ("security.authentication.backchannel_logout_path", |place| {
        let gate = login(place, json!({ "backchannel_logout_path": "/auth/ended" }));
        gate.send(request("POST", "/auth/ended", &[])).permitted();
        let without = login(place, json!({}));
        assert_eq!(without.send(request("POST", "/auth/ended", &[])).refusal(), Some(Code::RouteNotFound));
    }),
    ("security.authentication.response_mode", |place| {
        let gate = login(place, json!({ "response_mode": "form_post" }));
        assert!(location(&gate).ends_with("&response_mode=form_post"));
        gate.send(request("POST", "/auth/callback", &[])).permitted();
        let query = login(place, json!({}));
        assert!(!location(&query).contains("response_mode"));
        assert_eq!(
            query.send(request("POST", "/auth/callback", &[])).refusal(),
            Some(Code::MethodNotAllowed)
        );
    }),
    ("security.authentication.id_token_hint", |place| {
        for keeps in [true, false] {
            let gate = login(place, json!({ "id_token_hint": keeps }));
            let renewal = Renewal { due: NOW, over: NOW, token: "a-refresh-token".to_owned().into() };
            let session = Session { renewal: Some(renewal), ..session() };
            let cookie = format!("{NAME}={}", sealed(SECRET, NAME, &session));
            let answer = gate.send(get(&[("cookie", &cookie)]));
            let told = answer.permitted().told.as_ref().unwrap();
            let (_, set) = told.fields.iter().find(|(name, _)| name == "set-cookie").unwrap();
            let text =
                set.to_str().unwrap().strip_prefix(&format!("{NAME}=")).unwrap().split(';').next().unwrap();
            let sealer = Sealer::new(&[SECRET.as_bytes()], ISSUER, "gate").unwrap();
            let fresh = Session::decode(&sealer.open(Purpose::Session, NAME, text).unwrap()).unwrap();
            assert_eq!(fresh.id_token.is_some(), keeps);
        }
    }),
    ("security.authentication.metadata_url", |place| {
        let at = |path: &str| login(place, json!({ "metadata_url": format!("{ISSUER}{path}") }));
        location(&at("/.well-known/openid-configuration"));
        let page = request_at("app.example.com", "GET", "/a", &[("accept", "text/html")]);
        assert_eq!(at("/nothing").send(page).refusal(), Some(Code::Fault));
    }),
    ("security.authentication.max_session_size", |place| {
        for (size, kept) in [("16KiB", true), ("1KiB", false)] {
            let gate = login(place, json!({ "max_session_size": size }));
            // The session is told anew that it was used, where it fits.
            let large =
                Session { sid: Some("s".repeat(900)), seen: NOW - Duration::from_secs(600), ..session() };
            let answer = gate.send(get(&[("cookie", &format!("{NAME}={}", sealed(SECRET, NAME, &large)))]));
            let told = answer.permitted().told.as_ref();
            let told = told.is_some_and(|told| told.fields.iter().any(|(name, _)| name == "set-cookie"));
            assert_eq!(told, kept, "{size}");
        }
    }),
    ("security.authentication.logged_out_path", |place| {
        let gate = login(place, json!({ "logged_out_path": "/goodbye" }));
        let said = "and go on to https://app.example.com/goodbye";
        assert!(gate.listing.iter().any(|line| line.contains(said)), "{:#?}", gate.listing);
    }),
];

fn method(keys: Value) -> Value {
    let mut method = json!({
        "type": "openid_connect", "issuer": ISSUER, "client_id": "gate", "client_secret": { "env": "TOKEN_SECRET" },
        "public_url": "https://app.example.com", "session_secret": { "env": "TOKEN_SECRET" },
    });
    method.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    method
}

fn login(place: Place, keys: Value) -> Gate {
    place.gate(json!({ "authentication": method(keys), "authorization": { "roles_allowed": ["user"] } }))
}

/// Where a browser is sent.
fn location(gate: &Gate) -> String {
    let fields = [("accept", "text/html")];
    let sent = |request| {
        let answer = gate.send(request);
        assert_eq!(answer.refusal(), Some(Code::LoginRequired), "{:?}", answer.denial);
        answer.headers["location"].to_str().unwrap().to_owned()
    };
    // From another host first to that of `public_url`, where the login begins.
    let first = sent(get(&fields));
    let (home, start) = first.strip_prefix("https://").unwrap().split_once('/').unwrap();
    assert!(start.ends_with("?start=%2Fa"), "{first}");
    let location = sent(request_at(home, "GET", "/a", &fields));
    assert!(location.starts_with("https://auth.example.com/authorize?response_type=code&client_id=gate&"));
    location
}

/// A session of somebody with the role `user`.
fn session() -> Session {
    let roles = Claim::List(vec![Claim::Text("user".into())]);
    Session {
        id: "n".into(),
        subject: "alice".into(),
        claims: Claim::Object(vec![("roles".into(), roles)]),
        scopes: vec!["openid".into()],
        started: NOW,
        seen: NOW,
        sid: None,
        id_token: None,
        renewal: None,
    }
}

fn sealed(secret: &str, name: &str, session: &Session) -> String {
    let sealer = Sealer::new(&[secret.as_bytes()], ISSUER, "gate").unwrap();
    sealer.seal(Purpose::Session, name, [1; 16], session.encode()).unwrap()
}

/// What becomes of a request with this cookie.
fn with(gate: &Gate, name: &str, value: &str) -> Option<Code> {
    gate.send(get(&[("cookie", &format!("{name}={value}"))])).refusal()
}

fn sealed_with(place: Place, secret: Value) {
    let gate = login(place, json!({ "session_secret": secret }));
    assert_eq!(with(&gate, NAME, &sealed(SECRET, NAME, &session())), None);
    assert_eq!(with(&gate, NAME, &sealed(OTHER_SECRET, NAME, &session())), Some(Code::CredentialMalformed));
}

fn several(place: Place, secret: Value) {
    let gate = login(place, json!({ "session_secret": [secret, OTHER_SECRET] }));
    for secret in [SECRET, OTHER_SECRET] {
        assert_eq!(with(&gate, NAME, &sealed(secret, NAME, &session())), None);
    }
    let unknown = sealed("a-third-secret-of-at-least-32-bytes", NAME, &session());
    assert_eq!(with(&gate, NAME, &unknown), Some(Code::CredentialMalformed));
    // The first one seals.
    gate.clock.advance(1800);
    let cookie = format!("{NAME}={}", sealed(OTHER_SECRET, NAME, &session()));
    let answer = gate.send(get(&[("cookie", &cookie)]));
    let told = answer.permitted().told.as_ref().unwrap();
    let (_, set) = told.fields.iter().find(|(name, _)| name == "set-cookie").unwrap();
    let renewed = set.to_str().unwrap().strip_prefix(&format!("{NAME}=")).unwrap().split(';').next().unwrap();
    let opened = |secret: &str| {
        let sealer = Sealer::new(&[secret.as_bytes()], ISSUER, "gate").unwrap();
        sealer.open(Purpose::Session, NAME, renewed).is_some()
    };
    assert!(opened(SECRET) && !opened(OTHER_SECRET));
}

fn ends_after(gate: &Gate, seconds: u64) {
    let cookie = sealed(SECRET, NAME, &session());
    gate.clock.advance(seconds - 1);
    assert_eq!(with(gate, NAME, &cookie), None);
    gate.clock.advance(1);
    assert_eq!(with(gate, NAME, &cookie), Some(Code::CredentialExpired));
}
