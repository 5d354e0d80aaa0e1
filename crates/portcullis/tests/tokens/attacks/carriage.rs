//! Where a token stands, and what stands beside it.

use super::Expected::{Passes, Refused};
use super::{Stage, Table};
use crate::support::{ADMIN_KEY, USER_KEY};

pub fn rows(table: &mut Table, stage: &Stage) {
    table.family("carriage");
    let good = stage.token();
    let bearer = format!("Authorization: Bearer {good}");
    let key = format!("X-Api-Key: {USER_KEY}");
    table.fields("a good token", "/jwt", &[&bearer], Passes);
    table.fields("the scheme in lower case", "/jwt", &[&bearer.replace("Bearer", "bearer")], Passes);
    table.fields("a key alone, where one is enough", "/any", &[&key], Passes);
    table.fields("a token alone, where one is enough", "/any", &[&bearer], Passes);
    table.fields("both, where both are needed", "/all", &[&bearer, &key], Passes);

    for (name, field, code) in [
        ("no scheme", format!("Authorization: {good}"), "credential_malformed"),
        ("another scheme", format!("Authorization: Basic {good}"), "credential_missing"),
        ("the scheme alone", "Authorization: Bearer".to_owned(), "token_malformed"),
        ("the scheme and spaces", "Authorization: Bearer    ".to_owned(), "token_malformed"),
        ("a tab", format!("Authorization: Bearer\t{good}"), "credential_malformed"),
        ("a colon", format!("Authorization: Bearer: {good}"), "credential_malformed"),
        ("the scheme twice", format!("Authorization: Bearer Bearer {good}"), "token_malformed"),
        (
            "two credentials in a field",
            format!("Authorization: Bearer {good}, Bearer {good}"),
            "token_malformed",
        ),
        ("quotes", format!("Authorization: Bearer \"{good}\""), "token_malformed"),
        ("another alphabet", format!("Authorization: Bearer {good}\u{e9}"), "credential_malformed"),
        ("the proxy's field", format!("Proxy-Authorization: Bearer {good}"), "credential_missing"),
        ("a field of somebody else", format!("X-Authorization: Bearer {good}"), "credential_missing"),
        (
            "a field of a gateway before",
            format!("X-Forwarded-Authorization: Bearer {good}"),
            "credential_missing",
        ),
        ("a cookie", format!("Cookie: access_token={good}"), "credential_missing"),
        ("nothing", "X-Nothing: 1".to_owned(), "credential_missing"),
    ] {
        table.fields(name, "/jwt", &[&field], Refused(code));
    }
    table.fields(
        "two fields with the same token",
        "/jwt",
        &[&bearer, &bearer],
        Refused("credential_repeated"),
    );
    table.fields(
        "two fields, one of another scheme",
        "/jwt",
        &["Authorization: Basic eDp5", &bearer],
        Refused("credential_repeated"),
    );
    table.fields(
        "an empty field before it",
        "/jwt",
        &["Authorization:", &bearer],
        Refused("credential_repeated"),
    );
    let query = format!("/jwt?access_token={good}");
    table.fields("in the query", &query, &[], Refused("credential_missing"));
    let body = format!("access_token={good}");
    let length = format!("Content-Length: 0\r\nX-Body: {body}");
    table.request(
        "in a form",
        "POST /jwt",
        &["Content-Type: application/x-www-form-urlencoded", &length],
        Refused("credential_missing"),
    );

    // A credential that is there and bad never lets another one speak.
    let bad = format!("Authorization: Bearer {}", stage.thief.token(&stage.claims()));
    let expired =
        format!("Authorization: Bearer {}", stage.rsa.token(&stage.but(&serde_json::json!({ "exp": 1 }))));
    let admin = format!("X-Api-Key: {ADMIN_KEY}");
    for (name, field, code) in [
        ("a forged token beside a good key", bad.as_str(), "token_key_unknown"),
        ("an expired token beside a good key", expired.as_str(), "credential_expired"),
        ("no token after the scheme, beside a good key", "Authorization: Bearer", "token_malformed"),
        ("a tab after the scheme, beside a good key", "Authorization: Bearer\tx", "credential_malformed"),
        ("an empty field beside a good key", "Authorization:", "credential_malformed"),
    ] {
        table.fields(name, "/any", &[field, &admin], Refused(code));
    }
    table.fields(
        "a forged token beside a good key, where both are needed",
        "/all",
        &[&bad, &key],
        Refused("token_key_unknown"),
    );
    table.fields(
        "a good token beside a wrong key, where both are needed",
        "/all",
        &[&bearer, "X-Api-Key: wrong"],
        Refused("credential_unknown"),
    );
    table.fields("a token alone, where both are needed", "/all", &[&bearer], Refused("credential_missing"));
    table.fields("a key alone, where both are needed", "/all", &[&key], Refused("credential_missing"));
}
