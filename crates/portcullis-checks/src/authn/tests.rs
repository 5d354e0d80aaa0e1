use super::*;
use crate::authn::declared::build;
use portcullis_config::{Severity, Source, document_schema, from_yaml};
use portcullis_core::Consumer;
use std::env::VarError;

fn context() -> Context {
    Context::for_file("gateway.yaml").with_environment(|_| Err(VarError::NotPresent))
}

/// The codes of the errors, and of warnings where nothing is wrong. That a secret stands in the text is no news here.
fn codes(cx: &Context) -> Vec<&'static str> {
    let errors = cx.diagnostics.has_errors();
    let told = cx.diagnostics.sorted().into_iter().filter(|one| !errors || one.severity == Severity::Error);
    told.map(|one| one.code).filter(|code| *code != "config.literal_secret").collect()
}

/// A statement, if it can be read, and what is said of it.
fn read(yaml: &str) -> (Option<AuthenticationConfig>, Vec<&'static str>) {
    let mut cx = context();
    let config = from_yaml(&Source::new("authentication", yaml), &mut cx);
    assert_eq!(config.is_none(), cx.diagnostics.has_errors(), "{yaml}: {:?}", codes(&cx));
    (config, codes(&cx))
}

fn config(yaml: &str) -> AuthenticationConfig {
    read(yaml).0.unwrap_or_else(|| panic!("{yaml}"))
}

const KEY: &str = "{ type: api_key }";
const JWT: &str = "{ type: jwt, issuer: 'https://a.example', audience: api }";
const OTHER: &str = "{ type: jwt, issuer: 'https://b.example', audience: api }";
const ELSEWHERE: &str = "{ type: jwt, issuer: 'https://c.example', audience: api, header: x-token }";
const BASIC: &str = "{ type: basic }";
const SIGNED: &str = "{ type: signature, signed_by: slack, secret: 0123456789abcdef }";

fn any(methods: &[&str]) -> String {
    format!("{{ any: [{}] }}", methods.join(", "))
}

fn all(methods: &[&str]) -> String {
    format!("{{ all: [{}] }}", methods.join(", "))
}

#[test]
fn a_statement_names_one_method_or_several() {
    let read_as = |yaml: &str| (config(yaml).methods.len(), config(yaml).needed);
    assert_eq!(read_as(KEY), (1, Needed::Any));
    assert_eq!(read_as(&any(&[KEY, JWT])), (2, Needed::Any));
    assert_eq!(read_as(&all(&[KEY, JWT])), (2, Needed::All));
    for (yaml, expected) in [
        ("{ any: [], mode: enforce }", "config.empty_list"),
        ("{ all: [] }", "config.empty_list"),
        ("{ any: [{ type: api_key }], all: [{ type: api_key }] }", "config.any_and_all"),
        ("{ type: api_kee }", "config.unknown_value"),
        ("{ type: api_key, mode: off }", "config.authentication_off"),
        // What was meant is a list, so no `type` is missing.
        ("{ anny: [{ type: api_key }] }", "config.unknown_key"),
        ("{ alll: [{ type: api_key }] }", "config.unknown_key"),
        ("{ mod: enforce }", "config.missing_key"),
        ("{}", "config.missing_key"),
    ] {
        let (_, codes) = read(yaml);
        assert!(codes.contains(&expected), "{yaml}: {codes:?}");
        assert_eq!(
            codes.contains(&"config.missing_key"),
            expected == "config.missing_key",
            "{yaml}: {codes:?}"
        );
    }
    assert_eq!(read("{ type: api_key, mode: observe }").1, ["config.authentication_observed"]);
    // Beside its `type`, a key that looks like a list is a mistake of its own.
    let (_, codes) = read("{ type: api_key, anny: [] }");
    assert_eq!(codes, ["config.unknown_key"]);
}

#[test]
fn a_request_has_one_authorization_header() {
    let wrong = ["config.several_tokens"];
    let good: [&str; 0] = [];
    for (methods, expected) in [
        (vec![JWT, OTHER], &wrong[..]),
        (vec![JWT, BASIC], &wrong),
        (vec![BASIC, JWT, KEY], &wrong),
        (vec![JWT, KEY], &good),
        (vec![JWT, ELSEWHERE], &good),
        (vec![KEY, SIGNED], &good),
    ] {
        assert_eq!(read(&all(&methods)).1, expected, "{methods:?}");
        assert_eq!(read(&any(&methods)).1, good, "either is enough: {methods:?}");
    }
}

#[test]
fn every_type_is_in_the_reference() {
    let schema = document_schema::<AuthenticationConfig>("test", "https://example.com/test").to_string();
    for words in method::registered() {
        for word in words {
            assert!(schema.contains(&format!("\"{word}\"")), "{word}");
        }
    }
    for word in ["\"any\"", "\"all\"", "\"mode\"", "does not load here"] {
        assert!(schema.contains(word), "{word}");
    }
    let methods = document_schema::<Vec<MethodConfig>>("test", "https://example.com/test").to_string();
    assert!(methods.contains("AuthenticationMethod") && methods.contains("\"oneOf\""), "{methods}");
}

#[test]
fn an_unknown_type_is_told_what_there_is() {
    let told = |yaml: &str| {
        let mut cx = context();
        assert!(from_yaml::<AuthenticationConfig>(&Source::new("authentication", yaml), &mut cx).is_none());
        let sorted = cx.diagnostics.sorted();
        let first = sorted.first().unwrap();
        (first.label.clone(), first.help.clone())
    };
    assert_eq!(told("{ type: api_kee }"), (Some("did you mean `api_key`?".into()), None));
    let (label, help) = told("{ type: kerberos }");
    assert_eq!(label, None);
    let help = help.unwrap();
    for name in ["`api_key`", "`basic`", "`jwt`", "`OAuth2`", "`mtls`", "`openid_connect`", "`signature`"] {
        assert!(help.contains(name), "{help}");
    }
}

/// What a statement lists: the id of each check in its order, and how many look into bodies.
fn listed(yaml: &str) -> (Vec<&'static str>, usize) {
    let mut build = build();
    let alice = Consumer { name: "alice".into(), roles: Vec::new(), scopes: Vec::new() };
    build.consumers.add(alice).unwrap();
    build.has_key_store = true;
    let mut cx = context();
    let compiled = config(yaml).authentication(&mut build, &mut cx);
    let (authentication, bodies) = compiled.unwrap_or_else(|| panic!("{yaml}: {:?}", codes(&cx)));
    let ids = authentication.methods().iter().map(|method| method.id().as_str()).collect();
    (ids, bodies.len())
}

#[test]
fn tokens_of_one_place_are_one_check_where_the_first_of_them_stands() {
    let (key, jwt, signed) = ("authn.api_key", "authn.jwt", "authn.signature");
    for (methods, expected) in [
        (vec![KEY], vec![key]),
        (vec![JWT, OTHER], vec![jwt]),
        (vec![JWT, KEY, OTHER], vec![jwt, key]),
        (vec![KEY, JWT, SIGNED, OTHER], vec![key, jwt, signed]),
        (vec![KEY, SIGNED, JWT], vec![key, signed, jwt]),
        (vec![JWT, ELSEWHERE, KEY], vec![jwt, jwt, key]),
        (vec![KEY, JWT, ELSEWHERE, SIGNED], vec![key, jwt, jwt, signed]),
    ] {
        let bodies = usize::from(methods.contains(&SIGNED));
        assert_eq!(listed(&any(&methods)), (expected, bodies), "{methods:?}");
    }
}

#[test]
fn a_statement_knows_whom_it_establishes() {
    for (yaml, consumers, token) in [
        (any(&[KEY]), Some(true), false),
        (any(&[SIGNED]), Some(false), false),
        (any(&[SIGNED, KEY]), Some(true), false),
        (any(&[KEY, SIGNED]), Some(true), false),
        (any(&[JWT]), None, true),
        (any(&[KEY, JWT]), None, false),
        (any(&[JWT, OTHER]), None, true),
        (all(&[KEY, JWT]), None, true),
        (all(&[KEY, SIGNED]), Some(true), false),
    ] {
        assert_eq!(config(&yaml).knows_consumers(), consumers, "{yaml}");
        assert_eq!(config(&yaml).brings_token(), token, "{yaml}");
    }
}

#[test]
fn issuers_with_one_prefix_can_give_the_roles_of_each_other() {
    let prefixed = |issuer: &str, prefix: &str| {
        format!(
            "{{ type: jwt, issuer: 'https://{issuer}.example', audience: api, roles_prefix: '{prefix}' }}"
        )
    };
    let two = Some(("https://a.example".to_owned(), "https://b.example".to_owned()));
    assert_eq!(config(&any(&[JWT, OTHER])).shared_roles(), two);
    assert_eq!(config(&any(&[JWT, KEY, OTHER])).shared_roles(), two);
    assert_eq!(config(&any(&[&prefixed("a", "p:"), &prefixed("b", "p:")])).shared_roles(), two);
    for apart in [
        any(&[JWT, JWT]),
        any(&[JWT, KEY]),
        any(&[JWT, &prefixed("b", "p:")]),
        any(&[&prefixed("a", "p:"), &prefixed("b", "q:")]),
        all(&[JWT, ELSEWHERE]),
    ] {
        assert_eq!(config(&apart).shared_roles(), None, "{apart}");
    }
    let prefixes: Vec<String> =
        config(&any(&[JWT, &prefixed("b", "p:"), KEY, &prefixed("c", "q:")])).role_prefixes().collect();
    assert_eq!(prefixes, ["p:", "q:"]);
}

#[test]
fn a_header_that_only_clients_set_may_hold_a_credential() {
    let named = |name: &str, read: fn(&Spanned<String>, &mut Context) -> Option<HeaderName>| {
        let mut cx = Context::for_code();
        let name = read(&Spanned { value: name.to_owned(), span: Span::NONE }, &mut cx);
        let help = cx.diagnostics.sorted().first().and_then(|one| one.help.clone());
        (name.map(|name| name.to_string()), codes(&cx), help)
    };
    let good = |name: &str| (Some(name.to_owned()), vec![], None);
    assert_eq!(named("X-API-Key", field_name), good("x-api-key"));
    assert_eq!(named("authorization", field_name), good("authorization"));
    for (name, code) in [
        ("host", "config.reserved_field"),
        ("Content-Length", "config.reserved_field"),
        ("x_api_key", "config.field_name"),
        ("x.api.key", "config.field_name"),
        ("a b", "config.field_name"),
        ("", "config.field_name"),
    ] {
        let (field, codes, _) = named(name, field_name);
        assert_eq!((field, codes), (None, vec![code]), "{name}");
    }
    assert_eq!(named("x_api.key", field_name).2.as_deref(), Some("use `x-api-key`"));
    // One by which requests are counted must be there when they are.
    assert_eq!(named("x-tenant", counted_field_name), good("x-tenant"));
    assert_eq!(named("X-Real-IP", field_name).0.as_deref(), Some("x-real-ip"));
    assert_eq!(named("X-Real-IP", counted_field_name).1, ["config.reserved_field"]);
}

#[test]
fn rules_of_the_same_texts_have_one_number() {
    let numbers = [&["a", "b"][..], &["ab"], &["b", "a"], &["a"], &[]].map(rules_of);
    for (index, number) in numbers.iter().enumerate() {
        assert!(numbers.iter().skip(index + 1).all(|other| other != number));
    }
    assert_eq!(rules_of(&["a", "b"]), numbers[0]);
}
