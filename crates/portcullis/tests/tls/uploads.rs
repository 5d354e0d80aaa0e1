//! Uploads over HTTP/2 that honest clients make: large, several at once, slow, and beside requests that are refused.

use crate::authority::{Authority, Wanted, folder, write};
use crate::commands::curl;
use crate::support::{Backend, Reply, USER_KEY, World, consumers};
use bytes::Bytes;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Answers with the length of what came.
async fn measuring() -> Backend {
    Backend::answering(|seen| Reply::with("200 OK", "", &seen.body.len().to_string())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_running_uploads_are_no_control_bytes() {
    let folder = folder();
    let authority = Authority::new("a test's authority");
    let ca = folder.join("ca.pem");
    write(&ca, &authority.pem);
    authority.issue(&folder, "api", &Wanted::server(&["api.example"]));
    let backend = measuring().await;
    let world = World::start(&format!(
        "listeners:\n  - bind: 127.0.0.1:0\n    tls: {{ certificates: [{{ certificate: {0}/api.pem, key: {0}/api.key }}] }}\n\
         routes:\n  - {{ path: /a, public: a test, upstream: \"http://{1}\" }}\n  \
         - {{ path: /large, public: a test, upstream: \"http://{1}\", security: {{ body: {{ max_size: 8MiB }} }} }}\n",
        folder.display(),
        backend.address
    ));
    let file = |name: &str, size: usize| {
        let file = folder.join(name);
        std::fs::write(&file, "y".repeat(size)).unwrap();
        file.display().to_string()
    };
    // Three at once, below the default cap.
    let files: Vec<String> = ["a", "b", "c"].iter().map(|name| file(name, 900_000)).collect();
    let url = format!("https://api.example:{}/a", world.address.port());
    let more = ["--http2", "--parallel", "-T", &files[0], &url, "-T", &files[1], &url, "-T", &files[2]];
    let said = curl(world.address, "api.example", "/a", &ca, &more);
    assert_eq!(said.out.matches("HTTP/2 200").count(), 3, "{said:?}");
    assert_eq!(said.out.matches("900000").count(), 3, "{said:?}");
    // A larger one, at once and slowly.
    let large = file("large", 1_500_000);
    for rate in ["1G", "1M"] {
        let more = ["--http2", "--limit-rate", rate, "-T", &large];
        let said = curl(world.address, "api.example", "/large", &ca, &more);
        assert!(said.out.starts_with("HTTP/2 200") && said.out.ends_with("1500000"), "{said:?}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_uploads_end_no_other_request() {
    let backend = measuring().await;
    let world = World::start(&format!(
        "{}listeners: [{{ bind: \"127.0.0.1:0\", protocols: [h2] }}]\nroutes:\n  \
         - {{ path: /a, upstream: \"http://{}\", security: {{ authentication: {{ type: api_key, header: x-api-key }} }} }}\n",
        consumers(),
        backend.address
    ));
    let stream = TcpStream::connect(world.address).await.unwrap();
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let request = |key: &str| http::Request::post("http://a/a").header("x-api-key", key).body(()).unwrap();
    let (authorised, mut slow) = client.send_request(request(USER_KEY), false).unwrap();
    slow.send_data("half".into(), false).unwrap();
    for _ in 0..20 {
        client = client.ready().await.unwrap();
        let (answer, mut body) = client.send_request(request("wrong"), false).unwrap();
        // Whether it all goes out depends on when the refusal comes; both is well.
        let _sent = body.send_data(Bytes::from(vec![b'x'; 200_000]), true);
        let status = tokio::time::timeout(Duration::from_secs(5), answer).await.unwrap().unwrap().status();
        assert!(status == 401 || status == 429, "{status}");
    }
    slow.send_data("half".into(), true).unwrap();
    assert_eq!(authorised.await.unwrap().status(), 200);
    world.end().await;
}

/// An upstream answers at once and then neither reads nor closes.
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_stops_reading_keeps_nothing() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    let (kept, mut connections) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 64];
            let _some = stream.read(&mut head).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
            kept.send(stream).unwrap();
        }
    });
    let world = World::start(&format!(
        "listeners: [{{ bind: \"127.0.0.1:0\" }}]\nroutes: [{{ path: /a, public: a test, \
         upstream: \"http://{server}\", security: {{ body: {{ max_size: 64MiB }} }} }}]\n",
    ));
    let mut client = TcpStream::connect(world.address).await.unwrap();
    // More than sockets buffer.
    let size = 32 * 1024 * 1024;
    let head = format!("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n");
    client.write_all(head.as_bytes()).await.unwrap();
    let (mut read, mut write) = client.into_split();
    let sending = tokio::spawn(async move {
        let part = vec![b'x'; 64 * 1024];
        for _ in 0..size / part.len() {
            if write.write_all(&part).await.is_err() {
                break;
            }
        }
        write
    });
    let mut answer = [0; 12];
    tokio::time::timeout(Duration::from_secs(5), read.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    let mut upstream = connections.recv().await.unwrap();
    // The client's connection ends, and so does the upstream's, in the middle of the body.
    let _reset = tokio::time::timeout(Duration::from_secs(10), read.read_to_end(&mut Vec::new()))
        .await
        .expect("the client's ends");
    let mut came = 0;
    let mut buffer = vec![0; 64 * 1024];
    let rest = async {
        while let Ok(part @ 1..) = upstream.read(&mut buffer).await {
            came += part
        }
    };
    tokio::time::timeout(Duration::from_secs(10), rest).await.expect("the upstream's ends");
    assert!(came < size, "{came}");
    sending.abort();
    world.end().await;
}
