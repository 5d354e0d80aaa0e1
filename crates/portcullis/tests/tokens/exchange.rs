//! Tokens that are exchanged for the upstream (RFC 8693): at a server that checks every field of the question, and at servers that are
//! slow, gone, or answer with something else.

use super::support::{Backend, OidcProvider, Reply, Seen, TestClock, World};
use super::{get, get_from};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const SECRET: &str = "a-secret-of-the-exchange-0123456789";
const ACCESS: &str = "urn:ietf:params:oauth:token-type:access_token";

/// The fields of a form, each of which may stand there once.
fn form(seen: &Seen) -> BTreeMap<String, String> {
    let text = String::from_utf8(seen.body.clone()).unwrap();
    let mut fields = BTreeMap::new();
    for pair in text.split('&') {
        let (name, value) = pair.split_once('=').unwrap();
        let value = decoded(value);
        assert!(fields.insert(name.to_owned(), value).is_none(), "{name} repeats");
    }
    fields
}

/// A value without its percent-encoding.
fn decoded(value: &str) -> String {
    let mut parts = value.split('%');
    let mut bytes = parts.next().unwrap().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).unwrap()
}

/// A server that exchanges tokens of anybody for tokens of `orders`, and is strict about the question.
fn strict(seen: &Seen) -> Result<Value, &'static str> {
    if seen.line() != "POST /token" || seen.fields("content-type") != ["application/x-www-form-urlencoded"] {
        return Err("invalid_request");
    }
    if !seen.fields("authorization").is_empty() {
        return Err("invalid_client");
    }
    let mut fields = form(seen);
    let mut take = |name: &str| fields.remove(name).unwrap_or_default();
    if (take("client_id").as_str(), take("client_secret").as_str()) != ("gateway", SECRET) {
        return Err("invalid_client");
    }
    if take("grant_type") != "urn:ietf:params:oauth:grant-type:token-exchange" {
        return Err("unsupported_grant_type");
    }
    let subject = take("subject_token");
    let asks = [take("subject_token_type"), take("requested_token_type"), take("audience"), take("scope")];
    if asks != [ACCESS, ACCESS, "orders", "orders.read"] || subject.is_empty() || !fields.is_empty() {
        return Err("invalid_request");
    }
    let claims: Value = serde_json::from_slice(&super::decode(subject.split('.').nth(1).unwrap())).unwrap();
    let who = claims["sub"].as_str().unwrap();
    if who == "carol" {
        return Err("invalid_target");
    }
    Ok(json!({
        "access_token": format!("exchanged-for-{who}"), "issued_token_type": ACCESS, "token_type": "Bearer",
        "expires_in": 300, "scope": "orders.read",
    }))
}

fn answer(said: &Result<Value, &'static str>) -> Reply {
    let json = "Content-Type: application/json\r\nCache-Control: no-store\r\n";
    match said {
        Ok(body) => Reply::with("200 OK", json, &body.to_string()),
        Err(error) => {
            let body = json!({ "error": error, "error_description": "a secret of the server" });
            Reply::with("400 Bad Request", json, &body.to_string())
        }
    }
}

fn document(provider: &OidcProvider, server: &Backend, backend: &Backend) -> String {
    let issuer = &provider.issuer;
    format!(
        "listeners: [{{ bind: \"127.0.0.1:0\" }}]\nworkers: 2\noutbound: {{ allow: [\"127.0.0.0/8\"] }}\n\
         routes:\n  - path: /data\n    upstream: \"http://{}\"\n    security:\n      \
         authentication: {{ type: jwt, issuer: \"{issuer}\", audience: \"urn:jwt:ES256\" }}\n      \
         token_exchange: {{ token_url: \"http://{}/token\", client_id: gateway, client_secret: {SECRET}, \
         client_authentication: client_secret_post, audience: orders, scopes: [orders.read] }}\n",
        backend.address, server.address
    )
}

async fn token(provider: &OidcProvider, who: &str, seconds: u64) -> String {
    let token = provider.mint(who, "urn:jwt:ES256", "read", json!({ "seconds": seconds })).await;
    format!("Authorization: Bearer {token}")
}

fn denied(world: &World) -> (String, String) {
    let records = world.records.all();
    let denied = records.iter().rev().find_map(|record| record.get("denied").filter(|one| !one.is_null()));
    let text = |name: &str| denied.unwrap()[name].as_str().unwrap().to_owned();
    (text("code"), text("detail"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_upstream_gets_a_token_that_is_meant_for_it() {
    let provider = OidcProvider::start().await;
    let backend = Backend::start().await;
    let server = Backend::answering(|seen| answer(&strict(seen))).await;
    let clock = TestClock::default();
    let world = World::start_by(&document(&provider, &server, &backend), clock.clone());
    let alice = token(&provider, "alice", 600).await;
    let root = token(&provider, "root", 120).await;
    for _ in 0..4 {
        assert_eq!(get(&world, "/data", &[&alice]).await.status, 200, "{:?}", world.records.lines().last());
        assert_eq!(get(&world, "/data", &[&root]).await.status, 200);
    }
    // Each worker caches for itself.
    assert!((2..=4).contains(&server.seen().len()), "{}", server.seen().len());
    for seen in backend.seen() {
        let who = seen.fields("x-consumer-name")[0].to_owned();
        assert_eq!(seen.fields("authorization"), [format!("Bearer exchanged-for-{who}")]);
        let own = if who == "alice" { &alice } else { &root };
        let own = own.strip_prefix("Authorization: Bearer ").unwrap();
        assert!(!String::from_utf8_lossy(&seen.head).contains(own), "the caller's token went on");
    }
    // A server that refuses is not asked again at once; its description, which can hold anything, is shown to nobody.
    let carol = token(&provider, "carol", 600).await;
    let (before, begun) = (server.seen().len(), Instant::now());
    for _ in 0..6 {
        let refused = get(&world, "/data", &[&carol]).await;
        assert_eq!(refused.status, 503);
        assert!(refused.fields("www-authenticate").is_empty());
        let (code, detail) = denied(&world);
        assert_eq!(code, "fault");
        assert!(detail.ends_with("answered with status 400 and `invalid_target`"), "{detail}");
    }
    // Once for each worker, and again after 5 s.
    let most = 2 + 2 * usize::try_from(begun.elapsed().as_secs() / 5).unwrap();
    assert!(server.seen().len() <= before + most);
    // The caller's own token ends first.
    clock.pass(Duration::from_secs(200));
    let late = get(&world, "/data", &[&root]).await;
    assert_eq!((late.status, denied(&world).0.as_str()), (401, "credential_expired"));
    // The exchanged one ends first, and is exchanged again.
    let before = server.seen().len();
    clock.pass(Duration::from_secs(100));
    assert_eq!(get(&world, "/data", &[&alice]).await.status, 200);
    assert_eq!(server.seen().len(), before + 1);
    // A token that another issuer signed is exchanged by nobody.
    let before = server.seen().len();
    let other = OidcProvider::start().await;
    assert_eq!(get(&world, "/data", &[&token(&other, "alice", 600).await]).await.status, 401);
    assert_eq!(get(&world, "/data", &[]).await.status, 401);
    assert_eq!(server.seen().len(), before);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_at_once_cause_one_exchange() {
    let provider = OidcProvider::start().await;
    let backend = Backend::start().await;
    let server = Backend::answering(|seen| {
        // Long enough for all of them to come meanwhile; each answer is right whether they do or not.
        std::thread::sleep(Duration::from_millis(500));
        answer(&strict(seen))
    })
    .await;
    let world = World::start(&document(&provider, &server, &backend));
    let alice = token(&provider, "alice", 600).await;
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (address, field) = (world.address, alice.clone());
        asking.spawn(async move { get_from(address, "/data", &[&field]).await.status });
    }
    assert_eq!(asking.join_all().await, vec![200; 20]);
    assert!(server.seen().len() <= 2, "one for each worker at most: {}", server.seen().len());
    assert_eq!(backend.seen().len(), 20);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_fails_lets_nothing_through() {
    let provider = OidcProvider::start().await;
    let backend = Backend::start().await;
    let alice = token(&provider, "alice", 600).await;
    let good = json!({ "access_token": "a", "issued_token_type": ACCESS, "token_type": "Bearer" });
    let with = |member: &str, value: Value| {
        let mut said = good.clone();
        said[member] = value;
        Reply::with("200 OK", "", &said.to_string())
    };
    let huge = format!("{{\"access_token\":\"{}\"}}", "a".repeat(1024 * 1024));
    for (what, reply) in [
        ("no token", with("access_token", Value::Null)),
        ("no bearer token", with("token_type", json!("N_A"))),
        (
            "a refresh token",
            with("issued_token_type", json!("urn:ietf:params:oauth:token-type:refresh_token")),
        ),
        ("a second field", with("access_token", json!("a\r\nX-Admin: 1"))),
        ("a huge answer", Reply::with("200 OK", "", &huge)),
        ("no JSON", Reply::with("200 OK", "", "<html>")),
        ("401", Reply::with("401 Unauthorized", "", "{\"error\":\"invalid_client\"}")),
        ("403", Reply::with("403 Forbidden", "", "")),
        ("500", Reply::with("500 Internal Server Error", "", "")),
        ("a redirect", Reply::with("302 Found", "Location: http://127.0.0.1:1/\r\n", "")),
        ("nobody", Reply::Close),
        ("silence", Reply::Silence),
    ] {
        let server = Backend::answering(move |_| reply.clone()).await;
        let world = World::start(&document(&provider, &server, &backend));
        let refused = get(&world, "/data", &[&alice]).await;
        assert_eq!(refused.status, 503, "{what}");
        assert!(refused.fields("www-authenticate").is_empty(), "{what}");
        let (code, detail) = denied(&world);
        assert!(code == "fault" && detail.starts_with("token exchange: "), "{what}: {code} {detail}");
        world.end().await;
    }
    assert!(backend.seen().is_empty());
}
