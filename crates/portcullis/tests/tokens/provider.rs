//! What the gateway gets from a real provider: metadata, keys that change, and answers about opaque tokens.

use super::support::{self, Backend, OidcProvider, PATIENCE, Reply, TestClock, World};
use super::{document, get, get_as, oauth2};
use crate::forge::{Proof, Signer};
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_token_endpoint_is_all_that_is_needed() {
    let provider = OidcProvider::start().await;
    let backend = Backend::start().await;
    let world = World::start(&document(&backend, &[("/data", &oauth2(&provider, ""))]));
    for algorithm in ["RS256", "PS256", "ES256", "EdDSA"] {
        for _ in 0..3 {
            let token = provider.client_token("machine", &format!("urn:jwt:{algorithm}"), "read").await;
            let answer = get(&world, "/data", &[&format!("Authorization: Bearer {token}")]).await;
            assert_eq!(answer.status, 200, "{algorithm}: {:?}", world.records.lines());
        }
    }
    assert_eq!(provider.count("/jwks").await, 1, "keys are fetched once");
    for seen in backend.seen() {
        assert!(seen.fields("authorization").is_empty(), "a credential went on: {seen:?}");
        assert_eq!(seen.fields("x-consumer-name"), ["machine"]);
        assert_eq!(seen.fields("x-consumer-issuer"), [provider.issuer.as_str()]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_change_while_requests_flow() {
    let provider = OidcProvider::start().await;
    let backend = Backend::start().await;
    let method = oauth2(&provider, "min_refresh: 100ms");
    let world = World::start(&document(&backend, &[("/data", &method)]));
    let flowing = async {
        let mut tokens = Vec::new();
        for round in 0..60 {
            let algorithm = ["RS256", "PS256", "ES256", "EdDSA"][round % 4];
            let token = provider.mint("alice", &format!("urn:jwt:{algorithm}"), "read", json!({})).await;
            let field = format!("Authorization: Bearer {token}");
            let fields = [field.as_str()];
            let (one, other) = tokio::join!(get(&world, "/data", &fields), get(&world, "/data", &fields));
            assert_eq!((one.status, other.status), (200, 200), "{round}: {:?}", world.records.lines().last());
            tokens.push(token);
        }
        tokens
    };
    let changing = async {
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(300)).await;
            provider.rotate_keys(true).await;
        }
    };
    let (tokens, ()) = tokio::join!(flowing, changing);
    assert!(provider.count("/jwks").await <= 1 + 3 + 1, "a change of keys costs a fetch");

    // The provider drops every key that it had: tokens that passed a moment ago, and are remembered, pass no more.
    let remembered = format!("Authorization: Bearer {}", tokens[59]);
    assert_eq!(get(&world, "/data", &[&remembered]).await.status, 200);
    provider.rotate_keys(false).await;
    tokio::time::sleep(Duration::from_millis(150)).await;
    let fresh = provider.mint("alice", "urn:jwt:ES256", "read", json!({})).await;
    assert_eq!(get(&world, "/data", &[&format!("Authorization: Bearer {fresh}")]).await.status, 200);
    let answer = get(&world, "/data", &[&remembered]).await;
    assert_eq!(answer.status, 401);
    let records = world.end().await.all();
    assert_eq!(records.last().unwrap()["denied"]["code"], "token_key_unknown");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_opaque_token_is_asked_about_once_and_its_end_is_seen() {
    let provider = OidcProvider::start().await;
    let backend = Backend::start().await;
    let clock = TestClock::default();
    let secret = OidcProvider::SECRET;
    let method = oauth2(
        &provider,
        &format!("audience: \"urn:opaque:a\", client_id: gateway, client_secret: {secret}"),
    );
    let world = World::start_by(&document(&backend, &[("/data", &method)]), clock.clone());
    let token = provider.mint("alice", "urn:opaque:a", "read", json!({})).await;
    let field = format!("Authorization: Bearer {token}");

    // Slow enough for all of them to wait for one answer.
    provider.fault("/token/introspection", "slow", json!({ "ms": 500 })).await;
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (address, field) = (world.address, field.clone());
        asking.spawn(async move { super::get_from(address, "/data", &[&field]).await.status });
    }
    assert_eq!(asking.join_all().await, vec![200; 20]);
    provider.heal("/token/introspection").await;
    // Each worker remembers for itself, so another one may ask for itself later.
    let asked = provider.count("/token/introspection").await;
    assert_eq!(asked, 1, "twenty requests at once are one question");
    assert_eq!(backend.seen()[0].fields("x-consumer-name"), ["alice"]);

    provider.control("/revoke", json!({ "token": token })).await;
    clock.pass(Duration::from_secs(31));
    let answer = get(&world, "/data", &[&field]).await;
    assert_eq!(answer.status, 401, "revoked, and seen within the lifetime of what was said");
    assert_eq!(answer.field("www-authenticate"), r#"Bearer error="invalid_token""#);
    let asked = provider.count("/token/introspection").await;
    for number in 0..20 {
        let source = format!("127.2.0.{}", number + 1);
        assert_eq!(get_as(&source, world.address, "/data", &[&field]).await.status, 401);
    }
    assert_eq!(provider.count("/token/introspection").await, asked, "a refusal is remembered too");

    let other = provider.mint("alice", "urn:opaque:b", "read", json!({})).await;
    let answer = get(&world, "/data", &[&format!("Authorization: Bearer {other}")]).await;
    assert_eq!(answer.status, 401, "for another API");
    let records = world.end().await.all();
    assert_eq!(records.last().unwrap()["denied"]["code"], "token_audience");
    assert!(records.iter().any(|record| record["denied"]["code"] == "token_inactive"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_the_provider_binds_needs_its_proof() {
    let provider = OidcProvider::start().await;
    let backend = Backend::start().await;
    let method = oauth2(&provider, "audience: \"urn:jwt:ES256\", dpop: { nonce: true }");
    let world = World::start(&document(&backend, &[("/data", &method)]));
    let key = Signer::ec("");

    // From the token endpoint, with a proof for it.
    let url = format!("{}/token", provider.issuer);
    let proof = Proof::new(&key, "POST", &url, "").claims(&json!({ "ath": null })).sign();
    let form = "grant_type=client_credentials&resource=urn:jwt:ES256&scope=read";
    let answer = provider.token_endpoint("machine", &format!("DPoP: {proof}\r\n"), form).await;
    let got: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(got["token_type"], "DPoP", "{got}");
    let token = got["access_token"].as_str().unwrap();

    let target = "http://a.example/data";
    let field = format!("Authorization: DPoP {token}");
    let without = Proof::new(&key, "GET", target, token).sign();
    let answer = get(&world, "/data", &[&field, &format!("DPoP: {without}")]).await;
    assert_eq!(answer.status, 401);
    assert!(answer.field("www-authenticate").contains(r#"error="use_dpop_nonce""#), "{answer:?}");
    let nonce = answer.field("dpop-nonce").to_owned();

    let with = |claims: Value| Proof::new(&key, "GET", target, token).claims(&claims).sign();
    let good = with(json!({ "nonce": nonce }));
    for (name, scheme, proof, status) in [
        ("with the nonce", "DPoP", good.clone(), 200),
        ("again", "DPoP", good, 401),
        ("another one", "DPoP", with(json!({ "nonce": nonce })), 200),
        ("without the scheme", "Bearer", with(json!({ "nonce": nonce })), 401),
        ("for another method", "DPoP", with(json!({ "nonce": nonce, "htm": "PUT" })), 401),
        ("for another URL", "DPoP", with(json!({ "nonce": nonce, "htu": "http://a.example/other" })), 401),
        ("for another token", "DPoP", with(json!({ "nonce": nonce, "ath": "x" })), 401),
    ] {
        let fields = [format!("Authorization: {scheme} {token}"), format!("DPoP: {proof}")];
        let answer = get(&world, "/data", &[&fields[0], &fields[1]]).await;
        assert_eq!(answer.status, status, "{name}: {:?}", world.records.lines().last());
    }
    let thief = Signer::ec("");
    let stolen = Proof::new(&thief, "GET", target, token).claims(&json!({ "nonce": nonce })).sign();
    assert_eq!(get(&world, "/data", &[&field, &format!("DPoP: {stolen}")]).await.status, 401);
    for seen in backend.seen() {
        assert!(seen.fields("dpop").is_empty() && seen.fields("authorization").is_empty(), "{seen:?}");
    }
    assert_eq!(backend.seen().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gateway_has_a_token_of_its_own_for_the_upstream() {
    let provider = OidcProvider::start().await;
    let backend = Backend::start().await;
    let issuer = &provider.issuer;
    let secret = OidcProvider::SECRET;
    let consumers = support::consumers();
    let clock = TestClock::default();
    let document = format!(
        r#"
listeners: [{{ bind: "127.0.0.1:0" }}]
outbound: {{ allow: ["127.0.0.0/8"] }}
{consumers}
routes:
  - path: /data
    upstream: "http://{}"
    security:
      authentication: {{ type: api_key, header: x-api-key }}
      upstream_token:
        token_url: "{issuer}/token"
        client_id: gateway
        client_secret: {secret}
        scopes: [read]
        resource: "urn:jwt:RS256?seconds=3"
"#,
        backend.address
    );
    let world = World::start_by(&document, clock.clone());
    let key = format!("X-Api-Key: {}", support::USER_KEY);
    for _ in 0..10 {
        // What the client says is not added to what the gateway says.
        let answer = get(&world, "/data", &[&key, "Authorization: Bearer of-the-client"]).await;
        assert_eq!(answer.status, 200, "{:?}", world.records.lines());
    }
    assert_eq!(provider.count("/token").await, 1, "ten requests, one token");
    let bearers = |backend: &Backend| {
        let mut all: Vec<String> = backend
            .seen()
            .iter()
            .map(|seen| {
                let [field] = seen.fields("authorization")[..] else { panic!("{seen:?}") };
                field.strip_prefix("Bearer ").unwrap().to_owned()
            })
            .collect();
        all.dedup();
        all
    };
    let [token] = &bearers(&backend)[..] else { panic!("several tokens") };
    let claims: Value = serde_json::from_slice(&super::decode(token.split('.').nth(1).unwrap())).unwrap();
    assert_eq!((claims["sub"].as_str(), claims["scope"].as_str()), (Some("gateway"), Some("read")));

    // It is renewed before it ends, by nobody's request.
    let renewed = async {
        while provider.count("/token").await < 2 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, renewed).await.expect("a new token");
    let answer = tokio::time::timeout(PATIENCE, async {
        loop {
            let answer = get(&world, "/data", &[&key]).await;
            if answer.status != 200 || bearers(&backend).len() == 2 {
                return answer;
            }
        }
    });
    assert_eq!(answer.await.expect("the new token goes upstream").status, 200);

    // Without one that is valid, nothing goes upstream.
    provider.down().await;
    let before = backend.seen().len();
    clock.pass(Duration::from_secs(10));
    assert_eq!(get(&world, "/data", &[&key]).await.status, 503);
    assert_eq!(backend.seen().len(), before);
    let records = world.end().await.all();
    assert_eq!(records.last().unwrap()["denied"]["code"], "fault");
    assert!(!records.iter().any(|record| record.to_string().contains(secret)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_no_older_than_it_may_be() {
    let provider = OidcProvider::start().await;
    let backend = Backend::start().await;
    let clock = TestClock::default();
    let method = oauth2(&provider, "max_age: 60s");
    let world = World::start_by(&document(&backend, &[("/data", &method)]), clock.clone());
    let token = provider.mint("alice", "urn:jwt:ES256", "read", json!({})).await;
    let field = format!("Authorization: Bearer {token}");
    assert_eq!(get(&world, "/data", &[&field]).await.status, 200);
    clock.pass(Duration::from_secs(95));
    assert_eq!(get(&world, "/data", &[&field]).await.status, 401, "good for ten minutes, and remembered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proof_grows_old_while_the_provider_is_asked() {
    let provider = OidcProvider::start().await;
    let backend = Backend::start().await;
    let clock = TestClock::default();
    let secret = OidcProvider::SECRET;
    let method = oauth2(&provider, &format!("client_id: gateway, client_secret: {secret}"));
    let world = World::start_by(&document(&backend, &[("/data", &method)]), clock.clone());
    let key = Signer::ec("");
    let token = provider.mint("alice", "urn:opaque:a", "read", json!({ "jkt": key.thumbprint() })).await;
    let fields = || {
        let proof = Proof::new(&key, "GET", "http://a.example/data", &token).sign();
        [format!("Authorization: DPoP {token}"), format!("DPoP: {proof}")]
    };
    provider.fault("/token/introspection", "slow", json!({ "ms": 1000 })).await;
    let [token_field, proof_field] = fields();
    let asked = [token_field.as_str(), proof_field.as_str()];
    let asking = async {
        while provider.count("/token/introspection").await == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        clock.pass(Duration::from_secs(61));
    };
    let (answer, ()) = tokio::join!(get(&world, "/data", &asked), asking);
    assert_eq!(answer.status, 401);
    assert!(backend.seen().is_empty());
    let records = world.end().await.all();
    assert_eq!(records.last().unwrap()["denied"]["code"], "proof_invalid");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_of_the_gateway_has_an_end() {
    let backend = Backend::start().await;
    for lifetime in ["9223372036854775807", "18446744073709551615", "1e300", "-1", "\"long\"", "null"] {
        let said = format!(r#"{{"access_token":"own","token_type":"Bearer","expires_in":{lifetime}}}"#);
        let server = Backend::answering(move |_| Reply::with("200 OK", "", &said)).await;
        let method = format!(
            "{{ type: api_key, header: x-api-key }}, upstream_token: {{ token_url: \"http://{}/token\", client_id: a, client_secret: bbbbbbbbbbbb }}",
            server.address
        );
        let document = format!("{}{}", document(&backend, &[("/data", &method)]), support::consumers());
        let world = World::start(&document);
        let answer = get(&world, "/data", &[&format!("X-Api-Key: {}", support::USER_KEY)]).await;
        assert_eq!(answer.status, 200, "{lifetime}: {:?}", world.records.lines());
        assert_eq!(server.seen().len(), 1);
    }
    assert!(backend.seen().iter().all(|seen| seen.fields("authorization") == ["Bearer own"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_when_its_opaque_token_is_revoked() {
    let provider = OidcProvider::start().await;
    let backend = Backend::start().await;
    let clock = TestClock::default();
    let secret = OidcProvider::SECRET;
    let keys = format!("audience: \"urn:opaque:a\", client_id: gateway, client_secret: {secret}");
    let method = oauth2(&provider, &keys);
    let world = World::start_by(&document(&backend, &[("/data", &method)]), clock.clone());
    let mut uploads = Vec::new();
    let mut tokens = Vec::new();
    for who in ["alice", "root"] {
        let token = provider.mint(who, "urn:opaque:a", "read", json!({})).await;
        let mut client = support::Client::connect(world.address).await;
        let head = format!(
            "POST /data HTTP/1.1\r\nHost: a.example\r\nAuthorization: Bearer {token}\r\nContent-Length: 100000\r\n\r\nsome"
        );
        client.send(head.as_bytes()).await;
        uploads.push(client);
        tokens.push(token);
    }
    // Both were let in when the gateway has connected to the backend for both.
    for _ in 0..2000 {
        if backend.connections() == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    provider.control("/revoke", json!({ "token": tokens[0] })).await;
    clock.pass(Duration::from_secs(31));
    let (mut root, mut alice) = (uploads.pop().unwrap(), uploads.pop().unwrap());
    let ended = alice.answer(false).await.expect("an answer");
    assert_eq!(ended.status, 401, "{:?}", world.records.lines());
    root.send("x".repeat(100_000 - 4).as_bytes()).await;
    assert_eq!(root.answer(false).await.expect("an answer").status, 200, "a token that is still good");
    for token in &tokens {
        assert!(
            !world.records.lines().iter().any(|line| line.contains(token.as_str())),
            "no record has a token"
        );
    }
    world.end().await;
}

/// A client that signs assertions: the provider knows `known`, and the gateway has `private`.
async fn signer(
    provider: &OidcProvider,
    client: &str,
    known: &Value,
    private: &str,
    assertion: Value,
) -> String {
    let metadata = json!({
        "client_id": client, "grant_types": ["client_credentials"], "redirect_uris": [], "response_types": [],
        "token_endpoint_auth_method": "private_key_jwt", "jwks": { "keys": [known] },
    });
    provider.control("/client", metadata).await;
    let more = json!({
        "type": "OAuth2", "token_url": format!("{}/token", provider.issuer), "audience": "urn:opaque:a",
        "client_id": client, "client_secret": private, "client_authentication": "private_key_jwt",
        "client_assertion": assertion,
    });
    more.to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_key_shows_the_gateway_to_the_provider() {
    let provider = OidcProvider::start().await;
    let backend = Backend::start().await;
    let mut methods = Vec::new();
    for algorithm in ["RS256", "PS256", "ES256", "EdDSA"] {
        let (private, public) = provider.pair(algorithm).await;
        let mut assertion = json!({ "key_id": public["kid"] });
        if algorithm == "PS256" {
            assertion["rsa_algorithm"] = json!(algorithm);
        }
        let client = format!("signer-{algorithm}");
        methods
            .push((format!("/{algorithm}"), signer(&provider, &client, &public, &private, assertion).await));
    }
    // The endpoint in place of the issuer, as Entra ID and Okta want it.
    let (private, public) = provider.pair("ES256").await;
    let endpoint = json!({ "audience": format!("{}/token", provider.issuer) });
    methods.push(("/endpoint".to_owned(), signer(&provider, "endpoint", &public, &private, endpoint).await));
    let elsewhere = json!({ "audience": "https://another.example" });
    methods
        .push(("/elsewhere".to_owned(), signer(&provider, "elsewhere", &public, &private, elsewhere).await));
    let (other, _) = provider.pair("ES256").await;
    methods.push(("/other".to_owned(), signer(&provider, "other", &public, &other, json!({})).await));
    let routes: Vec<(&str, &str)> =
        methods.iter().map(|(path, method)| (path.as_str(), method.as_str())).collect();
    let world = World::start(&document(&backend, &routes));
    // Each question needs a new assertion, since the provider takes each once.
    for _ in 0..2 {
        let token = provider.mint("alice", "urn:opaque:a", "read", json!({})).await;
        let field = format!("Authorization: Bearer {token}");
        for path in ["/RS256", "/PS256", "/ES256", "/EdDSA", "/endpoint"] {
            let answer = get(&world, path, &[&field]).await;
            assert_eq!(answer.status, 200, "{path}: {:?}", world.records.lines().last());
        }
        for path in ["/elsewhere", "/other"] {
            assert_eq!(get(&world, path, &[&field]).await.status, 503, "{path}");
            let records = world.records.all();
            let denied = &records.last().unwrap()["denied"];
            assert_eq!(
                (denied["code"].as_str(), denied["detail"].as_str()),
                (Some("fault"), Some("introspection: status 401"))
            );
        }
    }
    let seen = backend.seen();
    assert_eq!(seen.len(), 10);
    assert!(seen.iter().all(|seen| seen.fields("x-consumer-name") == ["alice"]));
    world.end().await;
}
