//! Which claims fit what is asked for.

use super::ClaimsConfig;
use crate::trial::{Setup, consumer, decoded, evidence, get, known, schema, subject};
use portcullis_core::{Code, Principal};

#[test]
fn a_claim_has_one_of_the_values_with_its_type() {
    let fits = |asked: &str, claims: &str| {
        let trial = Setup::new().compile(&format!("authorization: {{ claims_required: {{ {asked} }} }}"));
        match trial.authorize(get("/x"), &known(subject("alice", claims))) {
            Ok(()) => true,
            Err(denial) => {
                assert_eq!(denial.code(), Code::ClaimRefused);
                false
            }
        }
    };
    for (asked, claims, expected) in [
        ("tenant: a", r#"{"tenant":"a"}"#, true),
        ("tenant: a", r#"{"tenant":"A"}"#, false),
        ("tenant: a", r#"{"tenants":"a"}"#, false),
        ("tenant: a", r#"{"tenant":null}"#, false),
        ("tenant: a", "{}", false),
        ("tenant: [a, b]", r#"{"tenant":"b"}"#, true),
        ("tenant: [a, b]", r#"{"tenant":"c"}"#, false),
        // Of a list, one item is enough.
        ("groups: staff", r#"{"groups":["x","staff"]}"#, true),
        ("groups: [staff, boss]", r#"{"groups":["x","boss"]}"#, true),
        ("groups: staff", r#"{"groups":["x"]}"#, false),
        ("groups: staff", r#"{"groups":[]}"#, false),
        ("groups: staff", r#"{"groups":[["staff"]]}"#, false),
        ("groups: staff", r#"{"groups":{"staff":true}}"#, false),
        // Text, numbers and truth are not each other.
        ("verified: true", r#"{"verified":true}"#, true),
        ("verified: true", r#"{"verified":"true"}"#, false),
        ("verified: true", r#"{"verified":1}"#, false),
        ("verified: true", r#"{"verified":false}"#, false),
        ("verified: \"true\"", r#"{"verified":"true"}"#, true),
        ("level: 3", r#"{"level":3}"#, true),
        ("level: 3", r#"{"level":"3"}"#, false),
        ("level: 3", r#"{"level":3.5}"#, false),
        ("level: [1, high]", r#"{"level":"high"}"#, true),
        // A member of an object, and a name with dots.
        ("org.id: a", r#"{"org":{"id":"a"}}"#, true),
        ("org.id: a", r#"{"org.id":"a"}"#, false),
        ("org.id: a", r#"{"org":"a"}"#, false),
        // All of several.
        ("a: 1, b: 2", r#"{"a":1,"b":2}"#, true),
        ("a: 1, b: 2", r#"{"a":1,"b":3}"#, false),
        ("a: 1, b: 2", r#"{"b":2}"#, false),
    ] {
        assert_eq!(fits(asked, claims), expected, "{asked} {claims}");
    }
}

#[test]
fn who_has_no_claims_is_refused_and_the_claims_of_any_credential_count() {
    let trial = Setup::new()
        .consumer("alice", &[], &[])
        .compile("authorization: { claims_required: { tenant: a, \"org.id\": [1] } }");
    for who in [Principal::ANONYMOUS, consumer(0)] {
        let denial = trial.authorize(get("/x"), &who).unwrap_err();
        assert_eq!(
            (denial.code(), denial.detail()),
            (Code::ClaimRefused, "no issuer speaks of this principal")
        );
    }
    let mut both = consumer(0);
    let token = known(subject("bob", r#"{"tenant":"a","org":{"id":1}}"#));
    assert!(both.add(token.evidence().next().unwrap().clone()));
    assert_eq!(both.evidence().next(), Some(&evidence(0)));
    assert!(trial.authorize(get("/x"), &both).is_ok());
    let refused = known(subject("bob", r#"{"tenant":"a","org":{"id":2}}"#));
    assert_eq!(
        trial.authorize(get("/x"), &refused).unwrap_err().detail(),
        "the claim org.id is not as asked for"
    );
    assert_eq!(trial.listed("authz"), ["authz.claims enforce: the right value in the claims tenant, org.id"]);
}

#[test]
fn what_cannot_be_compared_is_a_mistake() {
    for (written, code) in [
        ("{}", "config.claim: this asks for no claim"),
        ("tenant", "config.claim: claims are listed"),
        ("[tenant]", "config.claim: claims are listed"),
        ("{ tenant: [] }", "config.claim: a claim is compared"),
        ("{ tenant: null }", "config.claim: a claim is compared"),
        ("{ tenant: 1.5 }", "config.claim: a claim is compared"),
        ("{ tenant: { a: b } }", "config.claim: a claim is compared"),
        ("{ tenant: [a, [b]] }", "config.claim: a claim is compared"),
        ("{ level: 9223372036854775808 }", "config.claim: a claim is compared"),
        ("{ \"a..b\": c }", "config.claim_path: "),
    ] {
        let wrong = decoded::<ClaimsConfig>(written).err().unwrap_or_default();
        assert!(wrong.len() == 1 && wrong[0].starts_with(code), "{written}: {wrong:?}");
    }
}

#[test]
fn a_claim_fits_by_its_first_value() {
    let config: ClaimsConfig = decoded("{ a: [x, y], \"b.c\": true, d: 7 }").unwrap();
    let first: Vec<_> = config.first_values().collect();
    let expected = [("a", "x".into()), ("b.c", true.into()), ("d", 7.into())];
    assert_eq!(first, expected.map(|(name, value): (&str, serde_json::Value)| (name.to_owned(), value)));
    let whole = schema::<ClaimsConfig>();
    let values = &whole["$defs"]["Claims"]["additionalProperties"]["anyOf"];
    assert_eq!(values[0]["type"], serde_json::json!(["string", "integer", "boolean"]), "{whole}");
    assert_eq!(values[1]["items"], values[0], "{whole}");
}
