//! Upstreams of HTTP/2: what requests share, and what one of them does to the others. The upstream is the `h2` crate's server.

use crate::support::{Client, PATIENCE, World};
use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{Request, Response};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// What a server has seen.
#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    /// Streams at once, now and at most, over all connections.
    running: AtomicUsize,
    most: AtomicUsize,
    /// Why streams were reset.
    resets: std::sync::Mutex<Vec<Reason>>,
}

type Exchange = (Request<RecvStream>, SendResponse<Bytes>);

/// A server that hands each request, and the number of its connection, to a function; it takes so many streams at once.
async fn server<F, R>(streams: u32, serve: F) -> (SocketAddr, Arc<Seen>)
where
    F: Fn(Exchange, usize, Arc<Seen>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Seen::default());
    let shared = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let number = shared.connections.fetch_add(1, Ordering::SeqCst);
            let (seen, serve) = (Arc::clone(&shared), serve.clone());
            tokio::spawn(async move {
                let mut builder = h2::server::Builder::new();
                builder.max_concurrent_streams(streams).initial_window_size(1024 * 1024);
                let mut connection = builder.handshake::<_, Bytes>(stream).await.unwrap();
                while let Some(Ok((request, respond))) = connection.accept().await {
                    // The first connection says goodbye as soon as it has this request.
                    if request.uri().path() == "/goodbye" && number == 0 {
                        connection.graceful_shutdown();
                    }
                    let (seen, serve) = (Arc::clone(&seen), serve.clone());
                    tokio::spawn(async move {
                        let running = seen.running.fetch_add(1, Ordering::SeqCst) + 1;
                        seen.most.fetch_max(running, Ordering::SeqCst);
                        serve((request, respond), number, Arc::clone(&seen)).await;
                        seen.running.fetch_sub(1, Ordering::SeqCst);
                    });
                }
            });
        }
    });
    (address, seen)
}

/// Reads a body to its end; how long it was.
async fn read(body: &mut RecvStream) -> Result<usize, h2::Error> {
    let mut size = 0;
    while let Some(part) = body.data().await {
        let part = part?;
        size += part.len();
        body.flow_control().release_capacity(part.len())?;
    }
    Ok(size)
}

fn answer(respond: &mut SendResponse<Bytes>, text: String) {
    let mut send = respond.send_response(Response::new(()), false).unwrap();
    send.send_data(text.into(), true).unwrap();
}

/// A gateway in front of it, with one worker.
fn gateway(server: SocketAddr, more: &str) -> World {
    World::start(&format!(
        "workers: 1\nlisteners: [{{ bind: \"127.0.0.1:0\" }}, {{ bind: \"127.0.0.1:0\", protocols: [h2] }}]\n\
         security: {{ body: {{ max_size: 64MiB }} }}\n\
         routes: [{{ path: \"/{{*rest}}\", public: a test, upstream: {{ url: \"http://{server}\", protocol: h2{more} }} }}]\n"
    ))
}

async fn get(address: SocketAddr, path: &str) -> crate::support::Answer {
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    Client::connect(address).await.ask(&request).await
}

async fn post(address: SocketAddr, path: &str, body: &str) -> crate::support::Answer {
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    Client::connect(address).await.ask(&request).await
}

async fn client_of_http2(address: SocketAddr) -> h2::client::SendRequest<Bytes> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn eventually(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

/// What a client of HTTP/1.1 has left when it has read one answer. `None` where the answer broke off.
fn behind_the_answer(raw: &[u8], bodiless: bool) -> Option<Vec<u8>> {
    let end = raw.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let head = String::from_utf8(raw[..end].to_vec()).unwrap().to_ascii_lowercase();
    let lengths: Vec<usize> = head
        .lines()
        .filter_map(|line| line.strip_prefix("content-length:"))
        .map(|length| length.trim().parse().unwrap())
        .collect();
    let chunked = head.contains("\r\ntransfer-encoding: chunked\r\n");
    assert!(lengths.len() + usize::from(chunked) <= 1, "{head}");
    let mut rest = &raw[end..];
    if bodiless || head.starts_with("http/1.1 204") || head.starts_with("http/1.1 304") {
        return Some(rest.to_vec());
    }
    if let [length] = lengths[..] {
        return rest.get(length..).map(<[u8]>::to_vec);
    }
    assert!(chunked, "{head}");
    loop {
        let line = rest.windows(2).position(|window| window == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
        rest = rest.get(line + 2 + size + 2..)?;
        if size == 0 {
            return Some(rest.to_vec());
        }
    }
}

/// Whatever a server of HTTP/2 says of the length of its answer, a client of HTTP/1.1 gets one answer or a part of it, and
/// nothing of it as the answer to its next request.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_http2_is_one_answer_whatever_it_says_of_its_length() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    const EVIL: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    let (address, _) = server(100, |(request, mut respond), _, _| async move {
        let path = request.uri().path().to_owned();
        if path == "/next" {
            return answer(&mut respond, "next".to_owned());
        }
        let mut head = Response::builder().status(match path.as_str() {
            "/204" => 204,
            "/304" => 304,
            _ => 200,
        });
        let lengths: &[&str] = match path.as_str() {
            "/right" => &["42"],
            "/two" => &["42", "0"],
            "/two-others" => &["0", "42"],
            "/none" => &["0"],
            "/fewer" => &["3"],
            "/more" => &["1000"],
            "/list" => &["42, 42"],
            "/signed" => &["+42"],
            "/huge" => &["18446744073709551658"],
            _ => &[],
        };
        for length in lengths {
            head = head.header("content-length", *length);
        }
        if let Ok(mut send) = respond.send_response(head.body(()).unwrap(), false) {
            let _ = send.send_data(Bytes::from_static(EVIL.as_bytes()), true);
        }
    })
    .await;
    assert_eq!(EVIL.len(), 42);
    let world = gateway(address, "");
    let paths = [
        "right",
        "two",
        "two-others",
        "none",
        "fewer",
        "more",
        "list",
        "signed",
        "huge",
        "204",
        "304",
        "open",
    ];
    let mut whole = 0;
    for path in paths {
        for method in ["GET", "HEAD"] {
            let mut stream = TcpStream::connect(world.address).await.unwrap();
            let first = format!("{method} /{path} HTTP/1.1\r\nHost: a\r\n\r\n");
            let next = "GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
            stream.write_all(format!("{first}{next}").as_bytes()).await.unwrap();
            let mut raw = Vec::new();
            let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut raw)).await;
            let _reset = read.expect("the end of the connection");
            let told = format!("{method} /{path}: {}", raw.escape_ascii());
            let Some(left) = behind_the_answer(&raw, method == "HEAD").filter(|left| !left.is_empty()) else {
                continue;
            };
            assert!(left.starts_with(b"HTTP/1.1 200"), "{told}");
            let says = |word: &[u8]| left.windows(word.len()).any(|window| window == word);
            assert!(says(b"next") && !says(b"evil"), "{told}");
            whole += 1;
        }
    }
    assert!(whole >= 4, "{whole} connections went on");
    world.end().await;
}

/// The gateway goes on reading requests from a client that was told 101, and the client, or a proxy before it, does not.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_http2_switches_no_protocol() {
    let (address, _) = server(100, |(request, mut respond), _, _| async move {
        let status = if request.uri().path() == "/switches" { 101 } else { 103 };
        let early = Response::builder().status(status).body(()).unwrap();
        respond.send_informational(early).unwrap();
        answer(&mut respond, "an answer".to_owned());
    })
    .await;
    let world = gateway(address, "");
    let upgrade = "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    for wish in ["", upgrade] {
        let mut client = Client::connect(world.address).await;
        let told = client.ask(&format!("GET /switches HTTP/1.1\r\nHost: a\r\n{wish}\r\n")).await;
        assert!(told.status >= 400, "{told:?}");
    }
    let mut client = Client::connect(world.address).await;
    assert_eq!(client.ask("GET /hints HTTP/1.1\r\nHost: a\r\n\r\n").await.status, 103);
    assert_eq!(client.answer(false).await.unwrap().body, b"an answer");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_share_a_connection_as_far_as_the_server_lets_them() {
    for (streams, connections) in [(1000, 1..=1), (10, 4..=8)] {
        let (address, seen) = server(streams, |(_, mut respond), number, seen| async move {
            while seen.most.load(Ordering::SeqCst) < 40 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            answer(&mut respond, number.to_string());
        })
        .await;
        let world = gateway(address, "");
        // Where the bound of the server is known, the rest is a matter of streams alone.
        let all: Vec<_> = (0..40).map(|_| tokio::spawn(get(world.address, "/a"))).collect();
        for one in all {
            assert_eq!(tokio::time::timeout(PATIENCE, one).await.unwrap().unwrap().status, 200);
        }
        let count = seen.connections.load(Ordering::SeqCst);
        assert!(connections.contains(&count), "{count} connections of {streams} streams");
        world.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_did_not_process_goes_to_another() {
    // Refused streams, with a body that was sent already.
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    let (address, seen) = server(100, move |(request, mut respond), _, _| {
        let tries = Arc::clone(&counted);
        async move {
            let path = request.uri().path().to_owned();
            let mut body = request.into_body();
            let size = read(&mut body).await.unwrap();
            match (path.as_str(), tries.fetch_add(1, Ordering::SeqCst)) {
                ("/refused", 0) => respond.send_reset(Reason::REFUSED_STREAM),
                // It may have done something with this one.
                ("/broken", _) => respond.send_reset(Reason::INTERNAL_ERROR),
                _ => answer(&mut respond, size.to_string()),
            }
        }
    })
    .await;
    let world = gateway(address, "");
    let answered = post(world.address, "/refused", &"x".repeat(5000)).await;
    assert_eq!((answered.status, answered.body), (200, b"5000".to_vec()));
    assert_eq!(tries.load(Ordering::SeqCst), 2);
    // More than is remembered of a body is not sent twice.
    tries.store(0, Ordering::SeqCst);
    assert_eq!(post(world.address, "/refused", &"x".repeat(100_000)).await.status, 502);
    assert_eq!(tries.load(Ordering::SeqCst), 1);
    assert_eq!(post(world.address, "/broken", "x").await.status, 502);
    assert_eq!(tries.load(Ordering::SeqCst), 2);
    assert_eq!(seen.connections.load(Ordering::SeqCst), 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_says_goodbye_finishes_what_it_has_and_gets_no_more() {
    let (address, seen) = server(100, |(request, mut respond), number, seen| async move {
        if request.uri().path() == "/goodbye" {
            while seen.connections.load(Ordering::SeqCst) < 2 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
        answer(&mut respond, number.to_string());
    })
    .await;
    let world = gateway(address, "");
    let first = tokio::spawn(get(world.address, "/goodbye"));
    eventually("a request runs", || seen.running.load(Ordering::SeqCst) == 1).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let answered = post(world.address, "/a", "x").await;
    assert_eq!((answered.status, answered.body), (200, b"1".to_vec()));
    let answered = first.await.unwrap();
    assert_eq!((answered.status, answered.body), (200, b"0".to_vec()));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_given_up_ends_on_the_other_side_and_nowhere_else() {
    let (address, seen) = server(100, |(request, mut respond), _, seen| async move {
        match request.uri().path() {
            "/waits" => {
                let reason = std::future::poll_fn(|cx| respond.poll_reset(cx)).await.unwrap();
                seen.resets.lock().unwrap().push(reason);
            }
            "/breaks" => respond.send_reset(Reason::CANCEL),
            _ => answer(&mut respond, "good".to_owned()),
        }
    })
    .await;
    let world = gateway(address, "");
    let mut client = client_of_http2(world.addresses[1]).await;
    let request = |path: &str| Request::get(format!("http://a{path}")).body(()).unwrap();
    let (waiting, mut stream) = client.send_request(request("/waits"), true).unwrap();
    eventually("the call runs", || seen.running.load(Ordering::SeqCst) == 1).await;
    stream.send_reset(Reason::CANCEL);
    drop((waiting, stream));
    eventually("the server hears of it", || *seen.resets.lock().unwrap() == [Reason::CANCEL]).await;
    let (broken, _) = client.send_request(request("/breaks"), true).unwrap();
    assert_eq!(broken.await.unwrap().status(), 502);
    let (good, _) = client.send_request(request("/good"), true).unwrap();
    assert_eq!(good.await.unwrap().status(), 200);
    assert_eq!(seen.connections.load(Ordering::SeqCst), 1);
    // Whoever gives up very many gets other connections, before a server ends one that others use.
    for _ in 0..60 {
        let (waiting, mut stream) = client.send_request(request("/waits"), true).unwrap();
        eventually("the call runs", || seen.running.load(Ordering::SeqCst) == 1).await;
        stream.send_reset(Reason::CANCEL);
        drop((waiting, stream));
        eventually("the call has ended", || seen.running.load(Ordering::SeqCst) == 0).await;
    }
    assert_eq!(seen.connections.load(Ordering::SeqCst), 2);
    drop(client);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_do_not_read_hold_up_nobody_else() {
    let (address, seen) = server(100, |(request, mut respond), _, _| async move {
        if request.uri().path() == "/small" {
            return answer(&mut respond, "good".to_owned());
        }
        let mut send = respond.send_response(Response::new(()), false).unwrap();
        let mut left = 8 * 1024 * 1024;
        while left > 0 {
            send.reserve_capacity(16 * 1024);
            let Some(Ok(size)) = std::future::poll_fn(|cx| send.poll_capacity(cx)).await else { return };
            let size = size.min(left);
            left -= size;
            if send.send_data(vec![0; size].into(), left == 0).is_err() {
                return;
            }
        }
    })
    .await;
    let world = gateway(address, "");
    let mut held = Vec::new();
    for _ in 0..30 {
        let mut client = Client::connect(world.address).await;
        client.send(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n").await;
        held.push(client);
    }
    eventually("all of them run", || seen.running.load(Ordering::SeqCst) == 30).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let small = tokio::time::timeout(Duration::from_secs(5), get(world.address, "/small")).await.unwrap();
    assert_eq!(small.status, 200);
    assert_eq!(seen.connections.load(Ordering::SeqCst), 1);
    drop(held);
    eventually("their streams end", || seen.running.load(Ordering::SeqCst) == 0).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_of_http2_that_answers_early_keeps_no_stream() {
    let (address, seen) = server(100, |(request, mut respond), _, _| async move {
        // The answer is whole; the body of the request is not read, so its window stays shut.
        answer(&mut respond, "good".to_owned());
        let mut body = request.into_body();
        let mut size = 0;
        while let Some(Ok(part)) = body.data().await {
            size += part.len();
        }
        assert!(size > 0);
    })
    .await;
    let world = gateway(address, "");
    let answered = post(world.address, "/a", &"x".repeat(4 * 1024 * 1024)).await;
    assert_eq!(answered.status, 200);
    eventually("the stream ends", || seen.running.load(Ordering::SeqCst) == 0).await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_have_a_most_of_requests_and_an_age() {
    let (address, seen) = server(100, |(_, mut respond), number, _| async move {
        answer(&mut respond, number.to_string());
    })
    .await;
    let world = gateway(address, ", connections: { max_requests: 2 }");
    for number in 0..6 {
        assert_eq!(get(world.address, "/a").await.body, (number / 2).to_string().into_bytes());
    }
    world.end().await;
    let before = seen.connections.load(Ordering::SeqCst);
    let world = gateway(address, ", connections: { max_age: 200ms }");
    assert_eq!(get(world.address, "/a").await.status, 200);
    assert_eq!(get(world.address, "/a").await.status, 200);
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert_eq!(get(world.address, "/a").await.status, 200);
    assert_eq!(seen.connections.load(Ordering::SeqCst) - before, 2);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_stops_reading_keeps_nothing() {
    // It takes connections, and says and reads nothing.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (send, mut taken) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            send.send(stream).unwrap();
        }
    });
    let world = gateway(address, ", response_timeout: 200ms, idle_timeout: 300ms");
    assert_eq!(get(world.address, "/a").await.status, 504);
    // A request is not sent where the last one had no answer, until the server says something.
    assert_eq!(get(world.address, "/a").await.status, 504);
    let streams = [taken.recv().await.unwrap(), taken.recv().await.unwrap()];
    for stream in streams {
        let closed = async {
            let mut bytes = [0; 4096];
            loop {
                stream.readable().await.unwrap();
                match stream.try_read(&mut bytes) {
                    Ok(0) => return,
                    Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => return,
                    Ok(_) | Err(_) => {}
                }
            }
        };
        tokio::time::timeout(PATIENCE, closed).await.expect("the connection is closed");
    }
    world.end().await;
}
