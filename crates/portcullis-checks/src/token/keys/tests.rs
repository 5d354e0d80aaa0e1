use super::*;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64ct::{Base64UrlUnpadded, Encoding};

/// RFC 7638, section 3.1.
const RSA: &str = r#"{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}"#;

fn jwk(text: &str) -> Claim {
    json::object(text.as_bytes()).unwrap()
}

#[test]
fn the_thumbprint_is_that_of_the_standard() {
    let thumbprint = thumbprint(&jwk(RSA)).unwrap();
    assert_eq!(Base64UrlUnpadded::encode_string(&thumbprint), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
}

#[test]
fn a_key_is_for_what_it_says() {
    let uses = |text: &str| {
        VerificationKey::of_jwk(&jwk(text), &asymmetric())
            .map(|key| key.uses.iter().map(|(algorithm, _)| *algorithm).collect::<Vec<_>>())
    };
    assert_eq!(uses(RSA), Ok(vec![Algorithm::Rs256]));
    assert_eq!(uses(&RSA.replace(r#""alg":"RS256","#, "")).unwrap().len(), 6);
    for bad in [
        RSA.replace("RS256", "ES256"),
        RSA.replace("RS256", "HS256"),
        RSA.replace(r#""alg":"RS256""#, r#""use":"enc""#),
        RSA.replace(r#""alg":"RS256""#, r#""key_ops":["sign"]"#),
        RSA.replace("0vx7", "0vx7 "),
        RSA.replace("\"RSA\"", "\"oct\""),
        r#"{"kty":"RSA","n":"AQAB","e":"AQAB"}"#.to_owned(),
        r#"{"kty":"oct","k":"c2VjcmV0"}"#.to_owned(),
        r#"{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}"#.to_owned(),
        r#"{"kty":"EC","crv":"secp256k1","x":"AA","y":"AA"}"#.to_owned(),
        r#"{"kty":"OKP","crv":"X25519","x":"AA"}"#.to_owned(),
        ed(1, None).replace("Ed25519", "X25519"),
        "{}".to_owned(),
    ] {
        assert!(uses(&bad).is_err(), "{bad}");
    }
    // A point that is not on the curve.
    let (x, y) = ("A".repeat(43), "B".repeat(42) + "A");
    assert!(uses(&format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"{y}"}}"#)).is_err());
}

#[test]
fn a_set_leaves_out_what_it_cannot_use() {
    let set =
        KeySet::parse(format!(r#"{{"keys":[{RSA},{{"kty":"oct","k":"AA"}},7]}}"#).as_bytes(), &asymmetric());
    let set = set.unwrap();
    assert_eq!((set.keys.len(), set.skipped.len()), (1, 2));
    for bad in ["", "[]", "{}", r#"{"keys":{}}"#, "<html>"] {
        assert!(KeySet::parse(bad.as_bytes(), &asymmetric()).is_err(), "{bad}");
    }
}
/// A key of Ed25519 by a seed, as it is published.
fn ed(seed: u8, kid: Option<&str>) -> String {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
    let x = Base64UrlUnpadded::encode_string(pair.public_key().as_ref());
    let kid = kid.map_or_else(String::new, |kid| format!(r#","kid":"{kid}""#));
    format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"{kid}}}"#)
}

fn set(keys: &[String]) -> KeySet {
    KeySet::parse(format!(r#"{{"keys":[{}]}}"#, keys.join(",")).as_bytes(), &asymmetric()).unwrap()
}

/// What a set says of a token that this seed signed.
fn verify(set: &KeySet, seed: u8, kid: Option<&str>) -> Result<(), (Code, bool)> {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
    let kid = kid.map_or_else(String::new, |kid| format!(r#","kid":"{kid}""#));
    let part = |text: &str| Base64UrlUnpadded::encode_string(text.as_bytes());
    let signed = format!("{}.{}", part(&format!(r#"{{"alg":"EdDSA"{kid}}}"#)), part("{}"));
    let signature = Base64UrlUnpadded::encode_string(pair.sign(signed.as_bytes()).as_ref());
    let token = format!("{signed}.{signature}");
    set.verify(&jws::Jws::parse(&token).unwrap()).map_err(|miss| (miss.denial.code(), miss.may_be_newer))
}

#[test]
fn each_key_that_a_token_may_mean_is_tried() {
    let (other, own) = (ed(1, Some("a")), ed(2, Some("a")));
    let same_name = set(&[other.clone(), own, RSA.to_owned()]);
    assert_eq!(verify(&same_name, 2, Some("a")), Ok(()));
    assert_eq!(verify(&same_name, 2, None), Ok(()));
    assert_eq!(verify(&same_name, 3, Some("a")), Err((Code::TokenSignature, false)));
    assert_eq!(verify(&same_name, 3, None), Err((Code::TokenSignature, true)));
    assert_eq!(verify(&same_name, 2, Some("b")), Err((Code::TokenKeyUnknown, true)));
    assert_eq!(verify(&same_name, 2, Some("2011-04-29")), Err((Code::TokenAlgorithm, false)));
    // A name that no key has may mean a key without one, and never one with another name.
    let mixed = set(&[other, ed(2, None)]);
    assert_eq!(verify(&mixed, 2, Some("b")), Ok(()));
    assert_eq!(verify(&mixed, 1, Some("b")), Err((Code::TokenSignature, true)));
}

#[test]
fn a_token_without_a_name_costs_eight_signatures_at_most() {
    let keys: Vec<String> = (0..9).map(|seed| ed(seed, None)).collect();
    let many = set(&keys);
    assert_eq!(verify(&many, 7, None), Ok(()));
    assert_eq!(verify(&many, 8, None), Err((Code::TokenKeyUnknown, true)));
    assert_eq!(verify(&many, 9, Some("x")), Err((Code::TokenKeyUnknown, true)));
    // Keys of another kind are not among them.
    let others = vec![RSA.replace(r#","kid":"2011-04-29""#, ""); 20];
    assert_eq!(verify(&set(&[others, keys[8..].to_vec()].concat()), 8, None), Ok(()));
}

#[test]
fn the_same_key_twice_is_one_key() {
    let one = |alg: &str| RSA.replace("RS256", alg);
    let set = set(&[one("RS256"), one("RS256"), one("PS256")]);
    assert_eq!((set.keys.len(), set.skipped.len()), (1, 0));
    assert_eq!(set.keys[0].uses.len(), 2);
}

#[test]
fn a_key_is_read_as_it_is_meant() {
    let bytes = |text: &str| public_key(&jwk(text)).map(|(bytes, _)| bytes);
    let n = RSA.split(r#""n":""#).nth(1).unwrap().split('"').next().unwrap();
    let with_zero = [&[0][..], &Base64UrlUnpadded::decode_vec(n).unwrap()].concat();
    for n in [
        format!("{n}=="),
        n.replace('-', "+").replace('_', "/"),
        Base64UrlUnpadded::encode_string(&with_zero),
    ] {
        let spelled = RSA.replace(RSA.split(r#""n":""#).nth(1).unwrap().split('"').next().unwrap(), &n);
        assert_eq!(bytes(&spelled), bytes(RSA), "{n}");
    }
    assert!(bytes(&RSA.replace(n, &format!("{n}==="))).is_err());
    assert_eq!(coordinate(&[0, 0, 1, 2, 3], 4), Some(vec![0, 1, 2, 3]));
    assert_eq!(coordinate(&[1, 2, 3], 4), Some(vec![0, 1, 2, 3]));
    assert_eq!((coordinate(&[1, 2, 3, 4, 5], 4), coordinate(&[1], 4)), (None, None));
    // A member that is null is not there.
    let null = RSA.replace(r#""alg":"RS256""#, r#""alg":null,"use":null,"key_ops":null,"x5c":null"#);
    assert!(VerificationKey::of_jwk(&jwk(&null), &asymmetric()).is_ok());
}

#[test]
fn a_key_that_is_left_out_is_told_by_its_name() {
    let set = set(&[
        r#"{"kty":"EC","crv":"secp256k1","kid":"k1","x":"AA","y":"AA"}"#.to_owned(),
        r#"{"kty":"oct","k":"AA","kid":"a\nb"}"#.to_owned(),
    ]);
    assert_eq!(set.skipped[0], "key `k1`: it is on a curve that is not known here");
    assert!(set.skipped[1].starts_with("key 1: "), "{:?}", set.skipped);
}

#[test]
fn the_thumbprint_of_each_kind_is_that_of_its_own_members() {
    let of =
        |text: &str| thumbprint(&jwk(text)).map(|thumbprint| Base64UrlUnpadded::encode_string(&thumbprint));
    // RFC 8037, appendix A.3.
    let ed = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    assert_eq!(of(ed).as_deref(), Some("kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"));
    let ec = r#"{"kty":"EC","crv":"P-256","x":"AA","y":"BB"}"#;
    let digest = aws_lc_rs::digest::digest(
        &aws_lc_rs::digest::SHA256,
        br#"{"crv":"P-256","kty":"EC","x":"AA","y":"BB"}"#,
    );
    assert_eq!(of(ec), Some(Base64UrlUnpadded::encode_string(digest.as_ref())));
    // What else a key says does not count, and what must be there must be.
    assert_eq!(of(&ec.replace('{', r#"{"kid":"1","use":"sig","#)), of(ec));
    for bad in [
        ec.replace(r#","y":"BB""#, ""),
        ec.replace("\"AA\"", "1"),
        ec.replace("AA", "A=A"),
        ec.replace("AA", "A\\\"A"),
        ec.replace("\"EC\"", "\"oct\""),
        "{}".to_owned(),
    ] {
        assert_eq!(of(&bad), None, "{bad}");
    }
}

#[test]
fn a_private_key_is_told_by_each_of_its_parts() {
    assert!(!is_private(&jwk(RSA)));
    for part in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
        for value in ["\"AA\"", "null", "1"] {
            let private = RSA.replacen('{', &format!("{{\"{part}\":{value},"), 1);
            assert!(is_private(&jwk(&private)), "{part} {value}");
        }
    }
}

#[test]
fn the_keys_of_two_sets_are_one_set() {
    let mut all = set(&[ed(1, Some("a"))]);
    let more = r#"{"keys":[{"kty":"oct"}]}"#;
    all.add(KeySet::parse(more.as_bytes(), &asymmetric()).unwrap());
    all.add(set(&[ed(2, Some("b"))]));
    assert_eq!((all.len(), all.skipped.len(), all.is_empty()), (2, 1, false));
    assert_eq!((verify(&all, 1, Some("a")), verify(&all, 2, Some("b"))), (Ok(()), Ok(())));
    assert!(set(&[]).is_empty());
}
