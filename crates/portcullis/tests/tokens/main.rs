//! Tokens, with a real OpenID provider that nobody here wrote, through a running gateway, before a backend that counts.

#![expect(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test binary has no outside, and a helper that fails fails its test"
)]

#[allow(dead_code, unused_imports, reason = "each test binary uses a part of it")]
#[path = "../support/mod.rs"]
mod support;

mod attacks;
mod forge;

use support::{Backend, Client, OidcProvider, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_token_endpoint_is_all_that_is_needed() {
    let provider = OidcProvider::start().await;
    let backend = Backend::start().await;
    let (issuer, upstream) = (&provider.issuer, backend.address);
    let world = World::start(&format!(
        r#"
listeners: [{{ bind: "127.0.0.1:0" }}]
outbound: {{ allow: ["127.0.0.0/8"] }}
routes:
  - path: /data
    upstream: "http://{upstream}"
    security: {{ authentication: {{ type: OAuth2, token_url: "{issuer}/token" }} }}
"#
    ));
    for algorithm in ["RS256", "PS256", "ES256", "EdDSA"] {
        let token = provider.client_token("machine", &format!("urn:jwt:{algorithm}"), "read").await;
        let request = format!("GET /data HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n");
        let answer = Client::connect(world.address).await.ask(&request).await;
        assert_eq!(answer.status, 200, "{algorithm}: {:?}", world.records.lines());
    }
    assert_eq!(backend.seen().len(), 4);
    assert_eq!(provider.count("/jwks").await, 1);
}
