//! GraphQL over a WebSocket: each message is judged like a request before it goes on, by plain sockets on both sides, and with
//! the npm packages `graphql-ws` and `ws` as client and server.

use crate::support::{self, Client, PATIENCE, USER_KEY, World};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::timeout;

const PROTOCOL: &str = "Sec-WebSocket-Protocol: graphql-transport-ws\r\n";
const INIT: &str = r#"{"type":"connection_init"}"#;

/// A frame; a client's is masked.
fn frame(first: u8, masked: bool, payload: &[u8]) -> Vec<u8> {
    let mask = if masked { 0x80 } else { 0 };
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..126 => frame.push(mask | u8::try_from(length).unwrap()),
        length => {
            frame.push(mask | 126);
            frame.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
    }
    if masked {
        let key = [7, 1, 200, 9];
        frame.extend(key);
        frame.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    } else {
        frame.extend(payload);
    }
    frame
}

fn text(text: &str) -> Vec<u8> {
    frame(0x81, true, text.as_bytes())
}

fn subscribe(id: &str, document: &str) -> String {
    json!({ "id": id, "type": "subscribe", "payload": { "query": document } }).to_string()
}

/// The next frame: its first byte, whether it was masked, and its payload.
async fn next_frame(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<(u8, bool, Vec<u8>)> {
    let (first, second) = (stream.read_u8().await?, stream.read_u8().await?);
    let length = match second & 0x7f {
        126 => stream.read_u16().await?.into(),
        127 => usize::try_from(stream.read_u64().await?).unwrap(),
        short => usize::from(short),
    };
    let mut key = [0; 4];
    if second & 0x80 != 0 {
        stream.read_exact(&mut key).await?;
    }
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).await?;
    payload.iter_mut().zip(key.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
    Ok((first, second & 0x80 != 0, payload))
}

async fn head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// A server that takes upgrades, and what reaches it.
struct Upstream {
    address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
    seen: Arc<Mutex<Vec<String>>>,
    /// What it says on its last connection.
    say: Arc<Mutex<Option<UnboundedSender<Vec<u8>>>>>,
}

impl Upstream {
    /// One that answers upgrades with these fields.
    async fn start(fields: &'static str) -> Upstream {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = Upstream {
            address: listener.local_addr().unwrap(),
            heads: Arc::default(),
            seen: Arc::default(),
            say: Arc::default(),
        };
        let (heads, seen, say) =
            (Arc::clone(&upstream.heads), Arc::clone(&upstream.seen), Arc::clone(&upstream.say));
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let (heads, seen, say) = (Arc::clone(&heads), Arc::clone(&seen), Arc::clone(&say));
                tokio::spawn(async move {
                    let asked = head(&mut stream).await;
                    heads.lock().unwrap().push(asked);
                    let answer = format!(
                        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n{fields}\r\n"
                    );
                    stream.write_all(answer.as_bytes()).await.unwrap();
                    let (mut from, mut to) = stream.into_split();
                    let (sender, mut receiver) = unbounded_channel::<Vec<u8>>();
                    *say.lock().unwrap() = Some(sender);
                    tokio::spawn(async move {
                        while let Some(bytes) = receiver.recv().await {
                            if to.write_all(&bytes).await.is_err() {
                                break;
                            }
                        }
                    });
                    while let Ok((first, masked, payload)) = next_frame(&mut from).await {
                        assert!(masked, "a client's frames are masked");
                        seen.lock().unwrap().push(format!("{first:x} {}", String::from_utf8_lossy(&payload)));
                    }
                    seen.lock().unwrap().push("end".to_owned());
                });
            }
        });
        upstream
    }

    fn say(&self, bytes: &[u8]) {
        self.say.lock().unwrap().as_ref().unwrap().send(bytes.to_vec()).unwrap();
    }

    fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    /// What has come, once this has.
    async fn seen_until(&self, last: impl Fn(&[String]) -> bool) -> Vec<String> {
        self.seen_within(PATIENCE, last).await
    }

    async fn seen_within(&self, patience: Duration, last: impl Fn(&[String]) -> bool) -> Vec<String> {
        let begun = Instant::now();
        loop {
            let seen = self.seen();
            if last(&seen) {
                return seen;
            }
            assert!(begun.elapsed() < patience, "{} messages: {:?}", seen.len(), seen.last());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn world(upstream: SocketAddr) -> World {
    let consumers = support::consumers();
    World::start(&format!(
        r#"
listeners: [{{ bind: "127.0.0.1:0" }}]
workers: 2
security:
  authentication: {{ type: api_key, header: x-api-key }}
{consumers}
routes:
  - path: /graphql
    upstream: "http://{upstream}"
    upgrade: [websocket]
    security: {{ graphql: {{ subscriptions: true, max_depth: 3 }}, body: {{ max_size: 20KiB }} }}
  - path: /plain
    upstream: "http://{upstream}"
    upgrade: [websocket]
    security: {{ graphql: {{ automatic_persisted_queries: 1MiB }}, strict_errors: false }}
  - path: /limited
    upstream: "http://{upstream}"
    upgrade: [websocket]
    security: {{ graphql: {{ }}, rate_limiting: {{ max_requests: 3, per: day }} }}
  - path: /searched
    upstream: "http://{upstream}"
    upgrade: [websocket]
    security: {{ graphql: {{ }}, waf: {{ }} }}
  - path: /read
    methods: [GET]
    upstream: "http://{upstream}"
    upgrade: [websocket]
    security: {{ graphql: {{ }} }}
  - path: /split
    methods: [GET]
    upstream: "http://{upstream}"
    upgrade: [websocket]
    security: {{ graphql: {{ }} }}
  - path: /split
    methods: [POST]
    upstream: "http://{upstream}"
    security: {{ graphql: {{ }}, authorization: {{ roles_allowed: [admin] }} }}
  - path: /observed
    upstream: "http://{upstream}"
    upgrade: [websocket]
    security: {{ graphql: {{ mode: observe }} }}
"#
    ))
}

fn upgrade(target: &str, fields: &str) -> String {
    format!(
        "GET {target} HTTP/1.1\r\nHost: a.example\r\nX-Api-Key: {USER_KEY}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{fields}\r\n"
    )
}

/// A client whose upgrade was agreed on.
struct Socket(TcpStream);

impl Socket {
    async fn open(world: &World, target: &str) -> Socket {
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        stream.write_all(upgrade(target, PROTOCOL).as_bytes()).await.unwrap();
        let answer = head(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        assert!(answer.to_lowercase().contains("sec-websocket-protocol: graphql-transport-ws"), "{answer}");
        Socket(stream)
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    async fn next(&mut self) -> (u8, String) {
        let (first, masked, payload) = timeout(PATIENCE, next_frame(&mut self.0)).await.unwrap().unwrap();
        assert!(!masked, "a server's frames are not masked");
        (first, String::from_utf8_lossy(&payload).into_owned())
    }

    /// The error that this operation got.
    async fn refusal(&mut self, id: &str) -> Value {
        let (first, text) = self.next().await;
        let message: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (first, &message["type"], &message["id"]),
            (0x81, &json!("error"), &json!(id)),
            "{message}"
        );
        message["payload"][0].clone()
    }

    /// The status of the close frame, after which nothing comes.
    async fn closed(&mut self) -> u16 {
        let (first, masked, payload) = timeout(PATIENCE, next_frame(&mut self.0)).await.unwrap().unwrap();
        assert_eq!((first, masked), (0x88, false), "{payload:?}");
        // What it sent and nobody read may reset the connection once it is closed.
        let rest = timeout(PATIENCE, self.0.read(&mut [0; 1])).await.unwrap();
        assert!(matches!(rest, Ok(0) | Err(_)), "{rest:?}");
        u16::from_be_bytes([payload[0], payload[1]])
    }
}

#[tokio::test]
async fn each_message_is_judged_like_a_request() {
    let upstream = Upstream::start(PROTOCOL).await;
    let world = world(upstream.address);
    let mut socket = Socket::open(&world, "/graphql").await;
    socket.send(&text(INIT)).await;
    let good = subscribe("1", "subscription { a { b } }");
    let mutation = subscribe("é\"2", "mutation { a }");
    for message in [&good, &mutation] {
        socket.send(&text(message)).await;
    }
    for (id, document) in [
        ("3", "{ __schema { types { name } } }"),
        ("4", "{ a { a { a { a } } } }"),
        ("5", "{ ...A } fragment A on T { ...A }"),
        ("6", "query A { a } query B { b { b { b { b } } } }"),
        ("7", "x"),
    ] {
        socket.send(&text(&subscribe(id, document))).await;
        let error = socket.refusal(id).await;
        assert_eq!(
            (&error["message"], &error["extensions"]["problem"]["status"]),
            (&json!("Bad Request"), &json!(400))
        );
        assert_eq!(error["extensions"]["problem"]["errors"][0]["pointer"], "/query", "{error}");
    }
    // The document stands twice in what some servers read.
    let twice = r#"{"id":"8","type":"subscribe","payload":{"query":"{ a }","query":"{ __schema { a } }"}}"#;
    socket.send(&text(twice)).await;
    socket.refusal("8").await;
    socket.send(&text(r#"{"id":"1","type":"complete"}"#)).await;
    socket.send(&frame(0x89, true, b"p")).await;
    let seen = upstream.seen_until(|seen| seen.last().is_some_and(|last| last == "89 p")).await;
    let expected =
        [INIT, &good, &mutation, r#"{"id":"1","type":"complete"}"#].map(|text| format!("81 {text}"));
    assert_eq!(seen[..4], expected);
    assert_eq!(seen.len(), 5);
    drop(socket);
    let records = world.end().await.all();
    let refused: Vec<_> = records.iter().filter(|record| record["outcome"] == "refused").collect();
    assert_eq!(refused.len(), 6, "{records:?}");
    for record in refused {
        assert_eq!((&record["method"], &record["status"]), (&json!("POST"), &json!(400)));
        assert_eq!(record["denied"]["check"], "inspect.graphql");
    }
    assert_eq!(records.iter().filter(|record| record["status"] == 200).count(), 2);
    assert_eq!(records.iter().filter(|record| record["status"] == 101).count(), 1);
}

#[tokio::test]
async fn messages_count_in_limits_and_are_searched() {
    let upstream = Upstream::start(PROTOCOL).await;
    let world = world(upstream.address);
    let mut socket = Socket::open(&world, "/limited").await;
    socket.send(&text(INIT)).await;
    for id in ["1", "2", "3"] {
        socket.send(&text(&subscribe(id, "{ a }"))).await;
    }
    assert_eq!(socket.refusal("3").await["extensions"]["problem"]["status"], 429);
    let seen = upstream.seen_until(|seen| seen.len() == 3).await;
    assert!(seen[2].contains(r#""id":"2""#), "{seen:?}");

    let mut socket = Socket::open(&world, "/searched").await;
    socket.send(&text(INIT)).await;
    let attack = json!({ "id": "1", "type": "subscribe", "payload": { "query": "query A($a: String) { a(a: $a) }", "variables": { "a": "1' OR '1'='1' UNION SELECT password FROM users --" } } });
    socket.send(&text(&attack.to_string())).await;
    assert_eq!(socket.refusal("1").await["extensions"]["problem"]["status"], 403);

    // A hash alone is answered as over HTTP, and known once its document was judged.
    let mut socket = Socket::open(&world, "/plain").await;
    let hash = "4b5b0a5c4b2f6e1ddb1c7fb1d5a8d1f0".repeat(2);
    let named = |document: Option<&str>, hash: &str| {
        json!({ "id": "9", "type": "subscribe", "payload": {
            "query": document, "extensions": { "persistedQuery": { "version": 1, "sha256Hash": hash } } } })
        .to_string()
    };
    socket.send(&text(INIT)).await;
    socket.send(&text(&named(None, &hash))).await;
    assert_eq!(socket.refusal("9").await["extensions"]["code"], "PERSISTED_QUERY_NOT_FOUND");
    socket.send(&text(&named(Some("{ a }"), &hash))).await;
    assert_eq!(socket.refusal("9").await["message"], "Bad Request");

    let mut socket = Socket::open(&world, "/observed").await;
    socket.send(&text(INIT)).await;
    let refused = subscribe("1", "{ __schema { a } }");
    socket.send(&text(&refused)).await;
    upstream.seen_until(|seen| seen.last() == Some(&format!("81 {refused}"))).await;
    drop(socket);
    let records = world.end().await.all();
    let observed = records.iter().find(|record| record["observed"][0]["code"] == "graphql_refused");
    assert!(observed.is_some(), "{records:?}");
}

#[tokio::test]
async fn nothing_but_the_protocol_that_is_judged_goes_on() {
    let upstream = Upstream::start(PROTOCOL).await;
    let world = world(upstream.address);
    for (target, fields) in [
        ("/graphql", ""),
        ("/graphql", "Sec-WebSocket-Protocol: graphql-ws\r\n"),
        ("/graphql", "Sec-WebSocket-Protocol: soap, Graphql-Transport-Ws\r\n"),
        ("/graphql?query={a}", PROTOCOL),
        ("/graphql?Query={a}", PROTOCOL),
    ] {
        let answer = Client::connect(world.address).await.ask(&upgrade(target, fields)).await;
        assert_eq!(answer.status, 400, "{target} {fields}");
    }
    let post = upgrade("/graphql", PROTOCOL).replace("GET ", "POST ");
    assert_eq!(Client::connect(world.address).await.ask(&post).await.status, 400);
    let nobody = upgrade("/graphql", PROTOCOL).replace(USER_KEY, "nobodys-key-0123456789");
    assert_eq!(Client::connect(world.address).await.ask(&nobody).await.status, 401);
    assert!(upstream.heads.lock().unwrap().is_empty());

    let several = "Sec-WebSocket-Protocol: graphql-ws, graphql-transport-ws\r\nSec-WebSocket-Extensions: permessage-deflate\r\n";
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    stream.write_all(upgrade("/graphql", several).as_bytes()).await.unwrap();
    assert!(head(&mut stream).await.starts_with("HTTP/1.1 101 "));
    let asked = upstream.heads.lock().unwrap()[0].to_lowercase();
    assert!(asked.contains("sec-websocket-protocol: graphql-transport-ws\r\n"), "{asked}");
    assert!(!asked.contains("extensions"), "{asked}");

    for fields in [
        "",
        "Sec-WebSocket-Protocol: graphql-ws\r\n",
        "Sec-WebSocket-Protocol: graphql-transport-ws\r\nSec-WebSocket-Extensions: permessage-deflate\r\n",
        "Sec-WebSocket-Protocol: graphql-transport-ws\r\nSec-WebSocket-Protocol: graphql-ws\r\n",
    ] {
        let other = Upstream::start(fields).await;
        let world = self::world(other.address);
        let answer = Client::connect(world.address).await.ask(&upgrade("/graphql", PROTOCOL)).await;
        assert_eq!(answer.status, 502, "{fields}");
    }
}

#[tokio::test]
async fn messages_ask_for_no_more_than_post_may() {
    let upstream = Upstream::start(PROTOCOL).await;
    let world = world(upstream.address);
    // No route takes POST there, or another one does, for others.
    for target in ["/read", "/split"] {
        let answer = Client::connect(world.address).await.ask(&upgrade(target, PROTOCOL)).await;
        assert_eq!(answer.status, 400, "{target}");
    }
    assert!(upstream.heads.lock().unwrap().is_empty());
    let records = world.end().await.all();
    assert!(records.iter().all(|record| record["denied"]["code"] == "upgrade_refused"), "{records:?}");
}

#[tokio::test]
async fn a_breach_ends_the_connection_on_both_sides() {
    let upstream = Upstream::start(PROTOCOL).await;
    let world = world(upstream.address);
    let good = subscribe("1", "{ a }");
    let long = subscribe("1", &format!("{{ {} }}", "a ".repeat(15_000)));
    for (status, sent) in [
        (4400, [text(INIT), text("{}")].concat()),
        (4400, [text(INIT), text(r#"{"type":"start","id":"1","payload":{"query":"{ a }"}}"#)].concat()),
        (4401, text(&good)),
        (4429, [text(INIT), text(INIT)].concat()),
        (4429, text(r#"{"type":"ping"}"#).repeat(1000)),
        (1008, frame(0x89, true, b"").repeat(1000)),
        (1008, [text(INIT), frame(0x01, true, b""), frame(0x00, true, b"").repeat(11_000)].concat()),
        (1002, frame(0x81, false, good.as_bytes())),
        (1002, frame(0xc1, true, good.as_bytes())),
        (1003, frame(0x82, true, good.as_bytes())),
        (1007, frame(0x81, true, b"\xff")),
        (1009, [text(INIT), text(&long)].concat()),
        (1009, vec![0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4, 5]),
    ] {
        upstream.seen.lock().unwrap().clear();
        let mut socket = Socket::open(&world, "/graphql").await;
        // The gateway may end it before all of it is there.
        let _cut = socket.0.write_all(&sent).await;
        assert_eq!(socket.closed().await, status, "{:.80?}", String::from_utf8_lossy(&sent));
        let seen = upstream.seen_until(|seen| seen.last().is_some_and(|last| last == "end")).await;
        assert!(!seen.iter().any(|text| text.contains("query")), "{seen:?}");
        assert!(seen[seen.len() - 2].starts_with("88 "), "the upstream is told as well: {seen:?}");
    }
    let records = world.end().await.all();
    let tunnels: Vec<_> = records.iter().filter(|record| record["status"] == 101).collect();
    assert_eq!(tunnels.len(), 13);
    assert!(tunnels.iter().all(|record| record["outcome"] == "failed"), "{tunnels:?}");
}

#[tokio::test]
async fn nothing_follows_a_close_frame() {
    let upstream = Upstream::start(PROTOCOL).await;
    let world = world(upstream.address);
    let mut socket = Socket::open(&world, "/graphql").await;
    let sent = [text(INIT), frame(0x88, true, &[0x03, 0xe8]), text(&subscribe("1", "{ a }"))].concat();
    socket.send(&sent).await;
    socket.0.shutdown().await.unwrap();
    let seen = upstream.seen_until(|seen| seen.last().is_some_and(|last| last == "end")).await;
    assert_eq!((seen.len(), seen[0].as_str()), (3, format!("81 {INIT}").as_str()), "{seen:?}");
    assert!(seen[1].starts_with("88 "));
}

#[tokio::test]
async fn a_refusal_stands_between_two_messages_of_the_server() {
    let upstream = Upstream::start(PROTOCOL).await;
    let world = world(upstream.address);
    let mut socket = Socket::open(&world, "/graphql").await;
    socket.send(&text(INIT)).await;
    upstream.seen_until(|seen| seen.len() == 1).await;
    upstream.say(&frame(0x01, false, b"{\"type\":"));
    assert_eq!(socket.next().await, (0x01, "{\"type\":".to_owned()));
    // Its client is answered when the server's message is complete, but a ping of the server goes by.
    socket.send(&text(&subscribe("2", "{ __schema { a } }"))).await;
    socket.send(&frame(0x8a, true, b"a")).await;
    upstream.seen_until(|seen| seen.len() == 2).await;
    upstream.say(&frame(0x89, false, b"b"));
    assert_eq!(socket.next().await, (0x89, "b".to_owned()));
    upstream.say(&[frame(0x80, false, b"\"pong\"}"), frame(0x81, false, b"{}")].concat());
    assert_eq!(socket.next().await, (0x80, "\"pong\"}".to_owned()));
    socket.refusal("2").await;
    assert_eq!(socket.next().await, (0x81, "{}".to_owned()));
    // Messages in parts, with a ping between them, are one message.
    let (one, two) = (subscribe("3", "{ a }"), subscribe("4", "{ __schema { a } }"));
    for message in [&one, &two] {
        let (left, right) = message.split_at(20);
        let parts = [
            frame(0x01, true, left.as_bytes()),
            frame(0x89, true, b"c"),
            frame(0x80, true, right.as_bytes()),
        ];
        for byte in parts.concat() {
            socket.send(&[byte]).await;
        }
    }
    socket.refusal("4").await;
    let seen = upstream.seen_until(|seen| seen.len() == 5).await;
    assert_eq!(seen[2..], ["89 c".to_owned(), format!("81 {one}"), "89 c".to_owned()]);
}

#[tokio::test]
async fn many_operations_are_judged_in_time_and_a_deaf_client_is_not_heard() {
    let upstream = Upstream::start(PROTOCOL).await;
    let world = world(upstream.address);
    let mut socket = Socket::open(&world, "/graphql").await;
    socket.send(&text(INIT)).await;
    for number in 0..10_000 {
        let message = subscribe(&format!("{number}-{}", "x".repeat(200)), "{ a }");
        socket.send(&text(&message)).await;
    }
    upstream.seen_within(6 * PATIENCE, |seen| seen.len() == 10_001).await;
    // A client that does not read its refusals is not heard any more, and holds up nobody else.
    let mut deaf = Socket::open(&world, "/graphql").await;
    deaf.send(&text(INIT)).await;
    let refused = text(&subscribe("1", "{ __schema { a } }")).repeat(500);
    let mut taken = 0;
    while let Ok(written) = timeout(Duration::from_secs(3), deaf.0.write_all(&refused)).await {
        written.expect("the connection stays open");
        taken += refused.len();
        assert!(taken < 64 << 20, "it is heard for as long as it speaks");
    }
    let mut other = Socket::open(&world, "/graphql").await;
    other.send(&[text(INIT), text(&subscribe("7", "{ __schema { a } }"))].concat()).await;
    other.refusal("7").await;
}

/// A program of the folder with the npm packages.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _status = self.0.wait();
    }
}

fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/counterparts/graphql-ws");
    assert!(
        folder.join("node_modules").exists(),
        "graphql-ws is not installed: run `cargo xtask test`, or `npm ci` in {}",
        folder.display()
    );
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_client_and_a_real_server_talk_through_it() {
    let mut server = Program(
        Command::new("node")
            .arg("server.mjs")
            .current_dir(folder())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let printed = BufReader::new(server.0.stdout.take().unwrap()).lines();
    let (sender, lines) = std::sync::mpsc::channel();
    std::thread::spawn(move || printed.map_while(Result::ok).try_for_each(|line| sender.send(line)));
    let first = lines.recv_timeout(6 * PATIENCE).expect("the server listens");
    let port: u16 = first.strip_prefix("port ").unwrap().parse().unwrap();
    let world = world(SocketAddr::from(([127, 0, 0, 1], port)));
    let url = format!("ws://{}/graphql", world.address);
    let ask = move |key: &'static str, documents: &'static [&'static str]| {
        let url = url.clone();
        tokio::task::spawn_blocking(move || {
            let mut client = Command::new("node");
            client.args(["client.mjs", &url, key]).args(documents).current_dir(folder());
            let output = client.stderr(Stdio::null()).output().unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
        })
    };
    let told = ask(
        USER_KEY,
        &[
            "{ me { name } }",
            "subscription { count(to: 3) }",
            "mutation { rename(name: \"b\") { name } }",
            "{ __schema { types { name } } }",
            "{ me { friend { friend { name } } } }",
            "{ nope }",
            "subscription { count(to: 1) }",
        ],
    );
    let told = timeout(12 * PATIENCE, told).await.unwrap().unwrap();
    assert_eq!(told[0], json!({ "came": [{ "me": { "name": "alice" } }] }));
    assert_eq!(told[1]["came"], json!([{ "count": 1 }, { "count": 2 }, { "count": 3 }]));
    assert_eq!(told[2]["came"][0]["rename"]["name"], "b");
    for refused in [&told[3], &told[4]] {
        assert_eq!(refused["error"][0]["message"], "Bad Request", "{told:?}");
    }
    // This one is the server's own.
    assert!(told[5]["error"][0]["message"].as_str().unwrap().starts_with("Cannot query field"), "{told:?}");
    assert_eq!(told[6]["came"], json!([{ "count": 1 }]));
    let refused = ask("nobodys-key-0123456789", &["{ me { name } }"]).await.unwrap();
    assert!(refused[0]["error"].is_string() && refused[0]["came"] == json!([]), "{refused:?}");
    drop(world);
    let _ended = server.0.kill();
    let seen: Vec<String> = lines.iter().collect();
    assert!(seen.iter().any(|line| line == "connected graphql-transport-ws none"), "{seen:?}");
    assert!(seen.iter().all(|line| !line.contains("__schema") && !line.contains("friend")), "{seen:?}");
}
