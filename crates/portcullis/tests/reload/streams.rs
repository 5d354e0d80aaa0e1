//! What runs for long ends when what let it in is gone, and not before.

use crate::document;
use crate::support::{OTHER_KEY, TestClock, USER_KEY, World};
use aws_lc_rs::hmac;
use base64ct::{Base64UrlUnpadded, Encoding};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// By when it has ended.
const SOON: Duration = Duration::from_secs(5);
/// A text frame of a server.
const FRAME: &[u8] = b"\x81\x04tick";
/// A close frame with the status 1008.
const CLOSE: &[u8] = b"\x88\x02\x03\xf0";
const ROUTES: &str = "  - { path: /ws, upgrade: [websocket], upstream: \"BACKEND\" }\n  - { path: /events, upstream: \"BACKEND\" }\n  - { path: /upload, upstream: \"BACKEND\" }\n";

/// A server that speaks on and on, as a WebSocket or as a stream of events, and one that waits for the end of what it gets.
async fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(speak(stream));
        }
    });
    address
}

async fn speak(mut stream: TcpStream) {
    let head = head(&mut stream).await;
    let (first, each): (&[u8], &[u8]) = match head.split(' ').nth(1) {
        Some("/ws") => {
            (b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", FRAME)
        }
        Some("/events") => (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
            b"e\r\ndata: a tick\n\n\r\n",
        ),
        _ => {
            // The client waits for this, so that it knows that its request was let in.
            stream.write_all(b"HTTP/1.1 102 Processing\r\n\r\n").await.unwrap();
            while stream.read(&mut [0; 4096]).await.is_ok_and(|size| size > 0) {}
            return;
        }
    };
    stream.write_all(first).await.unwrap();
    while stream.write_all(each).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// Something that runs for long.
struct Long {
    stream: TcpStream,
    what: &'static str,
}

/// How it ended.
#[derive(Debug)]
struct Ended {
    after: Duration,
    last: Vec<u8>,
}

impl Long {
    async fn begin(gateway: SocketAddr, what: &'static str, credential: &str) -> Long {
        let mut stream = TcpStream::connect(gateway).await.unwrap();
        let more = match what {
            "/ws" => {
                "GET /ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
            }
            "/events" => "GET /events HTTP/1.1\r\nAccept: text/event-stream",
            _ => "POST /upload HTTP/1.1\r\nContent-Length: 1000000",
        };
        stream
            .write_all(format!("{more}\r\nHost: a.example\r\n{credential}\r\n\r\n").as_bytes())
            .await
            .unwrap();
        match what {
            "/ws" => assert!(head(&mut stream).await.starts_with("HTTP/1.1 101")),
            "/events" => assert!(head(&mut stream).await.starts_with("HTTP/1.1 200")),
            _ => {
                stream.write_all(b"some of it").await.unwrap();
                assert!(head(&mut stream).await.starts_with("HTTP/1.1 102"));
            }
        }
        Long { stream, what }
    }

    /// Whether something comes yet.
    async fn goes_on(&mut self) -> bool {
        if self.what == "/upload" {
            return self.stream.write_all(b"more").await.is_ok();
        }
        let read = tokio::time::timeout(SOON, self.stream.read(&mut [0; 4096])).await;
        matches!(read, Ok(Ok(1..)))
    }

    /// Reads on until its end.
    async fn end(mut self) -> Ended {
        let (begun, mut last) = (Instant::now(), Vec::new());
        let read = async {
            let mut buffer = [0; 4096];
            while let Ok(size @ 1..) = self.stream.read(&mut buffer).await {
                last.extend_from_slice(&buffer[..size]);
            }
        };
        tokio::time::timeout(SOON, read).await.unwrap_or_else(|_| panic!("{} goes on", self.what));
        let from = last.len().saturating_sub(4096);
        Ended { after: begun.elapsed(), last: last[from..].to_vec() }
    }
}

fn key(key: &str) -> String {
    format!("X-Api-Key: {key}")
}

/// Alice's requests of each kind end, and Bob's do not.
async fn ends_for_alice(world: &World, change: impl FnOnce(), code: &str) {
    let mut alices = Vec::new();
    let mut bobs = Vec::new();
    for what in ["/ws", "/events", "/upload"] {
        alices.push(Long::begin(world.address, what, &key(USER_KEY)).await);
        bobs.push(Long::begin(world.address, what, &key(OTHER_KEY)).await);
    }
    change();
    for long in alices {
        let what = long.what;
        let ended = long.end().await;
        match what {
            "/ws" => assert!(ended.last.ends_with(CLOSE), "{ended:?}"),
            "/events" => assert!(!ended.last.ends_with(b"0\r\n\r\n"), "it must not look complete"),
            _ => {
                let status = if code == "role_missing" { "HTTP/1.1 403" } else { "HTTP/1.1 401" };
                assert!(ended.last.starts_with(status.as_bytes()), "{ended:?}");
            }
        }
        assert!(ended.after < SOON, "{ended:?}");
    }
    for long in &mut bobs {
        assert!(long.goes_on().await, "{}", long.what);
    }
    drop(bobs);
    // A record is written when its task has ended, which may be after the client has seen the end.
    let deadline = Instant::now() + SOON;
    let records = loop {
        let mut all = world.records.all();
        all.retain(|record| record["consumer"] == "alice");
        if all.len() >= 3 || Instant::now() > deadline {
            break all;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(records.len(), 3, "{records:#?}");
    for record in records {
        assert_eq!(
            (&record["outcome"], &record["denied"]["code"]),
            (&"failed".into(), &code.into()),
            "{record}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_with_its_key_its_consumer_and_its_role() {
    let server = server().await;
    let roles = "  authorization: { roles_allowed: [user] }";
    let text = document(server, roles, ROUTES);
    for (from, to, code) in [
        (
            format!("{{ literal: \"{USER_KEY}\" }}"),
            "{ literal: \"new-0123456789abcdef0123\" }",
            "credential_unknown",
        ),
        ("- name: alice\n    roles: [user]".to_owned(), "- name: alice\n    roles: [guest]", "role_missing"),
        (
            format!("{{ literal: \"{USER_KEY}\" }}"),
            "{ literal: \"usr-31c2a90b6f7e4d15a8c4\", expires: \"2020-01-01T00:00:00Z\" }",
            "credential_expired",
        ),
    ] {
        let changed = text.replace(&from, to);
        assert_ne!(changed, text);
        let world = World::start(&text);
        ends_for_alice(&world, || drop(world.reload(&changed).unwrap()), code).await;
        world.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_with_its_route() {
    let server = server().await;
    let text = document(server, "", ROUTES);
    for changed in [
        text.replace("path: /ws,", "path: /other,"),
        text.replace("upgrade: [websocket], ", ""),
        text.replace("path: /ws,", "path: /ws, methods: [POST],"),
        text.replace("path: /ws,", "path: /ws, security: { addresses: { allow: [\"192.0.2.0/24\"] } },"),
    ] {
        assert_ne!(changed, text);
        let world = World::start(&text);
        let ws = Long::begin(world.address, "/ws", &key(USER_KEY)).await;
        let mut events = Long::begin(world.address, "/events", &key(USER_KEY)).await;
        if let Err(error) = world.reload(&changed) {
            panic!("{error}");
        }
        assert!(ws.end().await.last.ends_with(CLOSE));
        assert!(events.goes_on().await);
        drop(events);
        world.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_outlives_a_reload_that_lets_it_in() {
    let server = server().await;
    let text = document(server, "", ROUTES);
    let world = World::start(&text);
    let mut ws = Long::begin(world.address, "/ws", &key(USER_KEY)).await;
    // Other numbers for the consumers, another limit, another route before this one.
    let changed = text
        .replace(
            "consumers:\n",
            "consumers:\n  - { name: aaron, keys: [{ literal: \"aar-31c2a90b6f7e4d15a8c4\" }] }\n",
        )
        .replace(
            "routes:\n",
            "routes:\n  - { path: /aaa, public: \"a test\", upstream: \"http://127.0.0.1:9\" }\n",
        );
    world.reload(&changed).unwrap();
    let begun = Instant::now();
    while begun.elapsed() < SOON {
        assert!(ws.goes_on().await);
    }
    drop(ws);
    world.end().await;
}

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn token(lifetime: u64) -> String {
    let part = |json: String| Base64UrlUnpadded::encode_string(json.as_bytes());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let signed = format!(
        "{}.{}",
        part("{\"alg\":\"HS256\",\"typ\":\"at+jwt\"}".to_owned()),
        part(format!(
            "{{\"iss\":\"https://issuer.example\",\"sub\":\"alice\",\"aud\":\"orders\",\"iat\":{now},\"exp\":{}}}",
            now + lifetime
        )),
    );
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let signature = Base64UrlUnpadded::encode_string(hmac::sign(&key, signed.as_bytes()).as_ref());
    format!("Authorization: Bearer {signed}.{signature}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_with_its_token() {
    let server = server().await;
    let method = format!(
        "{{ type: jwt, issuer: \"https://issuer.example\", audience: orders, algorithms: [HS256], secret: {{ literal: \"{SECRET}\" }} }}"
    );
    let text = document(server, "", ROUTES).replace("{ type: api_key, header: x-api-key }", &method);
    let clock = TestClock::default();
    let world = World::start_by(&text, clock.clone());
    let (short, long) = (token(600), token(7200));
    let mut kept = Vec::new();
    let mut ending = Vec::new();
    for what in ["/ws", "/events", "/upload"] {
        ending.push(Long::begin(world.address, what, &short).await);
        kept.push(Long::begin(world.address, what, &long).await);
    }
    clock.pass(Duration::from_secs(500));
    tokio::time::sleep(Duration::from_secs(4)).await;
    for long in &mut ending {
        assert!(long.goes_on().await, "{}", long.what);
    }
    clock.pass(Duration::from_secs(200));
    for long in ending {
        let what = long.what;
        let ended = long.end().await;
        match what {
            "/ws" => assert!(ended.last.ends_with(CLOSE), "{ended:?}"),
            "/events" => assert!(!ended.last.ends_with(b"0\r\n\r\n")),
            _ => assert!(ended.last.starts_with(b"HTTP/1.1 401"), "{ended:?}"),
        }
    }
    for long in &mut kept {
        assert!(long.goes_on().await, "{}", long.what);
    }
    // The issuer goes.
    world.reload(&text.replace("audience: orders", "audience: invoices")).unwrap();
    for long in kept {
        long.end().await;
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_with_its_password() {
    let server = server().await;
    // Of "correct horse", and of "battery staple".
    let hashes =
        ["correct horse", "battery staple"].map(|text| portcullis::password::hash(text.as_bytes()).unwrap());
    let text = format!(
        "listeners: [{{ bind: \"127.0.0.1:0\" }}]\nworkers: 1\nsecurity: {{ authentication: {{ type: basic }} }}\nconsumers: [{{ name: alice, password: {{ hash: \"{}\" }} }}]\nroutes:\n{}",
        hashes[0],
        ROUTES.replace("BACKEND", &format!("http://{server}"))
    );
    let world = World::start(&text);
    let credential =
        format!("Authorization: Basic {}", base64ct::Base64::encode_string(b"alice:correct horse"));
    let mut ws = Long::begin(world.address, "/ws", &credential).await;
    world.reload(&text.replace("workers: 1", "workers: 1\nlimits: { max_headers: 50 }")).unwrap();
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(ws.goes_on().await, "the same password");
    world.reload(&text.replace(&hashes[0], &hashes[1])).unwrap();
    assert!(ws.end().await.last.ends_with(CLOSE));
    world.end().await;
}
