//! Calls as gRPC makes them: HTTP/2 on both sides, bytes in both directions at once, and the status after the body.

use crate::authority::{Authority, Wanted, folder, write};
use crate::support::World;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// A server that answers each part of a body with the same part, and says after the last how it went.
async fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((request, mut respond))) = connection.accept().await {
                    tokio::spawn(async move {
                        assert_eq!(request.headers()["te"], "trailers");
                        let kind = request.uri().path().trim_start_matches('/').to_owned();
                        let mut body = request.into_body();
                        let response =
                            Response::builder().header("content-type", format!("application/{kind}"));
                        let mut answer = respond.send_response(response.body(()).unwrap(), false).unwrap();
                        while let Some(Ok(part)) = body.data().await {
                            let _ = body.flow_control().release_capacity(part.len());
                            answer.send_data(part, false).unwrap();
                        }
                        let mut trailers = HeaderMap::new();
                        for (name, value) in [("grpc-status", "0"), ("set-cookie", "a=1"), ("server", "x")] {
                            trailers.insert(name, value.parse().unwrap());
                        }
                        answer.send_trailers(trailers).unwrap();
                    });
                }
            });
        }
    });
    address
}

async fn client(address: SocketAddr, ca: &Path) -> h2::client::SendRequest<Bytes> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TcpStream::connect(address).await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = connector.connect(ServerName::try_from("api.example").unwrap(), stream).await.unwrap();
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_has_its_status_after_its_body() {
    let folder = folder();
    let authority = Authority::new("a test's authority");
    let ca = folder.join("ca.pem");
    write(&ca, &authority.pem);
    authority.issue(&folder, "api", &Wanted::server(&["api.example"]));
    let server = server().await;
    let world = World::start(&format!(
        "listeners:\n  - bind: 127.0.0.1:0\n    tls: {{ certificates: [{{ certificate: {0}/api.pem, key: {0}/api.key }}] }}\n\
         routes: [{{ path: \"/{{*rest}}\", public: a test, upstream: {{ url: \"http://{server}\", protocol: h2 }} }}]\n",
        folder.display()
    ));
    let mut client = client(world.address, &ca).await;
    let request = |kind: &str| {
        let request = Request::post(format!("https://api.example/{kind}")).header("te", "trailers");
        request.header("content-type", "application/grpc").body(()).unwrap()
    };
    // One message each way.
    let (response, mut body) = client.send_request(request("grpc"), false).unwrap();
    body.send_data(Bytes::from_static(b"message"), true).unwrap();
    let mut answer = response.await.unwrap().into_body();
    assert_eq!(answer.data().await.unwrap().unwrap(), "message");
    assert!(answer.data().await.is_none());
    let trailers = answer.trailers().await.unwrap().expect("a status");
    assert_eq!(trailers["grpc-status"], "0");
    assert_eq!(trailers.len(), 1, "{trailers:?}");

    // Many messages, each answered before the next is sent; several calls at once.
    let mut calls = Vec::new();
    for number in 0..10 {
        let (response, mut body) = client.send_request(request("grpc+proto"), false).unwrap();
        calls.push(tokio::spawn(async move {
            body.send_data(Bytes::from(format!("{number}:first")), false).unwrap();
            let mut answer = response.await.unwrap().into_body();
            assert_eq!(answer.data().await.unwrap().unwrap(), format!("{number}:first"));
            for message in 0..50 {
                let message = format!("{number}:{message}");
                body.send_data(Bytes::from(message.clone()), message.ends_with(":49")).unwrap();
                let part = answer.data().await.unwrap().unwrap();
                answer.flow_control().release_capacity(part.len()).unwrap();
                assert_eq!(part, message);
            }
            assert!(answer.data().await.is_none());
            assert_eq!(answer.trailers().await.unwrap().unwrap()["grpc-status"], "0");
        }));
    }
    for call in calls {
        tokio::time::timeout(Duration::from_secs(10), call).await.unwrap().unwrap();
    }
    // What is no call has nothing after its body.
    let (response, mut body) = client.send_request(request("octet-stream"), false).unwrap();
    body.send_data(Bytes::from_static(b"message"), true).unwrap();
    let mut answer = response.await.unwrap().into_body();
    assert_eq!(answer.data().await.unwrap().unwrap(), "message");
    while let Some(rest) = answer.data().await {
        assert!(rest.unwrap().is_empty());
    }
    assert!(answer.trailers().await.unwrap().is_none());
    drop((client, answer, body));
    let records = world.end().await.all();
    assert_eq!(records.len(), 12);
    assert!(records.iter().all(|record| record["outcome"] == "served"), "{records:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_call_has_the_status_of_a_call() {
    let server = server().await;
    let world = World::start(&format!(
        "{}listeners: [{{ bind: \"127.0.0.1:0\", protocols: [h2] }}]\nroutes:\n  \
         - {{ path: /locked, upstream: {{ url: \"http://{server}\", protocol: h2 }}, \
         security: {{ authentication: {{ type: api_key, header: x-api-key }} }} }}\n  \
         - {{ path: /gone, public: a test, upstream: {{ url: \"http://127.0.0.1:1\", protocol: h2 }} }}\n",
        crate::support::consumers()
    ));
    let stream = TcpStream::connect(world.address).await.unwrap();
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    for (path, kind, status, call) in [
        ("locked", "application/grpc", 200, Some("16")),
        ("nowhere", "application/grpc+proto", 200, Some("12")),
        ("gone", "application/grpc", 200, Some("14")),
        ("locked", "application/json", 401, None),
        ("locked", "application/grpc-web", 401, None),
    ] {
        let request =
            Request::post(format!("http://a/{path}")).header("content-type", kind).body(()).unwrap();
        client = client.ready().await.unwrap();
        let (answer, _) = client.send_request(request, true).unwrap();
        let answer = tokio::time::timeout(Duration::from_secs(10), answer).await.unwrap().unwrap();
        let said = answer.headers().get("grpc-status").map(|value| value.to_str().unwrap());
        assert_eq!((answer.status().as_u16(), said), (status, call), "{path} {kind}");
        if call.is_some() {
            assert_eq!(answer.headers()["content-type"], "application/grpc");
            assert!(answer.headers().contains_key("x-request-id") && answer.body().is_end_stream());
        }
    }
    drop(client);
    let records = world.end().await.all();
    let statuses: Vec<u64> = records.iter().map(|record| record["status"].as_u64().unwrap()).collect();
    assert_eq!(statuses, [401, 404, 502, 401, 401], "the record keeps the HTTP status");
}

/// Neither side says anything for longer than a body may pause.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_may_be_silent() {
    let server = server().await;
    let world = World::start(&format!(
        "listeners: [{{ bind: \"127.0.0.1:0\", protocols: [h2], timeouts: {{ body: 200ms, request: 300ms }} }}]\n\
         routes: [{{ path: \"/{{*rest}}\", public: a test, \
         upstream: {{ url: \"http://{server}\", protocol: h2, body_timeout: 200ms }} }}]\n",
    ));
    let stream = TcpStream::connect(world.address).await.unwrap();
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let call = Request::post("http://a/grpc").header("content-type", "application/grpc").body(()).unwrap();
    let (answer, mut body) = client.send_request(call, false).unwrap();
    body.send_data("first".into(), false).unwrap();
    let mut answer = answer.await.unwrap().into_body();
    assert_eq!(answer.data().await.unwrap().unwrap(), "first");
    tokio::time::sleep(Duration::from_millis(600)).await;
    body.send_data("second".into(), true).unwrap();
    let part = tokio::time::timeout(Duration::from_secs(10), answer.data()).await.unwrap();
    assert_eq!(part.expect("it goes on").unwrap(), "second");
    drop((client, answer));
    world.end().await;
}

/// Events may be far apart, and other bodies may not.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_events_may_be_silent() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = vec![0; 4096];
                let size = stream.read(&mut head).await.unwrap();
                let kind =
                    if head[..size].starts_with(b"GET /events") { "text/event-stream" } else { "text/plain" };
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nConnection: close\r\n\r\ndata: 1\n\n"
                );
                stream.write_all(head.as_bytes()).await.unwrap();
                tokio::time::sleep(Duration::from_millis(600)).await;
                let _gone = stream.write_all(b"data: 2\n\n").await;
            });
        }
    });
    let world = World::start(&format!(
        "listeners: [{{ bind: \"127.0.0.1:0\" }}]\nroutes: [{{ path: \"/{{*rest}}\", public: a test, \
         upstream: {{ url: \"http://{server}\", body_timeout: 200ms }} }}]\n",
    ));
    for (path, whole) in [("/events", true), ("/text", false)] {
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let _reset =
            tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await.unwrap();
        let answer = String::from_utf8_lossy(&answer);
        assert_eq!(answer.contains("data: 2"), whole, "{path}: {answer}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_let_in_no_longer_is_told_so_by_its_status() {
    let folder = folder();
    let authority = Authority::new("a test's authority");
    let ca = folder.join("ca.pem");
    write(&ca, &authority.pem);
    authority.issue(&folder, "api", &Wanted::server(&["api.example"]));
    let server = server().await;
    let text = format!(
        "listeners:\n  - bind: 127.0.0.1:0\n    tls: {{ certificates: [{{ certificate: {0}/api.pem, key: {0}/api.key }}] }}\n{1}\n\
         routes: [{{ path: \"/{{*rest}}\", security: {{ authentication: {{ type: api_key }} }}, upstream: {{ url: \"http://{server}\", protocol: h2 }} }}]\n",
        folder.display(),
        crate::support::consumers()
    );
    let world = World::start(&text);
    let mut client = client(world.address, &ca).await;
    let mut calls = Vec::new();
    for key in [crate::support::USER_KEY, crate::support::OTHER_KEY] {
        let request =
            Request::post("https://api.example/grpc").header("te", "trailers").header("x-api-key", key);
        let request = request.header("content-type", "application/grpc").body(()).unwrap();
        let (response, mut body) = client.send_request(request, false).unwrap();
        body.send_data(Bytes::from_static(b"message"), false).unwrap();
        let mut answer = response.await.unwrap().into_body();
        assert_eq!(answer.data().await.unwrap().unwrap(), "message");
        calls.push((answer, body));
    }
    let (mut others, mut their_body) = calls.pop().unwrap();
    let (mut answer, _body) = calls.pop().unwrap();
    let begun = std::time::Instant::now();
    world.reload(&text.replace(crate::support::USER_KEY, "new-0123456789abcdef0123")).unwrap();
    assert!(answer.data().await.is_none());
    let trailers = answer.trailers().await.unwrap().expect("a status");
    assert_eq!(trailers["grpc-status"], "16", "UNAUTHENTICATED");
    assert!(begun.elapsed() < Duration::from_secs(5));
    // Another one's goes on.
    their_body.send_data(Bytes::from_static(b"more"), true).unwrap();
    assert_eq!(others.data().await.unwrap().unwrap(), "more");
    assert!(others.data().await.is_none());
    assert_eq!(others.trailers().await.unwrap().unwrap()["grpc-status"], "0");
    world.end().await;
}
