//! No key is accepted and does nothing: each has a row here, with a value that is not the default and what comes of it.
//!
//! What stands under `security` is tried in every place where it can stand: for the whole gateway and for a route, one
//! method or limit alone and in a list of them.

mod acme;
mod admin;
mod compression;
mod cors;
mod counting;
mod document;
mod graphql;
mod guessing;
mod limits;
mod login;
mod openapi;
mod passwords;
mod protection;
mod routing;
mod security;
mod signatures;
mod stored_keys;
mod tests;
mod tokens;
mod upstreams;
mod waf;

use super::harness::{Gate, gate};
use super::keys;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Where a `security` section stands, and in which form.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// In the route, where the gateway's section says something else.
    route: bool,
    /// An authentication method and a limit in lists.
    list: bool,
}

const PLACES: [Place; 4] = [
    Place { route: false, list: false },
    Place { route: false, list: true },
    Place { route: true, list: false },
    Place { route: true, list: true },
];

impl Place {
    /// For the whole gateway, in its simplest form.
    pub(crate) fn in_gateway() -> Place {
        Place { route: false, list: false }
    }

    /// A gateway with this section and the route `/a`.
    pub(crate) fn gate(self, security: Value) -> Gate {
        gate(&self.document(security).to_string())
    }

    pub(crate) fn document(self, mut security: Value) -> Value {
        if security.get("authentication").is_none() {
            security["authentication"] = json!({ "type": "api_key" });
        }
        if self.list {
            let method = &mut security["authentication"];
            if method.get("any").is_none() && method.get("all").is_none() {
                let mode = method.as_object_mut().unwrap().remove("mode").unwrap_or(json!("enforce"));
                *method = json!({ "any": [method.take()], "mode": mode });
            }
            if let Some(limit) = security.get_mut("rate_limiting").filter(|limit| limit.is_object()) {
                *limit = json!([limit.take()]);
            }
        }
        let mut document = json!({
            "listeners": [{ "bind": "127.0.0.1:3000" }],
            "consumers": [
                { "name": "alice", "roles": ["user"], "keys": [{ "env": "ALICE_API_KEY" }] },
                { "name": "root", "roles": ["admin"], "keys": [{ "env": "ADMIN_API_KEY" }] },
            ],
            "routes": [{ "path": "/a", "upstream": "http://127.0.0.1:8080" }],
        });
        if self.route {
            // What the route says must win over this.
            document["security"] = json!({
                "addresses": { "deny": ["198.51.100.0/24"] },
                "authentication": { "type": "api_key", "header": "x-of-the-gateway" },
                "authorization": { "roles_allowed": ["user", "admin"] },
                "rate_limiting": { "max_requests": 1000, "per": "second" },
                "body": { "max_size": 77 },
            });
            document["routes"][0]["security"] = security;
        } else {
            document["security"] = security;
        }
        document
    }
}

/// A key that stands outside `security`, and its effect.
pub(crate) type DocumentRow = (&'static str, fn());

/// A key under `security`, and its effect in a place.
pub(crate) type SecurityRow = (&'static str, fn(Place));

fn document_rows() -> impl Iterator<Item = &'static DocumentRow> {
    document::ROWS
        .iter()
        .chain(guessing::ROWS)
        .chain(passwords::CONSUMER_ROWS)
        .chain(admin::ROWS)
        .chain(limits::ROWS)
        .chain(routing::ROWS)
        .chain(upstreams::ROWS)
        .chain(compression::ROWS)
        .chain(protection::ROWS)
        .chain(acme::ROWS)
        .chain(openapi::DOCUMENT_ROWS)
        .chain(tests::ROWS)
        .chain(counting::DOCUMENT_ROWS)
        .chain(stored_keys::ROWS)
}

fn security_rows() -> impl Iterator<Item = &'static SecurityRow> {
    security::ROWS
        .iter()
        .chain(cors::ROWS)
        .chain(passwords::ROWS)
        .chain(tokens::ROWS)
        .chain(login::ROWS)
        .chain(signatures::ROWS)
        .chain(graphql::ROWS)
        .chain(openapi::ROWS)
        .chain(waf::ROWS)
        .chain(counting::ROWS)
}

#[test]
fn every_key_has_a_row() {
    let rows: Vec<&str> = document_rows().map(|row| row.0).chain(security_rows().map(|row| row.0)).collect();
    let known: BTreeSet<String> = rows.iter().map(|key| (*key).to_owned()).collect();
    assert_eq!(rows.len(), known.len(), "a key has two rows");
    let declared = keys::canonical_keys();
    let missing: Vec<_> = declared.difference(&known).collect();
    assert!(missing.is_empty(), "nobody looked at what these keys do: {missing:#?}");
    let gone: Vec<_> = known.difference(&declared).collect();
    assert!(gone.is_empty(), "no such keys: {gone:#?}");
}

#[test]
fn every_key_has_its_effect() {
    for (key, effect) in document_rows() {
        eprintln!("{key}");
        effect();
    }
}

#[test]
fn every_key_of_security_has_its_effect_in_every_place() {
    for (key, effect) in security_rows() {
        for place in PLACES {
            eprintln!("{key} {place:?}");
            effect(place);
        }
    }
}
