//! What every check must do, whatever it is: an absent credential is nobody's, a repeated one is a denial, a dependency
//! that is down refuses, and nothing that a client sends makes a decision panic.

use crate::harness::{gate, get, request};
use http::{HeaderValue, Request};
use portcullis_core::{
    Code, Count, Effects, Fault, Fingerprint, Identity, KeyDigest, KeyRecord, KeySetId, Keys, Limit, Now,
    Standing, Step, Wait,
};
use proptest::prelude::*;
use std::net::IpAddr;
use std::time::Duration;

const REST: &str = "listeners: [{ bind: 127.0.0.1:3000 }]
routes: [{ path: /a, upstream: \"http://127.0.0.1:8080\" }]
";

const ALICE: &str = "alice-key-0123456789";

fn with_authentication(authentication: &str) -> String {
    format!(
        "security: {{ authentication: {authentication} }}\n\
         consumers: [{{ name: alice, roles: [user], keys: [{{ env: ALICE_API_KEY }}, \
         {{ literal: second-key-0123456789, expires: 2027-01-15T08:00:10Z }}] }}]\n{REST}"
    )
}

/// A world in which nothing answers but the clock.
pub(crate) struct Down;

impl Effects for Down {
    fn now(&self) -> Now {
        Now { monotonic: Duration::from_secs(1), unix: Duration::from_secs(1) }
    }
    fn random(&self) -> [u8; 16] {
        [0; 16]
    }
    fn count<'a>(&'a self, _: &'a Limit, _: &'a Keys<'a>, _: u32) -> Step<'a, Result<Count, Fault>> {
        Step::Ready(Err(Fault { detail: "the counters are down".into() }))
    }
    fn key(&self, _: KeySetId, _: KeyDigest) -> Step<'_, Result<Option<KeyRecord>, Fault>> {
        Step::Ready(Err(Fault { detail: "the keys are down".into() }))
    }
    fn sleep(&self, _: Duration) -> Wait<'static, ()> {
        Box::pin(std::future::pending())
    }
    fn standing(&self, _: IpAddr) -> Standing {
        Standing::Free
    }
    fn credential_failed(&self, _: IpAddr) {}
    fn is_known(&self, _: IpAddr, _: Fingerprint) -> bool {
        false
    }
    fn credential_good(&self, _: IpAddr, _: Fingerprint) {}
    fn notice(&self, _: &str, _: &str) {}
}

#[test]
fn a_repeated_key_is_a_denial() {
    let header = gate(&with_authentication("{ type: api_key, header: x-key }"));
    assert_eq!(
        header.send(get(&[("x-key", ALICE), ("x-key", ALICE)])).refusal(),
        Some(Code::CredentialRepeated)
    );
    let query = gate(&with_authentication("{ type: api_key, query: key }"));
    for target in [format!("/a?key={ALICE}&key={ALICE}"), format!("/a?key={ALICE}&k%65y={ALICE}")] {
        assert_eq!(
            query.send(request("GET", &target, &[])).refusal(),
            Some(Code::CredentialRepeated),
            "{target}"
        );
    }
    let cookie = gate(&with_authentication("{ type: api_key, cookie: key }"));
    let twice = format!("key={ALICE}; key={ALICE}");
    assert_eq!(cookie.send(get(&[("cookie", &twice)])).refusal(), Some(Code::CredentialRepeated));
    let once = format!("key={ALICE}");
    let two_fields = [("cookie", once.as_str()), ("cookie", once.as_str())];
    assert_eq!(cookie.send(get(&two_fields)).refusal(), Some(Code::CredentialRepeated));
}

#[test]
fn a_key_is_right_or_the_reason_is_said() {
    let gate = gate(&with_authentication("{ type: api_key }"));
    let long = "k".repeat(513);
    for (key, code) in [
        ("", Code::CredentialMalformed),
        (long.as_str(), Code::CredentialMalformed),
        ("alice-key-012345678", Code::CredentialUnknown),
        ("ALICE-KEY-0123456789", Code::CredentialUnknown),
        ("alice", Code::CredentialUnknown),
    ] {
        let answer = gate.send(get(&[("x-api-key", key)]));
        assert_eq!(answer.refusal(), Some(code), "{key}");
        assert_eq!(answer.denial.as_ref().unwrap().status(), 401);
        assert!(answer.headers.contains_key("www-authenticate"));
        assert!(
            key.is_empty() || !answer.denial.unwrap().detail().contains(key),
            "the key is not in the record"
        );
    }
    assert_eq!(gate.send(get(&[])).refusal(), Some(Code::CredentialMissing));
    let mut unreadable = get(&[]);
    unreadable.headers_mut().insert("x-api-key", HeaderValue::from_bytes(b"\xffkey").unwrap());
    assert_eq!(gate.send(unreadable).refusal(), Some(Code::CredentialMalformed));
    for key in [ALICE, "second-key-0123456789"] {
        let answer = gate.send(get(&[("x-api-key", key)]));
        assert!(
            matches!(answer.permitted().principal.identity(), Identity::Consumer(_)),
            "each of several keys"
        );
        assert!(answer.permitted().headers.get("x-api-key").is_none(), "the key stays here");
    }
    gate.clock.advance(9);
    assert!(gate.send(get(&[("x-api-key", "second-key-0123456789")])).refusal().is_none());
    gate.clock.advance(1);
    let expired = gate.send(get(&[("x-api-key", "second-key-0123456789")]));
    assert_eq!(expired.refusal(), Some(Code::CredentialExpired), "from the very second on");
    assert!(gate.send(get(&[("x-api-key", ALICE)])).refusal().is_none());
}

#[test]
fn a_route_s_own_keys_are_valid_there_alone() {
    let gate = gate(
        "security: { authentication: { type: api_key } }
consumers: [{ name: alice, keys: [{ env: ALICE_API_KEY }] }]
listeners: [{ bind: 127.0.0.1:3000 }]
routes:
  - { path: /a, upstream: \"http://127.0.0.1:8080\" }
  - { path: /b, upstream: \"http://127.0.0.1:8080\", security: { authentication: { type: api_key, keys: [own-key-0123456789] } } }
",
    );
    let send = |path, key| gate.send(request("GET", path, &[("x-api-key", key)])).refusal();
    assert_eq!(send("/a", ALICE), None);
    assert_eq!(send("/b", "own-key-0123456789"), None);
    assert_eq!(send("/a", "own-key-0123456789"), Some(Code::CredentialUnknown));
    assert_eq!(send("/b", ALICE), Some(Code::CredentialUnknown));
}

#[test]
fn a_repeated_key_field_is_refused() {
    let gate = gate(&format!(
        "security: {{ authentication: {{ type: api_key }}, rate_limiting: {{ max_requests: 1, per: day, by: {{ header: x-tenant }} }} }}\n\
         consumers: [{{ name: alice, keys: [{{ env: ALICE_API_KEY }}] }}]\n{REST}"
    ));
    let send = |fields: &[(&str, &str)]| {
        let mut all = vec![("x-api-key", ALICE)];
        all.extend_from_slice(fields);
        gate.send(get(&all)).refusal()
    };
    assert_eq!(send(&[("x-tenant", "a"), ("x-tenant", "b")]), Some(Code::AmbiguousHeader));
    assert_eq!(send(&[("x-tenant", "a")]), None);
    assert_eq!(send(&[("x-tenant", "a")]), Some(Code::RateLimited));
    assert_eq!(send(&[("x-tenant", "b")]), None, "another value, another count");
    assert_eq!(send(&[]), None, "without the field, the address counts");
    assert_eq!(send(&[]), Some(Code::RateLimited));
}

#[test]
fn a_dependency_that_is_down_refuses_and_not_as_401() {
    let keys = gate(&with_authentication("{ type: api_key }")).with_effects(Down);
    let answer = keys.send(get(&[("x-api-key", ALICE)]));
    assert_eq!((answer.refusal(), answer.denial.unwrap().status().as_u16()), (Some(Code::Fault), 503));
    assert!(!answer.headers.contains_key("www-authenticate"));
    for by in ["consumer", "address", "route", "{ header: x-tenant }"] {
        let limited = gate(&format!(
            "security: {{ rate_limiting: {{ max_requests: 5, per: day, by: {by} }} }}\n\
             listeners: [{{ bind: 127.0.0.1:3000 }}]\n\
             routes: [{{ path: /a, public: \"a test\", upstream: \"http://127.0.0.1:8080\" }}]\n"
        ));
        let answer = limited.with_effects(Down).send(get(&[]));
        assert_eq!(answer.refusal(), Some(Code::Fault), "{by}");
    }
}

#[test]
fn lists_of_addresses_allow_and_deny() {
    let gate = gate(
        "security: { addresses: { allow: [192.0.2.0/24, \"2001:db8::/32\"], deny: [192.0.2.66] } }
listeners: [{ bind: 127.0.0.1:3000 }]
routes: [{ path: /a, public: \"a test\", upstream: \"http://127.0.0.1:8080\" }]
",
    );
    for (peer, refusal) in [
        ("192.0.2.1", None),
        ("::ffff:192.0.2.1", None),
        ("2001:db8::9", None),
        ("192.0.2.66", Some(Code::AddressRefused)),
        ("::ffff:192.0.2.66", Some(Code::AddressRefused)),
        ("198.51.100.1", Some(Code::AddressRefused)),
        ("2001:db9::1", Some(Code::AddressRefused)),
    ] {
        assert_eq!(gate.send_from(peer, get(&[])).refusal(), refusal, "{peer}");
    }
}

#[test]
fn a_nobody_on_a_public_route_is_counted_by_address() {
    let gate = gate(
        "security: { rate_limiting: { max_requests: 1, per: day, by: consumer } }
listeners: [{ bind: 127.0.0.1:3000 }]
routes: [{ path: /a, public: \"a test\", upstream: \"http://127.0.0.1:8080\" }]
",
    );
    assert_eq!(gate.send_from("192.0.2.1", get(&[])).refusal(), None);
    assert_eq!(gate.send_from("192.0.2.1", get(&[])).refusal(), Some(Code::RateLimited));
    assert_eq!(gate.send_from("192.0.2.2", get(&[])).refusal(), None);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn no_bytes_authenticate_and_none_panic(
        places in proptest::collection::vec((0_usize..4, proptest::collection::vec(any::<u8>(), 0..600)), 0..5),
    ) {
        let any = "{ any: [{ type: api_key }, { type: api_key, query: key }, { type: api_key, cookie: key }] }";
        let gate = gate(&with_authentication(any));
        let mut sent: Request<()> = get(&[]);
        for (place, bytes) in places {
            let name = ["x-api-key", "cookie", "authorization", "x-forwarded-for"][place];
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                sent.headers_mut().append(name, value);
            }
        }
        prop_assert!(gate.send(sent).refusal().is_some());
    }
}
