//! Documents of authorization servers as real ones write them: judged by what is used, asked for again by their version,
//! and told about once.

use super::support::{Backend, PATIENCE, Reply, Seen, TestClock, World};
use super::{document, get};
use crate::forge::{Signer, now, with};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What a server answers at its paths; the rest is 404. `own` in a text is replaced by its URL.
type Pages = Arc<Mutex<Vec<(&'static str, String)>>>;

const METADATA: &str = "/.well-known/openid-configuration";

async fn server(pages: &Pages) -> Backend {
    let pages = Arc::clone(pages);
    Backend::answering(move |seen| {
        let own = format!("http://{}", seen.fields("host").join(""));
        let pages = pages.lock().unwrap();
        let page = pages.iter().find(|(path, _)| *path == seen.target);
        match page {
            None => Reply::with("404 Not Found", "", ""),
            Some((_, text)) => versioned(seen, &text.replace("OWN", &own)),
        }
    })
    .await
}

/// Answers 304 to one that has this version.
fn versioned(seen: &Seen, text: &str) -> Reply {
    let version = format!("\"{}\"", crate::forge::sha256(text));
    if seen.fields("if-none-match") == [version.as_str()] {
        return Reply::with("304 Not Modified", "CACHE-CONTROL: MAX-AGE=60\r\n", "");
    }
    Reply::with("200 OK", &format!("eTag: {version}\r\ncache-control: Max-Age=60\r\n"), text)
}

fn metadata(other: &Value) -> String {
    let usual = json!({ "issuer": "OWN", "jwks_uri": "OWN/keys", "token_endpoint": "OWN/token" });
    with(&usual, other).to_string()
}

fn token(key: &Signer, issuer: &Backend, header: &Value) -> String {
    let issuer = format!("http://{}", issuer.address);
    let claims = json!({ "iss": issuer, "sub": "alice", "aud": "api", "exp": now() + 600 });
    format!("Authorization: Bearer {}", key.token_with(header, &claims))
}

fn jwt(issuer: &Backend, more: &str) -> String {
    format!("{{ type: jwt, issuer: \"http://{}\", audience: api{more} }}", issuer.address)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_nobody_uses_disables_no_issuer() {
    let backend = Backend::start().await;
    let key = Signer::ec("key");
    let mut odd = key.published();
    for name in ["use", "key_ops", "x5t", "alg"] {
        odd[name] = Value::Null;
    }
    let keys = json!({ "keys": [odd, key.published(), { "kty": "oct", "k": "AA", "kid": "spare" }] });
    let raw_null = r#","introspection_endpoint":null,"end_session_endpoint":"http://logout.example/"}"#;
    let text = metadata(&json!({})).replace("\"}", &format!("\"{raw_null}"));
    let pages: Pages = Arc::new(Mutex::new(vec![(METADATA, text), ("/keys", keys.to_string())]));
    let issuer = server(&pages).await;
    let world = World::start(&document(&backend, &[("/data", &jwt(&issuer, ", min_refresh: 100ms"))]));
    let good = token(&key, &issuer, &json!({}));
    assert_eq!(get(&world, "/data", &[&good]).await.status, 200, "{:?}", world.records.lines());
    let told = |world: &World| -> Vec<String> {
        world.records.notices().into_iter().filter(|notice| notice.contains("left out")).collect()
    };
    let [first] = &told(&world)[..] else { panic!("{:?}", world.records.notices()) };
    assert!(first.contains("its end_session_endpoint: it is not protected by TLS"), "{first}");
    assert!(first.contains("key `spare`: it is a shared secret"), "{first}");
    // Fetched again, it is not told again.
    tokio::time::sleep(Duration::from_millis(150)).await;
    let unknown = token(&key, &issuer, &json!({ "kid": "unknown" }));
    assert_eq!(get(&world, "/data", &[&unknown]).await.status, 401);
    assert_eq!(issuer.seen().iter().filter(|seen| seen.target == "/keys").count(), 2);
    assert_eq!(told(&world).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_set_is_asked_for_by_its_version() {
    let backend = Backend::start().await;
    let (old, new) = (Signer::ec("old"), Signer::ec("new"));
    let keys = |keys: &[&Signer]| {
        json!({ "keys": keys.iter().map(|key| key.published()).collect::<Vec<_>>() }).to_string()
    };
    let pages: Pages = Arc::new(Mutex::new(vec![(METADATA, metadata(&json!({}))), ("/keys", keys(&[&old]))]));
    let issuer = server(&pages).await;
    let clock = TestClock::default();
    let text = document(&backend, &[("/data", &jwt(&issuer, ", min_refresh: 100ms, stale_keys: 1h"))]);
    let world = World::start_by(&text, clock.clone());
    let good = token(&old, &issuer, &json!({}));
    assert_eq!(get(&world, "/data", &[&good]).await.status, 200);
    let asked = || issuer.seen().into_iter().filter(|seen| seen.target == "/keys").collect::<Vec<_>>();
    let again = async |number: usize| {
        tokio::time::sleep(Duration::from_millis(150)).await;
        let unknown = token(&old, &issuer, &json!({ "kid": format!("unknown-{number}") }));
        assert_eq!(get(&world, "/data", &[&unknown]).await.status, 401);
    };
    again(1).await;
    let seen = asked();
    assert_eq!(seen.len(), 2);
    assert!(seen[0].fields("if-none-match").is_empty());
    assert_eq!(seen[1].fields("if-none-match").len(), 1, "it has one, and says so");
    assert_eq!(get(&world, "/data", &[&good]).await.status, 200, "304 means the same keys");

    // Another version has other keys.
    pages.lock().unwrap()[1].1 = keys(&[&new]);
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(get(&world, "/data", &[&token(&new, &issuer, &json!({}))]).await.status, 200);
    assert_eq!(get(&world, "/data", &[&good]).await.status, 401, "a key that is dropped is dropped");

    // 304 to whoever has nothing is no key set.
    let liar = Backend::answering(|seen| match seen.target.as_str() {
        "/keys" => Reply::with("304 Not Modified", "", ""),
        _ => {
            let own = format!("http://{}", seen.fields("host").join(""));
            Reply::with("200 OK", "", &metadata(&json!({})).replace("OWN", &own))
        }
    })
    .await;
    let world = World::start(&document(&backend, &[("/data", &jwt(&liar, ""))]));
    assert_eq!(get(&world, "/data", &[&token(&old, &liar, &json!({}))]).await.status, 503);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_without_names_change_as_others_do() {
    let backend = Backend::start().await;
    let (old, new) = (Signer::ec("x"), Signer::ec("x"));
    let nameless = |key: &Signer| json!({ "keys": [with(&key.published(), &json!({ "kid": null }))] });
    let pages: Pages =
        Arc::new(Mutex::new(vec![(METADATA, metadata(&json!({}))), ("/keys", nameless(&old).to_string())]));
    let issuer = server(&pages).await;
    let world = World::start(&document(&backend, &[("/data", &jwt(&issuer, ", min_refresh: 100ms"))]));
    let bare = json!({ "kid": null });
    assert_eq!(get(&world, "/data", &[&token(&old, &issuer, &bare)]).await.status, 200);
    pages.lock().unwrap()[1].1 = nameless(&new).to_string();
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(get(&world, "/data", &[&token(&new, &issuer, &bare)]).await.status, 200);
    // A forger causes one fetch in that time, and no more.
    let before = issuer.seen().len();
    let thief = Signer::ec("x");
    for _ in 0..5 {
        assert_eq!(get(&world, "/data", &[&token(&thief, &issuer, &bare)]).await.status, 401);
    }
    assert!(issuer.seen().len() <= before + 4, "{:?}", issuer.seen().len() - before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_discovery_says_what_came_closest() {
    let backend = Backend::start().await;
    let other = metadata(&json!({ "issuer": "https://tenant.example/v2.0" }));
    let elsewhere = metadata(&json!({ "token_endpoint": "OWN/oauth/token" }));
    for (path, text, method, expected) in [
        (
            METADATA,
            &other,
            "type: OAuth2, token_url: \"OWN/a/token\"",
            "add `issuer: https://tenant.example/v2.0`",
        ),
        (
            METADATA,
            &elsewhere,
            "type: OAuth2, token_url: \"OWN/a/token\"",
            "names the token endpoint `OWN/oauth/token` and not `OWN/a/token`",
        ),
        (
            METADATA,
            &other,
            "type: jwt, issuer: \"OWN\", audience: api",
            "write `issuer: https://tenant.example/v2.0`",
        ),
        ("/none", &other, "type: jwt, issuer: \"OWN\", audience: api", "answered with status 404"),
    ] {
        let pages: Pages = Arc::new(Mutex::new(vec![(path, text.clone())]));
        let issuer = server(&pages).await;
        let own = format!("http://{}", issuer.address);
        let method = format!("{{ {} }}", method.replace("OWN", &own));
        let world = World::start(&document(&backend, &[("/data", &method)]));
        let expected = expected.replace("OWN", &own);
        let key = Signer::ec("key");
        assert_eq!(get(&world, "/data", &[&token(&key, &issuer, &json!({}))]).await.status, 503);
        let told = async {
            while !world.records.notices().iter().any(|notice| notice.contains(&expected)) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let told = tokio::time::timeout(PATIENCE, told).await;
        assert!(told.is_ok(), "{expected}: {:?}", world.records.notices());
        let records = world.end().await.all();
        let detail = records.last().unwrap()["denied"]["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(&expected), "{detail}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_of_any_set_verifies() {
    let backend = Backend::start().await;
    // Two sets that call different keys the same, of different families; and a key that neither has.
    let (rsa, ec, other) = (Signer::rsa("key"), Signer::ec("key"), Signer::ec("other"));
    let keys = |signer: &Signer| json!({ "keys": [signer.published()] }).to_string();
    let pages: Pages = Arc::new(Mutex::new(vec![
        (METADATA, metadata(&json!({}))),
        ("/keys", keys(&rsa)),
        ("/more", keys(&ec)),
        ("/third", keys(&rsa)),
    ]));
    let issuer = server(&pages).await;
    let own = format!("http://{}", issuer.address);
    let method =
        jwt(&issuer, &format!(", min_refresh: 100ms, more_jwks_urls: [\"{own}/more\", \"{own}/third\"]"));
    let clock = TestClock::default();
    let world = World::start_by(&document(&backend, &[("/data", &method)]), clock.clone());
    for good in [&rsa, &ec] {
        assert_eq!(get(&world, "/data", &[&token(good, &issuer, &json!({}))]).await.status, 200);
    }
    // The public text of one key as a secret, the name of one set's key with the other's algorithm, an unknown key.
    let secret = Signer::secret("key", "HS256", rsa.pem().as_bytes());
    for bad in [
        token(&secret, &issuer, &json!({ "kid": "key" })),
        token(&ec, &issuer, &json!({ "alg": "RS256" })),
        token(&rsa, &issuer, &json!({ "alg": "ES256" })),
        token(&other, &issuer, &json!({})),
    ] {
        assert_eq!(get(&world, "/data", &[&bad]).await.status, 401);
    }
    // A key that is dropped from one set drops its tokens, and one that is added there is found.
    pages.lock().unwrap()[2] = ("/more", keys(&other));
    clock.pass(Duration::from_secs(61));
    let fresh = token(&other, &issuer, &json!({}));
    assert_eq!(get(&world, "/data", &[&fresh]).await.status, 200, "{:?}", world.records.lines().last());
    assert_eq!(get(&world, "/data", &[&token(&ec, &issuer, &json!({}))]).await.status, 401);
    world.end().await;
    // Where one of them was never there, nobody can tell.
    pages.lock().unwrap().remove(2);
    let world = World::start(&document(&backend, &[("/data", &method)]));
    assert_eq!(get(&world, "/data", &[&token(&rsa, &issuer, &json!({}))]).await.status, 503);
    world.end().await;
}
