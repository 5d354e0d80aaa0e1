//! Guessing credentials: whoever does waits ever longer and learns nothing by trying on, and nobody else waits for it.

use super::harness::{Answer, Gate, gate, get};
use super::network::{OPAQUE, SigningKey};
use base64ct::{Base64, Encoding};
use portcullis_core::Code;
use serde_json::json;

const GOOD: &str = "alice-key-0123456789";
const EXPIRED: &str = "expired-key-0123456789";

const DOCUMENT: &str = "
security:
  authentication:
    any:
      - { type: api_key }
      - { type: basic }
      - { type: jwt, issuer: https://auth.example.com, audience: api, jwks_file: keys.json }
consumers:
  - name: alice
    keys: [{ env: ALICE_API_KEY }, { literal: expired-key-0123456789, expires: 2020-01-01T00:00:00Z }]
    password: { env: PASSWORD_HASH }
  - { name: root, keys: [{ env: ADMIN_API_KEY }] }
brute_force: { free_failures: 3 }
listeners: [{ bind: 127.0.0.1:3000 }]
routes:
  - { path: /a, upstream: \"http://127.0.0.1:8080\" }
  - { path: /open, public: a test, upstream: \"http://127.0.0.1:8080\" }
";

fn guarded() -> Gate {
    gate(DOCUMENT)
}

fn with_key(gate: &Gate, from: &str, key: &str) -> Answer {
    gate.send_from(from, get(&[("x-api-key", key)]))
}

fn with_field(gate: &Gate, from: &str, field: &str) -> Answer {
    gate.send_from(from, get(&[("authorization", field)]))
}

fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", Base64::encode_string(format!("{name}:{password}").as_bytes()))
}

/// Guesses until the source must wait.
fn block(gate: &Gate, from: &str) {
    for number in 0..4 {
        let answer = with_key(gate, from, &format!("guess-{number}"));
        assert_eq!(answer.refusal(), Some(Code::CredentialUnknown), "{number}");
    }
    assert_eq!(with_key(gate, from, "guess").refusal(), Some(Code::TooManyFailures));
}

const HERE: &str = "192.0.2.1";
const ELSEWHERE: &str = "192.0.2.2";

#[test]
fn a_source_that_waits_learns_nothing() {
    let gate = guarded();
    block(&gate, HERE);
    gate.network.verified();
    let shown = |answer: &Answer| {
        let denial = answer.denial.as_ref().unwrap();
        let mut fields: Vec<_> =
            answer.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        fields.retain(|(name, _)| name != "x-request-id");
        (denial.code(), denial.status().as_u16(), fields)
    };
    let wrong = with_key(&gate, HERE, "wrong-key-0123456789");
    assert_eq!(wrong.denial.as_ref().unwrap().status().as_u16(), 429);
    assert_eq!(wrong.headers["retry-after"], "1");
    assert!(!wrong.headers.contains_key("www-authenticate"));
    assert_eq!(shown(&with_key(&gate, HERE, GOOD)), shown(&wrong), "right and wrong look the same");
    for field in [basic("alice", "open sesame"), basic("alice", "wrong"), basic("nobody", "wrong")] {
        assert_eq!(shown(&with_field(&gate, HERE, &field)), shown(&wrong), "{field}");
    }
    assert!(gate.network.verified().is_empty(), "and no password is verified for it");
}

#[test]
fn a_lucky_guess_comes_too_late() {
    let gate = guarded();
    block(&gate, HERE);
    assert_eq!(with_key(&gate, HERE, GOOD).refusal(), Some(Code::TooManyFailures));
    // It was not remembered as good by that.
    assert_eq!(with_key(&gate, HERE, GOOD).refusal(), Some(Code::TooManyFailures));
    gate.clock.advance(1);
    with_key(&gate, HERE, GOOD).permitted();
}

#[test]
fn trying_on_does_not_make_anybody_wait_longer() {
    let gate = guarded();
    block(&gate, HERE);
    for _ in 0..1000 {
        assert_eq!(with_key(&gate, HERE, "guess").headers["retry-after"], "1");
    }
    gate.clock.advance(1);
    assert_eq!(with_key(&gate, HERE, "guess").refusal(), Some(Code::CredentialUnknown));
    assert_eq!(
        with_key(&gate, HERE, "guess").headers["retry-after"],
        "2",
        "the next one that counts doubles it"
    );
}

#[test]
fn what_was_good_from_there_before_stays_good() {
    let gate = guarded();
    let right = basic("alice", "open sesame");
    with_key(&gate, HERE, GOOD).permitted();
    with_field(&gate, HERE, &right).permitted();
    block(&gate, HERE);
    with_key(&gate, HERE, GOOD).permitted();
    with_field(&gate, HERE, &right).permitted();
    // Also when the password must be verified again: the wait is over, guessing goes on, and the cache has forgotten.
    gate.clock.advance(61);
    gate.network.verified();
    with_key(&gate, HERE, "guess");
    assert_eq!(with_key(&gate, HERE, "guess").refusal(), Some(Code::TooManyFailures));
    with_field(&gate, HERE, &right).permitted();
    assert_eq!(gate.network.verified().len(), 1);
    // What was good here is new elsewhere, and what was good elsewhere is new here.
    with_key(&gate, ELSEWHERE, "admin-key-0123456789").permitted();
    assert_eq!(with_key(&gate, HERE, "admin-key-0123456789").refusal(), Some(Code::TooManyFailures));
}

#[test]
fn nobody_else_waits() {
    let gate = guarded();
    block(&gate, HERE);
    with_key(&gate, ELSEWHERE, GOOD).permitted();
    let open = super::harness::request("GET", "/open", &[]);
    gate.send_from(HERE, open).permitted();
    // An IPv6 customer has a /64, and is one source.
    block(&gate, "2001:db8:1:2::1");
    assert_eq!(with_key(&gate, "2001:db8:1:2:ffff::9", GOOD).refusal(), Some(Code::TooManyFailures));
    with_key(&gate, "2001:db8:1:3::1", GOOD).permitted();
    // And an IPv4 address written as an IPv6 one is the same address.
    assert_eq!(with_key(&gate, "::ffff:192.0.2.1", GOOD).refusal(), Some(Code::TooManyFailures));
}

#[test]
fn what_is_no_guess_is_not_counted() {
    let gate = guarded();
    let expired = SigningKey::issuers().token(json!({ "exp": 1_700_000_000 }));
    for _ in 0..50 {
        assert_eq!(gate.send_from(HERE, get(&[])).refusal(), Some(Code::CredentialMissing));
        assert_eq!(with_key(&gate, HERE, EXPIRED).refusal(), Some(Code::CredentialExpired));
        assert_eq!(with_key(&gate, HERE, "").refusal(), Some(Code::CredentialMalformed));
        assert_eq!(
            with_field(&gate, HERE, &format!("Bearer {expired}")).refusal(),
            Some(Code::CredentialExpired)
        );
        let other = SigningKey::issuers().token(json!({ "aud": "other" }));
        assert_eq!(with_field(&gate, HERE, &format!("Bearer {other}")).refusal(), Some(Code::TokenAudience));
    }
    with_key(&gate, HERE, GOOD).permitted();
}

/// A token's signature cannot be guessed, so a new token of somebody behind the same address is not held up; and one that
/// has expired is still told so, or its client would never renew it.
#[test]
fn a_new_signed_token_is_welcome_from_a_source_that_waits() {
    let gate = guarded();
    block(&gate, HERE);
    let key = SigningKey::issuers();
    for number in 0..3 {
        let fresh = key.token(json!({ "jti": number }));
        with_field(&gate, HERE, &format!("Bearer {fresh}")).permitted();
    }
    let expired = key.token(json!({ "exp": 1_700_000_000 }));
    assert_eq!(
        with_field(&gate, HERE, &format!("Bearer {expired}")).refusal(),
        Some(Code::CredentialExpired)
    );
    let mut forged = key.token(json!({}));
    forged.replace_range(forged.len() - 4.., "AAAA");
    assert_eq!(with_field(&gate, HERE, &format!("Bearer {forged}")).refusal(), Some(Code::TooManyFailures));
}

#[test]
fn forged_signatures_are_guesses() {
    let gate = guarded();
    for number in 0..4 {
        let mut forged = SigningKey::issuers().token(json!({ "jti": number }));
        forged.replace_range(forged.len() - 4.., "AAAA");
        assert_eq!(
            with_field(&gate, HERE, &format!("Bearer {forged}")).refusal(),
            Some(Code::TokenSignature)
        );
    }
    assert_eq!(with_key(&gate, HERE, GOOD).refusal(), Some(Code::TooManyFailures));
}

/// Each question to the authorization server costs it something, so guesses do not become questions.
#[test]
fn an_authorization_server_is_not_asked_for_a_source_that_waits() {
    let gate = gate(
        &json!({
            "listeners": [{ "bind": "127.0.0.1:3000" }],
            "security": { "authentication": {
                "type": "OAuth2", "token_url": "https://auth.example.com/token", "audience": "api",
                "client_id": "gate", "client_secret": { "env": "TOKEN_SECRET" }, "introspection_lifetime": "1s",
            } },
            "brute_force": { "free_failures": 0, "first_wait": "1m" },
            "routes": [{ "path": "/a", "upstream": "http://127.0.0.1:8080" }],
        })
        .to_string(),
    );
    let bearer = |from: &str, token: &str| with_field(&gate, from, &format!("Bearer {token}"));
    let asked = || gate.network.asked("https://auth.example.com/introspect").len();
    bearer(HERE, OPAQUE).permitted();
    assert_eq!(bearer(HERE, "guess-1").refusal(), Some(Code::TokenInactive));
    assert_eq!(asked(), 2);
    for number in 0..100 {
        assert_eq!(bearer(HERE, &format!("guess-{number}")).refusal(), Some(Code::TooManyFailures));
    }
    assert_eq!(asked(), 0);
    gate.clock.advance(2);
    bearer(HERE, OPAQUE).permitted();
    assert_eq!(asked(), 1, "what was good from there is asked about again when its time is over");
}

#[test]
fn on_unless_the_file_says_otherwise() {
    let text = DOCUMENT.replace("brute_force: { free_failures: 3 }\n", "");
    let gate = gate(&text);
    for _ in 0..11 {
        assert_eq!(with_key(&gate, HERE, "guess").refusal(), Some(Code::CredentialUnknown));
    }
    assert_eq!(with_key(&gate, HERE, "guess").refusal(), Some(Code::TooManyFailures));
}
