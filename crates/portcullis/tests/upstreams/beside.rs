//! Groups beside a group: canaries and mirrors.

use super::server::Mood;
use super::{Server, ask};
use crate::support::{Backend, World};
use std::time::{Duration, Instant};

fn document(first: &str, lines: &str, second: &str) -> String {
    format!(
        "listeners: [{{ bind: \"127.0.0.1:0\" }}]\nworkers: 1\nsecurity: {{ authentication: {{ type: api_key, header: x-api-key }} }}\n\
         consumers: [{{ name: alice, keys: [{{ literal: alice-key-0123456789 }}] }}]\nupstreams:\n  stable:\n    \
         servers: [\"http://{first}\"]\n    {lines}\n  next: {{ servers: [\"http://{second}\"] }}\nroutes:\n  \
         - {{ path: \"/{{*rest}}\", public: a test, upstream: stable }}\n  - {{ path: /own, upstream: stable }}\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canary_gets_its_share_and_whoever_asks_for_it() {
    let (stable, next) = (Server::start("stable").await, Server::start("next").await);
    let address = |server: &Server| server.address.to_string();
    let lines =
        "canary: { upstream: next, share: 20%, header: { x-canary: \"1\" }, cookie: { canary: \"yes\" } }";
    let world = World::start(&document(&address(&stable), lines, &address(&next)));
    for field in ["X-Canary: 1", "Cookie: a=b; canary=yes"] {
        assert_eq!(ask(&world, "GET /x", &[field], "").await.body, b"next", "{field}");
    }
    let before = (stable.requests(), next.requests());
    for field in ["X-Canary: 2", "Cookie: canary=no"] {
        for _ in 0..100 {
            assert_eq!(ask(&world, "GET /x", &[field], "").await.status, 200);
        }
    }
    let (got, others) = (next.requests() - before.1, stable.requests() - before.0);
    assert_eq!(got + others, 200);
    assert!((10..=80).contains(&got), "{got} of 200 are about a fifth");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_carries_no_credential() {
    let (stable, shadow) = (Backend::start().await, Backend::start().await);
    let address = |backend: &Backend| backend.address.to_string();
    let world = World::start(&document(&address(&stable), "mirror: { upstream: next }", &address(&shadow)));
    let secrets = ["X-Api-Key: alice-key-0123456789", "Cookie: session=secret", "X-Other: 1"];
    assert_eq!(ask(&world, "POST /own?a=1", &secrets, "the body").await.status, 200);
    assert_eq!(ask(&world, "GET /x", &["Authorization: Bearer secret"], "").await.status, 200);
    // What is refused is not copied.
    assert_eq!(ask(&world, "GET /own", &[], "").await.status, 401);
    let begun = Instant::now();
    while shadow.seen().len() < 2 {
        assert!(begun.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let seen = shadow.seen();
    assert_eq!((seen[0].line().as_str(), seen[0].body.as_slice()), ("POST /own?a=1", &b"the body"[..]));
    assert_eq!(seen[0].fields("x-other"), ["1"]);
    assert_eq!(seen[1].line(), "GET /x");
    for copy in &seen {
        let head = String::from_utf8_lossy(&copy.head).to_lowercase();
        assert!(
            !head.contains("secret") && !head.contains("alice-key") && !head.contains("cookie"),
            "{head}"
        );
    }
    assert_eq!((stable.seen().len(), shadow.seen().len()), (2, 2));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_that_fails_or_hangs_changes_no_answer() {
    let (stable, shadow) = (Server::start("stable").await, Server::start("shadow").await);
    let address = |server: &Server| server.address.to_string();
    let world = World::start(&document(&address(&stable), "mirror: { upstream: next }", &address(&shadow)));
    for mood in [Mood::Hung, Mood::Closes, Mood::Endless, Mood::Status(500)] {
        shadow.is(mood);
        let begun = Instant::now();
        for _ in 0..10 {
            let answer = ask(&world, "GET /x", &[], "").await;
            assert_eq!((answer.status, answer.body.as_slice()), (200, &b"stable"[..]), "{mood:?}");
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "{mood:?}");
    }
    shadow.kill().await;
    // However many hang, no more than a bound are on their way.
    for _ in 0..100 {
        assert_eq!(ask(&world, "GET /x", &[], "").await.status, 200);
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hung_mirror_gives_its_places_back() {
    let (stable, shadow) = (Server::start("stable").await, Server::start("shadow").await);
    let address = |server: &Server| server.address.to_string();
    let lines = "mirror: { upstream: next, timeout: 300ms }";
    let world = World::start(&document(&address(&stable), lines, &address(&shadow)));
    shadow.is(Mood::Hung);
    // There are 64 places; more copies come only when they are free again.
    let begun = Instant::now();
    while shadow.requests() <= 100 {
        assert_eq!(ask(&world, "GET /x", &[], "").await.status, 200);
        assert!(begun.elapsed() < Duration::from_secs(20), "{} copies", shadow.requests());
    }
    world.end().await;
}
