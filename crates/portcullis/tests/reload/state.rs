//! What was counted and learned before a reload counts after it.

use crate::support::{Backend, Client, OTHER_KEY, TestClock, USER_KEY, World};
use crate::{ask, document, get};
use aws_lc_rs::hmac;
use base64ct::{Base64UrlUnpadded, Encoding};
use std::time::Duration;

const LIMITED: &str = "  rate_limiting: { max_requests: 5, per: day }";
const ROUTES: &str = "  - { path: /data, upstream: \"BACKEND\" }";

async fn passed(world: &World, target: &str, key: &str) -> usize {
    let mut passed = 0;
    while get(world.address, target, key).await.status == 200 {
        passed += 1;
        assert!(passed < 100, "there is no limit");
    }
    passed
}

#[tokio::test]
async fn a_limit_counts_on_and_a_changed_one_keeps_what_counts() {
    let backend = Backend::start().await;
    let world = World::start(&document(backend.address, LIMITED, ROUTES));
    assert_eq!(passed(&world, "/data", USER_KEY).await, 5);
    // Nothing of it moves the count: another order, more routes, more limits, more consumers.
    let more = "  - { path: /aaa, upstream: \"BACKEND\", security: { rate_limiting: { max_requests: 9, per: hour } } }\n";
    let text = document(backend.address, LIMITED, &format!("{more}{ROUTES}")).replace(
        "consumers:\n",
        "consumers:\n  - { name: aaron, roles: [user], keys: [{ literal: \"aar-31c2a90b6f7e4d15a8c4\" }] }\n",
    );
    world.reload(&text).unwrap();
    assert_eq!(passed(&world, "/data", USER_KEY).await, 0);
    assert_eq!(passed(&world, "/data", OTHER_KEY).await, 5, "another consumer has an own count");
    assert_eq!(passed(&world, "/aaa", USER_KEY).await, 9, "and a new limit one as well");
    world.reload(&document(backend.address, &LIMITED.replace("5", "8"), ROUTES)).unwrap();
    assert_eq!(passed(&world, "/data", USER_KEY).await, 3, "five of eight are used up");
    world.reload(&document(backend.address, "", ROUTES)).unwrap();
    world.reload(&document(backend.address, LIMITED, ROUTES)).unwrap();
    assert_eq!(passed(&world, "/data", USER_KEY).await, 0, "a limit that comes back has not forgotten");
    world.end().await;
}

#[tokio::test]
async fn whoever_waits_for_having_guessed_waits_on() {
    let backend = Backend::start().await;
    let (clock, text) = (TestClock::default(), document(backend.address, "", ROUTES));
    let world = World::start_by(&text, clock.clone());
    assert_eq!(get(world.address, "/data", USER_KEY).await.status, 200);
    for number in 0..15 {
        get(world.address, "/data", &format!("guess-{number}-0123456789abcdef")).await;
    }
    assert_eq!(get(world.address, "/data", OTHER_KEY).await.status, 429);
    world.reload(&text.replace("workers: 2", "workers: 2\nlimits: { max_headers: 50 }")).unwrap();
    assert_eq!(get(world.address, "/data", OTHER_KEY).await.status, 429, "a reload frees nobody");
    assert_eq!(
        get(world.address, "/data", USER_KEY).await.status,
        200,
        "what was good from there stays good"
    );
    clock.pass(Duration::from_secs(60));
    assert_eq!(get(world.address, "/data", OTHER_KEY).await.status, 200);
    world.end().await;
}

#[tokio::test]
async fn connections_to_upstreams_are_kept() {
    let backend = Backend::start().await;
    let world = World::start(&document(backend.address, "", ROUTES).replace("workers: 2", "workers: 1"));
    let mut client = Client::connect(world.address).await;
    assert_eq!(ask(&mut client, "/data", USER_KEY).await.status, 200);
    for number in 0..20 {
        let text = document(backend.address, &format!("  body: {{ max_size: {}KiB }}", number + 1), ROUTES);
        world.reload(&text.replace("workers: 2", "workers: 1")).unwrap();
        assert_eq!(ask(&mut client, "/data", USER_KEY).await.status, 200);
    }
    assert_eq!(backend.connections(), 1, "twenty configurations, one connection");
    world.end().await;
}

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// A token for `audience`, signed with the secret.
fn token(audience: &str) -> String {
    let part = |json: String| Base64UrlUnpadded::encode_string(json.as_bytes());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let signed = format!(
        "{}.{}",
        part("{\"alg\":\"HS256\",\"typ\":\"at+jwt\"}".to_owned()),
        part(format!(
            "{{\"iss\":\"https://issuer.example\",\"sub\":\"alice\",\"aud\":\"{audience}\",\"iat\":{now},\"exp\":{}}}",
            now + 600
        )),
    );
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    format!("{signed}.{}", Base64UrlUnpadded::encode_string(hmac::sign(&key, signed.as_bytes()).as_ref()))
}

#[tokio::test]
async fn a_changed_audience_forgets_tokens() {
    let backend = Backend::start().await;
    let text = |audience: &str| {
        let method = format!(
            "{{ type: jwt, issuer: \"https://issuer.example\", audience: {audience}, algorithms: [HS256], secret: {{ literal: \"{SECRET}\" }} }}"
        );
        document(backend.address, "", ROUTES).replace("{ type: api_key, header: x-api-key }", &method)
    };
    let world = World::start(&text("orders"));
    let token = token("orders");
    let status = async || {
        let mut client = Client::connect(world.address).await;
        let request =
            format!("GET /data HTTP/1.1\r\nHost: a.example\r\nAuthorization: Bearer {token}\r\n\r\n");
        client.ask(&request).await.status
    };
    assert_eq!(status().await, 200);
    assert_eq!(status().await, 200, "now it is remembered");
    world.reload(&text("invoices")).unwrap();
    assert_eq!(status().await, 401, "it was verified under other rules");
    world.reload(&text("orders")).unwrap();
    assert_eq!(status().await, 200);
    world.end().await;
}
