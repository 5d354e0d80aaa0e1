//! Groups of upstreams: which server gets a request, what happens when one fails, and what is bounded.

#![expect(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test binary has no outside, and a helper that fails fails its test"
)]

mod addressing;
#[path = "../support/authority.rs"]
#[allow(dead_code, reason = "each test binary uses a part of it")]
mod authority;
mod balancing;
mod beside;
mod calls;
mod checking;
mod failing;
mod limiting;
mod load;
mod server;
#[path = "../support/mod.rs"]
#[allow(dead_code, unused_imports, reason = "each test binary uses a part of it")]
mod support;

use server::Server;
use support::{Answer, Client, World};

/// A gateway whose route `/{*rest}` goes to a group with these servers and these further lines.
pub fn document(servers: &[String], lines: &str) -> String {
    format!(
        "listeners: [{{ bind: \"127.0.0.1:0\" }}]\nworkers: 1\nupstreams:\n  group:\n    servers: [{}]\n{}routes:\n  \
         - {{ path: \"/{{*rest}}\", public: a test, methods: any, upgrade: [websocket], upstream: group }}\n",
        servers.join(", "),
        lines.lines().map(|line| format!("    {line}\n")).collect::<String>()
    )
}

/// The URLs of servers, as the document writes them.
pub fn urls(servers: &[&Server]) -> Vec<String> {
    servers.iter().map(|server| format!("\"http://{}\"", server.address)).collect()
}

/// One request on a connection of its own, and its answer.
pub async fn ask(world: &World, line: &str, fields: &[&str], body: &str) -> Answer {
    let mut client = Client::connect(world.address).await;
    client.ask(&request(line, fields, body)).await
}

/// The text of a request.
pub fn request(line: &str, fields: &[&str], body: &str) -> String {
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    format!("{line} HTTP/1.1\r\nHost: a.example\r\n{fields}{length}\r\n{body}")
}

/// The status of a plain request.
pub async fn get(world: &World) -> u16 {
    ask(world, "GET /x", &[], "").await.status
}
