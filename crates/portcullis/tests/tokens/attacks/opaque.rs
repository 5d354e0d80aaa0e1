//! Opaque tokens: what an authorization server says of them, and must not be believed without a look (RFC 7662).

use super::Expected::{Passes, Refused};
use super::support::Reply;
use super::{Stage, Table};
use crate::forge::now;
use serde_json::{Value, json};

/// The tokens, what the server says of each, and what comes of it.
fn tokens(issuer: &str) -> Vec<(&'static str, Value, super::Expected)> {
    let good = json!({
        "active": true, "iss": issuer, "sub": "alice", "aud": "api", "exp": now() + 600, "token_type": "Bearer",
    });
    let but = |other: Value| crate::forge::with(&good, &other);
    vec![
        ("good", good.clone(), Passes),
        ("good-without-issuer-and-end", but(json!({ "iss": null, "exp": null })), Passes),
        ("inactive", json!({ "active": false }), Refused("token_inactive")),
        ("inactive-with-claims", but(json!({ "active": false })), Refused("token_inactive")),
        ("active-as-a-string", but(json!({ "active": "true" })), Refused("fault")),
        ("active-as-a-number", but(json!({ "active": 1 })), Refused("fault")),
        ("not-said", but(json!({ "active": null })), Refused("fault")),
        ("said-in-a-list", json!([good]), Refused("fault")),
        ("of-another-issuer", but(json!({ "iss": "https://x.example" })), Refused("token_issuer")),
        ("ended", but(json!({ "exp": 1 })), Refused("credential_expired")),
        ("not-yet", but(json!({ "nbf": now() + 600 })), Refused("token_not_yet_valid")),
        ("for-another-audience", but(json!({ "aud": "other" })), Refused("token_audience")),
        ("for-no-audience", but(json!({ "aud": null })), Refused("token_audience")),
        ("of-nobody", but(json!({ "sub": null })), Refused("token_claims")),
        ("a-refresh-token", but(json!({ "token_type": "refresh_token" })), Refused("token_type")),
        ("a-refresh-token-by-keycloak", but(json!({ "typ": "Refresh" })), Refused("token_type")),
        ("a-refresh-token-by-hydra", but(json!({ "token_use": "refresh_token" })), Refused("token_type")),
        ("a-refresh-token-of-no-type", but(json!({ "token_type": null })), Refused("token_type")),
        ("of-an-empty-type", but(json!({ "token_type": "" })), Refused("token_type")),
        ("of-two-types", but(json!({ "token_type": ["Bearer", "refresh_token"] })), Refused("token_type")),
        (
            "of-no-type-and-another-use",
            but(json!({ "token_type": null, "token_use": "x" })),
            Refused("token_type"),
        ),
        (
            "an-access-token-by-its-use",
            but(json!({ "token_type": null, "token_use": "access_token" })),
            Passes,
        ),
        ("an-access-token-by-keycloak", but(json!({ "token_type": null, "typ": "Bearer" })), Passes),
        ("an-access-token-with-a-nonce", but(json!({ "nonce": "n" })), Passes),
        ("an-unknown-type", but(json!({ "token_type": 7 })), Refused("token_type")),
        ("bound", but(json!({ "cnf": { "jkt": "A".repeat(43) } })), Refused("token_binding")),
        ("bound-somehow", but(json!({ "cnf": { "x": "y" } })), Refused("token_binding")),
    ]
}

/// What the server says of a token.
pub fn answer(token: &str, issuer: &str) -> Reply {
    let known = tokens(issuer).into_iter().find(|(name, ..)| *name == token);
    let said = known.map_or(json!({ "active": false }), |(_, said, _)| said);
    Reply::with("200 OK", "Content-Type: application/json\r\n", &said.to_string())
}

pub fn rows(table: &mut Table, stage: &Stage) {
    table.family("opaque");
    for (name, _, expected) in tokens(&stage.issuer) {
        table.bearer(name, "/opaque", name, expected);
    }
    table.bearer("unknown", "/opaque", "made-up", Refused("token_inactive"));
    table.bearer("an opaque one where nobody can be asked", "/oauth", "good", Refused("token_malformed"));
    table.bearer("one that adds to the form", "/opaque", "x&token=good", Refused("token_malformed"));
    table.bearer(
        "one that adds to the form, encoded",
        "/opaque",
        "x%26token=good",
        Refused("token_malformed"),
    );
    table.bearer("one with an equals sign", "/opaque", "good=", Refused("token_inactive"));
}
