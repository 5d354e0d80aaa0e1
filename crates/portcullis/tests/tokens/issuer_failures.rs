//! An issuer that is down, slow, or says something else than it should, and clients that try to make the gateway ask it
//! again and again. Every fetch is counted by the issuer.

use super::support::{Backend, OidcProvider, PATIENCE, Reply, TestClock, World};
use super::{document, get, get_as, get_from, oauth2};
use crate::forge::{Signer, now};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::task::JoinSet;

const METADATA: &str = "/.well-known/openid-configuration";
/// Where RFC 8414 puts it; the provider has it in both places.
const OTHER_METADATA: &str = "/.well-known/oauth-authorization-server";

async fn user(provider: &OidcProvider) -> String {
    format!("Authorization: Bearer {}", provider.mint("alice", "urn:jwt:ES256", "read", json!({})).await)
}

/// Asks again until the answer is this one.
async fn until(world: &World, field: &str, status: u16) {
    let asking = async {
        while get(world, "/data", &[field]).await.status != status {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let asked = tokio::time::timeout(PATIENCE, asking).await;
    assert!(asked.is_ok(), "never {status}: {:?}", world.records.lines().last());
}

/// The code of the last refusal.
async fn last_code(world: World) -> Value {
    world.end().await.all().last().unwrap()["denied"]["code"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_that_is_down_at_the_start_is_found_when_it_is_up() {
    let provider = OidcProvider::start().await;
    let backend = Backend::start().await;
    let field = user(&provider).await;
    provider.down().await;
    let world = World::start(&document(&backend, &[("/data", &oauth2(&provider, ""))]));
    let answer = get(&world, "/data", &[&field]).await;
    assert_eq!(answer.status, 503, "nobody can tell, so it is no 401");
    assert!(backend.seen().is_empty());
    provider.up().await;
    until(&world, &field, 200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_good_keys_serve_for_the_stated_time_and_no_longer() {
    let provider = OidcProvider::start().await;
    let backend = Backend::start().await;
    let clock = TestClock::default();
    let method = oauth2(&provider, "stale_keys: 6h, cached_tokens: 100");
    let uncached = oauth2(&provider, "stale_keys: 6h, cached_tokens: 0");
    let document = document(&backend, &[("/data", &method), ("/uncached", &uncached)]);
    let world = World::start_by(&document, clock.clone());
    let field = user(&provider).await;
    let both = async || {
        let remembered = get(&world, "/data", &[&field]).await.status;
        (remembered, get(&world, "/uncached", &[&field]).await.status)
    };
    assert_eq!(both().await, (200, 200));
    provider.down().await;
    // The provider does not say how long its keys are good, so they are due after five minutes.
    clock.pass_by_no_calendar(Duration::from_secs(300 + 6 * 3600 - 60));
    assert_eq!(both().await, (200, 200));
    clock.pass_by_no_calendar(Duration::from_secs(61));
    assert_eq!(both().await, (503, 503), "also a token that is remembered");
    let seen = backend.seen().len();
    assert_eq!(seen, 4);
    assert_eq!(last_code(world).await, "fault");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_issuer_delays_the_first_requests_and_refuses_none() {
    let provider = OidcProvider::start().await;
    let backend = Backend::start().await;
    let field = user(&provider).await;
    provider.fault("/jwks", "slow", json!({ "ms": 1000 })).await;
    let world = World::start(&document(&backend, &[("/data", &oauth2(&provider, ""))]));
    let mut asking = JoinSet::new();
    for _ in 0..10 {
        let (address, field) = (world.address, field.clone());
        asking.spawn(async move { get_from(address, "/data", &[&field]).await.status });
    }
    assert_eq!(asking.join_all().await, vec![200; 10]);
    assert_eq!(provider.count("/jwks").await, 1, "ten requests waited for one fetch");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_is_no_key_set_and_does_not_displace_one() {
    let provider = OidcProvider::start().await;
    let backend = Backend::start().await;
    let lure = Backend::start().await;
    let field = user(&provider).await;
    let elsewhere = json!({ "location": format!("http://{}/jwks", lure.address) });
    for (path, kind, more) in [
        ("/jwks", "garbage", json!({})),
        ("/jwks", "huge", json!({})),
        ("/jwks", "status", json!({ "status": 500 })),
        ("/jwks", "status", json!({ "status": 404 })),
        ("/jwks", "redirect", elsewhere.clone()),
        (METADATA, "garbage", json!({})),
        (METADATA, "huge", json!({})),
        (METADATA, "redirect", elsewhere),
    ] {
        let paths = if path == METADATA { vec![METADATA, OTHER_METADATA] } else { vec![path] };
        for path in &paths {
            provider.fault(path, kind, more.clone()).await;
        }
        let world = World::start(&document(&backend, &[("/data", &oauth2(&provider, ""))]));
        let answer = get(&world, "/data", &[&field]).await;
        assert_eq!(answer.status, 503, "{path} {kind}");
        for path in paths {
            provider.heal(path).await;
        }
        until(&world, &field, 200).await;
    }
    assert!(lure.seen().is_empty(), "a redirect was followed");

    // Once there are good keys, garbage changes nothing for the tokens that they verify.
    let world = World::start(&document(&backend, &[("/data", &oauth2(&provider, "min_refresh: 100ms"))]));
    assert_eq!(get(&world, "/data", &[&field]).await.status, 200);
    provider.fault("/jwks", "garbage", json!({})).await;
    provider.rotate_keys(true).await;
    let fresh = user(&provider).await;
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(get(&world, "/data", &[&fresh]).await.status, 401, "its key is not known");
    assert_eq!(get(&world, "/data", &[&field]).await.status, 200);
    provider.heal("/jwks").await;
    until(&world, &fresh, 200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_neighbour_of_the_gateway_is_not_asked() {
    let provider = OidcProvider::start().await;
    let backend = Backend::start().await;
    let field = user(&provider).await;
    let port = provider.address.port();
    for url in [
        provider.issuer.clone(),
        // The same by a name.
        format!("http://localhost:{port}"),
    ] {
        let method = format!("{{ type: OAuth2, token_url: \"{url}/token\" }}");
        let document = document(&backend, &[("/data", &method)]);
        let unlisted = document.replace("outbound: { allow: [\"127.0.0.0/8\"] }\n", "");
        assert_ne!(document, unlisted);
        let world = World::start(&unlisted);
        assert_eq!(get(&world, "/data", &[&field]).await.status, 503, "{url}");
        assert_eq!(provider.count(METADATA).await, 0, "{url}");
    }

    // Metadata that sends the gateway to a neighbour.
    let lure = Backend::start().await;
    let address = lure.address;
    let liar = Backend::answering(move |seen| {
        let own = format!("http://{}", seen.fields("host").join(""));
        let metadata = json!({
            "issuer": own, "token_endpoint": format!("{own}/token"),
            "jwks_uri": format!("http://127.99.0.1:{}/jwks", address.port()),
        });
        Reply::with("200 OK", "", &metadata.to_string())
    })
    .await;
    let method = format!("{{ type: OAuth2, token_url: \"http://{}/token\" }}", liar.address);
    let document = document(&backend, &[("/data", &method)]);
    let world = World::start(&document.replace("127.0.0.0/8", "127.0.0.1/32"));
    assert_eq!(get(&world, "/data", &[&field]).await.status, 503);
    assert!(!liar.seen().is_empty() && lure.seen().is_empty());
    assert!(backend.seen().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metadata_speaks_for_its_own_issuer_and_token_endpoint() {
    let backend = Backend::start().await;
    let key = Signer::ec("key");
    let keys = json!({ "keys": [key.published()] }).to_string();
    for (name, issuer, endpoint, status) in [
        ("its own", "", "/token", 200),
        ("another issuer", "/other", "/token", 503),
        ("another token endpoint", "", "/token2", 503),
        ("no token endpoint", "", "", 503),
    ] {
        let keys = keys.clone();
        let server = Backend::answering(move |seen| {
            let own = format!("http://{}", seen.fields("host").join(""));
            let metadata = json!({
                "issuer": format!("{own}{issuer}"), "jwks_uri": format!("{own}/jwks"),
                "token_endpoint": (!endpoint.is_empty()).then(|| format!("{own}{endpoint}")),
            });
            let text = if seen.target == "/jwks" { keys.clone() } else { metadata.to_string() };
            Reply::with("200 OK", "", &text)
        })
        .await;
        let own = format!("http://{}", server.address);
        let method = format!("{{ type: OAuth2, token_url: \"{own}/token\" }}");
        let world = World::start(&document(&backend, &[("/data", &method)]));
        for said in [own.clone(), format!("{own}{issuer}")] {
            let claims = json!({ "iss": said, "sub": "alice", "exp": now() + 600 });
            let field = format!("Authorization: Bearer {}", key.token(&claims));
            assert_eq!(get(&world, "/data", &[&field]).await.status, status, "{name}");
        }
    }
    assert_eq!(backend.seen().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_unknown_keys_cost_the_issuer_one_fetch() {
    let provider = OidcProvider::start().await;
    let backend = Backend::start().await;
    let clock = TestClock::default();
    let world = World::start_by(&document(&backend, &[("/data", &oauth2(&provider, ""))]), clock.clone());
    let good = user(&provider).await;
    assert_eq!(get(&world, "/data", &[&good]).await.status, 200);
    let thief = Signer::ec("");
    let claims = json!({ "iss": provider.issuer, "sub": "root", "exp": now() + 600 });
    let flood = async |from: usize| {
        for number in from..from + 500 {
            let token = thief.token_with(&json!({ "kid": format!("key-{number}") }), &claims);
            let answer = get(&world, "/data", &[&format!("Authorization: Bearer {token}")]).await;
            assert_eq!(answer.status, 401);
        }
    };
    assert_eq!((provider.count("/jwks").await, provider.count(METADATA).await), (1, 1));
    flood(0).await;
    assert_eq!(provider.count("/jwks").await, 1, "the keys were fetched a moment ago");
    // When the time is over, all of them together cause one more.
    clock.pass(Duration::from_secs(10));
    flood(500).await;
    assert_eq!((provider.count("/jwks").await, provider.count(METADATA).await), (2, 2));
    assert_eq!(get(&world, "/data", &[&good]).await.status, 200);
    assert_eq!(backend.seen().len(), 2);
}

/// A server that is slow, and one address that brings a made-up token after the other: whoever comes from another one is served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_address_does_not_keep_others_from_asking() {
    let provider = OidcProvider::start().await;
    let backend = Backend::start().await;
    let secret = OidcProvider::SECRET;
    let method = oauth2(&provider, &format!("client_id: gateway, client_secret: {secret}"));
    let world = World::start(&document(&backend, &[("/data", &method)]));
    assert_eq!(
        get_as("127.2.9.1", world.address, "/data", &["Authorization: Bearer first"]).await.status,
        401
    );
    provider.fault("/token/introspection", "slow", json!({ "ms": 1500 })).await;
    let before = provider.count("/token/introspection").await;
    let mut flood = JoinSet::new();
    for number in 0..200 {
        let address = world.address;
        flood.spawn(async move {
            let field = format!("Authorization: Bearer made-up-{number}");
            get_as("127.2.4.1", address, "/data", &[&field]).await.status
        });
    }
    while provider.count("/token/introspection").await < before + 32 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(provider.count("/token/introspection").await, before + 32, "its share, and no more");
    let mut others = JoinSet::new();
    for number in 0..8 {
        let address = world.address;
        others.spawn(async move {
            let source = format!("127.2.5.{}", number + 1);
            let field = format!("Authorization: Bearer other-{number}");
            get_as(&source, address, "/data", &[&field]).await.status
        });
    }
    // The answer, and not that there was no time to ask.
    while let Some(status) = others.join_next().await {
        assert_eq!(status.unwrap(), 401);
    }
    flood.abort_all();
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_opaque_tokens_does_not_keep_the_gateway_from_its_keys() {
    let provider = OidcProvider::start().await;
    let backend = Backend::start().await;
    let secret = OidcProvider::SECRET;
    let method =
        oauth2(&provider, &format!("min_refresh: 100ms, client_id: gateway, client_secret: {secret}"));
    let world = World::start(&document(&backend, &[("/data", &method)]));
    let good = user(&provider).await;
    assert_eq!(get(&world, "/data", &[&good]).await.status, 200);

    // The same wrong token costs one question; different ones cost one each, at most.
    for number in 0..50 {
        let source = format!("127.2.1.{}", number + 1);
        let answer = get_as(&source, world.address, "/data", &["Authorization: Bearer made-up"]).await;
        assert_eq!(answer.status, 401);
    }
    assert_eq!(provider.count("/token/introspection").await, 1);
    // Whoever tries many from one address is not asked about for long.
    for number in 0..50 {
        let field = format!("Authorization: Bearer guess-{number}");
        let answer = get_as("127.2.2.1", world.address, "/data", &[&field]).await;
        assert!(matches!(answer.status, 401 | 429), "{}", answer.status);
    }
    let asked = provider.count("/token/introspection").await;
    assert!(asked < 30, "{asked}");

    // More than may be asked at once, of a server that does not answer in time.
    provider.fault("/token/introspection", "slow", json!({ "ms": 20_000 })).await;
    let mut flood = JoinSet::new();
    for number in 0..150 {
        let address = world.address;
        // One address alone gets no more than half.
        let source = format!("127.2.3.{}", number % 3 + 1);
        flood.spawn(async move {
            let field = format!("Authorization: Bearer made-up-{number}");
            get_as(&source, address, "/data", &[&field]).await.status
        });
    }
    while provider.count("/token/introspection").await < asked + 60 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Meanwhile a key that is new is found, and tokens pass.
    provider.rotate_keys(true).await;
    let fresh = user(&provider).await;
    let begun = std::time::Instant::now();
    assert_eq!(get(&world, "/data", &[&fresh]).await.status, 200, "{:?}", world.records.lines().last());
    // Had it waited for its turn behind the flood, it would have waited for the end of the flood's five seconds.
    assert!(begun.elapsed() < Duration::from_millis(2500), "{:?}", begun.elapsed());
    assert_eq!(get(&world, "/data", &[&good]).await.status, 200);
    assert_eq!(flood.join_all().await, vec![503; 150], "a server that does not answer is no 401");
    assert!(provider.count("/token/introspection").await <= asked + 150);
    assert_eq!(backend.seen().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_down_does_not_speak_for_the_others() {
    let (down, provider) = (OidcProvider::start().await, OidcProvider::start().await);
    let backend = Backend::start().await;
    let more = format!("client_id: gateway, client_secret: {}", OidcProvider::SECRET);
    let method = format!("{{ any: [{}, {}] }}", oauth2(&down, &more), oauth2(&provider, &more));
    down.down().await;
    let world = World::start(&document(&backend, &[("/data", &method)]));
    let signed = user(&provider).await;
    let opaque = provider.mint("alice", "urn:opaque:a", "read", json!({})).await;
    assert_eq!(get(&world, "/data", &[&signed]).await.status, 200);
    assert_eq!(get(&world, "/data", &[&format!("Authorization: Bearer {opaque}")]).await.status, 200);
    let unknown = get(&world, "/data", &["Authorization: Bearer made-up"]).await;
    assert_eq!(unknown.status, 503, "the one that is down might know it");
    assert_eq!(backend.seen().len(), 2);
}
