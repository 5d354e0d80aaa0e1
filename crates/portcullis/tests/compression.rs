//! Compressed answers, as curl and a browser read them, and what is left alone.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[allow(dead_code, unused_imports, reason = "each test binary uses a part of it")]
#[path = "support/mod.rs"]
mod support;
#[allow(dead_code, reason = "each test binary uses a part of it")]
#[path = "login/webdriver.rs"]
mod webdriver;

use serde_json::json;
use std::io::Read;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use support::{Answer, Backend, Client, PATIENCE, Reply, World, alone};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const KEY: &str = "alice-key-0123456789";

/// A text that is worth it.
fn text() -> String {
    (0..2000).map(|number| format!("line {number} of a text that repeats itself\n")).collect()
}

/// A gateway in front of this server. `/a` is compressed as by default, `/off` not at all, `/secret` in spite of credentials.
fn gateway(upstream: SocketAddr, tls: &str) -> World {
    let to = format!("upstream: \"http://{upstream}\"");
    World::start(&format!(
        "listeners: [{{ bind: \"127.0.0.1:0\"{tls} }}]\nworkers: 1\n\
         security: {{ authentication: {{ type: api_key }} }}\n\
         consumers: [{{ name: alice, keys: [{{ literal: {KEY} }}] }}]\n\
         compression: true\n\
         routes:\n  \
         - {{ path: \"/a/{{*rest}}\", public: a test, {to} }}\n  \
         - {{ path: \"/off/{{*rest}}\", public: a test, compression: false, {to} }}\n  \
         - {{ path: \"/gzip/{{*rest}}\", public: a test, compression: {{ codings: [gzip], level: small, min_size: 10B }}, {to} }}\n  \
         - {{ path: \"/br/{{*rest}}\", public: a test, compression: {{ codings: [br], level: fast }}, {to} }}\n  \
         - {{ path: \"/closed/{{*rest}}\", {to} }}\n  \
         - {{ path: \"/secret/{{*rest}}\", compression: {{ insecure_with_credentials: \"no secrets here\" }}, {to} }}\n"
    ))
}

/// What the server answers, by the end of the path.
fn server(path: &str) -> Reply {
    let plain = "Content-Type: text/plain\r\n";
    let with = |fields: &str| Reply::with("200 OK", &format!("{plain}{fields}"), &text());
    match path.rsplit('/').next().unwrap() {
        "text" => with("ETag: \"v1\"\r\nAccept-Ranges: bytes\r\nVary: Origin\r\n"),
        "weak" => with("ETag: W/\"v1\"\r\n"),
        "small" => Reply::with("200 OK", plain, "short"),
        "cookie" => with("Set-Cookie: a=1\r\n"),
        "coded" => with("Content-Encoding: gzip\r\n"),
        "as-it-is" => with("Cache-Control: no-transform\r\n"),
        "digest" => with("Content-MD5: 1B2M2Y8AsgTpgAmY7PhCfg==\r\n"),
        "events" => Reply::with("200 OK", "Content-Type: text/event-stream\r\n", &text()),
        "grpc" => Reply::with("200 OK", "Content-Type: application/grpc\r\n", &text()),
        "image" => Reply::with("200 OK", "Content-Type: image/png\r\n", &text()),
        "untyped" => Reply::with("200 OK", "", &text()),
        "part" => Reply::with(
            "206 Partial Content",
            &format!("{plain}Content-Range: bytes 0-9/99\r\n"),
            "0123456789",
        ),
        "none" => Reply::Bytes(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()),
        "same" => Reply::Bytes(b"HTTP/1.1 304 Not Modified\r\nETag: \"v1\"\r\n\r\n".to_vec()),
        "missing" => Reply::with(
            "404 Not Found",
            "Content-Type: application/problem+json\r\n",
            &json!({ "detail": text() }).to_string(),
        ),
        other => panic!("{other}"),
    }
}

async fn world() -> (Backend, World) {
    let backend = Backend::answering(|seen| match seen.method.as_str() {
        "HEAD" => Reply::Bytes(
            format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nETag: \"v1\"\r\nContent-Length: {}\r\n\r\n",
                text().len()
            )
            .into_bytes(),
        ),
        _ => server(&seen.target),
    })
    .await;
    let world = gateway(backend.address, "");
    (backend, world)
}

async fn ask(world: &World, method: &str, path: &str, fields: &[&str]) -> Answer {
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    let request = format!("{method} {path} HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n");
    let mut client = Client::connect(world.address).await;
    client.send(request.as_bytes()).await;
    client.answer(method == "HEAD").await.expect("an answer")
}

fn gunzip(bytes: &[u8]) -> String {
    let mut text = String::new();
    flate2::read::GzDecoder::new(bytes).read_to_string(&mut text).unwrap();
    text
}

/// What curl reads, having decoded it; and the fields that it got.
async fn curl(url: String, accept: &str) -> (String, String) {
    let accept = format!("accept-encoding: {accept}");
    tokio::task::spawn_blocking(move || {
        let output = Command::new("curl")
            .args([
                "--silent",
                "--include",
                "--compressed",
                "--max-time",
                "30",
                "--noproxy",
                "*",
                "-H",
                &accept,
                &url,
            ])
            .output()
            .unwrap();
        assert!(output.status.success(), "{accept}: {output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (head.to_lowercase(), body.to_owned())
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_read_what_is_compressed() {
    let (_backend, world) = world().await;
    for (accept, coding) in [
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip, deflate, br", "br"),
        ("gzip, deflate", "gzip"),
        ("gzip;q=1, zstd;q=0.5, br;q=0", "gzip"),
    ] {
        let (head, body) = curl(format!("http://{}/a/text", world.address), accept).await;
        assert!(head.contains(&format!("content-encoding: {coding}\r\n")), "{accept}: {head}");
        assert!(body == text(), "{accept}: {} bytes", body.len());
    }
    let (head, body) = curl(format!("http://{}/off/text", world.address), "gzip").await;
    assert!(!head.contains("content-encoding") && body == text(), "{head}");
    let (head, body) = curl(format!("http://{}/a/missing", world.address), "br").await;
    assert!(head.starts_with("http/1.1 404") && head.contains("content-encoding: br"), "{head}");
    assert!(body.contains("line 1999 of"), "{body}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_reads_what_is_compressed() {
    let backend = Backend::answering(|seen| match seen.target.as_str() {
        "/a/page" => {
            Reply::with("200 OK", "Content-Type: text/html\r\n", "<!doctype html><title>a page</title>here")
        }
        path => server(path),
    })
    .await;
    // Browsers accept `br` and `zstd` under TLS alone.
    let world = gateway(backend.address, ", tls: { self_signed: true }");
    let at = |path: &str| format!("https://localhost:{}{path}", world.address.port());
    let chromium = webdriver::Chromium::start_trusting().await;
    chromium.go(&at("/a/page")).await;
    chromium.sees("here").await;
    let script = |path: &str| {
        format!("fetch('{path}').then(async r => [r.headers.get('content-encoding'), await r.text()])")
    };
    for (path, coding) in [("/a/text", "zstd"), ("/br/text", "br"), ("/gzip/text", "gzip")] {
        let read = chromium.promise(&script(path)).await;
        assert!(read[0] == coding && read[1].as_str() == Some(&text()), "{path}: {}", read[0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compressed_answer_says_so() {
    let (_backend, world) = world().await;
    let gzip = "Accept-Encoding: gzip";
    let answer = ask(&world, "GET", "/a/text", &[gzip]).await;
    assert_eq!(gunzip(&answer.body), text());
    assert_eq!(answer.field("content-encoding"), "gzip");
    assert_eq!(answer.field("etag"), "W/\"v1\"", "other bytes, the same content");
    assert_eq!(answer.fields("vary"), ["Origin", "accept-encoding"]);
    assert_eq!(answer.field("transfer-encoding"), "chunked");
    for gone in ["content-length", "accept-ranges"] {
        assert!(answer.fields(gone).is_empty(), "{gone}");
    }
    assert_eq!(ask(&world, "GET", "/a/weak", &[gzip]).await.field("etag"), "W/\"v1\"");

    // Caches know that another client gets something else.
    let plain = ask(&world, "GET", "/a/text", &[]).await;
    assert_eq!((plain.field("etag"), plain.fields("vary")), ("\"v1\"", vec!["Origin", "accept-encoding"]));
    assert!(plain.body == text().as_bytes() && plain.fields("content-encoding").is_empty());
    assert_eq!(plain.field("accept-ranges"), "bytes");

    // HEAD has the fields of GET.
    let head = ask(&world, "HEAD", "/a/text", &[gzip]).await;
    assert_eq!((head.field("content-encoding"), head.field("etag")), ("gzip", "W/\"v1\""));
    assert!(head.fields("content-length").is_empty() && head.body.is_empty());
    let head = ask(&world, "HEAD", "/a/text", &[]).await;
    assert_eq!(head.field("content-length"), text().len().to_string());

    // What a client has may be a compressed one.
    let same = ask(&world, "GET", "/a/same", &[gzip, "If-None-Match: W/\"v1\""]).await;
    assert_eq!((same.status, same.field("etag"), same.field("vary")), (304, "W/\"v1\"", "accept-encoding"));

    // HTTP/1.0 has no chunks: the end of the connection is the end.
    let mut client = Client::connect(world.address).await;
    let old = client.ask("GET /a/text HTTP/1.0\r\nHost: a.example\r\nAccept-Encoding: gzip\r\n\r\n").await;
    assert_eq!(gunzip(&old.body), text());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_must_not_change_is_left_alone() {
    let (_backend, world) = world().await;
    let all = "Accept-Encoding: gzip, br, zstd";
    for path in
        ["small", "cookie", "as-it-is", "digest", "events", "grpc", "image", "untyped", "part", "none"]
    {
        let answer = ask(&world, "GET", &format!("/a/{path}"), &[all]).await;
        assert!(answer.fields("content-encoding").is_empty(), "{path}: {answer:?}");
        assert!(answer.status == 204 || answer.fields("content-length").len() == 1, "{path}: {answer:?}");
    }
    let coded = ask(&world, "GET", "/a/coded", &[all]).await;
    assert!(coded.field("content-encoding") == "gzip" && coded.body == text().as_bytes());
    for fields in [
        &["Accept-Encoding: identity"][..],
        &["Accept-Encoding: deflate"],
        &[all, "Cache-Control: no-transform"],
    ] {
        let answer = ask(&world, "GET", "/a/text", fields).await;
        assert!(
            answer.fields("content-encoding").is_empty() && answer.body == text().as_bytes(),
            "{fields:?}"
        );
    }
    // Nobody who can read nothing else gets nothing.
    let only = ask(&world, "GET", "/a/small", &["Accept-Encoding: gzip, identity;q=0"]).await;
    assert_eq!(gunzip(&only.body), "short");
    // The gateway's own answers are what they are.
    let missing = ask(&world, "GET", "/nothing", &[all]).await;
    assert!(missing.status == 404 && missing.fields("content-encoding").is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_could_hold_secrets_is_left_alone() {
    let (_backend, world) = world().await;
    let gzip = "Accept-Encoding: gzip";
    let key = format!("x-api-key: {KEY}");
    for (path, fields, coded) in [
        ("/a/text", &[gzip][..], true),
        ("/a/text", &[gzip, "Cookie: session=1"], false),
        ("/a/text", &[gzip, "Authorization: Basic eDp5"], false),
        ("/a/text", &[gzip, &key], false),
        ("/closed/text", &[gzip, &key], false),
        ("/a/cookie", &[gzip], false),
        ("/secret/text", &[gzip, &key], true),
        ("/secret/cookie", &[gzip, &key, "Cookie: a=1"], true),
    ] {
        let answer = ask(&world, "GET", path, fields).await;
        assert_eq!(answer.status, 200, "{path} {fields:?}");
        assert_eq!(answer.fields("content-encoding") == ["gzip"], coded, "{path} {fields:?}");
    }
}

/// A server that writes the parts that come from a channel, and then closes.
async fn streaming(mut parts: tokio::sync::mpsc::Receiver<Option<&'static str>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _request = stream.read(&mut [0; 4096]).await.unwrap();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        while let Some(part) = parts.recv().await {
            let chunk = match part {
                Some(part) => format!("{:x}\r\n{part}\r\n", part.len()),
                None => "0\r\n\r\n".to_owned(),
            };
            stream.write_all(chunk.as_bytes()).await.unwrap();
        }
    });
    address
}

/// Takes chunks until the decoded text ends so.
async fn reads(stream: &mut TcpStream, raw: &mut Vec<u8>, end: &str) {
    let begun = Instant::now();
    loop {
        let mut buffer = [0; 4096];
        let size = tokio::time::timeout(PATIENCE, stream.read(&mut buffer))
            .await
            .expect("it comes at once")
            .unwrap();
        assert!(size > 0, "the connection ended");
        raw.extend_from_slice(&buffer[..size]);
        let body = raw.windows(4).position(|window| window == b"\r\n\r\n").map_or(raw.len(), |at| at + 4);
        let mut coded = Vec::new();
        let mut rest = &raw[body..];
        while let Some(line) = rest.windows(2).position(|window| window == b"\r\n") {
            let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
            let Some(data) = rest.get(line + 2..line + 2 + size) else { break };
            coded.extend_from_slice(data);
            rest = rest.get(line + 4 + size..).unwrap_or_default();
        }
        // What has come can be decoded, although it is no whole.
        let mut text = Vec::new();
        let _not_the_end = flate2::read::GzDecoder::new(&coded[..]).read_to_end(&mut text);
        if text.ends_with(end.as_bytes()) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{:?}", String::from_utf8_lossy(&text));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_little_by_little_goes_on_at_once() {
    let (parts, server) = tokio::sync::mpsc::channel(1);
    let world = gateway(streaming(server).await, "");
    let mut client = TcpStream::connect(world.address).await.unwrap();
    client.write_all(b"GET /a/x HTTP/1.1\r\nHost: a.example\r\nAccept-Encoding: gzip\r\n\r\n").await.unwrap();
    let mut raw = Vec::new();
    for part in ["first\n", "second\n", "third\n"] {
        parts.send(Some(part)).await.unwrap();
        // The server says no more until this has come.
        reads(&mut client, &mut raw, part).await;
    }
    parts.send(None).await.unwrap();
    let begun = Instant::now();
    while !raw.ends_with(b"\r\n0\r\n\r\n") {
        let mut buffer = [0; 4096];
        let size = tokio::time::timeout(PATIENCE, client.read(&mut buffer)).await.unwrap().unwrap();
        raw.extend_from_slice(&buffer[..size]);
        assert!(size > 0 && begun.elapsed() < PATIENCE);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_breaks_off_does_not_look_complete() {
    for accept in ["gzip", "br", "zstd"] {
        let (parts, server) = tokio::sync::mpsc::channel(1);
        let world = gateway(streaming(server).await, "");
        let mut client = TcpStream::connect(world.address).await.unwrap();
        let request = format!("GET /a/x HTTP/1.1\r\nHost: a.example\r\nAccept-Encoding: {accept}\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        parts.send(Some("half of it")).await.unwrap();
        drop(parts);
        let mut raw = Vec::new();
        let _reset = tokio::time::timeout(PATIENCE, client.read_to_end(&mut raw)).await.expect("it ends");
        assert!(!raw.ends_with(b"0\r\n\r\n"), "{accept}: {:?}", raw.escape_ascii().to_string());
        let records = world.end().await;
        assert_eq!(records.all()[0]["denied"]["code"], "upstream_closed", "{accept}");
    }
}

/// What this process holds in memory, in bytes.
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// A server that writes what does not compress, or zeros, for as long as anybody takes it; and how much it has written.
async fn endless(zeros: bool, most: u64) -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let written = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&written);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let count = Arc::clone(&count);
            tokio::spawn(async move {
                let _request = stream.read(&mut [0; 4096]).await;
                let head =
                    format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {most}\r\n\r\n");
                let _gone = stream.write_all(head.as_bytes()).await;
                let mut seed = 1_u64;
                let mut left = most;
                while left > 0 {
                    let mut block = vec![0; 64 * 1024];
                    if !zeros {
                        for byte in &mut block {
                            seed = seed
                                .wrapping_mul(6_364_136_223_846_793_005)
                                .wrapping_add(1_442_695_040_888_963_407);
                            *byte = (seed >> 33) as u8;
                        }
                    }
                    block.truncate(usize::try_from(left).unwrap_or(usize::MAX).min(block.len()));
                    if stream.write_all(&block).await.is_err() {
                        return;
                    }
                    left -= block.len() as u64;
                    count.fetch_add(block.len() as u64, Ordering::Relaxed);
                }
            });
        }
    });
    (address, written)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_read_nothing_hold_little() {
    const CLIENTS: u64 = 24;
    if !alone("clients_that_read_nothing_hold_little") {
        return;
    }
    let (address, written) = endless(false, 1 << 40).await;
    let world = gateway(address, "");
    let before = resident();
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let mut client = TcpStream::connect(world.address).await.unwrap();
        let accept = ["gzip", "br", "zstd"][number as usize % 3];
        let request = format!("GET /a/x HTTP/1.1\r\nHost: a.example\r\nAccept-Encoding: {accept}\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        clients.push(client);
    }
    // Until nothing moves any more.
    let mut last = 0;
    for _ in 0..200 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = written.load(Ordering::Relaxed);
        if now == last && now > 0 {
            break;
        }
        last = now;
    }
    let held = resident().saturating_sub(before);
    println!("{held} bytes for {CLIENTS} clients, {last} bytes written by the server");
    assert!(held < 80 * 1024 * 1024, "{held} bytes");
    // The buffers of the operating system alone hold more than a megabyte of each.
    assert!(last < CLIENTS * 16 * 1024 * 1024, "{last} bytes were taken of the server");
    drop(clients);
    let records = world.end().await;
    assert_eq!(records.all().len(), usize::try_from(CLIENTS).unwrap(), "one record each");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_shrinks_to_nothing_comes_through_and_holds_up_nobody() {
    const SIZE: u64 = 48 * 1024 * 1024;
    let (address, _written) = endless(true, SIZE).await;
    let world = gateway(address, "");
    let url = format!("http://{}/a/x", world.address);
    let huge = tokio::spawn(curl(url, "gzip"));
    // The same worker answers others meanwhile.
    let mut slowest = Duration::ZERO;
    while !huge.is_finished() {
        let begun = Instant::now();
        assert_eq!(ask(&world, "GET", "/nothing", &[]).await.status, 404);
        slowest = slowest.max(begun.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (head, body) = huge.await.unwrap();
    assert!(head.contains("content-encoding: gzip"), "{head}");
    assert_eq!(body.len() as u64, SIZE);
    println!("the slowest other request took {slowest:?}");
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
}
