//! Every size has a bound, over raw sockets: a request at the bound passes, one byte more is refused with the status that
//! the documentation says, and the backend sees nothing of it.

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

use support::{Answer, Backend, Client, World, faults_of_refusal};

fn world(backend: &Backend, limits: &str) -> World {
    let address = backend.address;
    World::start(&format!(
        r#"
listeners: [{{ bind: "127.0.0.1:0" }}]
workers: 1
{limits}
routes:
  - {{ path: "/{{*rest}}", public: "a test", upstream: "http://{address}" }}
  - path: /small
    public: "a test"
    upstream: "http://{address}"
    security: {{ body: {{ max_size: 10 }} }}
"#
    ))
}

/// A target of exactly so many bytes.
fn target(bytes: usize) -> String {
    format!("/a?{}", "q".repeat(bytes - 3))
}

/// A field that counts exactly so many bytes, name and value together.
fn field(name: &str, bytes: usize) -> String {
    format!("{name}: {}\r\n", "v".repeat(bytes - name.len()))
}

/// So many fields beside `Host`.
fn fields(count: usize) -> String {
    (0..count).map(|number| format!("F{number}: v\r\n")).collect()
}

async fn ask(world: &World, line: &str, fields: &str, body: &str) -> Answer {
    let mut client = Client::connect(world.address).await;
    client.send(format!("{line} HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n{body}").as_bytes()).await;
    client.answer(false).await.expect("an answer")
}

async fn get(world: &World, target: &str, fields: &str) -> Answer {
    ask(world, &format!("GET {target}"), fields, "").await
}

fn assert_refused(answer: &Answer, status: u16) {
    assert_eq!((answer.status, faults_of_refusal(answer)), (status, Vec::new()), "{answer:?}");
}

#[tokio::test]
async fn the_bounds_of_a_file_that_says_nothing() {
    let backend = Backend::start().await;
    let world = world(&backend, "");
    let host = "host".len() + "a.example".len();

    assert_eq!(get(&world, &target(8 * 1024), "").await.status, 200);
    assert_refused(&get(&world, &target(8 * 1024 + 1), "").await, 414);

    assert_eq!(get(&world, "/a", &fields(99)).await.status, 200);
    // The parser itself refuses these, without a body.
    assert_refused(&get(&world, "/a", &fields(100)).await, 431);

    assert_eq!(get(&world, "/a", &field("x-a", 8 * 1024)).await.status, 200);
    assert_refused(&get(&world, "/a", &field("x-a", 8 * 1024 + 1)).await, 431);

    let three = field("x-a", 8 * 1024) + &field("x-b", 8 * 1024) + &field("x-c", 8 * 1024);
    assert_eq!(get(&world, "/a", &(three.clone() + &field("x-d", 8 * 1024 - host))).await.status, 200);
    assert_refused(&get(&world, "/a", &(three + &field("x-d", 8 * 1024 - host + 1))).await, 431);

    let body = |bytes: usize| (format!("Content-Length: {bytes}\r\n"), "b".repeat(bytes));
    let (length, most) = body(1024 * 1024);
    assert_eq!(ask(&world, "POST /a", &length, &most).await.status, 200);
    let (length, more) = body(1024 * 1024 + 1);
    assert_refused(&ask(&world, "POST /a", &length, &more).await, 413);
    let chunked = format!("{:x}\r\n{most}\r\n1\r\nb\r\n0\r\n\r\n", most.len());
    assert_refused(&ask(&world, "POST /a", "Transfer-Encoding: chunked\r\n", &chunked).await, 413);

    let (length, most) = body(10);
    assert_eq!(ask(&world, "POST /small", &length, &most).await.status, 200);
    let (length, more) = body(11);
    assert_refused(&ask(&world, "POST /small", &length, &more).await, 413);

    // What is refused by its head never gets there; a body that grows gets there in part, and never to its end.
    assert!(backend.seen().iter().filter(|seen| seen.complete).count() == 6, "{:#?}", backend.seen().len());
    let codes: Vec<_> = world
        .end()
        .await
        .all()
        .iter()
        .filter_map(|record| record["denied"]["code"].as_str().map(str::to_owned))
        .collect();
    let expected = [
        "target_too_long",
        "head_too_large",
        "head_too_large",
        "head_too_large",
        "body_too_large",
        "body_too_large",
        "body_too_large",
    ];
    assert_eq!(codes, expected);
}

#[tokio::test]
async fn each_bound_can_be_lowered() {
    let backend = Backend::start().await;
    let limits =
        "limits: { max_target_size: 100, max_headers: 5, max_header_size: 200, max_headers_size: 400 }";
    let world = world(&backend, limits);
    let host = "host".len() + "a.example".len();
    assert_eq!(get(&world, &target(100), "").await.status, 200);
    assert_refused(&get(&world, &target(101), "").await, 414);
    assert_eq!(get(&world, "/a", &fields(4)).await.status, 200);
    assert_refused(&get(&world, "/a", &fields(5)).await, 431);
    assert_eq!(get(&world, "/a", &field("x-a", 200)).await.status, 200);
    assert_refused(&get(&world, "/a", &field("x-a", 201)).await, 431);
    let one = field("x-a", 200);
    assert_eq!(get(&world, "/a", &(one.clone() + &field("x-b", 200 - host))).await.status, 200);
    assert_refused(&get(&world, "/a", &(one + &field("x-b", 200 - host + 1))).await, 431);
    assert_eq!(backend.seen().len(), 4);
    world.end().await;
}

#[tokio::test]
async fn each_bound_can_be_raised() {
    let backend = Backend::start().await;
    let limits = "limits: { max_target_size: 60KiB, max_headers: 500, max_header_size: 500KiB, max_headers_size: 1MiB }";
    let world = world(&backend, limits);
    assert_eq!(get(&world, &target(60 * 1024), "").await.status, 200);
    assert_refused(&get(&world, &target(60 * 1024 + 1), "").await, 414);
    assert_eq!(get(&world, "/a", &fields(499)).await.status, 200);
    assert_refused(&get(&world, "/a", &fields(500)).await, 431);
    assert_eq!(get(&world, "/a", &field("x-a", 500 * 1024)).await.status, 200);
    assert_refused(&get(&world, "/a", &field("x-a", 500 * 1024 + 1)).await, 431);
    // Longer than any target can be: the parser refuses it, and the record says the same.
    assert_refused(&get(&world, &target(100_000), "").await, 414);
    assert_eq!(backend.seen().len(), 3);
    let records = world.end().await.all();
    let last = records.last().unwrap();
    assert_eq!((&last["denied"]["code"], &last["status"]), (&"target_too_long".into(), &414.into()));
}
