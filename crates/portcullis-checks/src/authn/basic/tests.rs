//! Whose name and password it is, what is verified, and for how long it is remembered.

use super::*;
use crate::rehearsal::{Doubles, Known as KnownConsumer};
use crate::trial::{Ask, Setup, Trial, at_once, claimed, decoded, denied, get};
use portcullis_core::{ConsumerId, CountedCredential, Standing};

const ALICE: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc";

fn trial(more: &str) -> Trial {
    let trial = Setup::new()
        .consumer("nobody", &[], &[])
        .consumer("alice", &[], &[])
        .password("alice", &format!("{{ hash: '{ALICE}' }}"))
        .compile(&format!("authentication: {{ type: basic{more} }}"));
    *trial.world.passwords.lock().unwrap() = Some(vec![(ALICE.to_owned(), "se:cret".to_owned())]);
    trial
}

fn sent(text: impl AsRef<[u8]>) -> String {
    format!("Basic {}", Base64::encode_string(text.as_ref()))
}

fn with(field: &str) -> Ask {
    get("/x").with("authorization", field)
}

/// The code and the detail of a refusal.
fn refused(authn: Authn) -> (Code, String) {
    let denial = denied(authn);
    (denial.code(), denial.detail().to_owned())
}

#[test]
fn the_right_password_is_the_consumers() {
    let trial = trial("");
    let evidence = claimed(trial.authenticate(with(&sent("alice:se:cret"))));
    assert_eq!(*evidence.identity(), portcullis_core::Identity::Consumer(ConsumerId(1)));
    assert_eq!(evidence.check, ID);
    let counted = super::super::key_digest::password_counted_as("alice");
    assert_eq!(evidence.counted_as, Some(CountedCredential::Configured(counted)));
    assert!(evidence.fingerprint.is_some());
    let ground = evidence.ground.unwrap();
    assert_eq!((ground.credential, ground.until), (CredentialName::Text("alice".into()), None));
    // The scheme's case and spaces after it make no difference.
    let field = sent("alice:se:cret").replace("Basic ", "bASIC   ");
    claimed(trial.authenticate(with(&field)));
}

#[test]
fn a_wrong_password_and_a_name_that_nobody_has_are_refused_at_the_same_cost() {
    let trial = trial("");
    let unknown = Code::CredentialUnknown;
    for text in ["alice:se:cre", "alice:se:crett", "alice:", "alice:SE:CRET", "alice:cret"] {
        let denial = refused(trial.authenticate(with(&sent(text))));
        assert_eq!(denial, (unknown, "the password is another one".to_owned()), "{text}");
        assert_eq!(trial.world.verified().len(), 1);
    }
    for text in ["Alice:se:cret", "nobody:se:cret", ":se:cret", "alice :se:cret", "alice:se"] {
        let Authn::Deny(denial) = trial.authenticate(with(&sent(text))) else { panic!("{text}") };
        assert_eq!(denial.code(), unknown, "{text}");
        let tried = denial.tried().unwrap();
        assert_eq!(tried.consumer.as_deref(), text.starts_with("alice:").then_some("alice"), "{text}");
        let verified = trial.world.verified();
        assert_eq!(verified.len(), 1, "{text}");
        assert!(verified[0].1.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{text}");
    }
    // Even if something belonged to the hash that stands in.
    trial.authenticate(with(&sent("mallory:x")));
    let stand_in = trial.world.verified().remove(0).1;
    *trial.world.passwords.lock().unwrap() = Some(vec![(stand_in, "y".to_owned())]);
    let denial = refused(trial.authenticate(with(&sent("mallory:y"))));
    assert_eq!(denial, (unknown, "nobody has this name".to_owned()));
}

#[test]
fn what_carries_no_name_and_password_is_another_methods() {
    let trial = trial("");
    assert!(matches!(trial.authenticate(get("/x")), Authn::NotMine));
    for field in ["Bearer abc", "Basics YTpi", "Digest x=y", "\"\""] {
        assert!(matches!(trial.authenticate(with(field)), Authn::NotMine), "{field}");
    }
    assert!(trial.world.verified().is_empty());
}

#[test]
fn credentials_with_several_readings_are_refused_before_anything_is_verified() {
    let trial = trial("");
    let long = |bytes: usize| sent(format!("a:{}", "x".repeat(bytes - 2)));
    let malformed = Code::CredentialMalformed;
    for (field, detail) in [
        ("Basic".to_owned(), "the credentials are empty or too long"),
        ("Basic  ".to_owned(), "the credentials are empty or too long"),
        ("Basic YWxpY2U6eA".to_owned(), "the credentials are not base64"),
        ("Basic YWxpY2U6eA==x".to_owned(), "the credentials are not base64"),
        ("Basic a-_=".to_owned(), "the credentials are not base64"),
        (sent("alice"), "there is no colon in the credentials"),
        (sent("alice:x\n"), "there are control characters in the credentials"),
        (sent("a\0lice:x"), "there are control characters in the credentials"),
        (sent(b"alice:\xff"), "the credentials are not UTF-8"),
        (long(1025), "the credentials are too long"),
        (long(1026), "the credentials are too long"),
        (long(1027), "the credentials are empty or too long"),
        (long(2000), "the credentials are empty or too long"),
    ] {
        assert_eq!(refused(trial.authenticate(with(&field))), (malformed, detail.to_owned()), "{field}");
    }
    assert!(trial.world.verified().is_empty());
    assert_eq!(
        refused(trial.authenticate(with(&long(1024)))).0,
        Code::CredentialUnknown,
        "as long as may be"
    );
    assert_eq!(refused(trial.authenticate(with(&sent("älice:x")))).0, Code::CredentialUnknown);
    let twice = with(&sent("alice:se:cret")).with("authorization", &sent("alice:se:cret"));
    assert_eq!(refused(trial.authenticate(twice)).0, Code::CredentialRepeated);
}

#[test]
fn a_right_password_is_remembered_for_as_long_as_is_said() {
    let good = || with(&sent("alice:se:cret"));
    for (more, seconds) in [("", 60), (", cached_for: 10s", 10)] {
        let trial = trial(more);
        claimed(trial.authenticate(good()));
        let unknown = Client { address: [192, 0, 2, 1].into(), known: false };
        assert_eq!(trial.world.verified(), [(unknown, ALICE.to_owned())]);
        trial.world.pass(Duration::from_secs(seconds) - Duration::from_nanos(1));
        claimed(trial.authenticate(good()));
        assert!(trial.world.verified().is_empty());
        trial.world.pass(Duration::from_nanos(1));
        claimed(trial.authenticate(good()));
        // Who was in before goes first where many wait.
        assert_eq!(trial.world.verified(), [(Client { known: true, ..unknown }, ALICE.to_owned())]);
        // A wrong one is never remembered.
        refused(trial.authenticate(with(&sent("alice:x"))));
        refused(trial.authenticate(with(&sent("alice:x"))));
        assert_eq!(trial.world.verified(), [(); 2].map(|()| (unknown, ALICE.to_owned())));
    }
    let never = trial(", cached_for: 0s");
    claimed(never.authenticate(good()));
    claimed(never.authenticate(good()));
    assert_eq!(never.world.verified().len(), 2);
}

#[test]
fn a_blocked_address_gets_no_password_verified_but_one_that_was_good_from_there() {
    let trial = trial("");
    let blocked = |text: &str| {
        let mut arrived = trial.arrive(with(&sent(text)));
        arrived.source = Standing::Blocked { wait: Duration::from_secs(5) };
        at_once(trial.method().authenticate(&arrived.facts(), trial.world.as_ref()).resolve())
    };
    for (text, consumer) in [("alice:se:cret", Some("alice")), ("mallory:x", None)] {
        let Authn::Deny(denial) = blocked(text) else { panic!("{text}") };
        assert_eq!(denial.code(), Code::TooManyFailures);
        assert_eq!(denial.tried().unwrap().consumer.as_deref(), consumer);
    }
    assert!(trial.world.verified().is_empty());
    *trial.world.knows_all.lock().unwrap() = true;
    claimed(blocked("alice:se:cret"));
    assert!(trial.world.verified()[0].0.known);
}

#[test]
fn if_nothing_can_be_verified_it_is_a_fault() {
    let trial = trial("");
    *trial.world.passwords.lock().unwrap() = None;
    let fault = (Code::Fault, "too many passwords wait".to_owned());
    assert_eq!(refused(trial.authenticate(with(&sent("alice:se:cret")))), fault);
    assert_eq!(refused(trial.authenticate(with(&sent("mallory:x")))), fault);
}

#[test]
fn a_long_request_ends_with_its_password() {
    let trial = trial("");
    let evidence = claimed(trial.authenticate(with(&sent("alice:se:cret"))));
    let arrived = trial.arrive(get("/x"));
    let facts = arrived.facts();
    let uphold = |evidence: &Evidence| {
        at_once(trial.method().uphold(evidence, &facts, trial.world.as_ref()).resolve())
    };
    let still = claimed(uphold(&evidence));
    assert_eq!((still.identity(), &still.ground), (evidence.identity(), &evidence.ground));
    let ground = evidence.ground.clone().unwrap();
    let with_ground = |ground: Ground| evidence.clone().resting_on(ground);
    let rules = ground.rules.wrapping_add(1);
    assert_eq!(refused(uphold(&with_ground(Ground { rules, ..ground.clone() }))).0, Code::CredentialUnknown);
    let credential = CredentialName::Text("bob".into());
    let bobs = Ground { credential, rules: ground.rules, until: None };
    assert_eq!(refused(uphold(&with_ground(bobs))).0, Code::CredentialUnknown);
    let credential = CredentialName::Digest([0; 32]);
    let unnamed = Ground { credential, rules: ground.rules, until: None };
    assert!(matches!(uphold(&with_ground(unnamed)), Authn::NotMine));
    let mut another = evidence.clone();
    another.check = CheckId::new("authn.another");
    assert!(matches!(uphold(&another), Authn::NotMine));
    let mut without = evidence;
    without.ground = None;
    assert!(matches!(uphold(&without), Authn::NotMine));
}

#[test]
fn a_realm_is_what_a_browser_can_show() {
    for (more, realm) in [("", "api"), (", realm: 'the orders!'", "the orders!")] {
        let trial = trial(more);
        let challenge = format!("Basic realm=\"{realm}\", charset=\"UTF-8\"");
        assert_eq!(trial.method().challenges(None), [challenge]);
        let listed = format!("authn.basic enforce: a name and a password for the realm {realm}");
        assert_eq!(trial.listed("authn"), [listed]);
        assert_eq!(trial.method().credentials(), [CredentialLocation::Header(header::AUTHORIZATION)]);
        let answers = |kind| trial.method().answers(&SecurityScheme { name: "a", kind });
        assert_eq!(answers(SchemeKind::Http("basic")).len(), 1);
        assert_eq!(answers(SchemeKind::Http("bearer")), []);
        assert_eq!(answers(SchemeKind::MutualTls), []);
    }
    let wrong =
        "config.realm: a realm must consist of visible ASCII characters without quotes and backslashes";
    for realm in ["''", "'  '", "'a\"b'", "'a\\b'", "\"a\\tb\"", "größe"] {
        let text = format!("authentication: {{ type: basic, realm: {realm} }}");
        assert_eq!(Setup::new().wrong(&text), [wrong], "{realm}");
    }
}

#[test]
fn a_rehearsal_sends_the_double_of_a_password_and_what_must_be_refused() {
    let config: BasicConfig = decoded("{}").unwrap();
    assert!(config.is_authorization());
    let doubles = Doubles::new(&[3; 32]);
    let password = decoded(&format!("{{ hash: '{ALICE}' }}")).unwrap();
    let known = |password| KnownConsumer {
        name: "alice",
        roles: &[],
        scopes: &[],
        keys: &[],
        password,
        certificates: &[],
    };
    let consumers = [known(Some(&password))];
    let stage = |consumers| Stage {
        doubles: &doubles,
        consumers,
        now: Duration::ZERO,
        method: "GET",
        url: String::new(),
        body: bytes::Bytes::new(),
    };
    let person = consumers[0].person();
    let credential = |text: &str| Credential::header("authorization", sent(text));
    let good = config.good(&person, &stage(&consumers)).unwrap();
    assert_eq!(good, credential(&format!("alice:{}", doubles.password(ALICE))));
    let without = [known(None)];
    assert!(config.good(&person, &stage(&without)).unwrap_err().contains("`alice` has no password"));
    let wrong = config.wrong(&person, &stage(&consumers));
    let nobodys = doubles.nobodys("password");
    let expected = [format!("alice:{nobodys}"), "alice:".to_owned(), format!("nobody at all:{nobodys}")];
    assert_eq!(wrong, expected.map(|text| (Attack::Wrong, credential(&text))));
}
