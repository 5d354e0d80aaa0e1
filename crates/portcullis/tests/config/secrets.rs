//! What is printed of a configuration holds no secret: not beside an error, not in a debug form, not in a listing.

use super::harness::{gate, load};
use portcullis::document::GatewayConfig;
use portcullis::{Loaded, Style};
use portcullis_config::{Context, Source, from_yaml};
use proptest::prelude::*;

const SECRET: &str = "hunter2hunter2hunter2";

/// Whether any secret of the document is in what is said about it.
fn leaks(loaded: &Loaded) -> Option<String> {
    let said = [loaded.text(Style::Plain), loaded.text(Style::Colour), loaded.json().to_string()];
    said.into_iter().find(|text| text.contains("hunter2"))
}

const REST: &str = "\
listeners: [{ bind: 127.0.0.1:3000 }]
routes: [{ path: /a, upstream: http://127.0.0.1:8080 }]
";

#[test]
fn an_error_beside_a_key_does_not_show_it() {
    for line in [
        "security: { authentication: { type: api_key, keys: [hunter2hunter2hunter2], haeder: x } }",
        "security: { authentication: { type: api_key, valid_keys: [hunter2hunter2hunter2], header: 5 } }",
        "security: { authentication: { type: api_key, keys: hunter2hunter2hunter2 } }",
        "security: { authentication: { type: api_key, keyz: [hunter2hunter2hunter2] } }",
        "security: { authentication: { type: api_key, keys: [{ literal: hunter2hunter2hunter2, env: NOTHING }] } }",
        "security: { authentication: { type: api_key, keys: [{ litteral: hunter2hunter2hunter2 }] } }",
        "security: { authentication: { type: api_key, keys: [{ literal: hunter2hunter2hunter2, expires: never }] } }",
        "security: { authentication: { type: api_key, keys: [[hunter2hunter2hunter2]] } }",
        "security: { authentication: { type: api_key, keys: [hunter2hunter2hunter2, hunter2hunter2hunter2] } }",
        "security: { authentication: { type: api_key, header: x_y, keys: [hunter2 hunter2] } }",
        "security: { authentication: { type: api_key, keys: [hunter2hunter2hunter2], mode: off } }",
        "security: { authentication: { any: [{ type: api_key, keys: [hunter2hunter2hunter2], header: a, query: b }] } }",
        "security: { authentication: { tpye: api_key, keys: [hunter2hunter2hunter2] } }",
        "security: { authentication: { keys: [hunter2hunter2hunter2] } }",
        "security: { authentification: { type: api_key, keys: [hunter2hunter2hunter2] } }",
        "security: [{ type: api_key, keys: [hunter2hunter2hunter2] }]",
        "consumers: [{ name: alice, keys: [hunter2hunter2hunter2] }, { name: alice }]",
        "consumers: [{ nmae: alice, keys: [hunter2hunter2hunter2] }]",
        "consumers: [{ name: alice, key: hunter2hunter2hunter2 }]",
        "consumers: { alice: { keys: [hunter2hunter2hunter2] } }",
        "key_pepper: hunter2hunter2hunter2, !!str x",
        "key_peper: hunter2hunter2hunter2",
        "key_pepper: [hunter2hunter2hunter2]",
        "key_pepper: { password: hunter2hunter2hunter2 }",
    ] {
        let loaded = load(&format!("{line}\n{REST}"));
        assert!(loaded.blueprint().is_none(), "{line}");
        if let Some(text) = leaks(&loaded) {
            panic!("{line}\n{text}");
        }
    }
}

#[test]
fn an_unknown_type_of_authentication_shows_no_key() {
    for line in [
        "security: { authentication: { type: apikee, keys: [hunter2hunter2hunter2] } }",
        "security: { authentication: { type: 5, keys: [hunter2hunter2hunter2] } }",
        "security: { authentication: { type: basic, user: admin, password: hunter2hunter2hunter2 } }",
        "security: { authentication: { type: OAuth2, client_secret: hunter2hunter2hunter2 } }",
        "security: { authentication: { any: [{ type: jwt, secret: hunter2hunter2hunter2 }] } }",
        "security: { authentication: { all: [{ type: apikey2, keys: [hunter2hunter2hunter2] }] } }",
        "security: { authentication: { all: [{ type: api_key, keys: [hunter2hunter2hunter2] }], any: [] } }",
        "security: { authentication: { type: jwt, issuer: a, audience: b, secret: hunter2hunter2 } }",
        "security: { authentication: { type: jwt, isuer: a, secret: hunter2hunter2hunter2hunter2hunter2 } }",
        "security: { authentication: { type: OAuth2, token_url: \"https://a:hunter2@b.example/\" } }",
        "security: { authentication: { type: api_key }, identity_token: { issuer: a, audience: b, key: hunter2 } }",
        "security: { authentication: { type: api_key }, upstream_token: { client_id: a, client_secret: hunter2 } }",
    ] {
        let loaded = load(&format!("{line}\n{REST}"));
        assert!(loaded.blueprint().is_none() && leaks(&loaded).is_none(), "{:?}", leaks(&loaded));
    }
}

#[test]
fn a_key_in_place_of_its_hash_is_not_shown() {
    for hash in
        ["hunter2hunter2hunter2", "\"sha256:hunter2hunter2hunter2\"", "[hunter2]", "{ value: hunter2 }"]
    {
        let loaded = load(&format!("consumers: [{{ name: alice, keys: [{{ hash: {hash} }}] }}]\n{REST}"));
        assert!(loaded.blueprint().is_none() && leaks(&loaded).is_none(), "{:?}", leaks(&loaded));
    }
    let number = load(&format!("consumers: [{{ name: alice, keys: [{{ hash: 123456789 }}] }}]\n{REST}"));
    assert!(!number.text(Style::Plain).contains("123456789"), "{}", number.text(Style::Plain));
}

#[test]
fn a_password_is_not_shown() {
    for password in [
        "hunter2hunter2hunter2",
        "{ hash: hunter2hunter2hunter2 }",
        "{ literal: hunter2hunter2hunter2 }",
        "{ hsah: hunter2hunter2hunter2 }",
        "[hunter2hunter2hunter2]",
        "{ hash: hunter2hunter2hunter2, env: NOTHING }",
        "{ hash: \"$argon2id$v=19$m=8,t=1,p=1$hunter2hunter2$hunter2hunter2hunter2\" }",
    ] {
        let loaded = load(&format!("consumers: [{{ name: alice, password: {password} }}]\n{REST}"));
        assert!(loaded.blueprint().is_none(), "{password}");
        assert!(leaks(&loaded).is_none(), "{:?}", leaks(&loaded));
    }
}

#[test]
fn a_password_in_an_upstream_url_is_not_shown() {
    for upstream in [
        "http://admin:hunter2@127.0.0.1:8080",
        "https://admin:hunter2@127.0.0.1",
        "{ url: \"http://a:hunter2@b\" }",
    ] {
        let text = format!(
            "listeners: [{{ bind: 127.0.0.1:3000 }}]\nroutes: [{{ path: /a, public: test, upstream: {upstream} }}]\n"
        );
        let loaded = load(&text);
        assert!(loaded.blueprint().is_none(), "{upstream}");
        assert!(leaks(&loaded).is_none(), "{:?}", leaks(&loaded));
    }
}

#[test]
fn what_loads_shows_no_key_either() {
    let document = format!(
        "key_pepper: hunter2-pepper\n\
         security: {{ authentication: {{ any: [{{ type: api_key, keys: [{SECRET}] }}, {{ type: api_key, header: x-b }}] }} }}\n\
         consumers: [{{ name: alice, keys: [hunter2-of-alice-1234] }}]\n{REST}"
    );
    let loaded = load(&document);
    assert!(loaded.blueprint().is_some(), "{}", loaded.text(Style::Plain));
    assert!(loaded.warnings() > 0, "a literal is warned of, on a line that is printed");
    assert!(leaks(&loaded).is_none(), "{:?}", leaks(&loaded));

    let mut cx = Context::for_file("");
    let config =
        from_yaml::<GatewayConfig>(&Source::new("gateway.yaml", document.as_str()), &mut cx).unwrap();
    let debug = format!("{config:?} {config:#?} {:?}", Source::new("gateway.yaml", document.as_str()));
    assert!(!debug.contains("hunter2"), "{debug}");
    assert!(debug.contains("alice"), "the rest is there");

    let listing = gate(&document).listing.join("\n");
    assert!(listing.contains("authn.api_key") && !listing.contains("hunter2"), "{listing}");
}

#[test]
fn the_error_of_a_program_shows_no_key() {
    let key = portcullis::ApiKey::header("not a name").keys([SECRET]);
    let security = portcullis::Security::new().authentication(key);
    let builder = portcullis::Gateway::builder().security(security).proxy("/a", "http://127.0.0.1:8080");
    let Err(error) = builder.build(0) else { panic!("accepted") };
    let said = format!("{error} {error:?}");
    assert!(said.contains("config.field_name") && !said.contains("hunter2"), "{said}");
}

/// Everything on one line, so that whatever is wrong shows it.
const ONE_LINE: &str = "{ security: { authentication: { type: api_key, header: x-api-key, keys: [hunter2hunter2hunter2] }, \
    body: { max_size: 1MiB } }, key_pepper: hunter2hunter2hunter2, consumers: [{ name: alice, roles: [user], \
    keys: [hunter2hunter2hunter2, { literal: hunter2hunter2hunter2, expires: 2030-01-01T00:00:00Z }] }], workers: 2, \
    listeners: [{ bind: 127.0.0.1:3000 }], routes: [{ path: /a, upstream: http://127.0.0.1:8080 }] }";

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, max_global_rejects: 100_000, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn a_slip_anywhere_shows_no_key(at in 0..ONE_LINE.len(), with in "[a-z_ ]") {
        let mut text = ONE_LINE.to_owned();
        // A slip inside of a name or a value; one that moves a bracket can make a key of a value.
        prop_assume!(text.as_bytes()[at].is_ascii_alphanumeric() || text.as_bytes()[at] == b'_');
        prop_assume!(!text[at.saturating_sub(7)..].starts_with("hunter2") && !text[at..].starts_with("hunter2"));
        text.replace_range(at..=at, &with);
        if let Some(text) = leaks(&load(&text)) {
            prop_assert!(false, "{text}");
        }
    }
}
