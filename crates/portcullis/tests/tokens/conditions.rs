//! Conditions over real tokens: what they cannot tell denies, what they can tell passes.

use super::support::{Backend, Reply, World};
use super::{document, get};
use crate::forge::{Signer, now};
use serde_json::{Value, json};

/// An issuer, and a gateway with a route for each condition: `/c0`, `/c1` and so on.
struct Stage {
    world: World,
    signer: Signer,
    issuer: String,
}

impl Stage {
    async fn set(conditions: &[&str]) -> Stage {
        let signer = Signer::ec("kid");
        let keys = json!({ "keys": [signer.published()] }).to_string();
        let server = Backend::answering(move |seen| {
            let issuer = format!("http://{}", seen.fields("host").join(""));
            let metadata = json!({ "issuer": issuer, "jwks_uri": format!("{issuer}/keys") }).to_string();
            let body = if seen.target == "/keys" { &keys } else { &metadata };
            Reply::with("200 OK", "Content-Type: application/json\r\n", body)
        })
        .await;
        let issuer = format!("http://{}", server.address);
        let backend = Backend::start().await;
        let method = format!("{{ type: jwt, issuer: \"{issuer}\", audience: api }}");
        let by: Vec<(String, String)> = conditions
            .iter()
            .enumerate()
            .map(|(number, condition)| {
                let condition = json!(condition);
                (format!("/c{number}"), format!("{method}, authorization: {{ condition: {condition} }}"))
            })
            .collect();
        let routes: Vec<(&str, &str)> = by.iter().map(|(path, by)| (path.as_str(), by.as_str())).collect();
        Stage { world: World::start(&document(&backend, &routes)), signer, issuer }
    }

    /// What comes of the condition with this number for a token with these claims.
    async fn status(&self, number: usize, more: &Value) -> u16 {
        let claims = json!({
            "iss": self.issuer, "sub": "alice", "aud": "api", "exp": now() + 600, "iat": now(), "client_id": "app",
        });
        let token = self.signer.token(&crate::forge::with(&claims, more));
        get(&self.world, &format!("/c{number}"), &[&format!("Authorization: Bearer {token}")]).await.status
    }

    fn last(&self) -> String {
        self.world.records.lines().last().cloned().unwrap_or_default()
    }
}

/// `has` of something in an account that is not there was false, so its negation let everybody in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_condition_that_cannot_be_evaluated_lets_nobody_in() {
    let stage = Stage::set(&[
        "!has(claims.account.suspended)",
        "!(claims.account.suspended == true)",
        "claims.account.suspended != true",
        "!('x' in claims.account.groups)",
        "claims.account.groups[-1] == 'last'",
        "has(claims.account) ? !has(claims.account.suspended) : false",
    ])
    .await;
    for (claims, allowed) in [
        (json!({}), &[][..]),
        (json!({ "account": null }), &[]),
        (json!({ "account": "text" }), &[]),
        (json!({ "account": ["suspended"] }), &[]),
        (json!({ "account": { "groups": ["last"] } }), &[0, 3, 5]),
        (json!({ "account": { "suspended": true, "groups": "x" } }), &[]),
        (json!({ "account": { "suspended": false, "groups": { "x": 1 } } }), &[1, 2]),
    ] {
        for number in 0..6 {
            let expected = if allowed.contains(&number) { 200 } else { 403 };
            assert_eq!(
                stage.status(number, &claims).await,
                expected,
                "{number} of {claims}: {}",
                stage.last()
            );
        }
    }
    let records = stage.world.end().await.all();
    let denied = records.iter().filter_map(|record| record["denied"]["detail"].as_str());
    assert!(denied.clone().any(|detail| detail.contains("is not there")));
    assert!(denied.clone().any(|detail| detail.contains("has another type")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ordinary_conditions_pass_over_real_tokens() {
    let conditions = [
        "claims.a[\"b\"].c == 1",
        "\"editor\" in claims.resource_access[\"my.client\"].roles",
        "claims.groups.exists(g, g == 'g-499')",
        "claims.groups.size() == 500 && request.path.startsWith('/c')",
        "principal.client != '' && principal.name == claims.sub && request.parameters.size() == 0",
    ];
    let stage = Stage::set(&conditions).await;
    let groups: Vec<String> = (0..500).map(|number| format!("g-{number}")).collect();
    let claims = json!({
        "a": { "b": { "c": 1 } },
        "resource_access": { "my.client": { "roles": ["editor"] } },
        "groups": groups,
    });
    for (number, condition) in conditions.iter().enumerate() {
        assert_eq!(stage.status(number, &claims).await, 200, "{condition}: {}", stage.last());
    }
    stage.world.end().await;
}

/// What a condition costs is bounded by the size of what it names, and nothing else of a token counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_costly_condition_is_refused() {
    let stage = Stage::set(&["claims.list.all(a, claims.list.all(b, a == b || a != b))"]).await;
    let list = |length: usize| vec![1; length];
    for (claims, expected) in
        [(json!({ "list": list(60), "other": list(1200) }), 200), (json!({ "list": list(1200) }), 403)]
    {
        assert_eq!(stage.status(0, &claims).await, expected, "{}", stage.last());
    }
    let records = stage.world.end().await.all();
    let last = records.last().unwrap()["denied"]["detail"].as_str().unwrap().to_owned();
    assert!(last.contains("bounded cost"), "{last}");
}
