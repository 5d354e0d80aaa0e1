//! An upgrade under TLS on both sides: what is said after it arrives, all of it and in its order.

use crate::authority::{Authority, Wanted, folder, write};
use crate::clients::connect;
use crate::support::World;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const MESSAGES: u32 = 10_000;

/// A text frame of a WebSocket (RFC 6455, section 5.2), masked as a client must.
fn message(number: u32, masked: bool) -> Vec<u8> {
    let text = format!("message {number:06}");
    let mut frame = vec![0x81, u8::try_from(text.len()).unwrap() | if masked { 0x80 } else { 0 }];
    if masked {
        let mask = number.to_be_bytes();
        frame.extend(mask);
        frame.extend(text.bytes().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    } else {
        frame.extend(text.bytes());
    }
    frame
}

async fn head(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_messages_come_back() {
    let folder = folder();
    let authority = Authority::new("a test's authority");
    let ca = folder.join("ca.pem");
    write(&ca, &authority.pem);
    authority.issue(&folder, "api", &Wanted::server(&["api.example"]));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let echo = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        assert!(head(&mut stream).await.to_lowercase().contains("upgrade: websocket"));
        stream
            .write_all(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            )
            .await
            .unwrap();
        let size = message(0, true).len();
        for number in 0..MESSAGES {
            let mut frame = vec![0; size];
            stream.read_exact(&mut frame).await.unwrap();
            assert_eq!(frame, message(number, true));
            stream.write_all(&message(number, false)).await.unwrap();
        }
        let _closed = stream.read(&mut [0; 1]).await;
    });
    let tls = format!(
        "tls: {{ certificates: [{{ certificate: {0}/api.pem, key: {0}/api.key }}] }}",
        folder.display()
    );
    let inner = World::start(&format!(
        "listeners:\n  - bind: 127.0.0.1:0\n    {tls}\n\
         routes: [{{ path: /ws, public: a test, upgrade: [websocket], upstream: \"http://{echo}\" }}]\n"
    ));
    // Under TLS to the client, and under TLS to the upstream, which is a gateway as well.
    let outer = World::start(&format!(
        "listeners:\n  - bind: 127.0.0.1:0\n    {tls}\n\
         routes: [{{ path: /ws, public: a test, upgrade: [websocket], upstream: {{ url: \"https://{}\", tls: {{ ca: {}, server_name: api.example }} }} }}]\n",
        inner.address,
        ca.display()
    ));
    let mut client = connect(outer.address, &ca, "api.example", None).await.unwrap();
    client
        .write_all(b"GET /ws HTTP/1.1\r\nHost: api.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        .await
        .unwrap();
    assert!(head(&mut client).await.starts_with("HTTP/1.1 101"));
    let (mut read, mut write) = tokio::io::split(client);
    let sending = tokio::spawn(async move {
        for number in 0..MESSAGES {
            write.write_all(&message(number, true)).await.unwrap();
        }
        write.flush().await.unwrap();
        write
    });
    let receiving = async {
        let size = message(0, false).len();
        for number in 0..MESSAGES {
            let mut frame = vec![0; size];
            read.read_exact(&mut frame).await.unwrap();
            assert_eq!(frame, message(number, false));
        }
    };
    tokio::time::timeout(Duration::from_secs(60), receiving).await.expect("every message");
    drop((sending.await.unwrap(), read));
    let records = outer.end().await.all();
    assert_eq!(records[0]["status"], 101, "{records:?}");
    inner.end().await;
}

/// An upstream that switches, says `hi`, and is silent.
async fn silent() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                head(&mut stream).await;
                let switched = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi";
                stream.write_all(switched).await.unwrap();
                let _closed = stream.read(&mut [0; 1]).await;
            });
        }
    });
    address
}

async fn switch(address: std::net::SocketAddr, from: &str) -> (tokio::net::TcpStream, String) {
    let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!(
        "GET /ws HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {from}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    client.write_all(request.as_bytes()).await.unwrap();
    let head = head(&mut client).await;
    (client, head.lines().next().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn tunnels_count_among_the_requests_of_their_address() {
    let upstream = silent().await;
    let world = World::start(&format!(
        "workers: 1\ntrusted_proxies: [127.0.0.1/32]\n\
         listeners: [{{ bind: \"127.0.0.1:0\", max_requests_per_address: 2 }}]\n\
         routes: [{{ path: /ws, public: a test, upgrade: [websocket], upstream: {{ url: \"http://{upstream}\", tunnel_drain: 100ms }} }}]\n"
    ));
    let (first, said) = switch(world.address, "192.0.2.1").await;
    assert!(said.contains(" 101 "), "{said}");
    let (_second, said) = switch(world.address, "192.0.2.1").await;
    assert!(said.contains(" 101 "), "{said}");
    let (_refused, said) = switch(world.address, "192.0.2.1").await;
    assert!(said.contains(" 503 "), "{said}");
    let (_other, said) = switch(world.address, "192.0.2.2").await;
    assert!(said.contains(" 101 "), "{said}");
    drop(first);
    for attempt in 0.. {
        let (_again, said) = switch(world.address, "192.0.2.1").await;
        if said.contains(" 101 ") {
            break;
        }
        assert!(attempt < 100, "{said}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tunnels_have_a_grace_time_of_their_own() {
    let upstream = silent().await;
    let world = World::start(&format!(
        "workers: 1\nlisteners: [{{ bind: \"127.0.0.1:0\" }}]\n\
         routes: [{{ path: /ws, public: a test, upgrade: [websocket], upstream: {{ url: \"http://{upstream}\", tunnel_drain: 700ms }} }}]\n"
    ));
    let (mut client, said) = switch(world.address, "192.0.2.1").await;
    assert!(said.contains(" 101 "), "{said}");
    let mut hi = [0; 2];
    client.read_exact(&mut hi).await.unwrap();
    let begun = std::time::Instant::now();
    let ending = tokio::spawn(world.end());
    let _closed = client.read(&mut hi).await;
    assert!(begun.elapsed() >= Duration::from_millis(700), "{:?}", begun.elapsed());
    assert_eq!(ending.await.unwrap().all()[0]["outcome"], "aborted");
}
