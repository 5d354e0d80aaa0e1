//! Many requests on a connection of HTTP/2, of one client or of many behind a proxy: none ends another one's, and each leaves one
//! record.

use crate::authority::{Authority, Wanted, folder, write};
use crate::support::{Backend, Reply, World};
use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderValue, Request};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Sixty of them are more than a connection's window.
const LARGE: usize = 32 * 1024;
const SOON: Duration = Duration::from_secs(10);

/// Nobody answers below `/silent`; all else is answered with the length of what came.
async fn gateway(more: &str, timeouts: &str) -> (World, Backend) {
    let backend = Backend::answering(|seen| match seen.target.as_str() {
        "/silent" => Reply::Silence,
        "/large" => Reply::with("200 OK", "", &"x".repeat(LARGE)),
        _ => Reply::with("200 OK", "", &seen.body.len().to_string()),
    })
    .await;
    let world = World::start(&format!(
        "{more}listeners: [{{ bind: \"127.0.0.1:0\", protocols: [h2], timeouts: {{ {timeouts} }} }}]\n\
         routes: [{{ path: \"/{{*rest}}\", public: a test, upstream: \"http://{}\" }}]\n",
        backend.address
    ));
    (world, backend)
}

async fn connect(to: SocketAddr) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(to).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    client
}

fn post(path: &str) -> Request<()> {
    Request::post(format!("http://a{path}")).body(()).unwrap()
}

/// Sends requests and gives them up, until so many or until the gateway takes no more.
async fn give_up(client: &mut SendRequest<Bytes>, times: usize) -> usize {
    for done in 0..times {
        let Ok(ready) = client.clone().ready().await else { return done };
        *client = ready;
        let Ok((_answer, mut body)) = client.send_request(post("/silent"), false) else { return done };
        // So that the gateway sees it before it is given up.
        tokio::time::sleep(Duration::from_millis(2)).await;
        body.send_reset(h2::Reason::CANCEL);
    }
    times
}

fn refusals(records: &[serde_json::Value]) -> Vec<String> {
    let refused = records.iter().filter(|record| record["denied"]["code"] == "http2_refused");
    refused.map(|record| record["denied"]["detail"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_on_an_abusive_connection_finishes() {
    let (world, _backend) = gateway("", "").await;
    let mut client = connect(world.address).await;
    let (answer, mut slow) = client.send_request(post("/ok"), false).unwrap();
    slow.send_data("half".into(), false).unwrap();
    give_up(&mut client, 160).await;
    slow.send_data("half".into(), true).unwrap();
    let answer = tokio::time::timeout(SOON, answer).await.unwrap().unwrap();
    assert_eq!(answer.status(), 200);
    drop(client);
    let details = refusals(&world.end().await.all());
    assert!(details.iter().any(|detail| detail.contains("gives up more streams")), "{details:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_behind_a_trusted_proxy_outlive_each_other() {
    let (world, _backend) = gateway("trusted_proxies: [127.0.0.1]\n", "").await;
    let mut client = connect(world.address).await;
    assert_eq!(give_up(&mut client, 300).await, 300);
    // All at once, before the gateway looks at any of them.
    for _ in 0..60 {
        client = client.ready().await.unwrap();
        let (_answer, mut body) = client.send_request(post("/silent"), false).unwrap();
        body.send_reset(h2::Reason::CANCEL);
    }
    client = client.ready().await.unwrap();
    let (answer, _) = client.send_request(post("/ok"), true).unwrap();
    assert_eq!(tokio::time::timeout(SOON, answer).await.unwrap().unwrap().status(), 200);
    assert_eq!(refusals(&world.end().await.all()), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn values_with_space_around_them_are_refused() {
    let (world, backend) = gateway("", "").await;
    let mut client = connect(world.address).await;
    for (value, status) in [(" a", 400), ("a ", 400), ("\ta", 400), ("a\t", 400), ("a b", 200), ("", 200)] {
        let mut request = post("/ok");
        request.headers_mut().insert("x-own", HeaderValue::from_static(value));
        client = client.ready().await.unwrap();
        let (answer, _) = client.send_request(request, true).unwrap();
        let answer = tokio::time::timeout(SOON, answer).await.unwrap().unwrap();
        assert_eq!(answer.status(), status, "{value:?}");
        if status == 400 {
            assert_eq!(answer.headers()["content-type"], "application/problem+json");
            assert!(answer.headers().contains_key("x-request-id"));
        }
    }
    assert_eq!(backend.seen().len(), 2);
    assert_eq!(world.end().await.all().len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_stream_leaves_one_record() {
    let (world, _backend) = gateway("", "").await;
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let frame = |kind: u8, flags: u8, id: u8, payload: &[u8]| {
        let length = u8::try_from(payload.len()).unwrap();
        [&[0, 0, length, kind, flags, 0, 0, 0, id][..], payload].concat()
    };
    // `:method: GET`, `:scheme: http`, `:path: /`, `:authority: a`.
    let get = [0x82, 0x86, 0x84, 0x41, 1, b'a'];
    // With `connection: x`, which makes a request malformed (RFC 9113, section 8.2.2).
    let malformed = [&get[..], &[0x10, 10], b"connection", &[1, b'x']].concat();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    for bytes in [
        frame(4, 0, 0, &[]),
        frame(1, 5, 1, &get),
        frame(1, 5, 3, &malformed),
        frame(1, 5, 5, &malformed),
        frame(1, 5, 7, &get),
    ] {
        stream.write_all(&bytes).await.unwrap();
    }
    let mut seen = Vec::new();
    let begun = Instant::now();
    let mut buffer = [0; 4096];
    // Both that are well-formed are answered although others are not.
    while seen.windows(9).filter(|head| head[3] == 1 && matches!(head[8], 1 | 7)).count() < 2 {
        assert!(begun.elapsed() < SOON, "{seen:?}");
        let read = tokio::time::timeout(SOON, stream.read(&mut buffer)).await.unwrap().unwrap();
        assert!(read > 0, "the connection goes on: {seen:?}");
        seen.extend_from_slice(&buffer[..read]);
    }
    drop(stream);
    let records = world.end().await.all();
    assert_eq!(records.len(), 4, "{records:#?}");
    assert_eq!(refusals(&records).len(), 2, "{records:#?}");
}

/// Sixty answers on one connection whose window is that of RFC 9113, read in turn: each waits longer for its turn than a
/// stream whose client is gone may.
#[tokio::test(flavor = "multi_thread")]
async fn steady_readers_of_one_connection_are_not_reset() {
    let (world, _backend) = gateway("", "body: 1s").await;
    let mut client = connect(world.address).await;
    let turn = Arc::new(tokio::sync::Mutex::new(()));
    let mut readers = Vec::new();
    for _ in 0..60 {
        client = client.ready().await.unwrap();
        let (answer, _) = client.send_request(post("/large"), true).unwrap();
        let turn = Arc::clone(&turn);
        readers.push(tokio::spawn(async move {
            let mut body = answer.await.unwrap().into_body();
            let mut read = 0;
            while let Some(part) = body.data().await {
                let size = part.expect("nobody resets it").len();
                read += size;
                // Waiters take turns.
                let _turn = turn.lock().await;
                tokio::time::sleep(Duration::from_millis(20)).await;
                body.flow_control().release_capacity(size).unwrap();
            }
            read
        }));
    }
    for reader in readers {
        assert_eq!(tokio::time::timeout(SOON, reader).await.unwrap().unwrap(), LARGE);
    }
    drop(client);
    let records = world.end().await.all();
    assert!(records.iter().all(|record| record["outcome"] == "served"), "{records:#?}");
}

/// TLS takes what is written into a buffer of its own, so that a client which reads nothing seems to make progress.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_stops_reading_under_tls_is_cut_off() {
    let folder = folder();
    let authority = Authority::new("a test's authority");
    let ca = folder.join("ca.pem");
    write(&ca, &authority.pem);
    authority.issue(&folder, "api", &Wanted::server(&["api.example"]));
    for size in [96 * 1024, 3 * 1024 * 1024] {
        let large = "x".repeat(size);
        let backend = Backend::answering(move |_| Reply::with("200 OK", "", &large)).await;
        let world = World::start(&format!(
            "listeners:\n  - bind: 127.0.0.1:0\n    timeouts: {{ body: 300ms, idle: 1s }}\n    \
             tls: {{ certificates: [{{ certificate: {0}/api.pem, key: {0}/api.key }}] }}\n\
             routes: [{{ path: /a, public: a test, upstream: \"http://{1}\" }}]\n",
            folder.display(),
            backend.address
        ));
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        // So small that not even the smaller answer fits.
        socket.set_recv_buffer_size(4096).unwrap();
        let socket = socket.connect(world.address).await.unwrap();
        let mut stream = crate::clients::protect(socket, &ca, "api.example", None).await.unwrap();
        stream.write_all(b"GET /a HTTP/1.1\r\nHost: api.example\r\n\r\n").await.unwrap();
        let begun = Instant::now();
        // It ends before a drain would cut it off.
        while world.records.all().is_empty() || begun.elapsed() < Duration::from_millis(300) {
            assert!(begun.elapsed() < SOON, "{size}: nobody gives it up");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let ending = Instant::now();
        world.end().await;
        assert!(
            ending.elapsed() < Duration::from_secs(2),
            "{size}: the drain waits for it: {:?}",
            ending.elapsed()
        );
        drop(stream);
    }
}

/// Streams whose answers nobody reads hold connections to upstreams.
#[tokio::test(flavor = "multi_thread")]
async fn one_address_holds_no_more_than_its_share_of_requests() {
    let large = "x".repeat(1024 * 1024);
    let backend = Backend::answering(move |_| Reply::with("200 OK", "", &large)).await;
    let world = World::start(&format!(
        "workers: 1\nlisteners: [{{ bind: \"127.0.0.1:0\", protocols: [h2], max_requests_per_address: 30 }}]\n\
         routes: [{{ path: \"/{{*rest}}\", public: a test, upstream: \"http://{}\" }}]\n",
        backend.address
    ));
    let mut greedy = Vec::new();
    let mut refused = 0;
    for _ in 0..4 {
        let mut client = connect(world.address).await;
        for _ in 0..20 {
            client = client.ready().await.unwrap();
            let (answer, _) = client.send_request(post("/a"), true).unwrap();
            let answer = tokio::time::timeout(SOON, answer).await.unwrap().unwrap();
            if answer.status() == 503 {
                assert_eq!(answer.headers()["retry-after"], "1");
                refused += 1;
            }
            greedy.push(answer.into_body());
        }
        greedy.shrink_to_fit();
    }
    assert_eq!(refused, 50);
    assert_eq!(backend.seen().len(), 30);
    // Somebody else is served.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let stream = socket.connect(world.address).await.unwrap();
    let (mut other, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let (answer, _) = other.send_request(post("/a"), true).unwrap();
    assert_eq!(tokio::time::timeout(SOON, answer).await.unwrap().unwrap().status(), 200);
    drop((greedy, other));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_to_head_has_no_body_although_it_is_a_refusal() {
    let (world, _backend) = gateway("", "").await;
    let mut client = connect(world.address).await;
    for (path, status) in [("/a//b", 400), ("/ok", 200)] {
        let request = Request::head(format!("http://a{path}")).body(()).unwrap();
        client = client.ready().await.unwrap();
        let (answer, _) = client.send_request(request, true).unwrap();
        let mut answer = tokio::time::timeout(SOON, answer).await.unwrap().unwrap();
        assert_eq!(answer.status(), status);
        assert!(answer.headers()["content-length"] != "0", "{answer:?}");
        assert!(answer.body_mut().data().await.is_none());
    }
    drop(client);
    world.end().await;
}

/// A client opens every window, reads nothing, and is gone: what waits for its socket must not wait on.
#[tokio::test(flavor = "multi_thread")]
async fn streams_end_with_their_connection() {
    let large = "x".repeat(4 * 1024 * 1024);
    let backend = Backend::answering(move |_| Reply::with("200 OK", "", &large)).await;
    let world = World::start(&format!(
        "listeners: [{{ bind: \"127.0.0.1:0\", protocols: [h2] }}]\n\
         routes: [{{ path: \"/{{*rest}}\", public: a test, upstream: \"http://{}\" }}]\n",
        backend.address
    ));
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(world.address).await.unwrap();
    let frame = |kind: u8, flags: u8, id: u8, payload: &[u8]| {
        [&[0, 0, u8::try_from(payload.len()).unwrap(), kind, flags, 0, 0, 0, id][..], payload].concat()
    };
    let get = [&[0x82, 0x86, 0x04, 2][..], b"/a", &[0x41, 1, b'a']].concat();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    // Windows of a gigabyte for each stream and for all.
    stream.write_all(&frame(4, 0, 0, &[0, 4, 0x40, 0, 0, 0])).await.unwrap();
    stream.write_all(&frame(8, 0, 0, &[0x3f, 0, 0, 0])).await.unwrap();
    for number in 0..20 {
        stream.write_all(&frame(1, 5, 2 * number + 1, &get)).await.unwrap();
    }
    let begun = Instant::now();
    while backend.seen().len() < 20 {
        assert!(begun.elapsed() < SOON);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(world.records.all().is_empty(), "all of them wait");
    drop(stream);
    let begun = Instant::now();
    while world.records.all().len() < 20 {
        assert!(begun.elapsed() < SOON, "{} of 20 ended", world.records.all().len());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    world.end().await;
}

/// An upstream may say that it has begun, and which files a page will need, before it answers.
#[tokio::test(flavor = "multi_thread")]
async fn informational_answers_reach_clients_of_http2() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let backend = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 4096];
            let _read = stream.read(&mut head).await;
            let answer = "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\
                Set-Cookie: a=b\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
            let _gone = stream.write_all(answer.as_bytes()).await;
        }
    });
    let world = World::start(&format!(
        "listeners: [{{ bind: \"127.0.0.1:0\", protocols: [h2] }}]\n\
         routes: [{{ path: /a, public: a test, upstream: \"http://{backend}\" }}]\n"
    ));
    let url = format!("http://{}/a", world.address);
    let curl = std::process::Command::new("curl")
        .args(["-s", "-i", "--max-time", "10", "--http2-prior-knowledge", &url])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&curl.stdout).into_owned();
    let (processing, rest) = text.split_once("HTTP/2 103").unwrap_or_else(|| panic!("{text}"));
    let (hints, last) = rest.split_once("HTTP/2 200").unwrap_or_else(|| panic!("{text}"));
    assert!(processing.contains("HTTP/2 102"), "{text}");
    assert!(hints.contains("link: </a.css>; rel=preload") && !hints.contains("set-cookie"), "{text}");
    assert!(last.ends_with("ok"), "{text}");
    world.end().await;
}
