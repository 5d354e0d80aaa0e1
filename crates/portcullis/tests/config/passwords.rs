//! Names and passwords: what is right, what is refused and why, what it costs, and that none of it goes upstream.

use super::harness::{Gate, gate, get, load};
use base64ct::{Base64, Encoding};
use http::HeaderValue;
use portcullis::Style;
use portcullis_core::{Code, Identity};
use proptest::prelude::*;

/// Alice and bob, whose passwords are `open sesame` and, with umlauts, a key and a colon in it, another one.
const CONSUMERS: &str = "
  - name: alice
    password: { env: PASSWORD_HASH }
    keys: [{ env: ALICE_API_KEY }]
  - name: bob
    password: { hash: \"$argon2id$v=19$m=19456,t=2,p=1$raRJmk2SUgCozTFL7BNqaw$sqiVtYhzP56jWTJb3yZlZDEsEO0FCXv+4PCeFnXaNI8\" }
  - name: carol
    keys: [{ env: ADMIN_API_KEY }]
";
const BOBS: &str = "Tür🔑 open:sesame";

fn document(authentication: &str) -> String {
    format!(
        "security: {{ authentication: {authentication} }}\nconsumers:{CONSUMERS}\
         listeners: [{{ bind: 127.0.0.1:3000 }}]\n\
         routes: [{{ path: /a, upstream: \"http://127.0.0.1:8080\" }}]\n"
    )
}

fn basic(name: &str, password: &str) -> String {
    encoded(format!("{name}:{password}").as_bytes())
}

fn encoded(credentials: &[u8]) -> String {
    format!("Basic {}", Base64::encode_string(credentials))
}

fn refusal(gate: &Gate, field: &str) -> Option<Code> {
    gate.send(get(&[("authorization", field)])).refusal()
}

#[test]
fn a_name_and_its_password_are_right_together() {
    let gate = gate(&document("{ type: basic }"));
    for field in
        [basic("alice", "open sesame"), basic("bob", BOBS), basic("bob", BOBS).replace("Basic ", "bAsIc  ")]
    {
        let answer = gate.send(get(&[("authorization", &field)]));
        let permitted = answer.permitted();
        assert!(matches!(permitted.principal.identity(), Identity::Consumer(_)));
        assert!(permitted.headers.get("authorization").is_none(), "the password stays here");
    }
    for (name, password) in [
        ("alice", BOBS),
        ("bob", "open sesame"),
        ("carol", "open sesame"),
        ("carol", ""),
        ("nobody", "open sesame"),
        ("", "open sesame"),
        ("", ""),
        ("alice", ""),
        ("alice ", "open sesame"),
        ("ALICE", "open sesame"),
        ("alice", "open sesame "),
        ("alice", "alice-key-0123456789"),
    ] {
        let wrong = basic(name, password);
        // Each from an address of its own, so that nobody must wait.
        let number = name.len() * 20 + password.len();
        let answer = gate.send_from(&format!("198.51.100.{number}"), get(&[("authorization", &wrong)]));
        assert_eq!(answer.refusal(), Some(Code::CredentialUnknown), "{name}:{password}");
        assert_eq!(answer.headers["www-authenticate"], "Basic realm=\"api\", charset=\"UTF-8\"");
        let denial = answer.denial.unwrap();
        assert_eq!(denial.status(), 401);
        assert!(!denial.detail().contains("sesame") && !denial.detail().contains("alice"), "{denial:?}");
    }
    gate.network.verified();
}

#[test]
fn a_repeated_password_is_a_denial() {
    let gate = gate(&document("{ any: [{ type: basic }, { type: api_key }] }"));
    let right = basic("alice", "open sesame");
    for second in [right.as_str(), "Bearer abc", ""] {
        for fields in [
            [("authorization", &*right), ("authorization", second)],
            [("authorization", second), ("authorization", &*right)],
        ] {
            let mut fields = fields.to_vec();
            fields.push(("x-api-key", "alice-key-0123456789"));
            assert_eq!(gate.send(get(&fields)).refusal(), Some(Code::CredentialRepeated), "{second}");
        }
    }
    assert!(gate.network.verified().is_empty(), "nothing was verified");
}

#[test]
fn what_cannot_be_right_is_refused_before_it_is_verified() {
    let gate = gate(&document("{ any: [{ type: basic }, { type: api_key }] }"));
    let right = basic("alice", "open sesame");
    let long = basic("alice", &"x".repeat(1024));
    let huge = basic("alice", &"x".repeat(5000));
    let unpadded = right.trim_end_matches('=').to_owned();
    assert_ne!(unpadded, right, "there is padding to take away");
    for field in [
        "Basic",
        "Basic ",
        "basic  ",
        "Basic =",
        "Basic %%%",
        "Basic YWxpY2U",
        &unpadded,
        &format!("{right}="),
        &format!("{right} {right}"),
        &format!("{right},{right}"),
        &right.replace("Basic ", "Basic\t"),
        // Bits that mean nothing: another spelling of the same bytes.
        "Basic YWxpY2U6YR==",
        &encoded(b"alice"),
        &encoded(b"alice:open\0sesame"),
        &encoded(b"alice\n:open sesame"),
        &encoded("alice:open\u{85}sesame".as_bytes()),
        &encoded(b"alice:\xff"),
        &long,
        &huge,
    ] {
        let sent = [("authorization", field), ("x-api-key", "alice-key-0123456789")];
        let answer = gate.send(get(&sent));
        // A tab does not end a scheme's name, so that field is of no scheme that the route knows; the key then counts.
        if field.contains('\t') {
            answer.permitted();
            continue;
        }
        assert_eq!(answer.refusal(), Some(Code::CredentialMalformed), "{field:.60}");
    }
    let mut unreadable = get(&[]);
    unreadable.headers_mut().insert("authorization", HeaderValue::from_bytes(b"Basic \xff").unwrap());
    assert_eq!(gate.send(unreadable).refusal(), Some(Code::CredentialMalformed));
    assert!(gate.network.verified().is_empty(), "nothing was verified");
    assert_eq!(gate.send(get(&[("authorization", &right)])).refusal(), None, "none of it was a guess");
}

#[test]
fn only_what_is_absent_lets_the_next_method_be_asked() {
    let gate = gate(&document("{ any: [{ type: basic }, { type: api_key }] }"));
    let key = ("x-api-key", "alice-key-0123456789");
    assert_eq!(gate.send(get(&[key])).refusal(), None);
    assert_eq!(gate.send(get(&[key, ("authorization", "Negotiate abc")])).refusal(), None);
    let wrong = basic("alice", "wrong");
    assert_eq!(gate.send(get(&[key, ("authorization", &wrong)])).refusal(), Some(Code::CredentialUnknown));
    let answer = gate.send(get(&[]));
    assert_eq!(answer.refusal(), Some(Code::CredentialMissing));
    let challenges: Vec<_> = answer.headers.get_all("www-authenticate").iter().collect();
    assert_eq!(challenges, ["Basic realm=\"api\", charset=\"UTF-8\"", "ApiKey"]);
}

#[test]
fn all_of_a_password_and_a_key_must_be_of_one_consumer() {
    let gate = gate(&document("{ all: [{ type: basic }, { type: api_key }] }"));
    let right = basic("alice", "open sesame");
    let send = |key: &str| gate.send(get(&[("authorization", &right), ("x-api-key", key)])).refusal();
    assert_eq!(send("alice-key-0123456789"), None);
    assert_eq!(send("admin-key-0123456789"), Some(Code::CredentialsDisagree));
    assert_eq!(gate.send(get(&[("authorization", &right)])).refusal(), Some(Code::CredentialMissing));
}

#[test]
fn a_password_and_a_token_cannot_both_be_asked_for() {
    let token = "{ type: jwt, issuer: \"https://auth.example.com\", audience: a }";
    let loaded = load(&document(&format!("{{ all: [{{ type: basic }}, {token}] }}")));
    assert!(loaded.text(Style::Plain).contains("config.several_tokens"), "{}", loaded.text(Style::Plain));
}

/// What takes tens of milliseconds is the verification, so the same hash parameters are the same time.
#[test]
fn an_unknown_name_costs_as_much_as_a_known_one() {
    let gate = gate(&document("{ type: basic }"));
    let cost = |hash: &str| hash.split('$').nth(3).unwrap().to_owned();
    for name in ["nobody", "", "carol"] {
        assert_eq!(refusal(&gate, &basic(name, "guess")), Some(Code::CredentialUnknown));
        let verified = gate.network.verified();
        assert_eq!(verified.len(), 1, "{name}");
        // The costliest in the file: bob's, and not alice's.
        assert_eq!(cost(&verified[0]), "m=19456,t=2,p=1", "{name}");
        let parts: Vec<usize> = verified[0].split('$').skip(4).map(str::len).collect();
        assert_eq!(parts, [22, 43], "salt and hash are as long as everybody's");
    }
    assert_eq!(refusal(&gate, &basic("bob", "guess")), Some(Code::CredentialUnknown));
    assert_eq!(cost(&gate.network.verified()[0]), "m=19456,t=2,p=1");
}

#[test]
fn what_was_right_is_not_verified_again_for_a_while() {
    let gate = gate(&document("{ type: basic }"));
    let right = basic("alice", "open sesame");
    for (later, verified) in [(0, 1), (0, 0), (59, 0), (1, 1), (59, 0)] {
        gate.clock.advance(later);
        assert_eq!(refusal(&gate, &right), None);
        assert_eq!(gate.network.verified().len(), verified, "{later}");
    }
    // Neither another password nor another name is remembered with it, and a wrong one not at all.
    for _ in 0..2 {
        assert_eq!(refusal(&gate, &basic("alice", "open sesamE")), Some(Code::CredentialUnknown));
        assert_eq!(refusal(&gate, &basic("bob", "open sesame")), Some(Code::CredentialUnknown));
        assert_eq!(gate.network.verified().len(), 4 / 2);
    }
}

#[test]
fn a_world_that_cannot_verify_refuses_and_not_as_401() {
    use super::conformance::Down;
    let gate = gate(&document("{ type: basic }")).with_effects(Down);
    let answer = gate.send(get(&[("authorization", &basic("alice", "open sesame"))]));
    assert_eq!((answer.refusal(), answer.denial.unwrap().status().as_u16()), (Some(Code::Fault), 503));
    assert!(!answer.headers.contains_key("www-authenticate"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn no_bytes_are_a_password_and_none_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100), wrap in any::<bool>()) {
        let gate = gate(&document("{ type: basic }")).with_effects(super::conformance::Down);
        let bytes = if wrap { encoded(&bytes).into_bytes() } else { [b"Basic ", &bytes[..]].concat() };
        let mut sent = get(&[]);
        if let Ok(value) = HeaderValue::from_bytes(&bytes) {
            sent.headers_mut().insert("authorization", value);
        }
        prop_assert!(gate.send(sent).refusal().is_some());
    }
}
