//! Which keys load, from where, and which of their texts are shown.

use super::{KeyConfig, KeySource};
use crate::trial::{decoded, read, schema};
use std::time::Duration;

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// The codes of all that is said of it, but that it stands in the file itself.
fn codes(yaml: &str) -> Vec<&'static str> {
    let (_, cx, _) = read::<KeyConfig>(yaml);
    let codes = cx.diagnostics.sorted().into_iter().map(|one| one.code);
    codes.filter(|code| *code != "config.literal_secret").collect()
}

fn text(yaml: &str) -> Option<String> {
    match decoded::<KeyConfig>(yaml).ok()?.source {
        KeySource::Key(secret) => Some(secret.expose().to_owned()),
        KeySource::Hash { .. } => None,
    }
}

#[test]
fn a_key_is_written_as_itself_or_as_a_literal() {
    assert_eq!(text(KEY).as_deref(), Some(KEY));
    assert_eq!(text(&format!("{{ literal: {KEY} }}")).as_deref(), Some(KEY));
    let expires = |yaml: &str| decoded::<KeyConfig>(yaml).unwrap().expires;
    assert_eq!(expires(KEY), None);
    let until = |moment: &str| expires(&format!("{{ literal: {KEY}, expires: '{moment}' }}"));
    assert_eq!(until("1970-01-02T00:00:00Z"), Some(Duration::from_secs(86_400)));
    assert_eq!(until("1970-01-02T01:00:00+01:00"), Some(Duration::from_secs(86_400)));
    for wrong in
        ["tomorrow", "2027-01-31", "2027-01-31T00:00:00", "1969-12-31T23:59:59Z", "2027-02-30T00:00:00Z"]
    {
        assert_eq!(
            codes(&format!("{{ hash: 'sha256:{}', expires: '{wrong}' }}", "0".repeat(64))),
            ["config.time"]
        );
    }
}

#[test]
fn a_key_is_as_long_as_is_safe_and_consists_of_what_a_header_can_hold() {
    for (length, said) in
        [(1, "config.weak_key"), (15, "config.weak_key"), (16, ""), (512, ""), (513, "config.key_length")]
    {
        let all = codes(&format!("'{}'", "k".repeat(length)));
        assert_eq!(all.contains(&said), !said.is_empty(), "{length}: {all:?}");
        assert_eq!(all.contains(&"config.weak_key"), length < 16, "{length}: {all:?}");
        assert_eq!(all.contains(&"config.key_length"), length > 512, "{length}: {all:?}");
    }
    assert!(text("'!~0123456789abcdef'").is_some());
    for key in [
        "\"with a space in it\"",
        "\"key-with-a-tab\\there\"",
        "schlüssel-0123456789",
        "\"key-with-a-control\\u007f\"",
    ] {
        assert_eq!(codes(key), ["config.key_characters"], "{key}");
    }
    // A program that gives a short key knows what it does.
    let mut cx = portcullis_config::Context::for_code();
    let short = portcullis_config::from_json::<KeyConfig>(serde_json::json!("short"), &mut cx);
    assert!(short.is_some() && cx.diagnostics.is_empty());
}

#[test]
fn a_hash_names_its_algorithm_and_has_64_digits() {
    let hash = |yaml: &str| match decoded::<KeyConfig>(&format!("{{ hash: '{yaml}' }}")).ok()?.source {
        KeySource::Hash { hash, peppered } => Some((hash, peppered)),
        KeySource::Key(_) => None,
    };
    let digits = "00ff".repeat(16);
    let mut bytes = [0; 32];
    bytes.iter_mut().skip(1).step_by(2).for_each(|byte| *byte = 0xff);
    assert_eq!(hash(&format!("sha256:{digits}")), Some((bytes, false)));
    assert_eq!(hash(&format!("sha256:{}", digits.to_uppercase())), Some((bytes, false)));
    assert_eq!(hash(&format!("hmac-sha256:{digits}")), Some((bytes, true)));
    for wrong in [
        digits.clone(),
        format!("sha512:{digits}"),
        format!("SHA256:{digits}"),
        format!("sha256:{digits}0"),
        format!("sha256:{}", &digits[1..]),
        format!("sha256:{}g", &digits[1..]),
        format!("sha256:+f{}", &digits[2..]),
        "sha256:".to_owned(),
    ] {
        assert_eq!(codes(&format!("{{ hash: '{wrong}' }}")), ["config.key_hash"], "{wrong}");
    }
}

#[test]
fn no_key_is_shown_where_it_stands_in_the_wrong_place() {
    for yaml in [
        "{ litteral: the-secret-key-itself }",
        "{ hash: the-secret-key-itself }",
        "{ literal: the-secret-key-itself, expires: never }",
        "{ litteral: the-secret-key-itself, expires: never }",
        "\"the-secret-key-itself with a space\"",
    ] {
        let (config, _, shown) = read::<KeyConfig>(yaml);
        assert!(config.is_none() && !shown.contains("the-secret-key-itself"), "{yaml}: {shown}");
    }
    let (_, _, shown) = read::<KeyConfig>("{ expires: never-ever, literal: the-secret-key-itself }");
    assert!(shown.contains("never-ever"), "what is no secret is shown: {shown}");
    let schema = schema::<KeyConfig>();
    let forms = &schema["$defs"]["Key"]["anyOf"];
    assert!(
        forms[0]["properties"]["hash"].is_object() && forms[0]["properties"]["expires"].is_object(),
        "{schema}"
    );
    assert_eq!(forms[1]["type"], "string");
}
