//! Where the keys of an issuer come from, what is told of them, and what begins a new generation.

mod freshness;

use super::*;
use crate::token::keys::asymmetric;
use crate::token::tests::key::{Key, key_set};
use crate::token::tests::world::{World, known_version};
use crate::token::tests::{at_once, step};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use std::pin::pin;

const ISSUER: &str = "https://issuer.example";
const KEYS: &str = "https://issuer.example/keys";
const MORE_KEYS: &str = "https://issuer.example/more";
const METADATA: &str = "https://issuer.example/.well-known/openid-configuration";
const OTHER_METADATA: &str = "https://issuer.example/.well-known/oauth-authorization-server";
const TOKEN: &str = "https://issuer.example/token";
const INTROSPECT: &str = "https://issuer.example/introspect";
const REFRESH: Refresh =
    Refresh { min_interval: Duration::from_secs(30), stale_for: Duration::from_secs(3600) };
const MILLISECOND: Duration = Duration::from_millis(1);

fn url(text: &str) -> Uri {
    text.parse().unwrap()
}

/// The issuer with keys from this source.
fn issuer(source: KeySource) -> Issuer {
    Issuer::fetched(Some(ISSUER.into()), source, None, asymmetric(), REFRESH)
}

fn by_url() -> Issuer {
    issuer(KeySource::Url(url(KEYS)))
}

/// An issuer that nobody names: it is found by its token endpoint.
fn nameless() -> Issuer {
    Issuer::fetched(None, KeySource::TokenEndpoint(url(TOKEN)), None, asymmetric(), REFRESH)
}

fn fixed() -> Issuer {
    let keys = KeySet::parse(key_set(&[Key::named(1, "a")]).as_bytes(), &asymmetric()).unwrap();
    Issuer::fixed(ISSUER.into(), keys, "material")
}

fn metadata(more: &Value) -> String {
    let mut document = json!({ "issuer": ISSUER, "jwks_uri": KEYS, "token_endpoint": TOKEN });
    document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    document.to_string()
}

fn generation(issuer: &Issuer, world: &World) -> Option<u64> {
    issuer.generation(world.monotonic())
}

/// Why there are no keys.
fn why(issuer: &Issuer, world: &World) -> String {
    match at_once(issuer.loaded(world.monotonic(), world)) {
        Ok(_) => "there are".into(),
        Err(fault) => fault.detail,
    }
}

/// What is said of a token by the keys that are there, without waiting.
fn verified(issuer: &Issuer, token: &str, world: &World) -> Result<(), Code> {
    let loaded = issuer.usable(world.monotonic()).unwrap();
    let jws = Jws::parse(token).unwrap();
    let verified = at_once(issuer.verify(&jws, loaded, world.monotonic(), world));
    verified.map(|_| ()).map_err(|denial| denial.code())
}

#[test]
fn keys_that_are_given_are_never_fetched() {
    let (world, issuer) = (World::default(), fixed());
    assert!(!issuer.is_fetched());
    assert!(by_url().is_fetched() && nameless().is_fetched());
    assert_eq!(verified(&issuer, &Key::named(1, "a").token(), &world), Ok(()));
    world.pass_seconds(3600);
    assert_eq!(verified(&issuer, &Key::named(1, "b").token(), &world), Err(Code::TokenKeyUnknown));
    assert!(world.asked().is_empty());
    let double = Issuer::double(
        ISSUER.into(),
        KeySet::parse(b"{\"keys\":[]}", &[]).unwrap(),
        Some(url(INTROSPECT)),
        "",
    );
    assert_eq!(double.usable(Duration::ZERO).unwrap().introspection, Some(url(INTROSPECT)));
}

#[test]
fn a_key_of_an_issuer_that_changed_its_name_verifies_nothing_for_the_old_one() {
    let (world, issuer) = (World::default(), nameless());
    let new = Key::named(2, "b");
    world.publish(METADATA, &metadata(&json!({})));
    world.publish(KEYS, &key_set(&[Key::named(1, "a")]));
    let mut job = issuer.run(&world);
    assert!(issuer.may_be("https://anybody.example") && issuer.name().is_none());
    assert!(step(job.as_mut()).is_pending());
    assert_eq!(issuer.name().as_deref(), Some(ISSUER));
    assert!(issuer.may_be(ISSUER) && !issuer.may_be("https://anybody.example"));
    world.publish(METADATA, &metadata(&json!({ "issuer": format!("{ISSUER}/") })));
    world.publish(KEYS, &key_set(&[new]));
    world.pass_seconds(60);
    let (token, loaded) = (new.token(), issuer.usable(world.monotonic()).unwrap());
    let jws = Jws::parse(&token).unwrap();
    let mut waiting = pin!(issuer.verify(&jws, loaded, world.monotonic(), &world));
    assert!(step(waiting.as_mut()).is_pending());
    assert!(step(job.as_mut()).is_pending());
    let refused = step(waiting.as_mut()).map(|verified| verified.map(|_| ()).map_err(|denial| denial.code()));
    assert_eq!(refused, std::task::Poll::Ready(Err(Code::TokenKeyUnknown)));
    assert_eq!(issuer.name(), Some(format!("{ISSUER}/")));
}

#[test]
fn a_name_that_is_given_is_the_name() {
    let issuer = by_url();
    assert_eq!(issuer.name().as_deref(), Some(ISSUER));
    assert!(issuer.may_be(ISSUER) && !issuer.may_be("https://issuer.example/"));
    let named = |issuer: &Issuer| Job::name(issuer);
    assert_eq!(named(&issuer), format!("keys of {ISSUER}"));
    assert_eq!(named(&nameless()), format!("keys of {TOKEN}"));
    let by_metadata = Issuer::fetched(None, KeySource::Metadata(url(METADATA)), None, vec![], REFRESH);
    assert_eq!(named(&by_metadata), "keys of an issuer");
}

#[test]
fn each_setting_tells_an_issuer_from_another() {
    let with = |issuer: Issuer| issuer.settings().to_owned();
    let access = Access { insecure_plaintext: true, token: None };
    let all = [
        with(by_url()),
        with(issuer(KeySource::Url(url(MORE_KEYS)))),
        with(issuer(KeySource::Issuer)),
        with(issuer(KeySource::Metadata(url(METADATA)))),
        with(nameless()),
        with(by_url().with_keys_at(Some(url(KEYS)))),
        with(by_url().with_more_keys_at(vec![url(MORE_KEYS)])),
        with(by_url().with_access(access)),
        with(fixed()),
    ];
    for (index, one) in all.iter().enumerate() {
        assert!(all.iter().skip(index + 1).all(|other| other != one), "{one}");
    }
    // A plan that says nothing of more keys finds the issuer of one that could not say it yet.
    assert_eq!(with(by_url().with_more_keys_at(vec![])), with(by_url()));
}

#[test]
fn keys_are_found_where_each_source_says() {
    let keys = key_set(&[Key::named(1, "a")]);
    for (source, place) in [
        (KeySource::Url(url(KEYS)), None),
        (KeySource::Issuer, Some(METADATA)),
        (KeySource::Issuer, Some(OTHER_METADATA)),
        (KeySource::Metadata(url("https://issuer.example/meta")), Some("https://issuer.example/meta")),
        (KeySource::TokenEndpoint(url(TOKEN)), Some(METADATA)),
    ] {
        let (world, issuer) = (World::default(), issuer(source));
        world.publish(KEYS, &keys);
        if let Some(place) = place {
            world.publish(place, &metadata(&json!({ "introspection_endpoint": INTROSPECT })));
        }
        let mut job = issuer.run(&world);
        assert!(step(job.as_mut()).is_pending());
        let loaded = issuer.usable(world.monotonic()).unwrap();
        assert_eq!((loaded.issuer.as_str(), loaded.keys.len()), (ISSUER, 1), "{place:?}");
        assert_eq!(loaded.introspection, place.map(|_| url(INTROSPECT)), "{place:?}");
    }
    // The operator's word on where they are goes before the issuer's.
    let (world, issuer) = (World::default(), issuer(KeySource::Issuer).with_keys_at(Some(url(MORE_KEYS))));
    world.publish(METADATA, &metadata(&json!({})));
    world.publish(MORE_KEYS, &keys);
    assert!(step(issuer.run(&world).as_mut()).is_pending());
    assert!(issuer.usable(world.monotonic()).is_some());
}

#[test]
fn an_issuer_that_is_only_asked_needs_neither_metadata_nor_keys() {
    let asked =
        |source| Issuer::fetched(Some(ISSUER.into()), source, Some(url(INTROSPECT)), asymmetric(), REFRESH);
    let (world, issuer) = (World::default(), asked(KeySource::Issuer));
    let mut job = issuer.run(&world);
    assert!(step(job.as_mut()).is_pending());
    let loaded = issuer.usable(world.monotonic()).unwrap();
    assert_eq!((loaded.issuer.as_str(), loaded.keys.len()), (ISSUER, 0));
    assert_eq!(loaded.introspection, Some(url(INTROSPECT)));
    // Once it had keys, they are not given up because its metadata is away.
    world.publish(METADATA, &metadata(&json!({})));
    world.publish(KEYS, &key_set(&[Key::named(1, "a")]));
    world.pass_seconds(600);
    assert!(step(job.as_mut()).is_pending());
    world.take_down(METADATA);
    world.pass_seconds(600);
    assert!(step(job.as_mut()).is_pending());
    assert_eq!(issuer.usable(world.monotonic()).unwrap().keys.len(), 1);
    // An empty set is no fault either.
    let (world, issuer) = (World::default(), asked(KeySource::Url(url(KEYS))));
    world.publish(KEYS, &key_set(&[]));
    assert!(step(issuer.run(&world).as_mut()).is_pending());
    assert!(issuer.usable(world.monotonic()).is_some());
}

#[test]
fn the_reason_why_there_are_no_keys_is_told() {
    let none = json!({ "issuer": ISSUER, "token_endpoint": TOKEN, "jwks_uri": "http://issuer.example/keys" });
    let curve = r#"{"keys":[{"kty":"EC","crv":"secp256k1","kid":"k","x":"AA","y":"AA"}]}"#;
    for (document, keys, expected) in [
        (
            none.to_string(),
            String::new(),
            "its metadata names neither keys nor introspection; its jwks_uri: it is not protected by TLS",
        ),
        (metadata(&json!({})), key_set(&[]), "its key set is empty"),
        (
            metadata(&json!({})),
            curve.to_owned(),
            "its key set has no key that can be used; key `k`: it is on a curve that is not known here",
        ),
        (metadata(&json!({})), "<html>".to_owned(), "the key set cannot be read: it is not JSON"),
    ] {
        let (world, issuer) = (World::default(), issuer(KeySource::Issuer));
        world.publish(METADATA, &document);
        world.publish(KEYS, &keys);
        assert!(step(issuer.run(&world).as_mut()).is_pending());
        assert_eq!(why(&issuer, &world), format!("{NO_KEYS}: {expected}"));
    }
    let (world, lost) = (World::default(), issuer(KeySource::Issuer));
    assert!(step(lost.run(&world).as_mut()).is_pending());
    assert_eq!(why(&lost, &world), format!("{NO_KEYS}: nobody answers at {OTHER_METADATA}"));
    let (world, gone) = (World::default(), by_url());
    world.answer(KEYS, 503, &[], &key_set(&[Key::named(1, "a")]));
    assert!(step(gone.run(&world).as_mut()).is_pending());
    assert_eq!(why(&gone, &world), format!("{NO_KEYS}: {KEYS} answered with status 503"));
}

#[test]
fn a_key_set_that_has_not_changed_is_not_sent_again() {
    for (bytes, used) in [(MAX_ETAG_BYTES, true), (MAX_ETAG_BYTES + 1, false)] {
        let etag = format!("\"{}\"", "v".repeat(bytes - 2));
        let (world, issuer) = (World::default(), by_url().with_more_keys_at(vec![url(MORE_KEYS)]));
        world.answer(KEYS, 200, &[("etag", &etag)], &key_set(&[Key::named(1, "a")]));
        world.answer(MORE_KEYS, 200, &[("etag", "\"more\"")], &key_set(&[Key::named(2, "b")]));
        let mut job = issuer.run(&world);
        assert!(step(job.as_mut()).is_pending());
        assert_eq!(world.asked().iter().map(known_version).collect::<Vec<_>>(), [None, None]);
        for _ in 0..2 {
            if used {
                world.answer(KEYS, 304, &[("cache-control", "max-age=300")], "");
            }
            world.pass_seconds(300);
            assert!(step(job.as_mut()).is_pending());
            let sent = world.asked().iter().map(known_version).collect::<Vec<_>>();
            assert_eq!(sent, [used.then(|| etag.clone()), None], "the version is that of one document alone");
            let loaded = issuer.usable(world.monotonic()).unwrap();
            assert_eq!((loaded.keys.len(), loaded.generation), (2, 0));
        }
    }
    let (world, issuer) = (World::default(), by_url());
    world.answer(KEYS, 304, &[], "");
    assert!(step(issuer.run(&world).as_mut()).is_pending());
    assert_eq!(why(&issuer, &world), format!("{NO_KEYS}: {KEYS} answered with status 304"));
}

#[test]
fn a_key_of_any_set_verifies() {
    let (world, issuer) = (World::default(), by_url().with_more_keys_at(vec![url(MORE_KEYS)]));
    let keys = [Key::named(1, "a"), Key::named(2, "b")];
    world.publish(KEYS, &key_set(&keys[..1]));
    assert!(step(issuer.run(&world).as_mut()).is_pending());
    assert!(issuer.usable(world.monotonic()).is_none(), "one set is missing");
    world.answer(MORE_KEYS, 200, &[("cache-control", "max-age=60")], &key_set(&keys[1..]));
    let mut job = issuer.run(&world);
    assert!(step(job.as_mut()).is_pending());
    for key in keys {
        assert_eq!(verified(&issuer, &key.token(), &world), Ok(()));
    }
    world.asked();
    world.pass_seconds(60);
    assert!(step(job.as_mut()).is_pending());
    assert_eq!(world.asked_urls(), [KEYS, MORE_KEYS], "the shorter lifetime counts");
}

#[test]
fn every_change_of_an_issuer_begins_a_new_generation() {
    let (world, issuer) = (World::default(), nameless().with_more_keys_at(vec![url(MORE_KEYS)]));
    world.publish(METADATA, &metadata(&json!({})));
    world.publish(KEYS, &key_set(&[Key::named(1, "a")]));
    world.publish(MORE_KEYS, &key_set(&[Key::named(2, "b")]));
    let mut job = issuer.run(&world);
    let mut next = || {
        world.pass_seconds(3600);
        assert!(step(job.as_mut()).is_pending());
        generation(&issuer, &world)
    };
    assert_eq!((next(), next()), (Some(0), Some(0)));
    world.publish(KEYS, &key_set(&[Key::named(3, "a")]));
    assert_eq!((next(), next()), (Some(1), Some(1)), "its keys");
    world.publish(MORE_KEYS, &key_set(&[Key::named(4, "b")]));
    assert_eq!((next(), next()), (Some(2), Some(2)), "its other keys");
    world.publish(METADATA, &metadata(&json!({ "end_session_endpoint": "https://issuer.example/out" })));
    assert_eq!((next(), next()), (Some(3), Some(3)), "what it says of itself");
    world.publish(METADATA, &metadata(&json!({ "introspection_endpoint": INTROSPECT })));
    assert_eq!((next(), next()), (Some(4), Some(4)), "where it is asked");
    world.publish(METADATA, &metadata(&json!({ "issuer": "https://issuer.example/" })));
    assert_eq!((next(), next()), (Some(5), Some(5)), "its name");
}

#[test]
fn what_cannot_be_used_is_told_once() {
    let (world, issuer) = (World::default(), by_url());
    let set = |unusable: usize| {
        let mut keys = vec![Key::named(1, "a").jwk()];
        keys.extend((0..unusable).map(|number| json!({ "kty": "oct", "kid": format!("k{number}") })));
        json!({ "keys": keys }).to_string()
    };
    let mut job = issuer.run(&world);
    let told =
        |number: usize| format!("key `k{number}`: it is a shared secret, which a published set cannot hold");
    let warning = |number: usize, more: &str| {
        let all: Vec<String> = (0..number).map(told).collect();
        format!("keys of {ISSUER}: left out {}{more}", all.join("; "))
    };
    for (unusable, expected) in [
        (0, vec![]),
        (1, vec![warning(1, "")]),
        (1, vec![]),
        (MAX_TOLD, vec![warning(MAX_TOLD, "")]),
        (MAX_TOLD + 1, vec![warning(MAX_TOLD, "; and 1 more")]),
        (MAX_TOLD + 1, vec![]),
        (0, vec![]),
        (1, vec![warning(1, "")]),
    ] {
        world.publish(KEYS, &set(unusable));
        assert!(step(job.as_mut()).is_pending());
        assert_eq!(world.warnings(), expected, "{unusable}");
        world.pass_seconds(600);
    }
}
