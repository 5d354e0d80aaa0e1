//! Handshakes of many clients at once: silence keeps nobody out, one address has its share, and a failure says what it is.

use crate::authority::{Authority, Wanted, folder, write};
use crate::clients::protect;
use crate::commands::curl;
use crate::support::{Backend, World};
use rustls::{ClientConfig, RootCertStore};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

async fn gateway(more: &str) -> (World, PathBuf) {
    let folder = folder();
    let authority = Authority::new("a test's authority");
    let ca = folder.join("ca.pem");
    write(&ca, &authority.pem);
    authority.issue(&folder, "api", &Wanted::server(&["api.example"]));
    let backend = Backend::start().await;
    let world = World::start(&format!(
        "listeners:\n  - bind: 127.0.0.1:0\n    tls:\n{more}      \
         certificates: [{{ certificate: {0}/api.pem, key: {0}/api.key }}]\n\
         routes: [{{ path: /a, public: a test, upstream: \"http://{1}\" }}]\n",
        folder.display(),
        backend.address
    ));
    (world, ca)
}

async fn from(address: &str, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(format!("{address}:0").parse().unwrap()).unwrap();
    socket.connect(to).await.unwrap()
}

/// The first message of a client.
fn hello() -> Vec<u8> {
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = "api.example".try_into().unwrap();
    let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_connections_keep_nobody_from_a_handshake() {
    let (world, ca) = gateway("      max_handshakes: 4\n").await;
    let mut silent = Vec::new();
    for number in 0..200 {
        let mut stream = from("127.0.0.1", world.address).await;
        // Half of them say nothing, half of them begin and go no further.
        if number % 2 == 0 {
            stream.write_all(&[22, 3, 1, 1, 0, 1]).await.unwrap();
        }
        silent.push(stream);
    }
    let said = curl(world.address, "api.example", "/a", &ca, &[]);
    assert!(said.ok, "{said:?}");
    drop(silent);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_has_half_of_the_handshakes() {
    let (world, ca) = gateway("      max_handshakes: 4\n      handshake_timeout: 4s\n").await;
    let hello = hello();
    let mut greedy = Vec::new();
    for _ in 0..10 {
        let mut stream = from("127.0.0.2", world.address).await;
        // A whole first message, and nothing after it.
        stream.write_all(&hello).await.unwrap();
        greedy.push(stream);
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let other = from("127.0.0.3", world.address).await;
    let protected =
        tokio::time::timeout(Duration::from_secs(2), protect(other, &ca, "api.example", None)).await;
    protected.expect("others have the other half").unwrap();
    drop(greedy);
    let records = world.end().await.all();
    let full = |record: &serde_json::Value| {
        record["denied"]["detail"].as_str().is_some_and(|detail| detail.contains("too many handshakes"))
    };
    assert!(records.iter().any(full), "{records:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_without_a_certificate_is_said_to_be_unknown() {
    let (world, ca) = gateway("").await;
    let stream = TcpStream::connect(world.address).await.unwrap();
    let error = protect(stream, &ca, "other.example", None).await.unwrap_err();
    assert!(error.to_string().contains("UnrecognisedName"), "{error}");
    let records = world.end().await.all();
    assert!(records[0]["denied"]["detail"].as_str().unwrap().contains("other.example"), "{records:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_gone_without_a_byte_leaves_no_record() {
    let (world, _) = gateway("").await;
    let mut probe = TcpStream::connect(world.address).await.unwrap();
    probe.shutdown().await.unwrap();
    let mut rest = Vec::new();
    let _closed = tokio::time::timeout(Duration::from_secs(5), probe.read_to_end(&mut rest)).await.unwrap();
    assert_eq!((rest.len(), world.end().await.all().len()), (0, 0));
}
