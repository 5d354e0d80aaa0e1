use super::*;
use crate::rehearsal::{Signer, base64url};
use crate::token::algorithm::Algorithm;
use crate::token::tests::proof::{bound, proof_of, signer};
use portcullis_core::ClientCertificate;

fn bound_to_key(signer: &Signer) -> String {
    token_with(&json!({ "cnf": { "jkt": base64url(bound(signer, Algorithm::Es256)) } }))
}

fn bound_to_certificate(thumbprint: [u8; 32]) -> String {
    token_with(&json!({ "cnf": { "x5t#S256": base64url(thumbprint) } }))
}

/// A request in which a token is sent as one that is bound to a key, with this proof.
fn with_proof(token: &str, proof: &str) -> Asked {
    Asked::get(&[("authorization", &format!("DPoP {token}")), ("dpop", proof)])
}

fn by_certificate(mut asked: Asked, thumbprint: [u8; 32]) -> Asked {
    let certificate = ClientCertificate {
        thumbprint,
        subject: "CN=alice".into(),
        names: Vec::new(),
        not_after: Duration::MAX,
    };
    asked.conn.certificate = Some(Arc::new(certificate));
    asked
}

fn proof(token: &str, signer: &Signer, jti: &str) -> String {
    proof_of(token, signer, Algorithm::Es256, &json!({}), &json!({ "jti": jti }))
}

#[test]
fn a_token_that_is_bound_to_a_key_needs_a_proof_each_time() {
    let (world, check, client) = (World::default(), bearer(vec![trust()]), signer());
    let token = bound_to_key(&client);
    let good = with_proof(&token, &proof(&token, &client, "1"));
    // A stolen token is worth nothing, whether or not it is remembered.
    for _ in 0..2 {
        assert_eq!(says(&check, &with_token(&token), &world), Err(Code::TokenBinding));
        let thief = signer();
        let stolen = with_proof(&token, &proof(&token, &thief, "1"));
        assert_eq!(says(&check, &stolen, &world), Err(Code::TokenBinding));
        let naked = with_field(&format!("DPoP {token}"));
        assert_eq!(says(&check, &naked, &world), Err(Code::ProofInvalid));
    }
    assert_eq!(says(&check, &good, &world), alice(1));
    assert_eq!(says(&check, &good, &world), Err(Code::ProofReplayed));
    assert_eq!(says(&check, &with_proof(&token, &proof(&token, &client, "2")), &world), alice(1));
}

#[test]
fn a_token_that_is_not_bound_is_not_sent_as_if_it_were() {
    let (world, check, client) = (World::default(), bearer(vec![trust()]), signer());
    let token = good_token();
    let asked = with_proof(&token, &proof(&token, &client, "1"));
    assert_eq!(says(&check, &asked, &world), Err(Code::TokenBinding));
    assert_eq!(says(&check, &with_token(&token), &world), alice(1));
    assert_eq!(says(&check, &asked, &world), Err(Code::TokenBinding), "also when it is remembered");
}

#[test]
fn where_tokens_must_be_bound_a_plain_one_is_refused() {
    let world = World::default();
    let strict = bearer(vec![Trust { binding_required: true, ..trust() }]);
    for _ in 0..2 {
        assert_eq!(says(&strict, &with_token(&good_token()), &world), Err(Code::TokenBinding));
    }
    let client = signer();
    let token = bound_to_key(&client);
    assert_eq!(says(&strict, &with_proof(&token, &proof(&token, &client, "1")), &world), alice(1));
    let token = bound_to_certificate([3; 32]);
    assert_eq!(says(&strict, &by_certificate(with_token(&token), [3; 32]), &world), alice(1));
}

#[test]
fn a_token_that_is_bound_to_a_certificate_needs_that_one() {
    let (world, check) = (World::default(), bearer(vec![trust()]));
    let token = bound_to_certificate([3; 32]);
    for _ in 0..2 {
        assert_eq!(says(&check, &with_token(&token), &world), Err(Code::TokenBinding));
        let other = by_certificate(with_token(&token), [4; 32]);
        assert_eq!(says(&check, &other, &world), Err(Code::TokenBinding));
        let own = by_certificate(with_token(&token), [3; 32]);
        assert_eq!(says(&check, &own, &world), alice(1));
        let as_key = by_certificate(with_field(&format!("DPoP {token}")), [3; 32]);
        assert_eq!(says(&check, &as_key, &world), Err(Code::TokenBinding));
    }
    // A certificate that nobody asked for does no harm.
    assert_eq!(says(&check, &by_certificate(with_token(&good_token()), [4; 32]), &world), alice(1));
}

#[test]
fn a_token_that_is_bound_to_both_needs_both() {
    let (world, check, client) = (World::default(), bearer(vec![trust()]), signer());
    let jkt = base64url(bound(&client, Algorithm::Es256));
    let token = token_with(&json!({ "cnf": { "jkt": jkt, "x5t#S256": base64url([3; 32]) } }));
    let asked = |jti: &str| with_proof(&token, &proof(&token, &client, jti));
    assert_eq!(says(&check, &asked("1"), &world), Err(Code::TokenBinding));
    assert_eq!(says(&check, &by_certificate(with_token(&token), [3; 32]), &world), Err(Code::TokenBinding));
    assert_eq!(says(&check, &by_certificate(asked("2"), [3; 32]), &world), alice(1));
}

#[test]
fn a_client_without_a_nonce_is_given_one() {
    let (world, client) = (World::default(), signer());
    let nonces = Nonces::new(b"secret");
    let check = bearer(vec![Trust { nonces: Some(nonces.clone()), ..trust() }]);
    let token = bound_to_key(&client);
    let refused = authenticate(&check, &with_proof(&token, &proof(&token, &client, "1")), &world);
    let Authn::Deny(denial) = refused else { panic!("let in") };
    assert_eq!(denial.code(), Code::ProofNonce);
    let given = nonces.current(Duration::from_secs(START));
    assert_eq!(denial.fields(), [(dpop::NONCE_FIELD, given.parse().unwrap())]);
    let with_nonce =
        proof_of(&token, &client, Algorithm::Es256, &json!({}), &json!({ "jti": "1", "nonce": given }));
    assert_eq!(says(&check, &with_proof(&token, &with_nonce), &world), alice(1));
    // Any other fault of a proof is told without one.
    let Authn::Deny(denial) = authenticate(&check, &with_proof(&token, "x"), &world) else {
        panic!("let in")
    };
    assert_eq!((denial.code(), denial.fields()), (Code::ProofInvalid, &[][..]));
}

#[test]
fn a_proof_is_for_the_url_that_the_api_has() {
    let (world, client) = (World::default(), signer());
    let resource = Some("https://public.example/".parse().unwrap());
    let check = bearer(vec![Trust { resource, ..trust() }]);
    let token = bound_to_key(&client);
    assert_eq!(
        says(&check, &with_proof(&token, &proof(&token, &client, "1")), &world),
        Err(Code::ProofInvalid),
        "the host that the client named is not asked"
    );
    let claims = json!({ "htu": "https://public.example/orders" });
    let own = proof_of(&token, &client, Algorithm::Es256, &json!({}), &claims);
    assert_eq!(says(&check, &with_proof(&token, &own), &world), alice(1));
}
