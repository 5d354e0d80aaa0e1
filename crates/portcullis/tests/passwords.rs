//! Passwords over real sockets: a flood of them starves nobody and costs a bounded amount of memory, and many guesses at
//! once are no more than the same guesses one after the other.

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

use base64ct::{Base64, Encoding};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use support::{Answer, Backend, Client, World, faults_of_refusal, leaks};

/// The hash of `open sesame`, made with the reference implementation.
const HASH: &str =
    "$argon2id$v=19$m=7168,t=5,p=1$JXywo0L7Xg/Hsogn4rHbYg$ItmuTwomEpc/9nxFhCcnQeaa+gR9jYNo9IasPmHIyBw";

fn document(backend: SocketAddr) -> String {
    format!(
        r#"
listeners: [{{ bind: "127.0.0.1:0" }}]
workers: 2
security: {{ authentication: {{ type: basic }} }}
brute_force: {{ free_failures: 3, first_wait: 1m }}
consumers: [{{ name: alice, password: {{ hash: "{HASH}" }} }}]
routes:
  - {{ path: /data, upstream: "http://{backend}" }}
  - {{ path: /open, public: "a test", upstream: "http://{backend}" }}
"#
    )
}

fn with_password(password: &str) -> String {
    let credentials = Base64::encode_string(format!("alice:{password}").as_bytes());
    format!("GET /data HTTP/1.1\r\nHost: a.example\r\nAuthorization: Basic {credentials}\r\n\r\n")
}

/// Each test floods the same cores, and one of them measures the memory of the process.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

const OPEN: &str = "GET /open HTTP/1.1\r\nHost: a.example\r\n\r\n";

/// Sends a request from each address at the same time, each on a connection of its own.
fn at_once(
    gateway: SocketAddr,
    from: impl IntoIterator<Item = (String, String)>,
) -> Vec<tokio::task::JoinHandle<Answer>> {
    from.into_iter()
        .map(|(address, request)| {
            tokio::spawn(async move { Client::connect_from(&address, gateway).await.ask(&request).await })
        })
        .collect()
}

/// The most memory that this process has used, in KiB.
fn most_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_passwords_starves_nobody() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let backend = Backend::start().await;
    let world = World::start(&document(backend.address));
    let mut known = Client::connect(world.address).await;
    assert_eq!(known.ask(&with_password("open sesame")).await.status, 200);
    let before = most_memory();

    // Three hundred guesses, each from an address of its own, so that none is slowed down for what it did before.
    let guesses = (0..300).map(|number| {
        (format!("127.1.{}.{}", number / 200, number % 200 + 1), with_password(&format!("guess-{number}")))
    });
    let flood = at_once(world.address, guesses);
    let mut slowest = Duration::ZERO;
    while !flood.iter().all(tokio::task::JoinHandle::is_finished) {
        let started = Instant::now();
        assert_eq!(Client::connect(world.address).await.ask(OPEN).await.status, 200);
        assert_eq!(
            known.ask(&with_password("open sesame")).await.status,
            200,
            "what is remembered is not verified"
        );
        slowest = slowest.max(started.elapsed());
    }
    let (mut wrong, mut refused) = (0, 0);
    for answer in flood {
        let answer = answer.await.unwrap();
        assert!(
            faults_of_refusal(&answer).is_empty() && leaks(&answer, &["argon2", "queue"]).is_empty(),
            "{answer:?}"
        );
        match answer.status {
            401 => wrong += 1,
            503 => refused += 1,
            other => panic!("{other}"),
        }
    }
    assert!(wrong >= 64, "what was in the queue was verified: {wrong}");
    assert!(refused > 0, "and what was too much was not: {refused}");
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
    let more = most_memory().saturating_sub(before);
    assert!(more < 128 * 1024, "{more} KiB");
    let records = world.end().await;
    let faults = records.all().iter().filter(|record| record["denied"]["code"] == "fault").count();
    assert_eq!(faults, refused);
    assert!(!records.lines().iter().any(|line| line.contains("guess-") || line.contains("sesame")));
}

/// A flood from many addresses; whoever logged in a moment ago comes on a new connection each time, so to either worker.
async fn known_during_a_flood(document: &str) {
    let world = World::start(document);
    let ask = async || {
        Client::connect_from("127.4.0.1", world.address).await.ask(&with_password("open sesame")).await.status
    };
    assert_eq!(ask().await, 200);
    // Each address guesses on until everybody else has asked, so that the queue stays full.
    let (over, refused) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let flood: Vec<_> = (0..120)
        .map(|number| {
            let (over, refused, to) = (Arc::clone(&over), Arc::clone(&refused), world.address);
            let source = format!("127.3.0.{}", number + 1);
            tokio::spawn(async move {
                while !over.load(Ordering::SeqCst) {
                    let guess = with_password(&format!("guess-{number}"));
                    if Client::connect_from(&source, to).await.ask(&guess).await.status == 503 {
                        refused.fetch_add(1, Ordering::SeqCst);
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            })
        })
        .collect();
    let begun = Instant::now();
    while refused.load(Ordering::SeqCst) == 0 {
        assert!(begun.elapsed() < Duration::from_secs(20), "the flood is larger than the queue");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    for asked in 0..8 {
        assert_eq!(ask().await, 200, "after {asked}");
    }
    over.store(true, Ordering::SeqCst);
    for guesses in flood {
        guesses.await.unwrap();
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_worker_verified_all_know() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let backend = Backend::start().await;
    known_during_a_flood(&document(backend.address)).await;
}

/// Even where each request has its password verified, or the time for which one is remembered is just over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_known_user_goes_first() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let backend = Backend::start().await;
    let never = document(backend.address).replace("{ type: basic }", "{ type: basic, cached_for: 0s }");
    known_during_a_flood(&never).await;
}

/// One address that guesses fills a queue that nobody else needs; whoever comes from another one is served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_address_keeps_nobody_from_its_password() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let backend = Backend::start().await;
    let document = document(backend.address)
        .replace("brute_force: { free_failures: 3, first_wait: 1m }", "brute_force: { mode: \"off\" }");
    let world = World::start(&document);
    let guesses = (0..120).map(|number| ("127.5.0.1".to_owned(), with_password(&format!("guess-{number}"))));
    let flood = at_once(world.address, guesses);
    for number in 1..6 {
        let source = format!("127.5.1.{number}");
        let mut newcomer = Client::connect_from(&source, world.address).await;
        assert_eq!(newcomer.ask(&with_password("open sesame")).await.status, 200, "{source}");
    }
    for answer in flood {
        assert!(matches!(answer.await.unwrap().status, 401 | 503));
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guesses_at_once_are_no_more_than_in_turn() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let backend = Backend::start().await;
    let world = World::start(&document(backend.address));
    let here = "127.2.0.1";
    let mut known = Client::connect_from(here, world.address).await;
    assert_eq!(known.ask(&with_password("open sesame")).await.status, 200);

    let guesses = (0..60).map(|number| (here.to_owned(), with_password(&format!("guess-{number}"))));
    let (mut told, mut waits) = (0, 0);
    for answer in at_once(world.address, guesses) {
        let answer = answer.await.unwrap();
        match answer.status {
            401 => told += 1,
            429 => {
                assert!((1..=60).contains(&answer.field("retry-after").parse::<u64>().unwrap()));
                waits += 1;
            }
            other => panic!("{other}"),
        }
    }
    // Three are free and the fourth blocks; on two workers, one more may be under way at the very moment.
    assert!((4..=5).contains(&told), "{told} were told that they are wrong");
    assert_eq!(waits, 60 - told);
    // Whoever shares the address and was good before goes on.
    assert_eq!(known.ask(&with_password("open sesame")).await.status, 200);
    let records = world.end().await;
    let codes: Vec<_> = records.all().iter().map(|record| record["denied"]["code"].clone()).collect();
    assert_eq!(codes.iter().filter(|code| **code == "too_many_failures").count(), waits);
}
