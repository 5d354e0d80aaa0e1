//! HTTP/2 from clients, and from those who abuse it, frame by frame: the gateway closes their connection, keeps its memory,
//! and serves everybody else.

use crate::authority::{Authority, Wanted, folder, write};
use crate::commands::curl;
use crate::support::{Backend, Reply, World, alone};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
/// `:method: GET`, `:scheme: http`, `:path: /`, `:authority: a` (RFC 7541, appendix A).
const GET: &[u8] = &[0x82, 0x86, 0x84, 0x41, 1, b'a'];
/// The same with POST.
const POST: &[u8] = &[0x83, 0x86, 0x84, 0x41, 1, b'a'];

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A client that writes any frames.
struct Raw {
    stream: TcpStream,
}

impl Raw {
    async fn connect(to: SocketAddr, settings: &[u8]) -> Raw {
        let mut stream = TcpStream::connect(to).await.unwrap();
        stream.write_all(PREFACE).await.unwrap();
        stream.write_all(&frame(SETTINGS, 0, 0, settings)).await.unwrap();
        Raw { stream }
    }

    /// Writes these bytes again and again until the gateway closes the connection, reading what it answers; how many were
    /// written. Fails if it takes more than `limit`.
    async fn flood(mut self, mut next: impl FnMut() -> Vec<u8>, limit: usize) -> usize {
        let (mut read, mut write) = self.stream.split();
        let mut written = 0;
        let answers = async { while matches!(read.read(&mut [0; 4096]).await, Ok(size) if size > 0) {} };
        let requests = async {
            loop {
                let bytes = next();
                if write.write_all(&bytes).await.is_err() {
                    return;
                }
                written += bytes.len();
                assert!(written < limit, "nobody stops it");
            }
        };
        let both = async {
            tokio::select! {
                () = answers => {}
                () = requests => {}
            }
        };
        tokio::time::timeout(Duration::from_secs(20), both).await.expect("the connection is closed");
        written
    }

    /// Waits for the gateway to close the connection.
    async fn until_closed(&mut self) -> Duration {
        let begun = Instant::now();
        let closed =
            async { while matches!(self.stream.read(&mut [0; 4096]).await, Ok(size) if size > 0) {} };
        tokio::time::timeout(Duration::from_secs(20), closed).await.expect("the connection is closed");
        begun.elapsed()
    }
}

/// This process's memory in MiB; the gateway is in it.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

async fn gateway(answer: &'static str, timeouts: &str) -> (World, Backend) {
    let backend = Backend::answering(move |_| Reply::with("200 OK", "", answer)).await;
    let world = World::start(&format!(
        "listeners: [{{ bind: \"127.0.0.1:0\", protocols: [h2], timeouts: {{ {timeouts} }} }}]\n\
         routes: [{{ path: \"/\", public: a test, upstream: \"http://{}\" }}]\n",
        backend.address
    ));
    (world, backend)
}

/// A request of somebody else; how long it took.
async fn somebody_else(to: SocketAddr) -> Duration {
    let begun = Instant::now();
    let stream = TcpStream::connect(to).await.unwrap();
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::get("http://a/").body(()).unwrap();
    let (response, _) = client.send_request(request, true).unwrap();
    let response = tokio::time::timeout(Duration::from_secs(10), response).await.unwrap().unwrap();
    assert_eq!(response.status(), 200);
    begun.elapsed()
}

/// Runs an attack beside somebody else's request; prints the numbers, and bounds the memory.
async fn attacked(name: &str, world: &World, attack: impl Future<Output = usize>) -> usize {
    somebody_else(world.address).await;
    let before = memory();
    let begun = Instant::now();
    let (written, waited) = tokio::join!(attack, somebody_else(world.address));
    let grown = memory().saturating_sub(before);
    println!(
        "{name}: closed after {written} bytes and {:?}; {grown} MiB more; others waited {waited:?}",
        begun.elapsed()
    );
    // The backend is in this process as well, and holds what the gateway does not take.
    assert!(grown < 160, "{name}: {grown} MiB");
    assert!(waited < Duration::from_secs(5), "{name}: others waited {waited:?}");
    somebody_else(world.address).await;
    written
}

fn refusals(records: &[serde_json::Value]) -> Vec<String> {
    let refused = records.iter().filter(|record| record["denied"]["code"] == "http2_refused");
    refused.map(|record| record["denied"]["detail"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rapid_reset_is_cut_off() {
    if !alone("http2::a_rapid_reset_is_cut_off") {
        return;
    }
    let (world, backend) = gateway("ok", "").await;
    // Opened and given up in one write, and then with time in between, so that each is looked at.
    for pause in [0_usize, 1] {
        let attack = async {
            let mut id = 1;
            let raw = Raw::connect(world.address, &[]).await;
            let open = || {
                let opened = frame(HEADERS, 5, id, GET);
                let reset = frame(RST_STREAM, 0, id, &8_u32.to_be_bytes());
                id += 2;
                if pause == 1 {
                    std::thread::sleep(Duration::from_micros(200));
                }
                [opened, reset].concat()
            };
            raw.flood(open, 10_000_000).await
        };
        attacked("rapid reset", &world, attack).await;
    }
    assert!(backend.seen().len() < 2_000, "{}", backend.seen().len());
    assert!(!refusals(&world.end().await.all()).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_frames_is_cut_off() {
    if !alone("http2::a_flood_of_frames_is_cut_off") {
        return;
    }
    let (world, _backend) = gateway("ok", "").await;
    let settings = frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]);
    let ping = frame(PING, 0, 0, &[0; 8]);
    for (name, bytes) in [("settings flood", settings), ("ping flood", ping)] {
        let many = bytes.repeat(50);
        let attack =
            async { Raw::connect(world.address, &[]).await.flood(|| many.clone(), 20_000_000).await };
        attacked(name, &world, attack).await;
    }
    let mut first = true;
    let empty = || {
        let opened = if std::mem::take(&mut first) { frame(HEADERS, 4, 1, POST) } else { Vec::new() };
        [opened, frame(DATA, 0, 1, &[]).repeat(50)].concat()
    };
    let attack = async { Raw::connect(world.address, &[]).await.flood(empty, 20_000_000).await };
    attacked("empty data flood", &world, attack).await;
    // A body of nothing but padding is none.
    let mut first = true;
    let padded = || {
        let opened = if std::mem::take(&mut first) { frame(HEADERS, 4, 1, POST) } else { Vec::new() };
        [opened, frame(DATA, 8, 1, &[[255].as_slice(), &[0; 255]].concat()).repeat(50)].concat()
    };
    let attack = async { Raw::connect(world.address, &[]).await.flood(padded, 20_000_000).await };
    attacked("padding flood", &world, attack).await;
    let details = refusals(&world.end().await.all());
    assert_eq!(details.len(), 4, "{details:?}");
    assert!(details.iter().any(|detail| detail.contains("control bytes")), "{details:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_without_end_is_cut_off() {
    if !alone("http2::a_head_without_end_is_cut_off") {
        return;
    }
    let (world, backend) = gateway("ok", "header: 400ms").await;
    let mut first = true;
    let endless = || {
        let opened = if std::mem::take(&mut first) { frame(HEADERS, 1, 1, GET) } else { Vec::new() };
        // A field of its own in each: name and value in full, never indexed.
        let field = [&[0x10, 5][..], b"x-pad", &[127, 129, 125], &[b'a'; 16_256]].concat();
        [opened, frame(CONTINUATION, 0, 1, &field)].concat()
    };
    let attack = async { Raw::connect(world.address, &[]).await.flood(endless, 50_000_000).await };
    let written = attacked("continuation flood", &world, attack).await;
    assert!(written < 10_000_000, "{written}");
    // A head that stops in the middle, and a connection that says nothing.
    let mut slow = Raw::connect(world.address, &[]).await;
    slow.stream.write_all(&frame(HEADERS, 1, 1, GET)).await.unwrap();
    assert!(slow.until_closed().await < Duration::from_secs(5));
    assert_eq!(backend.seen().len(), 3, "somebody else's alone");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bomb_of_fields_is_refused() {
    if !alone("http2::a_bomb_of_fields_is_refused") {
        return;
    }
    let (world, backend) = gateway("ok", "").await;
    let attack = async {
        let mut raw = Raw::connect(world.address, &[]).await;
        // One field of 4,000 bytes goes into the table; then it is named 16,000 times, by a byte each: 64 MB.
        let field = [&[0x40, 5][..], b"x-pad", &[127, 161, 30], &[b'a'; 4_000]].concat();
        let block = [GET, &field, &[0xbe; 12_000]].concat();
        raw.stream.write_all(&frame(HEADERS, 1 | 4, 1, &block[..16_000])).await.unwrap();
        raw.stream.write_all(&frame(HEADERS, 1 | 4, 3, GET)).await.unwrap();
        let mut answers = vec![0; 65536];
        let _some = tokio::time::timeout(Duration::from_millis(500), raw.stream.read(&mut answers)).await;
        16_000
    };
    attacked("header bomb", &world, attack).await;
    assert!(backend.seen().iter().all(|seen| seen.fields("x-pad").is_empty()));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_window_is_given_up() {
    if !alone("http2::a_stalled_window_is_given_up") {
        return;
    }
    let big: &'static str = Box::leak("x".repeat(1024 * 1024).into_boxed_str());
    let (world, _backend) = gateway(big, "body: 300ms, idle: 500ms").await;
    let attack = async {
        // No window at all for answers, and a hundred of them.
        let mut raw = Raw::connect(world.address, &[0, 4, 0, 0, 0, 0]).await;
        for id in 0..100 {
            raw.stream.write_all(&frame(HEADERS, 5, 2 * id + 1, GET)).await.unwrap();
        }
        raw.until_closed().await;
        2_500
    };
    attacked("window stall", &world, attack).await;
    let records = world.end().await.all();
    assert!(records.iter().filter(|record| record["outcome"] == "aborted").count() >= 100, "{records:#?}");
    // Nobody took a byte of them, so little of each was fetched.
    let stalled = records.iter().filter(|record| record["outcome"] == "aborted");
    let most = stalled.map(|record| record["bytes_sent"].as_u64().unwrap()).max();
    assert!(most.unwrap() < 512 * 1024, "{most:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_speaks_it_under_tls() {
    let folder = folder();
    let authority = Authority::new("a test's authority");
    let ca = folder.join("ca.pem");
    write(&ca, &authority.pem);
    authority.issue(&folder, "api", &Wanted::server(&["api.example"]));
    let backend = Backend::answering(|seen| Reply::with("200 OK", "", &seen.body.len().to_string())).await;
    let world = World::start(&format!(
        "listeners:\n  - bind: 127.0.0.1:0\n    tls: {{ certificates: [{{ certificate: {0}/api.pem, key: {0}/api.key }}] }}\n\
         routes: [{{ path: \"/{{*rest}}\", public: a test, upstream: \"http://{1}\" }}]\n",
        folder.display(),
        backend.address
    ));
    let body = folder.join("body");
    std::fs::write(&body, "y".repeat(500_000)).unwrap();
    let said = curl(
        world.address,
        "api.example",
        "/a",
        &ca,
        &["--http2", "-H", "cookie: a=1", "-b", "b=2", "--data-binary", &format!("@{}", body.display())],
    );
    assert!(said.out.starts_with("HTTP/2 200") && said.out.ends_with("500000"), "{said:?}");
    assert!(said.out.contains("strict-transport-security"), "{said:?}");
    let said = curl(world.address, "api.example", "/a", &ca, &["--http1.1"]);
    assert!(said.out.starts_with("HTTP/1.1 200"), "{said:?}");
    let seen = backend.seen();
    assert_eq!(seen[0].fields("host"), [backend.address.to_string()]);
    assert_eq!(seen[0].fields("x-forwarded-host")[0].split(':').next(), Some("api.example"));
    assert_eq!(seen[0].fields("cookie").len(), 1, "{seen:?}");
    // In the clear nothing is guessed.
    let plain = World::start(&format!(
        "listeners: [{{ bind: \"127.0.0.1:0\" }}]\nroutes: [{{ path: /a, public: a test, upstream: \"http://{}\" }}]\n",
        backend.address
    ));
    let mut raw = Raw::connect(plain.address, &[]).await;
    raw.until_closed().await;
    world.end().await;
    plain.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_finishes_what_runs() {
    let (world, _backend) = gateway("ok", "").await;
    let stream = TcpStream::connect(world.address).await.unwrap();
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = || http::Request::post("http://a/").body(()).unwrap();
    let (response, mut body) = client.send_request(request(), false).unwrap();
    body.send_data("half".into(), false).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let ending = tokio::spawn(world.end());
    tokio::time::sleep(Duration::from_millis(100)).await;
    body.send_data("other half".into(), true).unwrap();
    assert_eq!(response.await.unwrap().status(), 200);
    drop(client);
    tokio::time::timeout(Duration::from_secs(5), connection)
        .await
        .expect("it is told to go")
        .unwrap()
        .unwrap();
    let records = tokio::time::timeout(Duration::from_secs(5), ending).await.expect("it ends").unwrap();
    assert_eq!(records.all().len(), 1);
}

/// The `h2` crate cuts a fragment off before a request can be seen. What is left is what is judged, and what goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_fragment_is_neither_judged_nor_forwarded() {
    let backend = Backend::start().await;
    let world = World::start(&format!(
        "listeners: [{{ bind: \"127.0.0.1:0\", protocols: [h2] }}]\n\
         security: {{ authentication: {{ type: api_key, keys: [\"0123456789abcdef0123\"] }} }}\n\
         routes:\n  \
           - {{ path: /admin, upstream: \"http://{0}\" }}\n  \
           - {{ path: \"/open/{{*rest}}\", public: a test, upstream: \"http://{0}\" }}\n",
        backend.address
    ));
    let mut raw = Raw::connect(world.address, &[]).await;
    let cases = [
        ("/open/a#b", 200, "/open/a"),
        ("/open/a?x=1#y?z", 200, "/open/a?x=1"),
        ("/open/a#/../admin", 200, "/open/a"),
        ("/open/a%23b", 200, "/open/a%23b"),
        ("/admin#/open/a", 401, ""),
        ("/admin?#", 401, ""),
        ("/#/open/a", 404, ""),
        ("#/open/a", 400, ""),
        ("#", 400, ""),
    ];
    for (number, (path, ..)) in (0_u32..).zip(cases) {
        // `:method: GET`, `:scheme: http`, `:path` as it is, `:authority: a`.
        let head =
            [&[0x82, 0x86, 0x04, u8::try_from(path.len()).unwrap()], path.as_bytes(), &[0x41, 1, b'a']];
        let stream = 2 * number + 1;
        raw.stream.write_all(&frame(HEADERS, 5, stream, &head.concat())).await.unwrap();
        let begun = Instant::now();
        while world.records.lines().len() <= number as usize {
            assert!(begun.elapsed() < Duration::from_secs(10), "{path} is answered");
            let _ = tokio::time::timeout(Duration::from_millis(20), raw.stream.read(&mut [0; 4096])).await;
        }
    }
    let records = world.end().await.all();
    let statuses: Vec<_> = records.iter().map(|record| record["status"].clone()).collect();
    assert_eq!(statuses, cases.map(|(_, status, _)| status), "{records:#?}");
    let forwarded: Vec<String> = backend.seen().iter().map(|seen| seen.target.clone()).collect();
    let expected: Vec<&str> =
        cases.iter().map(|(.., target)| *target).filter(|target| !target.is_empty()).collect();
    assert_eq!(forwarded, expected);
}
