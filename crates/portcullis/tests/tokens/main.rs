//! Tokens, with a real OpenID provider that nobody here wrote, through a running gateway, before a backend that counts.

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

mod attacks;
mod authorization;
mod conditions;
mod exchange;
mod external;
mod foreign;
mod forge;
mod issuer_failures;
mod library;
mod places;
mod provider;
mod signatures;
mod tls;

use base64ct::{Base64UrlUnpadded, Encoding};
use std::net::SocketAddr;
use support::{Answer, Backend, Client, OidcProvider, World};

/// A gateway that may speak to this machine, with routes to the backend: each path, and what stands after
/// `authentication:` and beside it.
fn document(backend: &Backend, routes: &[(&str, &str)]) -> String {
    let upstream = backend.address;
    let routes: Vec<String> = routes
        .iter()
        .map(|(path, method)| {
            format!(
                "  - path: \"{path}\"\n    upstream: \"http://{upstream}\"\n    security: {{ authentication: {method} }}\n"
            )
        })
        .collect();
    format!(
        "listeners: [{{ bind: \"127.0.0.1:0\" }}]\nworkers: 2\noutbound: {{ allow: [\"127.0.0.0/8\"] }}\nroutes:\n{}",
        routes.concat()
    )
}

/// Tokens of the provider, found by its token endpoint, with more keys.
fn oauth2(provider: &OidcProvider, more: &str) -> String {
    let separator = if more.is_empty() { "" } else { ", " };
    format!("{{ type: OAuth2, token_url: \"{}/token\"{separator}{more} }}", provider.issuer)
}

/// What the gateway answers to a GET with these fields.
async fn get(world: &World, path: &str, fields: &[&str]) -> Answer {
    get_from(world.address, path, fields).await
}

async fn get_from(address: SocketAddr, path: &str, fields: &[&str]) -> Answer {
    get_as("127.0.0.1", address, path, fields).await
}

/// The same from another address, which is not judged by what came from others.
async fn get_as(source: &str, address: SocketAddr, path: &str, fields: &[&str]) -> Answer {
    let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
    let request = format!("GET {path} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n{fields}\r\n");
    Client::connect_from(source, address).await.ask(&request).await
}

/// The bytes of base64url.
fn decode(text: &str) -> Vec<u8> {
    Base64UrlUnpadded::decode_vec(text).unwrap()
}
