//! Who counts as one.

use super::By;
use crate::trial::{
    Charged, Setup, Trial, ask, consumer, decoded, evidence, get, known, one, schema, subject,
};
use portcullis_config::Decode;
use portcullis_core::check::Charge;
use portcullis_core::{
    Code, ConsumerId, CountKey, CountedCredential, Head, Keys, KeysBuf, Operation, Operations, Principal,
};
use serde_json::json;
use std::net::IpAddr;
use std::sync::Arc;

/// A document that declares one operation.
struct OneOperation;

impl Operations for OneOperation {
    fn operation<'a>(&'a self, head: &'a Head) -> Option<Operation<'a>> {
        let declared = head.method() == http::Method::GET && head.path().starts_with("/orders/");
        let (document, method, path) = ("shop", "GET", "/orders/{id}");
        declared.then_some(Operation { document, method, path, id: Some("readOrder") })
    }
}

fn limit(by: &str) -> Trial {
    let text = format!("rate_limiting: {{ max: 2, per: hour, by: {by} }}");
    Setup::new().consumer("alice", &[], &[]).consumer("bob", &[], &[]).compile_with(
        &text,
        |_, controls, _| {
            controls.inspection.operations = Some(Arc::new(OneOperation));
        },
    )
}

fn charged(by: &str, path: &str, who: &Principal) -> Charged {
    limit(by).charged(get(path).with("x-tenant", "blue"), who).unwrap().remove(0)
}

const CLIENT: CountKey<'static> = CountKey::Address(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)));
const ALICE: CountKey<'static> = CountKey::Consumer(ConsumerId(0));

#[test]
fn each_word_counts_what_it_says_and_by_address_where_nobody_is_known() {
    let alice = consumer(0);
    let mut with_key = Principal::ANONYMOUS;
    assert!(with_key.add(evidence(0).counted_as([9; 16])));
    let token = known(subject("carol", r#"{"org":{"id":"red"},"level":7}"#));
    let carol = CountKey::Subject(b"https://issuer.example\0carol");
    let claim = |value| CountKey::Claim { issuer: "https://issuer.example", value };
    let operation = CountKey::Operation { document: "shop", method: "GET", path: "/orders/{id}" };
    let key = CountKey::Credential(CountedCredential::Configured([9; 16]));
    let nobody = Principal::ANONYMOUS;
    for (by, path, who, expected) in [
        ("consumer", "/x", &alice, ALICE),
        ("consumer", "/x", &consumer(1), CountKey::Consumer(ConsumerId(1))),
        ("consumer", "/x", &with_key, ALICE),
        ("consumer", "/x", &token, carol),
        ("consumer", "/x", &nobody, CLIENT),
        ("key", "/x", &with_key, key),
        ("key", "/x", &alice, ALICE),
        ("key", "/x", &token, carol),
        ("key", "/x", &nobody, CLIENT),
        ("address", "/x", &alice, CLIENT),
        ("route", "/x", &alice, CountKey::Route(0)),
        ("gateway", "/x", &alice, CountKey::Gateway),
        ("operation", "/orders/7", &alice, operation),
        ("operation", "/x", &alice, CountKey::Route(0)),
        ("{ header: X-Tenant }", "/x", &alice, CountKey::Value(b"blue")),
        ("{ header: x-other }", "/x", &alice, CLIENT),
        ("{ claim: org.id }", "/x", &token, claim("red")),
        // What is no text is no name.
        ("{ claim: level }", "/x", &token, carol),
        ("{ claim: absent }", "/x", &token, carol),
        ("{ claim: org.id }", "/x", &alice, ALICE),
        ("{ claim: org.id }", "/x", &nobody, CLIENT),
    ] {
        assert_eq!(charged(by, path, who).whose, one(expected), "{by} {path}");
    }
    let several = charged("[{ header: x-tenant }, consumer, route]", "/x", &alice).whose;
    let parts = [CountKey::Value(b"blue"), ALICE, CountKey::Route(0)];
    assert_eq!(several, KeysBuf::from(&Keys::several(parts).unwrap()));
}

#[test]
fn the_key_and_the_claim_count_wherever_they_stand_among_several_credentials() {
    let mut both = consumer(0);
    let token = known(subject("carol", r#"{"tenant":"red"}"#));
    assert!(both.add(token.evidence().next().unwrap().clone().counted_as([3; 16])));
    let key = CountKey::Credential(CountedCredential::Configured([3; 16]));
    assert_eq!(charged("key", "/x", &both).whose, one(key));
    let claim = CountKey::Claim { issuer: "https://issuer.example", value: "red" };
    assert_eq!(charged("{ claim: tenant }", "/x", &both).whose, one(claim));
    assert_eq!(charged("consumer", "/x", &both).whose, one(ALICE));
}

#[test]
fn a_limit_by_address_takes_the_network_of_ipv6() {
    let trial = limit("address");
    let nobody = Principal::ANONYMOUS;
    assert!(trial.is_within(get("/x").from("2001:db8::1"), &nobody));
    assert!(trial.is_within(get("/x").from("2001:db8::ffff:2"), &nobody));
    assert!(!trial.is_within(get("/x").from("2001:db8:0:0:8000::3"), &nobody), "one /64 is one client");
    assert!(trial.is_within(get("/x").from("2001:db8:0:1::1"), &nobody));
    assert_eq!(trial.of(3, || get("/x").from("192.0.2.8"), &nobody), 2);
    assert_eq!(trial.of(3, || get("/x").from("192.0.2.9"), &nobody), 2);
}

#[test]
fn those_who_agree_in_every_part_count_as_one() {
    let trial = limit("[consumer, { header: x-tenant }]");
    let of =
        |number: u32, tenant: &str| trial.of(3, || get("/x").with("x-tenant", tenant), &consumer(number));
    assert_eq!(of(0, "blue"), 2);
    assert_eq!(of(0, "blue"), 0);
    assert_eq!((of(0, "red"), of(1, "blue"), of(1, "red")), (2, 2, 2));
}

#[test]
fn a_field_that_repeats_chooses_no_counter() {
    let trial = limit("{ header: x-tenant }");
    let twice = get("/x").with("x-tenant", "a").with("x-tenant", "b");
    assert_eq!(trial.charged(twice, &consumer(0)).unwrap_err().code(), Code::AmbiguousHeader);
    let alias = ask("POST", "/x").with("x-tenant", "a");
    assert_eq!(trial.charged(alias, &consumer(0)).unwrap()[0].whose, one(CountKey::Value(b"a")));
}

#[test]
fn what_anybody_can_tell_is_counted_before_it_is_known_who_asks() {
    for (by, early) in [
        ("address", true),
        ("{ header: x-tenant }", true),
        ("[address, route]", true),
        ("[gateway, { header: x-tenant }]", true),
        ("consumer", false),
        ("key", false),
        ("route", false),
        ("gateway", false),
        ("operation", false),
        ("[route, operation]", false),
        ("[address, consumer]", false),
        ("[address, key]", false),
        ("[{ header: x-tenant }, { claim: tenant }]", false),
    ] {
        let expected = if early { Charge::BeforeAuthentication } else { Charge::AfterAuthorization };
        assert_eq!(charged(by, "/x", &consumer(0)).charge, expected, "{by}");
    }
}

#[test]
fn a_way_to_count_knows_what_it_rests_on() {
    for (by, headers_alone, needs_authentication, by_operation, fields) in [
        ("consumer", false, false, false, ""),
        ("key", false, true, false, ""),
        ("{ claim: a }", false, true, false, ""),
        ("operation", false, false, true, ""),
        ("[address, operation]", false, false, true, ""),
        ("{ header: X-A }", true, false, false, "x-a"),
        ("[{ header: x-a }, { header: x-b }]", true, false, false, "x-a x-b"),
        ("[{ header: x-a }, address]", false, false, false, "x-a"),
        ("[address, key]", false, true, false, ""),
    ] {
        let by: By = decoded(by).unwrap();
        assert_eq!(by.is_by_headers_alone(), headers_alone, "{by:?}");
        assert_eq!(by.needs_authentication(), needs_authentication, "{by:?}");
        assert_eq!(by.is_by_operation(), by_operation, "{by:?}");
        let read: Vec<_> = by.fields().map(|field| field.value.as_str()).collect();
        assert_eq!(read.join(" "), fields, "{by:?}");
    }
}

#[test]
fn a_way_to_count_is_told_in_words_and_has_a_name_that_stays() {
    for (by, described, name) in [
        ("consumer", "each consumer", "consumer"),
        ("key", "each key", "key"),
        ("address", "each address", "address"),
        ("operation", "each operation", "operation"),
        ("route", "all clients together", "route"),
        ("gateway", "everything together", "gateway"),
        ("{ header: X-A }", "each value of x-a", "x-a"),
        ("{ claim: org.id }", "each value of the claim org.id", "claim org.id"),
        ("[route, gateway]", "each route and gateway", "route and gateway"),
        ("[consumer, { claim: a }]", "each consumer and value of the claim a", "consumer and claim a"),
    ] {
        let by: By = decoded(by).unwrap();
        assert_eq!((by.describe(), by.name()), (described.to_owned(), name.to_owned()));
    }
}

#[test]
fn a_combination_has_one_to_three_different_parts() {
    let wrong = "config.limit_by: a combination has 1 to 3 different parts";
    for (by, fits) in [
        ("[consumer]", true),
        ("[consumer, route, address]", true),
        ("[{ header: a }, { header: b }]", true),
        ("[]", false),
        ("[consumer, route, address, gateway]", false),
        ("[consumer, consumer]", false),
        ("[consumer, route, consumer]", false),
        ("[route, consumer, consumer]", false),
        ("[{ header: X-A }, { header: x-a }]", false),
        ("[{ claim: a }, { claim: a }]", false),
    ] {
        let read = decoded::<By>(by).map(|_| ()).map_err(|wrong| wrong.join(", "));
        assert_eq!(read, if fits { Ok(()) } else { Err(wrong.to_owned()) }, "{by}");
    }
    for (by, why) in [
        ("{ header: a, claim: b }", "config.limit_by: this names a header or a claim, one of the two"),
        ("{}", "config.limit_by: this names a header or a claim, one of the two"),
        ("{ claim: a..b }", "config.claim_path: this is not the path of a claim"),
        ("{ header: \"a b\" }", "config.field_name"),
        ("{ header: x-real-ip }", "config.reserved_field"),
        ("clients", "config."),
    ] {
        let wrong = decoded::<By>(by).unwrap_err();
        assert!(wrong.len() == 1 && wrong[0].starts_with(why), "{by}: {wrong:?}");
    }
}

#[test]
fn what_is_read_can_be_written_and_the_schema_knows_both_forms() {
    for (by, written) in [
        ("address", json!("address")),
        ("[key]", json!("key")),
        ("{ header: X-A }", json!({ "header": "x-a" })),
        ("[route, { claim: a }]", json!(["route", { "claim": "a" }])),
    ] {
        assert_eq!(decoded::<By>(by).unwrap().written(), Some(written), "{by}");
    }
    let schema = schema::<By>();
    let (part, list) = (&schema["anyOf"][0]["anyOf"], &schema["anyOf"][1]);
    assert_eq!(part.as_array().map(Vec::len), Some(2), "{schema}");
    assert!(
        schema.to_string().contains("\"gateway\"") && schema.to_string().contains("\"claim\""),
        "{schema}"
    );
    assert_eq!((&list["minItems"], &list["maxItems"]), (&json!(1), &json!(3)), "{schema}");
    assert_eq!(&list["items"]["anyOf"], part);
}
