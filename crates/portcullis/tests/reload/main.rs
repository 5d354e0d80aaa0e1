//! Another configuration while it serves: what changes, what stays, and that nobody who is served notices.

#![expect(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test binary has no outside, and a helper that fails fails its test"
)]

mod priority;
mod state;
mod streams;
#[path = "../support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "each test binary uses a part of it")]
mod support;
mod transaction;

use std::net::SocketAddr;
use support::{Answer, Client};

/// A gateway with one listener on a free port, in front of `backend`.
pub fn document(backend: SocketAddr, security: &str, routes: &str) -> String {
    let consumers = support::consumers();
    let routes = routes.replace("BACKEND", &format!("http://{backend}"));
    format!(
        "listeners: [{{ bind: \"127.0.0.1:0\" }}]\nworkers: 2\nsecurity:\n  authentication: {{ type: api_key, header: x-api-key }}\n{security}\n{consumers}\nroutes:\n{routes}\n"
    )
}

/// The answer to a request with this key, on a connection of its own.
pub async fn get(gateway: SocketAddr, target: &str, key: &str) -> Answer {
    let mut client = Client::connect(gateway).await;
    ask(&mut client, target, key).await
}

/// The answer to a request with this key, on this connection.
pub async fn ask(client: &mut Client, target: &str, key: &str) -> Answer {
    client.ask(&format!("GET {target} HTTP/1.1\r\nHost: a.example\r\nX-Api-Key: {key}\r\n\r\n")).await
}
