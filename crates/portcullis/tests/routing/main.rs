//! Routes and what they change, through a running gateway.
//!
//! | module     | holds                                                       |
//! |------------|-------------------------------------------------------------|
//! | `choosing` | which route a request belongs to, and that none opens another |
//! | `changing` | paths, headers, answers, redirects and fixed answers          |

#![expect(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test binary has no outside, and a helper that fails fails its test"
)]

#[allow(dead_code, unused_imports, reason = "each test binary uses a part of it")]
#[path = "../support/mod.rs"]
mod support;

mod changing;
mod choosing;

use support::{Answer, Client, World};

/// One request with these fields, and its answer.
async fn ask(world: &World, line: &str, fields: &[&str]) -> Answer {
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    let host = if fields.to_ascii_lowercase().contains("host:") { "" } else { "Host: a.example\r\n" };
    let request = format!("{line} HTTP/1.1\r\n{host}Connection: close\r\n{fields}\r\n");
    Client::connect(world.address).await.ask(&request).await
}

/// A document with these routes, and the consumer alice, whose key is needed where a route is not public.
fn document(routes: &str) -> String {
    format!(
        "listeners: [{{ bind: \"127.0.0.1:0\" }}]\nworkers: 1\nsecurity: {{ authentication: {{ type: api_key, header: x-api-key }} }}\n\
         consumers: [{{ name: alice, keys: [{{ literal: alice-key-0123456789 }}] }}]\nroutes:\n{routes}"
    )
}

const KEY: &str = "X-Api-Key: alice-key-0123456789";
