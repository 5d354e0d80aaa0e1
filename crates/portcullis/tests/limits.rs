//! A limit is the number that it says, over real sockets: on one connection or on sixty-four, served by two workers that
//! count together. Nobody uses up another's, and nobody gets a new one by changing ports, keys or forwarding fields.

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

use std::net::SocketAddr;
use support::{Answer, Backend, Client, OTHER_KEY, USER_KEY, World, faults_of_refusal};

/// The limit of every test, for a day: in the time that a test takes, not one more is earned.
const LIMIT: usize = 50;
const MORE: usize = 14;

/// Where wrong keys are counted by a limit, and not by the guard against guessing.
const UNGUARDED: &str = "brute_force: { mode: off }";

fn document(backend: SocketAddr, by: &str, more: &str) -> String {
    let consumers = support::consumers();
    format!(
        r#"
listeners: [{{ bind: "127.0.0.1:0" }}]
workers: 2
{more}
security:
  authentication: {{ type: api_key, header: x-api-key }}
  rate_limiting: {{ max_requests: {LIMIT}, per: day, {by} }}
{consumers}
routes:
  - {{ path: /data, upstream: "http://{backend}" }}
  - {{ path: /other, upstream: "http://{backend}" }}
  - {{ path: /open, public: "a test", upstream: "http://{backend}" }}
"#
    )
}

fn request(target: &str, lines: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: a.example\r\n{lines}\r\n")
}

fn as_user(key: &str) -> String {
    request("/data", &format!("X-Api-Key: {key}\r\n"))
}

/// Sends `total` requests over so many connections at once, and gives all answers.
async fn flood(gateway: SocketAddr, connections: usize, total: usize, request: &str) -> Vec<Answer> {
    let mut clients = Vec::new();
    for _ in 0..connections {
        clients.push(Client::connect(gateway).await);
    }
    let tasks: Vec<_> = clients
        .into_iter()
        .enumerate()
        .map(|(number, mut client)| {
            let request = request.to_owned();
            let share = total / connections + usize::from(number < total % connections);
            tokio::spawn(async move {
                let mut answers = Vec::new();
                for _ in 0..share {
                    answers.push(client.ask(&request).await);
                }
                answers
            })
        })
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.extend(task.await.unwrap());
    }
    assert_eq!(answers.len(), total);
    answers
}

fn count(answers: &[Answer], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}

/// The number after `name=` in a `RateLimit` field.
fn parameter(field: &str, name: &str) -> u64 {
    let found = field.split(';').find_map(|part| part.strip_prefix(&format!("{name}=")));
    found.unwrap_or_else(|| panic!("{name} in {field:?}")).parse().unwrap()
}

/// That exactly [`LIMIT`] of the answers are 200, and that every answer says the right thing of the limit.
fn assert_limited(answers: &[Answer]) {
    let refused = answers.len() - LIMIT;
    assert_eq!((count(answers, 200), count(answers, 429)), (LIMIT, refused));
    let mut remaining = Vec::new();
    for answer in answers {
        assert_eq!(answer.field("ratelimit-policy"), format!("\"default\";q={LIMIT};w=86400"));
        let state = answer.field("ratelimit");
        assert!(state.starts_with("\"default\";"), "{state}");
        if answer.status == 200 {
            remaining.push(parameter(state, "r"));
            assert!(answer.fields("retry-after").is_empty());
            continue;
        }
        assert_eq!(parameter(state, "r"), 0);
        let retry: u64 = answer.field("retry-after").parse().unwrap();
        // One more is earned every 1728 seconds.
        assert!((1..=86_400 / LIMIT as u64).contains(&retry), "{retry}");
        assert_eq!(parameter(state, "t"), retry);
        assert_eq!(faults_of_refusal(answer), Vec::<String>::new());
    }
    remaining.sort_unstable();
    assert_eq!(remaining, (0..LIMIT as u64).collect::<Vec<_>>(), "every step down is told once");
}

async fn a_limit_is_exact(by: &str, connections: usize) {
    let backend = Backend::start().await;
    let world = World::start(&document(backend.address, by, ""));
    let answers = flood(world.address, connections, LIMIT + MORE, &as_user(USER_KEY)).await;
    assert_limited(&answers);
    let records = world.end().await.all();
    assert_eq!(records.len(), LIMIT + MORE);
    let limited = records.iter().filter(|record| record["denied"]["code"] == "rate_limited").count();
    assert_eq!(limited, MORE);
    assert_eq!(backend.seen().len(), LIMIT, "nobody beyond the limit reaches the backend");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_consumer_on_one_connection() {
    a_limit_is_exact("by: consumer", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_consumer_on_two_connections() {
    a_limit_is_exact("by: consumer", 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_consumer_on_sixty_four_connections() {
    a_limit_is_exact("by: consumer", 64).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_address_on_one_connection() {
    a_limit_is_exact("by: address", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_address_on_two_connections() {
    a_limit_is_exact("by: address", 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_address_on_sixty_four_connections() {
    a_limit_is_exact("by: address", 64).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_route_on_sixty_four_connections() {
    a_limit_is_exact("by: route", 64).await;
}

/// Two gateways in one process, side by side.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateways_do_not_count_together() {
    tokio::join!(a_limit_is_exact("by: consumer", 8), a_limit_is_exact("by: consumer", 8));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn consumers_do_not_share() {
    let backend = Backend::start().await;
    let world = World::start(&document(backend.address, "by: consumer", ""));
    let (alice, bob) = (as_user(USER_KEY), as_user(OTHER_KEY));
    let (alices, bobs) = tokio::join!(
        flood(world.address, 8, LIMIT + MORE, &alice),
        flood(world.address, 8, LIMIT + MORE, &bob)
    );
    assert_limited(&alices);
    assert_limited(&bobs);
    // A limit of the gateway is one limit on all routes.
    let other = request("/other", &format!("X-Api-Key: {USER_KEY}\r\n"));
    assert_eq!(count(&flood(world.address, 1, 3, &other).await, 429), 3);
    world.end().await;
}

/// A stranger is counted by address, and so takes nothing from a consumer; a wrong key takes nothing from anybody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_uses_up_another() {
    let backend = Backend::start().await;
    let world = World::start(&document(backend.address, "by: consumer", UNGUARDED));
    let wrong = flood(world.address, 4, LIMIT + MORE, &as_user("adm-0000000000000000")).await;
    assert_eq!(count(&wrong, 401), LIMIT + MORE);
    assert_limited(&flood(world.address, 4, LIMIT + MORE, &request("/open", "")).await);
    let spoofed = request("/open", &format!("X-Consumer-Name: alice\r\nX-Api-Key: {USER_KEY}\r\n"));
    assert_eq!(count(&flood(world.address, 4, MORE, &spoofed).await, 429), MORE);
    assert_limited(&flood(world.address, 4, LIMIT + MORE, &as_user(USER_KEY)).await);
    world.end().await;
}

/// A limit by address is charged before authentication: guessing keys is limited, and a guess that hits comes too late.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guessing_is_limited() {
    let backend = Backend::start().await;
    let world = World::start(&document(backend.address, "by: address", UNGUARDED));
    let guesses = flood(world.address, 8, LIMIT + MORE, &as_user("adm-0000000000000000")).await;
    assert_eq!((count(&guesses, 401), count(&guesses, 429)), (LIMIT, MORE));
    assert_eq!(count(&flood(world.address, 1, 1, &as_user(USER_KEY)).await, 429), 1);
    let mut neighbour = Client::connect_from("127.0.0.2", world.address).await;
    assert_eq!(neighbour.ask(&as_user(USER_KEY)).await.status, 200, "another address has a limit of its own");
    world.end().await;
    assert_eq!(backend.seen().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_gets_no_other_address_by_saying_so() {
    let backend = Backend::start().await;
    let world = World::start(&document(backend.address, "by: address", ""));
    let mut client = Client::connect(world.address).await;
    let mut answers = Vec::new();
    for number in 0..LIMIT + MORE {
        let fields = ["X-Forwarded-For", "X-Real-IP", "Forwarded", "True-Client-IP", "X_Forwarded_For"];
        let name = fields[number % fields.len()];
        answers.push(client.ask(&request("/open", &format!("{name}: 198.51.100.{number}\r\n"))).await);
    }
    assert_limited(&answers);
    world.end().await;
}

/// What a trusted proxy says is believed; an IPv6 customer has one /64 however many addresses it takes from it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_a_trusted_proxy_are_counted_apart() {
    let backend = Backend::start().await;
    let world = World::start(&document(backend.address, "by: address", "trusted_proxies: [127.0.0.9]"));
    let mut proxy = Client::connect_from("127.0.0.9", world.address).await;
    let (mut apart, mut together) = (Vec::new(), Vec::new());
    for number in 0..LIMIT + MORE {
        let of = |address: String| request("/open", &format!("X-Forwarded-For: 10.1.2.3, {address}\r\n"));
        apart.push(proxy.ask(&of(format!("198.51.100.{number}"))).await);
        together.push(proxy.ask(&of(format!("2001:db8:0:7:{number:x}::1"))).await);
    }
    assert_eq!(count(&apart, 200), LIMIT + MORE);
    assert_limited(&together);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_observed_limit_lets_everybody_through_and_says_so() {
    let backend = Backend::start().await;
    let world = World::start(&document(backend.address, "by: consumer, mode: observe", ""));
    let answers = flood(world.address, 8, LIMIT + MORE, &as_user(USER_KEY)).await;
    assert_eq!(count(&answers, 200), LIMIT + MORE);
    for answer in &answers {
        assert!(answer.fields("ratelimit").is_empty() && answer.fields("ratelimit-policy").is_empty());
        assert!(answer.fields("retry-after").is_empty());
    }
    let records = world.end().await.all();
    assert!(records.iter().all(|record| record["outcome"] == "served" && record.get("denied").is_none()));
    let observed: Vec<_> = records.iter().filter_map(|record| record.get("observed")).collect();
    assert_eq!(observed.len(), MORE);
    for reasons in observed {
        assert_eq!(
            (&reasons[0]["code"], &reasons[0]["check"]),
            (&"rate_limited".into(), &"quota.rate_limit".into())
        );
    }
    assert_eq!(backend.seen().len(), LIMIT + MORE);
}

/// One address fills the queue for a place; whoever comes from another one has the next turn but one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_address_takes_turns_with_others() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let backend = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                use tokio::io::{AsyncReadExt, AsyncWriteExt};
                let mut head = Vec::new();
                while let Ok(byte) = stream.read_u8().await {
                    head.push(byte);
                    if head.ends_with(b"\r\n\r\n") {
                        head.clear();
                        tokio::time::sleep(std::time::Duration::from_millis(60)).await;
                        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
                    }
                }
            });
        }
    });
    let world = World::start(&format!(
        "listeners: [{{ bind: \"127.0.0.1:0\" }}]\nworkers: 2\n\
         security: {{ concurrency: {{ max_requests: 1, by: gateway, queue: 20, max_wait: 30s }} }}\n\
         routes: [{{ path: /, public: a test, upstream: \"http://{backend}\" }}]\n"
    ));
    let answered = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let mut greedy = Vec::new();
    for _ in 0..40 {
        let mut client = Client::connect_from("127.0.0.7", world.address).await;
        let answered = std::sync::Arc::clone(&answered);
        greedy.push(tokio::spawn(async move {
            let status = client.ask(&request("/", "")).await.status;
            if status == 200 {
                answered.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            }
            status
        }));
    }
    // One is in flight, 20 wait, and the others are refused.
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    for number in 1..4 {
        let before = answered.load(std::sync::atomic::Ordering::SeqCst);
        let mut honest = Client::connect_from(&format!("127.0.1.{number}"), world.address).await;
        assert_eq!(honest.ask(&request("/", "")).await.status, 200);
        let after = answered.load(std::sync::atomic::Ordering::SeqCst);
        assert!(after - before <= 3, "{} of the other address went first", after - before);
    }
    let mut statuses = Vec::new();
    for task in greedy {
        statuses.push(task.await.unwrap());
    }
    assert!(statuses.iter().all(|status| [200, 503].contains(status)), "{statuses:?}");
    assert!(statuses.contains(&503), "the queue was full");
    world.end().await;
}
