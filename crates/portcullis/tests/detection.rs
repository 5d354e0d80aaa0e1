//! Suspicious activity over real sockets: what is found, whom a block covers and whom not, and who is told.

#![expect(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test binary has no outside, and a helper that fails fails its test"
)]

#[allow(dead_code, unused_imports, reason = "each test binary uses a part of it")]
mod support;

use aws_lc_rs::hmac::{HMAC_SHA256, Key, verify};
use base64ct::{Base64, Encoding};
use serde_json::Value;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use support::{Backend, Client, OTHER_KEY, Reply, USER_KEY, World};

/// The hash of `open sesame`, made with the reference implementation.
const HASH: &str =
    "$argon2id$v=19$m=7168,t=5,p=1$JXywo0L7Xg/Hsogn4rHbYg$ItmuTwomEpc/9nxFhCcnQeaa+gR9jYNo9IasPmHIyBw";
const SECRET: &str = "0123456789abcdef0123456789abcdef";

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let name = format!("detection-{name}-{}", std::process::id());
        Folder(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _removed = std::fs::remove_dir_all(&self.0);
    }
}

async fn ask(client: &mut Client, target: &str, from: &str, fields: &str) -> u16 {
    let request =
        format!("GET {target} HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-For: {from}\r\n{fields}\r\n");
    client.ask(&request).await.status
}

/// Waits until this is so.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What the admin API says.
async fn admin(world: &World, path: &str) -> Value {
    let admin = world.reloader().admin().unwrap();
    let token = std::fs::read_to_string(admin.made_token.unwrap()).unwrap();
    let mut client = Client::connect(admin.address).await;
    let (host, token) = (admin.address, token.trim());
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\r\n");
    let answer = client.ask(&request).await;
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{path}: {}", answer.status))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scanner_is_found_told_and_blocked() {
    let folder = Folder::new("scanner");
    let (backend, receiver) = (Backend::start().await, Backend::start().await);
    let document = |mode: &str| {
        format!(
            r#"
listeners: [{{ bind: "127.0.0.1:0" }}]
workers: 2
state_dir: {}
admin: {{ bind: "127.0.0.1:0" }}
trusted_proxies: [127.0.0.1/32]
detection:
  mode: {mode}
  block_severity: medium
  exempt_addresses: [192.0.2.99]
  webhook: {{ url: "http://{}/alerts", secret: {SECRET} }}
outbound: {{ allow: [127.0.0.0/8] }}
routes:
  - {{ path: /data, public: "a test", upstream: "http://{}" }}
"#,
            folder.0.display(),
            receiver.address,
            backend.address
        )
    };
    let world = World::start(&document("observe"));
    let mut client = Client::connect(world.address).await;
    for number in 0..60 {
        assert_eq!(ask(&mut client, &format!("/wp-{number}"), "192.0.2.7", "").await, 404);
        assert_eq!(ask(&mut client, &format!("/wp-{number}"), "192.0.2.99", "").await, 404);
    }
    until("the server is told", async || !receiver.seen().is_empty()).await;
    let found = admin(&world, "/api/v1/findings?severity=medium").await;
    let finding = &found["findings"][0];
    assert_eq!((&finding["detector"], &finding["source"]), (&"scanner".into(), &"192.0.2.7".into()));
    assert_eq!(found["findings"].as_array().unwrap().len(), 1, "an exempt address is not examined: {found}");
    let id = finding["id"].as_str().unwrap();
    assert_eq!(admin(&world, &format!("/api/v1/findings/{id}")).await["id"], id);
    assert_eq!(
        ask(&mut client, "/data", "192.0.2.7", "").await,
        200,
        "nobody is blocked until it is switched on"
    );
    assert!(world.records.notices().iter().any(|line| line.starts_with("detection: ") && line.contains(id)));

    let told = &receiver.seen()[0];
    assert_eq!(told.line(), "POST /alerts");
    let signature = told.fields("x-portcullis-signature")[0].to_owned();
    let (time, digits) = signature.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
    let tag: Vec<u8> =
        (0..32).map(|at| u8::from_str_radix(&digits[at * 2..at * 2 + 2], 16).unwrap()).collect();
    let signed = [time.as_bytes(), b".", &told.body].concat();
    verify(&Key::new(HMAC_SHA256, SECRET.as_bytes()), &signed, &tag).unwrap();
    let body: Value = serde_json::from_slice(&told.body).unwrap();
    assert_eq!((&body["event"], &body["finding"]["id"]), (&"began".into(), &id.into()));

    world.reload(&document("enforce")).unwrap();
    let mut client = Client::connect(world.address).await;
    for number in 0..40 {
        ask(&mut client, &format!("/cgi-{number}"), "192.0.2.8", "").await;
    }
    until("the scanner is blocked", async || {
        ask(&mut Client::connect(world.address).await, "/data", "192.0.2.8", "").await == 403
    })
    .await;
    assert_eq!(ask(&mut client, "/data", "192.0.2.10", "").await, 200);
    assert_eq!(admin(&world, "/api/v1/findings?open=true").await["findings"].as_array().unwrap().len(), 2);
    let metrics = world.reloader();
    assert!(metrics.metrics_address().is_none());
    let kept = folder.0.join("findings.json");
    until("findings are written", async || {
        std::fs::read_to_string(&kept).is_ok_and(|text| text.contains("192.0.2.8"))
    })
    .await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_covers_a_consumer_at_one_address() {
    let folder = Folder::new("walker");
    let backend = Backend::answering(|seen| match seen.target.starts_with("/orders/9") {
        true => Reply::with("404 Not Found", "", "none"),
        false => Reply::ok(),
    })
    .await;
    let world = World::start(&format!(
        r#"
listeners: [{{ bind: "127.0.0.1:0" }}]
workers: 1
state_dir: {}
admin: {{ bind: "127.0.0.1:0" }}
trusted_proxies: [127.0.0.1/32]
detection: {{ mode: enforce }}
security: {{ authentication: {{ type: api_key, header: x-api-key }} }}
{}
routes:
  - {{ path: "/orders/{{id}}", upstream: "http://{}" }}
"#,
        folder.0.display(),
        support::consumers(),
        backend.address
    ));
    let (alice, bob) = (format!("X-Api-Key: {USER_KEY}\r\n"), format!("X-Api-Key: {OTHER_KEY}\r\n"));
    let mut client = Client::connect(world.address).await;
    for number in 0..60 {
        ask(&mut client, &format!("/orders/9{number}"), "192.0.2.50", &alice).await;
    }
    until("the walker is blocked", async || {
        ask(&mut Client::connect(world.address).await, "/orders/1", "192.0.2.50", &alice).await == 403
    })
    .await;
    let mut client = Client::connect(world.address).await;
    assert_eq!(ask(&mut client, "/orders/1", "192.0.2.51", &alice).await, 200, "elsewhere");
    assert_eq!(ask(&mut client, "/orders/1", "192.0.2.50", &bob).await, 200, "others from there");
    let found = admin(&world, "/api/v1/findings").await;
    let finding = &found["findings"][0];
    assert_eq!(finding["detector"], "enumeration");
    assert_eq!(finding["subject"]["consumer"], "alice");
    assert_eq!(finding["subject"]["route"], "/orders/{id}");
    assert!(finding["blocked_until"].is_u64());
    let blocks = admin(&world, "/api/v1/blocks").await;
    assert_eq!(blocks["blocks"][0]["consumer"], "alice");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_was_only_tried_blocks_no_consumer() {
    let folder = Folder::new("guesser");
    let backend = Backend::start().await;
    let world = World::start(&format!(
        r#"
listeners: [{{ bind: "127.0.0.1:0" }}]
workers: 1
state_dir: {}
admin: {{ bind: "127.0.0.1:0" }}
trusted_proxies: [127.0.0.1/32]
brute_force: {{ free_failures: 3, first_wait: 5m }}
detection: {{ mode: enforce }}
security: {{ authentication: {{ type: basic }} }}
consumers: [{{ name: alice, password: {{ hash: "{HASH}" }} }}]
routes:
  - {{ path: /data, upstream: "http://{}" }}
"#,
        folder.0.display(),
        backend.address
    ));
    let shown = |name: &str, password: &str| {
        let pair = Base64::encode_string(format!("{name}:{password}").as_bytes());
        format!("Authorization: Basic {pair}\r\n")
    };
    let mut client = Client::connect(world.address).await;
    for number in 0..30 {
        // After three of them it must wait, and goes on all the same.
        let status =
            ask(&mut client, "/data", "192.0.2.60", &shown("alice", &format!("guess-{number}"))).await;
        assert!(matches!(status, 401 | 429 | 403), "{status}");
        // SECURITY: what stands in the place of a name may be a password (a_name_that_was_only_tried_blocks_no_consumer).
        ask(&mut client, "/data", "192.0.2.61", &shown("correct horse battery", &number.to_string())).await;
    }
    until("the guesser is blocked", async || {
        let blocks = admin(&world, "/api/v1/blocks").await;
        blocks["blocks"].as_array().unwrap().iter().any(|block| block["source"] == "192.0.2.60")
    })
    .await;
    let found = admin(&world, "/api/v1/findings").await;
    let brute_force =
        found["findings"].as_array().unwrap().iter().find(|one| one["detector"] == "brute_force");
    let finding = brute_force.unwrap_or_else(|| panic!("{found}"));
    assert_eq!(finding["subject"]["target"], "alice");
    assert!(finding["subject"]["consumer"].is_null());
    assert!(!found.to_string().contains("horse"), "{found}");
    let mut client = Client::connect(world.address).await;
    assert_eq!(ask(&mut client, "/data", "192.0.2.62", &shown("alice", "open sesame")).await, 200);
    let blocks = admin(&world, "/api/v1/blocks").await.to_string();
    assert!(!blocks.contains("\"consumer\""), "{blocks}");
    world.end().await;
}
