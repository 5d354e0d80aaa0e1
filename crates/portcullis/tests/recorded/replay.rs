//! The gateway of `gateway.yaml`, its backends, and how a recorded request is sent to it.

use crate::frames;
use crate::requests::{Head, Recorded, folder};
use crate::support::{Backend, Client, PATIENCE, Records, Reply, World};
use http::Response;
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;

/// The hash of `open sesame`, made with the reference implementation.
const HASH: &str =
    "$argon2id$v=19$m=7168,t=5,p=1$JXywo0L7Xg/Hsogn4rHbYg$ItmuTwomEpc/9nxFhCcnQeaa+gR9jYNo9IasPmHIyBw";

/// What this file says of a key, a token and their like.
fn secrets() -> Value {
    serde_json::from_str(&std::fs::read_to_string(folder().join("secrets.json")).unwrap()).unwrap()
}

fn lines() -> Vec<String> {
    let text = std::fs::read_to_string(folder().join("gateway.yaml")).unwrap();
    text.lines().map(ToOwned::to_owned).collect()
}

/// The lines that are needed: number, what the paths of their route begin with, and the status without them.
pub fn needed() -> Vec<(usize, String, u16)> {
    let mut prefix = String::new();
    let mut all = Vec::new();
    for (number, line) in lines().iter().enumerate() {
        if line.starts_with('#') {
            continue;
        }
        if let Some(path) = line.trim().strip_prefix("- path: ") {
            path.split('{').next().unwrap().clone_into(&mut prefix);
        }
        if let Some((_, status)) = line.split_once(crate::NEEDED) {
            all.push((number, prefix.clone(), status.parse().unwrap()));
        }
    }
    all
}

/// The configuration without this line, wherever it stands.
pub fn document(without: Option<usize>) -> String {
    let lines = lines();
    let without = without.map(|number| lines[number].clone());
    let kept = lines.iter().filter(|line| Some(*line) != without.as_ref());
    kept.map(String::as_str).collect::<Vec<_>>().join("\n")
}

/// A gateway with two listeners, one for each version of HTTP.
pub struct Stand {
    world: World,
}

impl Stand {
    pub async fn start(document: &str) -> Stand {
        let backend = Backend::answering(|seen| {
            if seen.fields("upgrade").iter().any(|value| value.eq_ignore_ascii_case("websocket")) {
                let head =
                    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
                return Reply::Bytes(head.as_bytes().to_vec());
            }
            if seen.method == "HEAD" {
                return Reply::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n".to_vec());
            }
            Reply::ok()
        })
        .await;
        let secrets = secrets();
        let document = document
            .replace("UPSTREAM", &format!("\"http://{}\"", backend.address))
            .replace("GRPC", &format!("\"http://{}\"", grpc().await))
            .replace("UPLOAD_DOCUMENT", folder().join("upload.yaml").to_str().unwrap())
            .replace("OPERATIONS", folder().join("operations.json").to_str().unwrap())
            .replace("PASSWORD_HASH", HASH)
            .replace("TOKEN_SECRET", secrets["token_secret"].as_str().unwrap())
            .replace("KEY", secrets["key"].as_str().unwrap());
        Stand { world: World::start(&document) }
    }

    /// The status that this request gets.
    pub async fn send(&self, request: &Recorded) -> u16 {
        match request.bytes() {
            Some(bytes) => self.send_bytes(&bytes).await,
            None => tokio::time::timeout(PATIENCE, self.send_fields(request)).await.expect("an answer"),
        }
    }

    /// The status that these bytes get.
    pub async fn send_bytes(&self, bytes: &[u8]) -> u16 {
        let mut client = Client::connect(self.world.addresses[0]).await;
        client.send(bytes).await;
        loop {
            let answer = client.answer(bytes.starts_with(b"HEAD ")).await.expect("an answer");
            if answer.status != 100 {
                return answer.status;
            }
        }
    }

    async fn send_fields(&self, request: &Recorded) -> u16 {
        let Head::Fields(fields, trailers) = &request.head else { unreachable!("a request of HTTP/2") };
        frames::ask(self.world.addresses[1], fields, &request.body, trailers).await
    }

    /// Ends it.
    pub async fn end(self) -> Arc<Records> {
        self.world.end().await
    }

    /// Ends it, and says why it refused.
    pub async fn refusals(self) -> String {
        let records = self.end().await.all();
        let refused = records.iter().filter(|record| !record["denied"].is_null());
        refused.map(|record| format!("{} {}\n", record["path"], record["denied"])).collect()
    }
}

/// A server of HTTP/2 that answers every call with an empty answer.
async fn grpc() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((_, mut respond))) = connection.accept().await {
                    let answer = Response::builder()
                        .header("content-type", "application/grpc")
                        .header("grpc-status", "0")
                        .body(())
                        .unwrap();
                    let _gone = respond.send_response(answer, true);
                }
            });
        }
    });
    address
}
