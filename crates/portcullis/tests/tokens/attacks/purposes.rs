//! Good tokens that were made for something else.

use super::Expected::{Passes, Refused};
use super::{Stage, Table};
use crate::forge::Proof;
use serde_json::json;

pub fn rows(table: &mut Table, stage: &Stage) {
    table.family("purpose");
    let claims = stage.claims();
    let typed = |typ: &str| stage.rsa.token_with(&json!({ "typ": typ }), &claims);
    table.bearer("an access token", "/at", &typed("at+jwt"), Passes);
    table.bearer("an access token by its full name", "/at", &typed("application/at+jwt"), Passes);
    for (name, typ) in [
        ("a token of no purpose, where one is asked", "JWT"),
        ("an identity token, where an access token is asked", "id_token"),
        ("a security event, where an access token is asked", "secevent+jwt"),
        ("nearly an access token", "at+jwt2"),
    ] {
        table.bearer(name, "/at", &typed(typ), Refused("token_type"));
    }
    let nothing = stage.rsa.token_with(&json!({ "typ": null }), &claims);
    table.bearer("no typ, where an access token is asked", "/at", &nothing, Refused("token_type"));
    for missing in ["jti", "client_id", "iat"] {
        let token = stage.rsa.token_with(&json!({ "typ": "at+jwt" }), &stage.but(&json!({ missing: null })));
        table.bearer(&format!("an access token without {missing}"), "/at", &token, Refused("token_claims"));
    }
    table.bearer("a good token without a typ", "/jwt", &nothing, Passes);
    for typ in [
        "dpop+jwt",
        "logout+jwt",
        "secevent+jwt",
        "oauth-authz-req+jwt",
        "token-introspection+jwt",
        "JOSE",
        "",
    ] {
        table.bearer(&format!("typ {typ:?}"), "/jwt", &typed(typ), Refused("token_type"));
    }
    let proof = Proof::new(&stage.rsa, "GET", "https://api.example/jwt", "x");
    let proof = proof.header(&json!({ "kid": "kid-rsa" })).claims(&stage.claims()).sign();
    table.bearer("a proof of possession", "/jwt", &proof, Refused("token_type"));

    // With no audience to go by, as where only `token_url` is written, tokens for clients must still not pass.
    let nowhere = stage.but(&json!({ "aud": "app" }));
    table.bearer("an access token without an audience of ours", "/oauth", &stage.rsa.token(&nowhere), Passes);
    for (name, more) in [
        ("an identity token with the digest of an access token", json!({ "at_hash": "x", "nonce": "n" })),
        ("an identity token with the digest of a code", json!({ "c_hash": "x" })),
        ("an identity token with nothing but the nonce of its login", json!({ "nonce": "n", "scope": null })),
        (
            "an identity token that says how somebody logged in",
            json!({ "nonce": "n", "scope": null, "amr": ["pwd"], "auth_time": 1 }),
        ),
        ("Keycloak's identity token", json!({ "typ": "ID" })),
        ("a refresh token by simplejwt", json!({ "token_type": "refresh" })),
        ("Keycloak's refresh token", json!({ "typ": "Refresh" })),
        ("Cognito's identity token", json!({ "token_use": "id" })),
        ("a logout token", json!({ "events": { "http://schemas.openid.net/event/backchannel-logout": {} } })),
    ] {
        let token = stage.rsa.token(&crate::forge::with(&nowhere, &more));
        table.bearer(name, "/oauth", &token, Refused("token_type"));
    }
}
