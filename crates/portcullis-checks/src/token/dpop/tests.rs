use super::*;
use crate::rehearsal::Signer;
use crate::token::algorithm::Algorithm;
use crate::token::cache;
use crate::token::tests::at_once;
use crate::token::tests::proof::{URL, bound, proof_of, signer};
use crate::token::tests::request::Asked;
use crate::token::tests::world::{START, World};
use http::Request;
use portcullis_core::Transport;
use serde_json::{Value, json};

const TOKEN: &str = "the-access-token";

/// One client, and what the gateway says of its proofs.
struct Case {
    signer: Signer,
    world: World,
    nonces: Option<Nonces>,
    resource: Option<Uri>,
}

impl Case {
    fn new() -> Case {
        Case { signer: signer(), world: World::default(), nonces: None, resource: None }
    }

    fn proof(&self, header: &Value, claims: &Value) -> String {
        proof_of(TOKEN, &self.signer, Algorithm::Es256, header, claims)
    }

    fn judge(&self, asked: &Asked) -> Result<(), Code> {
        let key = bound(&self.signer, Algorithm::Es256);
        let facts = asked.facts(&self.world);
        let (nonces, resource) = (self.nonces.as_ref(), self.resource.as_ref());
        let token = cache::digest(TOKEN);
        let checked = check(&facts, &token, &key, nonces, resource, &self.world);
        at_once(checked).map_err(|denial| denial.code())
    }

    /// What is said of a request with one proof.
    fn with(&self, proof: &str) -> Result<(), Code> {
        self.judge(&Asked::get(&[("dpop", proof)]))
    }

    /// What is said of a proof that was not used yet.
    fn says(claims: &Value) -> Result<(), Code> {
        let case = Case::new();
        case.with(&case.proof(&json!({}), claims))
    }
}

#[test]
fn a_proof_is_good_once() {
    let case = Case::new();
    let proof = case.proof(&json!({}), &json!({}));
    assert_eq!(case.with(&proof), Ok(()));
    assert_eq!(case.with(&proof), Err(Code::ProofReplayed));
    // Signed anew, it is the same number of the same client.
    assert_eq!(case.with(&case.proof(&json!({}), &json!({ "iat": START + 1 }))), Err(Code::ProofReplayed));
    assert_eq!(case.with(&case.proof(&json!({}), &json!({ "jti": "number-2" }))), Ok(()));
    // Another client has numbers of its own.
    let other = Case { world: case.world, ..Case::new() };
    assert_eq!(other.with(&other.proof(&json!({}), &json!({}))), Ok(()));
}

#[test]
fn a_used_proof_is_remembered_for_as_long_as_it_could_be_used() {
    let case = Case::new();
    assert_eq!(case.with(&case.proof(&json!({}), &json!({ "iat": START + 30 }))), Ok(()));
    assert_eq!(case.world.remembered(), [90]);
    case.world.forget();
    let next = case.proof(&json!({}), &json!({ "jti": "number-2" }));
    assert_eq!(case.with(&next), Err(Code::Fault), "nobody can tell, so nobody gets in");
}

#[test]
fn there_is_exactly_one_proof() {
    let case = Case::new();
    let (one, two) =
        (case.proof(&json!({}), &json!({})), case.proof(&json!({}), &json!({ "jti": "number-2" })));
    assert_eq!(case.judge(&Asked::get(&[])), Err(Code::ProofInvalid));
    assert_eq!(case.judge(&Asked::get(&[("dpop", &one), ("dpop", &two)])), Err(Code::ProofInvalid));
    assert_eq!(case.with("é"), Err(Code::ProofInvalid));
    for other in ["", "a.b.c", &one[1..], &format!("{one}.x")] {
        assert_eq!(case.with(other), Err(Code::ProofInvalid), "{other}");
    }
    assert_eq!(case.with(&one), Ok(()), "what was refused used nothing up");
}

#[test]
fn a_proof_may_be_signed_by_each_algorithm_that_is_announced() {
    let case = Case::new();
    for name in ALGORITHMS.split(' ') {
        let algorithm = Algorithm::named(name).unwrap();
        let key = bound(&case.signer, algorithm);
        let proof = proof_of(TOKEN, &case.signer, algorithm, &json!({}), &json!({ "jti": name }));
        let asked = Asked::get(&[("dpop", &proof)]);
        let judge = |key: &[u8; 32]| {
            let facts = asked.facts(&case.world);
            at_once(check(&facts, &cache::digest(TOKEN), key, None, None, &case.world))
                .map_err(|denial| denial.code())
        };
        assert_eq!(judge(&[0; 32]), Err(Code::TokenBinding), "{name}");
        assert_eq!(judge(&key), Ok(()), "{name}");
    }
    let shared = case.signer.swapped(Algorithm::Es256, &json!({})).unwrap();
    assert_eq!(case.with(&shared), Err(Code::ProofInvalid));
}

#[test]
fn a_proof_is_by_the_key_that_it_brings() {
    let case = Case::new();
    let stranger = signer();
    let private = {
        let mut jwk = case.signer.public_key(Algorithm::Es256).unwrap();
        jwk.insert("d".into(), json!("AA"));
        jwk
    };
    for header in [
        json!({ "typ": null }),
        json!({ "typ": "at+jwt" }),
        json!({ "typ": "jwt" }),
        json!({ "jwk": null }),
        json!({ "jwk": "a-key" }),
        json!({ "jwk": {} }),
        json!({ "jwk": private }),
        json!({ "jwk": case.signer.public_key(Algorithm::EdDsa) }),
        json!({ "jwk": stranger.public_key(Algorithm::Es256) }),
    ] {
        assert_eq!(case.with(&case.proof(&header, &json!({}))), Err(Code::ProofInvalid), "{header}");
    }
    assert_eq!(case.with(&case.proof(&json!({ "typ": "application/DPoP+jwt" }), &json!({}))), Ok(()));
    let theirs = proof_of(TOKEN, &stranger, Algorithm::Es256, &json!({}), &json!({ "jti": "number-2" }));
    assert_eq!(case.with(&theirs), Err(Code::TokenBinding), "good, and somebody else's");
}

#[test]
fn a_proof_is_for_this_request_and_this_token() {
    let other = Base64UrlUnpadded::encode_string(&cache::digest("another-token"));
    for claims in [
        json!({ "htm": "POST" }),
        json!({ "htm": "get" }),
        json!({ "htm": null }),
        json!({ "htm": ["GET"] }),
        json!({ "htu": null }),
        json!({ "htu": [URL] }),
        json!({ "ath": null }),
        json!({ "ath": other }),
        json!({ "ath": TOKEN }),
    ] {
        assert_eq!(Case::says(&claims), Err(Code::ProofInvalid), "{claims}");
    }
}

#[test]
fn the_url_is_the_requests_own() {
    for (url, good) in [
        (URL, true),
        ("https://api.example:443/orders", true),
        ("https://API.example/orders", true),
        ("https://api.example./orders", true),
        ("https://api.example/orders?page=2", true),
        ("https://api.example/%6Frders", true),
        ("http://api.example/orders", false),
        ("https://api.example:80/orders", false),
        ("https://api.example:8443/orders", false),
        ("https://other.example/orders", false),
        ("https://user@api.example/orders", false),
        ("https://api.example/", false),
        ("https://api.example/Orders", false),
        ("https://api.example/orders/", false),
        ("/orders", false),
        ("", false),
        ("not a url", false),
    ] {
        let expected = if good { Ok(()) } else { Err(Code::ProofInvalid) };
        assert_eq!(Case::says(&json!({ "htu": url })), expected, "{url}");
    }
}

#[test]
fn a_port_counts_where_it_is_not_the_schemes_own() {
    let judge = |transport, host: &str, url: &str| {
        let case = Case::new();
        let proof = case.proof(&json!({}), &json!({ "htu": url }));
        let request = Request::get("/orders").header("host", host).header("dpop", proof);
        case.judge(&Asked::over(transport, request))
    };
    use Transport::{Plaintext, Tls};
    for (transport, host, url, good) in [
        (Plaintext, "api.example", "http://api.example/orders", true),
        (Plaintext, "api.example", "http://api.example:80/orders", true),
        (Plaintext, "api.example:8080", "http://api.example:8080/orders", true),
        (Plaintext, "api.example:8080", "http://api.example/orders", false),
        (Plaintext, "api.example", "http://api.example:443/orders", false),
        (Plaintext, "api.example", URL, false),
        (Tls, "api.example:8443", "https://api.example:8443/orders", true),
        (Tls, "api.example:8443", "https://api.example:8444/orders", false),
        (Tls, "api.example:443", URL, true),
    ] {
        let expected = if good { Ok(()) } else { Err(Code::ProofInvalid) };
        assert_eq!(judge(transport, host, url), expected, "{host} {url}");
    }
}

#[test]
fn the_host_is_the_apis_own_where_that_is_known() {
    let judge = |resource: &str, url: &str| {
        let case = Case { resource: Some(resource.parse().unwrap()), ..Case::new() };
        case.with(&case.proof(&json!({}), &json!({ "htu": url })))
    };
    assert_eq!(judge("https://public.example/api", "https://public.example/orders"), Ok(()));
    assert_eq!(judge("https://public.example:443/", "https://public.example/orders"), Ok(()));
    // The host that the client named is worth nothing then.
    assert_eq!(judge("https://public.example/", URL), Err(Code::ProofInvalid));
    assert_eq!(judge("https://public.example/", "https://public.example/other"), Err(Code::ProofInvalid));
    // A place that is no origin has no proofs.
    assert_eq!(judge("/api", "/orders"), Err(Code::ProofInvalid));
    assert_eq!(judge("/api", URL), Err(Code::ProofInvalid));
}

#[test]
fn a_proof_is_young() {
    for (iat, good) in [
        (json!(START), true),
        (json!(START + 60), true),
        (json!(START + 61), false),
        (json!(START - 59), true),
        (json!(START - 60), false),
        (json!(1_800_000_060.0), true),
        (json!(1_800_000_060.5), false),
        (json!(1_799_999_940.5), true),
        (json!(0), false),
        (json!(-1), false),
        (json!(-1.5), false),
        (json!(1e300), false),
        (json!(START.to_string()), false),
        (json!([START]), false),
        (json!(true), false),
        (Value::Null, false),
    ] {
        let expected = if good { Ok(()) } else { Err(Code::ProofInvalid) };
        assert_eq!(Case::says(&json!({ "iat": iat })), expected, "{iat}");
    }
    // The clock counts that the memory of used proofs has, and not the one when the request came.
    let case = Case::new();
    let asked = Asked::get(&[("dpop", &case.proof(&json!({}), &json!({})))]);
    case.world.pass_seconds(60);
    assert_eq!(case.judge(&asked), Err(Code::ProofInvalid));
}

#[test]
fn a_proof_has_a_number() {
    for (jti, good) in [
        (json!("1"), true),
        (json!("n".repeat(MAX_JTI_BYTES)), true),
        (json!("n".repeat(MAX_JTI_BYTES + 1)), false),
        (json!(""), false),
        (json!(1), false),
        (json!(["1"]), false),
        (Value::Null, false),
    ] {
        let expected = if good { Ok(()) } else { Err(Code::ProofInvalid) };
        assert_eq!(Case::says(&json!({ "jti": jti })), expected, "{jti}");
    }
}

#[test]
fn a_proof_is_no_longer_than_it_may_be() {
    let case = Case::new();
    // Base64 has no text of every length, so two parts are filled up.
    let long = |bytes: usize| {
        (0..4).find_map(|header| {
            let filled = |claims: usize| {
                case.proof(
                    &json!({ "fill": "h".repeat(header) }),
                    &json!({ "fill": "c".repeat(claims), "jti": bytes.to_string() }),
                )
            };
            let short = filled(0).len();
            let about = (bytes - short) * 3 / 4;
            (about.saturating_sub(4)..about + 4).map(filled).find(|proof| proof.len() == bytes)
        })
    };
    assert_eq!(case.with(&long(MAX_PROOF_BYTES).unwrap()), Ok(()));
    assert_eq!(case.with(&long(MAX_PROOF_BYTES + 1).unwrap()), Err(Code::ProofInvalid));
}

#[test]
fn a_nonce_is_good_in_its_period_and_the_next() {
    let judge = |nonce: Value| {
        let case = Case { nonces: Some(Nonces::new(b"secret")), ..Case::new() };
        case.with(&case.proof(&json!({}), &json!({ "nonce": nonce })))
    };
    let (nonces, at) = (Nonces::new(b"secret"), |seconds: u64| Duration::from_secs(START + seconds));
    assert_eq!(START % NONCE_PERIOD, 0);
    assert_eq!(judge(json!(nonces.current(at(0)))), Ok(()));
    assert_eq!(judge(json!(nonces.current(at(119)))), Ok(()));
    assert_eq!(judge(json!(nonces.current(at(0) - Duration::from_secs(120)))), Ok(()));
    assert_eq!(
        judge(json!(nonces.current(at(0) - Duration::from_secs(121)))),
        Err(Code::ProofNonce),
        "too old"
    );
    assert_eq!(judge(json!(nonces.current(at(120)))), Err(Code::ProofNonce), "of the future");
    assert_eq!(judge(json!(Nonces::new(b"other").current(at(0)))), Err(Code::ProofNonce));
    for none in [Value::Null, json!(""), json!("xyzzy"), json!(1), json!("not base64!")] {
        assert_eq!(judge(none.clone()), Err(Code::ProofNonce), "{none}");
    }
    assert_ne!(nonces.current(at(0)), nonces.current(at(120)));
    // Where none is asked for, one that a client brings says nothing.
    assert_eq!(Case::says(&json!({ "nonce": "theirs" })), Ok(()));
}
