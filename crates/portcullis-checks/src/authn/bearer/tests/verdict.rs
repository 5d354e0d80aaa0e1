use super::*;
use crate::token::client_auth::{ClientAuthentication, ClientAuthenticationConfig};
use crate::token::issuer::{KeySource, Refresh};
use crate::token::tests::step;
use portcullis_config::Secret;
use portcullis_core::{Job, Standing};
use std::pin::pin;
use std::task::Poll;

const ACTIVE: &str = r#"{"active":true,"token_type":"Bearer","sub":"alice","aud":"api"}"#;

fn introspector() -> Arc<Introspector> {
    let secret = Secret::new("short");
    let how = ClientAuthenticationConfig::Basic;
    let client = ClientAuthentication::new(how, "gate", Some(&secret), None).unwrap();
    Arc::new(Introspector::new(client, &secret, Duration::from_secs(60), false, false))
}

/// That opaque tokens are accepted of which an issuer without keys says that they are active.
pub(super) fn asking_trust(method: u32, name: &str, url: &str) -> Trust {
    Trust { introspector: Some(introspector()), ..trust_in(method, issuer(name, &[], Some(url))) }
}

/// The same of an issuer with keys.
fn with_keys(url: &str) -> Trust {
    Trust { introspector: Some(introspector()), ..trust_in(1, issuer(ISSUER, &[KEY], Some(url))) }
}

/// An issuer that cannot be reached.
fn unreachable(name: Option<&str>) -> Issuer {
    let refresh = Refresh { min_interval: Duration::from_secs(30), stale_for: Duration::from_secs(60) };
    let source = KeySource::TokenEndpoint("https://issuer.example/token".parse().unwrap());
    Issuer::fetched(name.map(str::to_owned), source, None, asymmetric(), refresh)
}

#[test]
fn a_signed_token_is_judged_by_the_issuer_that_it_names() {
    let world = World::default();
    let second = Key::named(2, "a");
    let check = bearer(vec![trust(), trust_in(2, issuer(OTHER, &[second], None))]);
    let sign = |key: Key, more: &Value| with_token(&key.sign(&json!({}), &claims(more)));
    let theirs = json!({ "iss": OTHER });
    assert_eq!(says(&check, &sign(KEY, &json!({})), &world), alice(1));
    assert_eq!(says(&check, &sign(second, &theirs), &world), alice(2));
    // The keys of one issuer say nothing for the other.
    assert_eq!(says(&check, &sign(second, &json!({})), &world), Err(Code::TokenSignature));
    assert_eq!(says(&check, &sign(KEY, &theirs), &world), Err(Code::TokenSignature));
    for stranger in
        [json!({ "iss": "https://issuer.example/" }), json!({ "iss": null }), json!({ "iss": [ISSUER] })]
    {
        assert_eq!(says(&check, &sign(KEY, &stranger), &world), Err(Code::TokenIssuer), "{stranger}");
    }
    for (claims, expected) in [
        (json!({ "aud": "other" }), Code::TokenAudience),
        (json!({ "exp": START }), Code::CredentialExpired),
        (json!({ "nbf": START + 1 }), Code::TokenNotYetValid),
        (json!({ "sub": null }), Code::TokenClaims),
    ] {
        assert_eq!(says(&check, &sign(KEY, &claims), &world), Err(expected), "{claims}");
    }
    let proof = KEY.sign(&json!({ "typ": "dpop+jwt" }), &claims(&json!({})));
    assert_eq!(says(&check, &with_token(&proof), &world), Err(Code::TokenType));
    assert_eq!(says(&check, &with_token(&Key::named(9, "b").token()), &world), Err(Code::TokenIssuer));
    assert_eq!(says(&check, &with_token("eyJ.a.b"), &world), Err(Code::TokenMalformed));
    assert!(world.asked().is_empty());
}

#[test]
fn an_issuer_may_be_named_twice_for_different_audiences() {
    let world = World::default();
    let mut second = Trust { method: MethodId(2), ..trust() };
    second.rules.audience = Some(vec!["other".into()]);
    let check = bearer(vec![trust(), second]);
    assert_eq!(says(&check, &with_token(&good_token()), &world), alice(1));
    assert_eq!(says(&check, &with_token(&token_with(&json!({ "aud": "other" }))), &world), alice(2));
    assert_eq!(
        says(&check, &with_token(&token_with(&json!({ "aud": "third" }))), &world),
        Err(Code::TokenAudience)
    );
}

#[test]
fn an_issuer_whose_name_is_not_known_yet_is_waited_for() {
    let world = World::default();
    world.publish(
        "https://issuer.example/.well-known/openid-configuration",
        &json!({ "issuer": ISSUER, "token_endpoint": "https://issuer.example/token", "jwks_uri": "https://issuer.example/keys" })
            .to_string(),
    );
    world.publish("https://issuer.example/keys", &key_set(&[KEY]));
    // A token that names another issuer is not judged by this one's rules, whoever signed it.
    let stranger = Key::named(9, "a");
    for (name, key, expected) in [
        (ISSUER, KEY, alice(1)),
        (OTHER, KEY, Err(Code::TokenIssuer)),
        (OTHER, stranger, Err(Code::TokenIssuer)),
    ] {
        let check = bearer(vec![trust_in(1, Arc::new(unreachable(None)))]);
        let asked = with_token(&key.sign(&json!({}), &claims(&json!({ "iss": name }))));
        let facts = asked.facts(&world);
        let mut waiting = pin!(check.authenticate(&facts, &world).resolve());
        assert!(step(waiting.as_mut()).is_pending());
        let issuer = &check.trusts[0].issuer;
        let mut job = issuer.run(&world);
        assert!(step(job.as_mut()).is_pending());
        match step(waiting.as_mut()) {
            Poll::Ready(authn) => assert_eq!(said(authn), expected, "{name}"),
            Poll::Pending => panic!("it waits"),
        }
    }
}

#[test]
fn an_issuer_that_cannot_be_asked_is_no_refusal() {
    let world = World::default();
    let failing = Arc::new(unreachable(Some(ISSUER)));
    let mut job = failing.run(&world);
    assert!(step(job.as_mut()).is_pending());
    let mut refusing = trust();
    refusing.rules.audience = Some(vec!["other".into()]);
    for trusts in [
        vec![trust_in(1, Arc::clone(&failing))],
        vec![trust_in(1, Arc::clone(&failing)), Trust { method: MethodId(2), ..refusing }],
    ] {
        assert_eq!(says(&bearer(trusts), &with_token(&good_token()), &world), Err(Code::Fault));
    }
    let other = bearer(vec![trust_in(1, Arc::clone(&failing)), Trust { method: MethodId(2), ..trust() }]);
    assert_eq!(says(&other, &with_token(&good_token()), &world), alice(2));
    // The same of servers that are asked.
    let servers =
        bearer(vec![asking_trust(1, ISSUER, "https://down.example/"), asking_trust(2, OTHER, INTROSPECT)]);
    world.publish(INTROSPECT, r#"{"active":true,"token_type":"Bearer","sub":"bob","aud":"other"}"#);
    assert_eq!(says(&servers, &with_token("opaque"), &world), Err(Code::Fault));
    world.publish(INTROSPECT, r#"{"active":false}"#);
    assert_eq!(says(&servers, &with_token("opaque-2"), &world), Err(Code::Fault));
    world.publish(INTROSPECT, ACTIVE);
    assert_eq!(says(&servers, &with_token("opaque-3"), &world), alice(2));
}

#[test]
fn a_signed_token_is_asked_about_only_where_it_must_be() {
    let world = World::default();
    world.publish(INTROSPECT, ACTIVE);
    let asks = |trust: Trust, token: &str| {
        let said = says(&bearer(vec![trust]), &with_token(token), &world);
        (said, world.asked().len())
    };
    let forged = Key::named(2, "a").sign(&json!({}), &claims(&json!({})));
    assert_eq!(asks(with_keys(INTROSPECT), &good_token()), (alice(1), 0), "its signature says it all");
    let strict = || Trust { asks_signed: true, ..with_keys(INTROSPECT) };
    assert_eq!(asks(strict(), &good_token()), (alice(1), 1));
    assert_eq!(asks(strict(), &forged), (Err(Code::TokenSignature), 0), "nobody is asked for a made-up one");
    assert_eq!(asks(with_keys(INTROSPECT), "opaque"), (alice(1), 1));
    // Where the issuer has no keys, nothing but asking is left.
    assert_eq!(asks(asking_trust(1, ISSUER, INTROSPECT), &good_token()), (alice(1), 1));
    let neither = trust_in(1, issuer(ISSUER, &[], None));
    assert_eq!(asks(neither, &good_token()), (Err(Code::TokenKeyUnknown), 0));
    let nowhere = Trust { introspector: Some(introspector()), ..trust_in(1, issuer(ISSUER, &[], None)) };
    assert_eq!(asks(nowhere, "opaque"), (Err(Code::TokenMalformed), 0));
    world.publish(INTROSPECT, r#"{"active":false}"#);
    assert_eq!(asks(strict(), &good_token()), (Err(Code::TokenInactive), 1));
}

#[test]
fn a_source_that_must_wait_costs_the_server_no_question() {
    let world = World::default();
    world.publish(INTROSPECT, ACTIVE);
    let check = bearer(vec![with_keys(INTROSPECT)]);
    let blocked = |token: &str| {
        let mut asked = with_token(token);
        asked.source = Standing::Blocked { wait: Duration::from_secs(5) };
        (says(&check, &asked, &world), world.asked().len())
    };
    assert_eq!(blocked("opaque"), (Err(Code::TooManyFailures), 0));
    world.know(cache::fingerprint(&cache::digest("opaque")));
    assert_eq!(blocked("opaque"), (alice(1), 1), "it was good from there before");
    assert_eq!(blocked("another"), (Err(Code::TooManyFailures), 0));
    assert_eq!(blocked(&good_token()), (alice(1), 0), "a signature costs nobody else anything");
    let mut watched = with_token("third");
    watched.source = Standing::Observed { wait: Duration::from_secs(5) };
    assert_eq!(says(&check, &watched, &world), alice(1));
}
