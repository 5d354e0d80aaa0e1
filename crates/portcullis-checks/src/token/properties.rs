//! What holds for any bytes: no parser of tokens, keys or metadata panics, and none accepts what another one reads otherwise.

use super::jws::Jws;
use super::keys::{self, KeySet, VerificationKey};
use super::rules::{Profile, Purpose, RoleRules, Rules};
use super::{json, metadata};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64ct::{Base64UrlUnpadded, Encoding};
use portcullis_core::{Claim, ClaimPath};
use proptest::prelude::*;
use std::time::Duration;

fn rules(profile: Profile) -> Rules {
    Rules {
        audience: None,
        profile,
        leeway: Duration::from_secs(30),
        max_age: Some(Duration::from_secs(60)),
        roles: RoleRules::plain(ClaimPath::new(["roles"])),
        subject: None,
        audience_claim: None,
        scopes: None,
    }
}

/// JSON, and things that are nearly JSON.
fn nearly_json() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"",
        "\\",
        "\\u0000",
        "\"iss\"",
        "\"exp\"",
        "\"keys\"",
        "\"kty\"",
        "\"RSA\"",
        "\"n\"",
        "\"cnf\"",
        "\"aud\"",
        "1",
        "-1",
        "1e999",
        "9223372036854775808",
        "null",
        "true",
        " ",
        "{}",
        "[]",
        "\"\"",
    ]);
    let pieces = prop::collection::vec(words, 0..40).prop_map(|words| words.concat());
    let inner =
        prop::collection::vec(("[a-z]{1,4}", "[0-9\"{}\\[\\]a-z:,.eE+-]{0,12}"), 0..6).prop_map(|members| {
            let members: Vec<String> =
                members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
            format!("{{{}}}", members.join(","))
        });
    prop_oneof![pieces, inner, any::<String>()]
}

/// What serde_json makes of the same bytes.
fn plain(claim: &Claim) -> serde_json::Value {
    match claim {
        Claim::Null => serde_json::Value::Null,
        Claim::Bool(value) => (*value).into(),
        Claim::Integer(number) => (*number).into(),
        Claim::Number(number) => (*number).into(),
        Claim::Text(text) => text.as_str().into(),
        Claim::List(items) => items.iter().map(plain).collect(),
        Claim::Object(members) => serde_json::Value::Object(
            members.iter().map(|(name, value)| (name.clone(), plain(value))).collect(),
        ),
    }
}

/// The same with numbers beyond 63 bits as fractions, as claims have them.
fn without_large_numbers(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value::{Bool, Null, String};
    match value {
        serde_json::Value::Number(number) if number.is_u64() && !number.is_i64() => number.as_f64().into(),
        serde_json::Value::Array(items) => items.into_iter().map(without_large_numbers).collect(),
        serde_json::Value::Object(members) => {
            members.into_iter().map(|(name, value)| (name, without_large_numbers(value))).collect()
        }
        other @ (Null | Bool(_) | serde_json::Value::Number(_) | String(_)) => other,
    }
}

proptest! {
    #[test]
    fn what_is_accepted_as_json_has_one_reading(text in nearly_json()) {
        if let Ok(claim) = json::object(text.as_bytes()) {
            let other: serde_json::Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(plain(&claim), without_large_numbers(other));
        }
    }

    #[test]
    fn no_document_makes_a_parser_panic(text in nearly_json(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for document in [text.as_bytes(), &bytes] {
            let _ = KeySet::parse(document, &keys::asymmetric());
            let _ = metadata::parse(document, &Default::default());
            if let Ok(claim) = json::object(document) {
                let _ = VerificationKey::of_jwk(&claim, &keys::asymmetric());
                let _ = keys::thumbprint(&claim);
                for profile in [Profile::Any, Profile::Access, Profile::AccessToken] {
                    let _ = rules(profile).judge("https://issuer.example", claim.clone(), Purpose::Unsaid, Duration::from_secs(1_000_000));
                }
            }
        }
    }

    #[test]
    fn a_token_that_is_accepted_is_spelled_as_its_parts_are(header in nearly_json(), claims in nearly_json(), end in "[A-Za-z0-9_=.-]{0,20}") {
        let part = |text: &str| Base64UrlUnpadded::encode_string(text.as_bytes());
        let token = format!("{}.{}.{end}", part(&header), part(&claims));
        if let Ok(jws) = Jws::parse(&token) {
            let again = format!("{}.{}", jws.signed, Base64UrlUnpadded::encode_string(&jws.signature));
            prop_assert_eq!(again, token);
        }
    }

    #[test]
    fn any_text_is_a_token_or_none(text in any::<String>()) {
        let _ = Jws::parse(&text);
    }

    #[test]
    fn one_other_byte_is_another_token(at in any::<prop::sample::Index>(), other in any::<u8>()) {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let part = |text: &str| Base64UrlUnpadded::encode_string(text.as_bytes());
        let signed = format!("{}.{}", part(r#"{"alg":"EdDSA"}"#), part(r#"{"sub":"alice"}"#));
        let signature = Base64UrlUnpadded::encode_string(pair.sign(signed.as_bytes()).as_ref());
        let token = format!("{signed}.{signature}");
        let x = Base64UrlUnpadded::encode_string(pair.public_key().as_ref());
        let set = format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}]}}"#);
        let set = KeySet::parse(set.as_bytes(), &keys::asymmetric()).unwrap();
        prop_assert!(set.verify(&Jws::parse(&token).unwrap()).is_ok());
        let mut bytes = token.clone().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = other;
        if let Ok(text) = String::from_utf8(bytes)
            && text != token
        {
            let passes = Jws::parse(&text).is_ok_and(|jws| set.verify(&jws).is_ok());
            prop_assert!(!passes, "{} instead of {}", text, token);
        }
    }
}
