//! Webhooks that are signed with a shared secret: what their senders send passes, and nothing else reaches the upstream.

use super::support::{Backend, Client, TestClock, World};
use aws_lc_rs::hmac;
use base64ct::{Base64, Encoding};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const OLD: &str = "the-old-secret-of-the-hook";
const NEW: &str = "the-new-secret-of-the-hook";

fn document(backend: &Backend) -> String {
    let upstream = backend.address;
    let secrets = format!("secret: [{NEW}, {OLD}]");
    let routes = [
        ("/github", format!("{{ type: signature, signed_by: github, {secrets} }}")),
        ("/stripe", format!("{{ type: signature, signed_by: stripe, {secrets} }}")),
        ("/slack", format!("{{ type: signature, signed_by: slack, {secrets}, consumer: hooks }}")),
        (
            "/own",
            format!(
                "{{ type: signature, signed_by: hmac, secret: {NEW}, header: X-Signature, timestamp_header: X-Time, \
                 hash: sha512, encoding: base64, signed: \"{{method}} {{target}}\\n{{timestamp}}\\n{{body}}\" }}"
            ),
        ),
        (
            "/either",
            format!(
                "{{ any: [{{ type: signature, signed_by: stripe, {secrets} }}, {{ type: api_key, header: x-key }}] }}"
            ),
        ),
    ];
    let routes: String = routes
        .iter()
        .map(|(path, method)| {
            let roles = if *path == "/slack" { ", authorization: { roles_allowed: [hook] }" } else { "" };
            format!(
                "  - {{ path: {path}, upstream: \"http://{upstream}\", security: {{ authentication: {method}, body: {{ max_size: 1kB }}{roles} }} }}\n"
            )
        })
        .collect();
    format!(
        "listeners: [{{ bind: \"127.0.0.1:0\" }}]\nworkers: 2\n\
         consumers: [{{ name: hooks, roles: [hook], keys: [a-key-of-the-hooks-0123456789] }}]\nroutes:\n{routes}"
    )
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn code(secret: &str, signed: &str) -> String {
    hex(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), signed.as_bytes()).as_ref())
}

fn stripe(secret: &str, time: u64, body: &str) -> String {
    format!(
        "Stripe-Signature: t={time},v1={},v0={}\r\n",
        code(secret, &format!("{time}.{body}")),
        "00".repeat(32)
    )
}

fn slack(secret: &str, time: u64, body: &str) -> String {
    let code = code(secret, &format!("v0:{time}:{body}"));
    format!("X-Slack-Signature: v0={code}\r\nX-Slack-Request-Timestamp: {time}\r\n")
}

async fn post(world: &World, source: &str, target: &str, fields: &str, body: &str) -> u16 {
    let request = format!(
        "POST {target} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{fields}\r\n{body}",
        body.len()
    );
    Client::connect_from(source, world.address).await.ask(&request).await.status
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn webhooks_pass_as_their_senders_sign_them() {
    let backend = Backend::start().await;
    let world = World::start(&document(&backend));
    let (now, body) = (now(), r#"{"zen":"Hello, World!"}"#);
    let github = |secret: &str| {
        format!("X-Hub-Signature-256: sha256={}\r\nX-GitHub-Event: push\r\n", code(secret, body))
    };
    let two = |first: &str, second: &str| {
        let signed = format!("{now}.{body} ");
        format!("Stripe-Signature: t={now},v1={},v1={}\r\n", code(first, &signed), code(second, &signed))
    };
    for (target, fields, body) in [
        ("/github", github(OLD), body),
        ("/github", github(NEW), body),
        ("/stripe", stripe(NEW, now - 200, body), body),
        ("/stripe", stripe(OLD, now + 20, body), body),
        // During an exchange of secrets Stripe signs by both.
        ("/stripe", two("another-secret", OLD), &format!("{body} ")),
        ("/slack", slack(NEW, now, "token=x&text="), "token=x&text="),
        ("/slack", slack(NEW, now - 1, ""), ""),
        ("/either", stripe(NEW, now - 3, body), body),
        ("/either", "X-Key: a-key-of-the-hooks-0123456789\r\n".to_owned(), body),
    ] {
        let status = post(&world, "127.0.0.1", target, &fields, body).await;
        assert_eq!(status, 200, "{target} {fields}: {:?}", world.records.lines().last());
    }
    let seen = backend.seen();
    assert_eq!(seen.len(), 9);
    assert_eq!(seen[0].body, body.as_bytes(), "the body goes on as it came");
    assert_eq!(seen[5].fields("x-consumer-name"), ["hooks"]);

    let signed = format!("POST /own?a=%20b\n{now}\n{body}");
    let key = hmac::Key::new(hmac::HMAC_SHA512, NEW.as_bytes());
    let code = Base64::encode_string(hmac::sign(&key, signed.as_bytes()).as_ref());
    let fields = format!("X-Signature: {code}\r\nX-Time: {now}\r\n");
    for (target, status) in [("/own?a=b", 401), ("/own", 401), ("/own?a=%20b", 200)] {
        assert_eq!(post(&world, "127.0.0.1", target, &fields, body).await, status, "{target}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_nobody_signed_is_looked_at_by_nobody() {
    let backend = Backend::start().await;
    let world = World::start(&document(&backend));
    let (now, body) = (now(), r#"{"amount":1}"#);
    let good = stripe(NEW, now, body);
    let github = code(NEW, body);
    let other = r#"{"amount":9}"#;
    let rows = [
        ("no signature", "/stripe", String::new(), body, 401, "credential_missing"),
        ("another body", "/stripe", good.clone(), other, 401, "signature_invalid"),
        ("no body", "/stripe", good.clone(), "", 401, "signature_invalid"),
        (
            "nobody's secret",
            "/stripe",
            stripe("nobodys-secret-0123456789", now, body),
            body,
            401,
            "signature_invalid",
        ),
        ("an empty secret", "/stripe", stripe("", now, body), body, 401, "signature_invalid"),
        (
            "another time",
            "/stripe",
            good.replace(&format!("t={now}"), &format!("t={}", now - 1)),
            body,
            401,
            "signature_invalid",
        ),
        ("too old", "/stripe", stripe(NEW, now - 302, body), body, 401, "credential_expired"),
        ("of the future", "/stripe", stripe(NEW, now + 310, body), body, 401, "credential_expired"),
        ("twice", "/stripe", format!("{good}{good}"), body, 401, "credential_repeated"),
        (
            "two times",
            "/stripe",
            good.replace("t=", &format!("t={now},t=")),
            body,
            401,
            "credential_malformed",
        ),
        ("no time", "/stripe", good.replace(&format!("t={now},"), ""), body, 401, "credential_malformed"),
        ("v0 alone", "/stripe", good.replace("v1=", "v2="), body, 401, "credential_malformed"),
        (
            "half a code",
            "/stripe",
            good.replace(&code(NEW, &format!("{now}.{body}"))[32..], ""),
            body,
            401,
            "credential_malformed",
        ),
        (
            "SHA-1",
            "/github",
            "X-Hub-Signature: sha1=0000000000000000000000000000000000000000\r\n".to_owned(),
            body,
            401,
            "credential_missing",
        ),
        (
            "without its scheme",
            "/github",
            format!("X-Hub-Signature-256: {github}\r\n"),
            body,
            401,
            "credential_malformed",
        ),
        ("another scheme's", "/github", good.clone(), body, 401, "credential_missing"),
        (
            "without its time",
            "/slack",
            format!("X-Slack-Signature: v0={github}\r\n"),
            body,
            401,
            "credential_malformed",
        ),
        (
            "a bad one beside a good key",
            "/either",
            format!("{}X-Key: a-key-of-the-hooks-0123456789\r\n", stripe(NEW, now, other)),
            body,
            401,
            "signature_invalid",
        ),
        ("more than the route takes", "/stripe", good, &"x".repeat(1001), 413, "body_too_large"),
    ];
    for (number, (name, target, fields, body, status, expected)) in rows.into_iter().enumerate() {
        // Each from its own address, so that none has to wait for the others' guesses.
        let source = format!("127.3.0.{}", number + 1);
        let answered = post(&world, &source, target, &fields, body).await;
        let records = world.records.all();
        let record = records.iter().rfind(|record| {
            record["peer"].as_str().is_some_and(|peer| peer.starts_with(&format!("{source}:")))
        });
        assert_eq!(answered, status, "{name}: {record:?}");
        assert_eq!(record.unwrap()["denied"]["code"], expected, "{name}");
    }
    assert!(backend.seen().is_empty(), "{:?}", backend.seen());
    let records = world.end().await;
    let all = records.lines().join("\n");
    assert!(!all.contains(NEW) && !all.contains(&github));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signature_is_accepted_once() {
    let backend = Backend::start().await;
    let clock = TestClock::default();
    let world = World::start_by(&document(&backend), clock.clone());
    let (now, body) = (now(), "{}");
    let good = stripe(NEW, now, body);
    // Whoever has not the secret uses nothing up.
    assert_eq!(post(&world, "127.3.1.1", "/stripe", &good, "{ }").await, 401);
    assert_eq!(post(&world, "127.3.1.2", "/stripe", &good, body).await, 200);
    // The same code in another spelling is the same code.
    for again in [
        good.clone(),
        good.replace("v0=", "v9="),
        good.replace(
            &code(NEW, &format!("{now}.{body}")),
            &code(NEW, &format!("{now}.{body}")).to_uppercase(),
        ),
    ] {
        assert_eq!(post(&world, "127.3.1.3", "/stripe", &again, body).await, 401);
        assert_eq!(world.records.all().last().unwrap()["denied"]["code"], "signature_replayed");
    }
    clock.pass(Duration::from_secs(299));
    assert_eq!(post(&world, "127.3.1.4", "/stripe", &good, body).await, 401);
    assert_eq!(post(&world, "127.3.1.4", "/stripe", &stripe(NEW, now + 299, body), body).await, 200);
    // Two at once are one.
    let raced = stripe(NEW, now + 298, body);
    let (one, other) = tokio::join!(
        post(&world, "127.3.1.5", "/stripe", &raced, body),
        post(&world, "127.3.1.6", "/stripe", &raced, body)
    );
    assert_eq!(one.min(other), 200);
    assert_eq!(one.max(other), 401);
    assert_eq!(backend.seen().len(), 3);
}
