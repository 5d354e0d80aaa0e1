use super::*;
use crate::authn::declared::{build, compiled_with, method, rehearsed, said_of, trusts, trusts_and_codes};
use crate::authn::method::{Compiled, MethodConfig};
use crate::token::tests::at_once;
use crate::token::tests::world::World;
use bytes::Bytes;
use http::{Request, header};
use portcullis_config::document_schema;

const TOKEN_URL: &str = "token_url: 'https://id.example/token'";
const ISSUER: &str = "issuer: 'https://id.example'";
const CLIENT: &str = ", client_id: gate, client_secret: s3cret-of-the-gate";
const INTROSPECT: &str = ", introspection_url: 'https://id.example/introspect'";

/// A method with these keys, for tokens of an audience.
fn with(keys: &str) -> String {
    format!("{{ type: OAuth2, audience: api, {keys} }}")
}

fn said(keys: &str) -> Vec<&'static str> {
    said_of(&with(keys))
}

fn trust(keys: &str) -> Trust {
    trusts(&with(keys)).remove(0)
}

const NONE: Vec<&str> = Vec::new();

#[test]
fn a_server_is_named_by_where_clients_get_tokens_or_by_its_issuer() {
    let by_url = trust(TOKEN_URL);
    assert_eq!((by_url.id.as_str(), by_url.issuer.name()), ("authn.oauth2", None), "its metadata tells");
    assert_eq!(by_url.schemes.token_url.as_deref(), Some("https://id.example/token"));
    assert_eq!(by_url.schemes.issuer, None);
    assert_eq!(by_url.summary, "a signed token of https://id.example/token");
    let by_name = trust(ISSUER);
    assert_eq!(by_name.issuer.name().as_deref(), Some("https://id.example"));
    assert_eq!(by_name.summary, "a signed token of https://id.example");
    assert_eq!(trust(&format!("{ISSUER}{CLIENT}")).summary, "a signed or opaque token of https://id.example");
    let both = trust(&format!("{TOKEN_URL}, {ISSUER}"));
    assert_eq!(both.issuer.name().as_deref(), Some("https://id.example"));
    assert_eq!(both.summary, "a signed token of https://id.example/token");
    assert_eq!(said(""), ["config.no_issuer"]);
    let keys = "jwks_url: 'https://id.example/keys'";
    assert_eq!(said(keys), ["config.no_issuer"], "nobody says whose keys they are");
    assert_eq!(said(&format!("{ISSUER}, {keys}")), NONE);
    let source = |trust: &Trust, source: &str| trust.issuer.settings().contains(source);
    assert!(source(&trust(&format!("{ISSUER}, {keys}")), "Url(https://id.example/keys)"));
    assert!(source(&by_url, "TokenEndpoint(https://id.example/token)") && source(&by_name, " Issuer "));
    for bad in ["token_url: token", "token_url: 'http://id.example/token'", "issuer: 'http://id.example'"] {
        assert_eq!(said(bad), ["config.issuer_url"], "{bad}");
    }
    assert_eq!(said(&format!("{TOKEN_URL}{CLIENT}, introspection_url: x")), ["config.issuer_url"]);
}

#[test]
fn a_rehearsal_has_a_double_for_each_server() {
    let double = |keys: &str| {
        let (mut build, _) = rehearsed();
        let compiled = compiled_with(&with(keys), &mut build).0;
        let Some(Compiled::Tokens(trusts)) = compiled else { panic!("{keys}") };
        trusts[0].issuer.settings().to_string()
    };
    for (keys, server) in [(TOKEN_URL, "https://id.example/token"), (ISSUER, "https://id.example")] {
        let settings = double(keys);
        assert!(settings.contains(&format!("the double of {server} for")), "{settings}");
    }
}

#[test]
fn a_token_for_anybody_is_warned_of() {
    let of = |keys: &str| said_of(&format!("{{ type: OAuth2, {TOKEN_URL}{keys} }}"));
    assert_eq!(of(""), ["config.any_audience"]);
    assert_eq!(of(", audience: api"), NONE);
    assert_eq!(of(", insecure_any_audience: 'one API alone'"), NONE);
}

#[test]
fn tokens_for_clients_are_refused_whatever_the_profile_says() {
    assert_eq!(trust(TOKEN_URL).rules.profile, Profile::Access);
    assert_eq!(trust(&format!("{TOKEN_URL}, profile: any")).rules.profile, Profile::Access);
    assert_eq!(trust(&format!("{TOKEN_URL}, profile: access_token")).rules.profile, Profile::AccessToken);
}

#[test]
fn asking_needs_a_client() {
    let wrong = vec!["config.client_id"];
    for (keys, expected) in [
        (String::new(), NONE),
        (CLIENT.to_owned(), NONE),
        (format!("{CLIENT}{INTROSPECT}"), NONE),
        (format!("{CLIENT}, introspect: all"), NONE),
        (format!("{CLIENT}, client_authentication: client_secret_post"), NONE),
        (INTROSPECT.to_owned(), wrong.clone()),
        (", introspect: all".to_owned(), wrong.clone()),
        (", client_id: gate".to_owned(), wrong.clone()),
        (", client_secret: s3cret-of-the-gate".to_owned(), wrong.clone()),
        (", client_id: gate, client_authentication: none".to_owned(), wrong.clone()),
        (format!("{CLIENT}, client_authentication: none"), wrong.clone()),
        (", client_assertion: { key_id: a }".to_owned(), wrong),
        (format!("{CLIENT}, client_assertion: {{ key_id: a }}"), vec!["config.client_assertion"]),
        (format!("{CLIENT}, client_authentication: private_key_jwt"), vec!["config.client_key"]),
    ] {
        assert_eq!(said(&format!("{TOKEN_URL}{keys}")), expected, "{keys}");
    }
    let asks = |keys: &str| {
        let trust = trust(&format!("{TOKEN_URL}{keys}"));
        (trust.introspector.is_some(), trust.asks_signed)
    };
    assert_eq!(asks(""), (false, false));
    assert_eq!(asks(CLIENT), (true, false));
    assert_eq!(asks(&format!("{CLIENT}, introspect: opaque")), (true, false));
    assert_eq!(asks(&format!("{CLIENT}, introspect: all")), (true, true));
    let settings =
        |keys: &str| trust(&format!("{TOKEN_URL}{CLIENT}{keys}")).introspector.unwrap().settings().to_owned();
    assert!(settings("").ends_with(" 30s false false"), "{}", settings(""));
    let lenient =
        ", introspection_lifetime: 1m, untyped_introspection: 'an old server', insecure_plaintext: 'a mesh'";
    assert!(settings(lenient).ends_with(" 60s true true"), "{}", settings(lenient));
}

#[test]
fn the_urls_that_are_asked_are_noted() {
    let asked = |keys: &str| {
        let mut build = build();
        compiled_with(&with(keys), &mut build);
        build.asked.into_iter().map(|url| url.value).collect::<Vec<_>>()
    };
    assert_eq!(asked(TOKEN_URL), ["https://id.example/token"]);
    assert_eq!(asked(ISSUER), ["https://id.example"]);
    assert_eq!(asked(&format!("{ISSUER}, {TOKEN_URL}")), ["https://id.example/token"]);
    assert_eq!(
        asked(&format!("{TOKEN_URL}{CLIENT}{INTROSPECT}")),
        ["https://id.example/token", "https://id.example/introspect"]
    );
}

#[test]
fn a_method_says_whose_tokens_it_takes() {
    let issuer = |keys: &str| match method(&with(keys)).establishes() {
        Establishes::Subjects { issuer, roles_prefix } => (issuer, roles_prefix),
        other @ (Establishes::Consumers | Establishes::Unnamed) => panic!("{other:?}"),
    };
    assert_eq!(issuer(TOKEN_URL).0, "https://id.example/token");
    assert_eq!(issuer(&format!("{TOKEN_URL}, {ISSUER}")).0, "https://id.example");
    assert_eq!(issuer(&format!("{ISSUER}, roles_prefix: 'p:'")), ("https://id.example".into(), "p:".into()));
    assert!(method(&with(TOKEN_URL)).is_authorization());
    assert!(!method(&with(&format!("{TOKEN_URL}, cookie: t"))).is_authorization());
    assert!(method(&with(TOKEN_URL)).token().is_some());
    let schema = document_schema::<MethodConfig>("test", "https://example.com/test").to_string();
    for key in ["\"token_url\"", "\"untyped_introspection\"", "\"introspection_lifetime\""] {
        assert!(schema.contains(key), "{key}");
    }
}

#[test]
fn an_api_publishes_which_server_it_trusts() {
    let served = |keys: &str| {
        let mut build = build();
        let (trusts, _) = trusts_and_codes(&with(keys));
        assert!(compiled_with(&with(keys), &mut build).0.is_some());
        (trusts.first().and_then(|trust| trust.metadata_url.clone()), build.endpoints)
    };
    let (url, endpoints) = served(TOKEN_URL);
    assert_eq!((url, endpoints.len()), (None, 0));
    for (resource, path, name) in [
        ("https://api.example", "/.well-known/oauth-protected-resource", "https://api.example"),
        ("https://api.example/", "/.well-known/oauth-protected-resource", "https://api.example"),
        (
            "https://api.example:8443/v1/",
            "/.well-known/oauth-protected-resource/v1",
            "https://api.example:8443/v1",
        ),
    ] {
        let keys = format!("{ISSUER}, resource: '{resource}', dpop: {{ required: true }}");
        let (url, endpoints) = served(&keys);
        let [served] = endpoints.as_slice() else { panic!("one") };
        assert_eq!(served.path, path);
        let origin = name.split('/').take(3).collect::<Vec<_>>().join("/");
        assert_eq!(url, Some(format!("{origin}{path}")));
        assert_eq!(served.endpoint.describe(), format!("which authorization server {name} trusts"));
        assert!(["GET", "HEAD"].iter().all(|verb| served.methods.contains(&verb.parse().unwrap())));
        let (request, world) = (Request::new(Bytes::new()), World::default());
        let answer = at_once(served.endpoint.answer(&request, &world).resolve());
        assert_eq!(answer.headers()[header::CACHE_CONTROL], "public, max-age=300");
        let document: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
        assert_eq!(document["resource"], name);
        assert_eq!(document["authorization_servers"], serde_json::json!(["https://id.example"]));
        assert_eq!(document["dpop_bound_access_tokens_required"], true);
    }
    // While nobody knows the server's name, nobody is told one.
    let (_, endpoints) = served(&format!("{TOKEN_URL}, resource: 'https://api.example'"));
    let (request, world) = (Request::new(Bytes::new()), World::default());
    assert_eq!(at_once(endpoints[0].endpoint.answer(&request, &world).resolve()).status(), 503);
}

#[test]
fn a_parameter_has_a_plain_name() {
    for place in ["query", "cookie"] {
        for good in ["token", "api-key_1.x", "T"] {
            let codes = said(&format!("{TOKEN_URL}, {place}: '{good}'"));
            let warned = if place == "query" { vec!["config.token_in_query"] } else { vec![] };
            assert_eq!(codes, warned, "{place} {good}");
        }
        for bad in ["", "a b", "a=b", "a;b", "é"] {
            let codes = said(&format!("{TOKEN_URL}, {place}: '{bad}'"));
            assert!(codes.contains(&"config.parameter_name"), "{place} {bad}: {codes:?}");
        }
    }
}
