//! The PROXY protocol toward upstreams.

use super::request;
use crate::support::{Client, World};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// What came on each connection.
async fn listening() -> (std::net::SocketAddr, Arc<Mutex<Vec<Vec<u8>>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
    let shared = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let seen = Arc::clone(&shared);
            tokio::spawn(async move {
                let mut read = Vec::new();
                // The signature of the second version holds empty lines.
                while !read.ends_with(b"\r\n\r\n") || read.len() < 40 {
                    if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
                        break;
                    }
                }
                seen.lock().unwrap().push(read);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
                // Whatever else came would be another client's.
                let mut more = Vec::new();
                let _ = stream.read_to_end(&mut more).await;
                seen.lock().unwrap().extend((!more.is_empty()).then_some(more));
            });
        }
    });
    (address, seen)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_hears_whose_request_it_gets() {
    for (version, in_group) in [("v1", false), ("v1", true), ("v2", true)] {
        let (server, seen) = listening().await;
        let upstream = format!("{{ url: \"http://{server}\", proxy_protocol: {version} }}");
        let (groups, target) = if in_group {
            (format!("upstreams: {{ app: {{ servers: [{upstream}] }} }}\n"), "app".to_owned())
        } else {
            (String::new(), upstream)
        };
        let world = World::start(&format!(
            "listeners: [{{ bind: \"127.0.0.1:0\" }}]\nworkers: 1\ntrusted_proxies: [127.0.0.9]\n{groups}routes:\n  \
             - {{ path: /x, public: a test, upstream: {target} }}\n"
        ));
        let mut client = Client::connect_from("127.0.0.5", world.address).await;
        for _ in 0..2 {
            assert_eq!(client.ask(&request("GET /x", &[], "")).await.status, 200);
        }
        let mut proxy = Client::connect_from("127.0.0.9", world.address).await;
        let forwarded = request("GET /x", &["X-Forwarded-For: 2001:db8::7"], "");
        assert_eq!(proxy.ask(&forwarded).await.status, 200);
        let seen = seen.lock().unwrap().clone();
        assert_eq!(seen.len(), 3, "each request has a connection");
        let (from, port) = (client.address, world.address.port());
        if version == "v1" {
            let wanted =
                format!("PROXY TCP4 127.0.0.5 127.0.0.1 {} {port}\r\nGET /x HTTP/1.1\r\n", from.port());
            assert!(seen[0].starts_with(wanted.as_bytes()) && seen[1].starts_with(wanted.as_bytes()));
            let wanted = format!("PROXY TCP6 2001:db8::7 ::ffff:127.0.0.1 0 {port}\r\nGET /x");
            assert!(seen[2].starts_with(wanted.as_bytes()), "{}", seen[2].escape_ascii());
        } else {
            assert_eq!(seen[0][..16], b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"[..]);
            assert_eq!(seen[0][16..24], [127, 0, 0, 5, 127, 0, 0, 1]);
            assert_eq!(seen[0][24..26], from.port().to_be_bytes());
            assert!(seen[0][28..].starts_with(b"GET /x HTTP/1.1\r\n"));
        }
        world.end().await;
    }
}
