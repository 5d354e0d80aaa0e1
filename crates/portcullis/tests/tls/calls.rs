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
