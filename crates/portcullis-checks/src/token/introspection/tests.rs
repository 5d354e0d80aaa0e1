use super::*;
use crate::token::cache;
use crate::token::client_auth::ClientAuthenticationConfig;
use crate::token::rules::{Profile, RoleRules};
use crate::token::tests::at_once;
use crate::token::tests::world::{START, World, field};
use http::header;
use portcullis_core::ClaimPath;

#[test]
fn an_answer_of_another_gateway_is_used_no_longer() {
    let seconds = Duration::from_secs;
    for (asked, expected) in [(0, None), (70, None), (71, Some(71)), (100, Some(100)), (900, Some(100))] {
        let from = counts_from(seconds(asked), seconds(100), seconds(30));
        assert_eq!(from, expected.map(seconds), "{asked}");
    }
    assert_eq!(counts_from(seconds(100), seconds(100), Duration::ZERO), None);
}

const ISSUER: &str = "https://issuer.example";
const URL: &str = "https://issuer.example/introspect";
const TOKEN: &str = "opaque & long";
const LIFETIME: Duration = Duration::from_secs(60);
const ACTIVE: &str = r#"{"active":true,"token_type":"Bearer","sub":"alice"}"#;

fn rules() -> Rules {
    Rules {
        audience: None,
        audience_claim: None,
        profile: Profile::Access,
        leeway: Duration::ZERO,
        max_age: None,
        roles: RoleRules::plain(ClaimPath::new(["roles"])),
        scopes: None,
        subject: None,
    }
}

/// A gateway that asks with this secret, and how long answers serve.
fn gateway(secret: &str, lifetime: Duration, untyped: bool) -> Introspector {
    let secret = Secret::new(secret);
    let client =
        ClientAuthentication::new(ClientAuthenticationConfig::Basic, "gate", Some(&secret), None).unwrap();
    Introspector::new(client, &secret, lifetime, untyped, false)
}

/// One whose secret is too short for telling others what it heard.
fn alone() -> Introspector {
    gateway("short", LIFETIME, false)
}

/// One of several that tell each other.
fn of_several(lifetime: Duration) -> Introspector {
    gateway("a-secret-of-some-length", lifetime, false)
}

/// What comes of asking about a token.
fn ask_about(token: &str, introspector: &Introspector, world: &World) -> Result<Outcome, Code> {
    let (rules, url) = (rules(), URL.parse().unwrap());
    let client = Client { address: [192, 0, 2, 1].into(), known: true };
    let digest = cache::digest(token);
    let question = Question { url: &url, issuer: ISSUER, rules: &rules, token, digest, client, signed: None };
    at_once(introspector.ask(&question, world)).map_err(|denial| denial.code())
}

fn ask(introspector: &Introspector, world: &World) -> Result<Outcome, Code> {
    ask_about(TOKEN, introspector, world)
}

/// What comes of this answer.
fn answered(body: &str) -> Result<Outcome, Code> {
    let world = World::default();
    world.publish(URL, body);
    ask(&alone(), &world)
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(START + seconds)
}

#[test]
fn the_server_is_asked_as_its_standard_says() {
    let world = World::default();
    world.publish(URL, ACTIVE);
    let outcome = ask(&alone(), &world).unwrap();
    assert_eq!((outcome.subject.issuer.as_str(), outcome.subject.name.as_str()), (ISSUER, "alice"));
    assert_eq!((outcome.until, outcome.expires), (at(60), None));
    let asked = world.asked().remove(0);
    assert_eq!((asked.method.as_str(), asked.url.to_string().as_str()), ("POST", URL));
    assert_eq!(field(&asked, &header::AUTHORIZATION).unwrap(), "Basic Z2F0ZTpzaG9ydA==");
    assert_eq!(field(&asked, &header::CONTENT_TYPE).unwrap(), "application/x-www-form-urlencoded");
    assert_eq!(asked.body, "token=opaque%20%26%20long&token_type_hint=access_token");
    assert!(!asked.insecure_plaintext);
    assert!(asked.client.is_some_and(|client| client.known), "it waits with those that are known");
    let secret = Secret::new("short");
    let public = ClientAuthentication::new(ClientAuthenticationConfig::Public, "gate", None, None).unwrap();
    let in_clear = Introspector::new(public, &secret, LIFETIME, false, true);
    assert!(ask(&in_clear, &world).is_ok());
    let asked = world.asked().remove(0);
    assert!(asked.insecure_plaintext);
    assert_eq!(asked.body, "token=opaque%20%26%20long&token_type_hint=access_token&client_id=gate");
}

#[test]
fn an_answer_that_is_none_lets_nobody_in() {
    for (body, expected) in [
        (r#"{"active":false}"#, Code::TokenInactive),
        (r#"{"active":false,"sub":"alice","token_type":"Bearer"}"#, Code::TokenInactive),
        (r#"{"active":"true","sub":"alice","token_type":"Bearer"}"#, Code::Fault),
        (r#"{"active":null,"sub":"alice","token_type":"Bearer"}"#, Code::Fault),
        (r#"{"active":1,"sub":"alice","token_type":"Bearer"}"#, Code::Fault),
        (r#"{"sub":"alice","token_type":"Bearer"}"#, Code::Fault),
        (r#"{"active":true,"active":true,"sub":"alice","token_type":"Bearer"}"#, Code::Fault),
        ("[]", Code::Fault),
        ("", Code::Fault),
        (r#"{"active":true,"token_type":"Bearer"}"#, Code::TokenClaims),
    ] {
        assert_eq!(answered(body).map(|_| ()), Err(expected), "{body}");
    }
    for status in [201, 204, 302, 400, 401, 429, 500, 503] {
        let world = World::default();
        world.answer(URL, status, &[], ACTIVE);
        assert_eq!(ask(&alone(), &world).map(|_| ()), Err(Code::Fault), "{status}");
    }
    assert_eq!(ask(&alone(), &World::default()).map(|_| ()), Err(Code::Fault), "nobody answers");
}

#[test]
fn an_answer_says_that_the_token_is_an_access_token() {
    let of = |kind: &str| answered(&format!(r#"{{"active":true,"sub":"alice"{kind}}}"#)).map(|_| ());
    for access in [
        r#","token_type":"Bearer""#,
        r#","token_type":"DPoP""#,
        r#","token_type":"access_token""#,
        r#","token_use":"access""#,
        r#","token_use":"access_token""#,
        r#","typ":"Bearer""#,
        r#","typ":"DPoP""#,
        r#","typ":"at+jwt""#,
        r#","token_type":null,"typ":"Bearer""#,
    ] {
        assert_eq!(of(access), Ok(()), "{access}");
    }
    for other in [
        "",
        r#","token_type":"refresh_token""#,
        r#","token_type":"N_A","typ":"Bearer""#,
        r#","token_type":"","typ":"Bearer""#,
        r#","token_type":["Bearer"]"#,
        r#","token_type":null"#,
        r#","typ":"Refresh""#,
        r#","typ":"JWT""#,
        r#","token_use":"refresh""#,
    ] {
        assert_eq!(of(other), Err(Code::TokenType), "{other}");
    }
    // Where the operator accepts answers without a type, those with another one are still refused.
    let world = World::default();
    let lenient = gateway("short", LIFETIME, true);
    for (token, kind, expected) in [
        ("a", "", Ok(())),
        ("b", r#","token_type":"refresh_token""#, Err(Code::TokenType)),
        ("c", r#","typ":"Refresh""#, Err(Code::TokenType)),
    ] {
        world.publish(URL, &format!(r#"{{"active":true,"sub":"alice"{kind}}}"#));
        assert_eq!(ask_about(token, &lenient, &world).map(|_| ()), expected, "{kind}");
    }
}

#[test]
fn what_the_answer_leaves_out_is_what_was_asked() {
    let of = |more: &str| answered(&ACTIVE.replacen('{', &format!("{{{more},"), 1));
    let expires = |more: &str| of(more).map(|outcome| (outcome.until, outcome.expires));
    for (more, expected) in [
        (r#""iss":"https://issuer.example""#.to_owned(), Ok((at(60), None))),
        (r#""iss":null,"exp":null,"nbf":null,"aud":null"#.to_owned(), Ok((at(60), None))),
        (r#""iss":"https://other.example""#.to_owned(), Err(Code::TokenIssuer)),
        (r#""iss":"""#.to_owned(), Err(Code::TokenIssuer)),
        (format!(r#""exp":{}"#, START + 30), Ok((at(30), Some(at(30))))),
        (format!(r#""exp":{}"#, START + 600), Ok((at(60), Some(at(600))))),
        (format!(r#""exp":{START}"#), Err(Code::CredentialExpired)),
        (format!(r#""exp":"{}""#, START + 30), Err(Code::TokenClaims)),
        (format!(r#""nbf":{}"#, START + 1), Err(Code::TokenNotYetValid)),
    ] {
        assert_eq!(expires(&more), expected, "{more}");
    }
}

#[test]
fn of_a_signed_token_only_whether_it_is_active_is_asked() {
    let (world, rules, url) = (World::default(), rules(), URL.parse().unwrap());
    let signed = Verified {
        subject: Arc::new(Subject::new(ISSUER, "bob", Claim::Null)),
        until: at(300),
        expires: Some(at(300)),
        binding: Binding { key: Some([1; 32]), certificate: None },
        issuer: 0,
        generation: 0,
        guessable: false,
        asked: None,
    };
    let ask = |token: &str| {
        let client = Client::unknown([192, 0, 2, 1].into());
        let digest = cache::digest(token);
        let signed = Some(&signed);
        let question = Question { url: &url, issuer: ISSUER, rules: &rules, token, digest, client, signed };
        at_once(alone().ask(&question, &world)).map_err(|denial| denial.code())
    };
    world.publish(URL, r#"{"active":true,"sub":"somebody else"}"#);
    let outcome = ask("a").unwrap();
    assert_eq!((outcome.subject.name.as_str(), outcome.binding.key), ("bob", Some([1; 32])));
    assert_eq!((outcome.until, outcome.expires), (at(60), Some(at(300))));
    world.publish(URL, r#"{"active":false}"#);
    assert_eq!(ask("b").map(|_| ()), Err(Code::TokenInactive));
}

#[test]
fn a_token_that_is_not_active_is_left_alone_for_a_moment() {
    for (lifetime, seconds) in [(Duration::from_secs(60), 10), (Duration::from_secs(5), 5)] {
        let (world, introspector) = (World::default(), gateway("short", lifetime, false));
        world.publish(URL, r#"{"active":false}"#);
        let refused = || {
            let refused = ask(&introspector, &world).map(|_| ());
            assert_eq!(refused, Err(Code::TokenInactive));
            world.asked().len()
        };
        assert_eq!(refused(), 1);
        // A wall clock that is set changes nothing.
        world.set_forward(3600);
        assert_eq!(refused(), 0);
        world.pass(Duration::from_secs(seconds) - Duration::from_millis(1));
        assert_eq!(refused(), 0);
        assert_eq!(ask_about("another", &introspector, &world).map(|_| ()), Err(Code::TokenInactive));
        assert_eq!(world.asked().len(), 1, "another token is another question");
        world.pass(Duration::from_millis(1));
        assert_eq!(refused(), 1);
    }
}

#[test]
fn any_other_refusal_is_asked_about_again() {
    for (status, body) in [(503, ""), (200, "[]"), (200, r#"{"active":true,"token_type":"refresh"}"#)] {
        let (world, introspector) = (World::default(), of_several(LIFETIME));
        world.answer(URL, status, &[], body);
        for _ in 0..2 {
            assert!(ask(&introspector, &world).is_err());
            assert_eq!(world.asked().len(), 1, "{status} {body}");
        }
        assert!(world.kept.lock().unwrap().is_empty(), "nobody is told: {status} {body}");
        world.publish(URL, ACTIVE);
        assert!(ask(&introspector, &world).is_ok());
    }
}

#[test]
fn gateways_tell_each_other_what_the_server_said() {
    let world = World::default();
    world.publish(URL, ACTIVE);
    assert!(ask(&of_several(LIFETIME), &world).is_ok());
    assert_eq!(world.kept.lock().unwrap().values().map(|(_, life)| *life).collect::<Vec<_>>(), [LIFETIME]);
    world.take_down(URL);
    world.asked();
    world.pass_seconds(20);
    let outcome = ask(&of_several(LIFETIME), &world).unwrap();
    assert_eq!((outcome.subject.name.as_str(), outcome.until), ("alice", at(60)), "no longer for being told");
    assert!(world.asked().is_empty());
    // One of another client is told nothing, and one whose secret is too short tells nothing and hears nothing.
    for stranger in [gateway("another-secret-of-it", LIFETIME, false), alone()] {
        assert_eq!(ask(&stranger, &world).map(|_| ()), Err(Code::Fault));
    }
    // Of another token nothing is known.
    assert_eq!(ask_about("another", &of_several(LIFETIME), &world).map(|_| ()), Err(Code::Fault));
    world.pass_seconds(40);
    assert_eq!(ask(&of_several(LIFETIME), &world).map(|_| ()), Err(Code::Fault), "it is too old");
    assert_eq!(world.kept.lock().unwrap().len(), 1);
}

#[test]
fn gateways_tell_each_other_that_a_token_is_not_active_for_a_moment() {
    let world = World::default();
    world.publish(URL, r#"{"active":false}"#);
    assert_eq!(ask(&of_several(LIFETIME), &world).map(|_| ()), Err(Code::TokenInactive));
    let kept: Vec<Duration> = world.kept.lock().unwrap().values().map(|(_, life)| *life).collect();
    assert_eq!(kept, [INACTIVE_LIFETIME]);
    world.take_down(URL);
    assert_eq!(ask(&of_several(LIFETIME), &world).map(|_| ()), Err(Code::TokenInactive));
}

#[test]
fn where_answers_may_not_be_used_again_nobody_is_told() {
    let world = World::default();
    world.publish(URL, ACTIVE);
    assert!(ask(&of_several(Duration::ZERO), &world).is_ok());
    assert!(world.kept.lock().unwrap().is_empty());
}

#[test]
fn each_setting_tells_an_introspector_from_another() {
    let secret = Secret::new("a-secret-of-some-length");
    let all = [("gate", 60, false, false), ("other", 60, false, false), ("gate", 61, false, false)];
    let more = [("gate", 60, true, false), ("gate", 60, false, true)];
    let settings: Vec<String> = all
        .into_iter()
        .chain(more)
        .map(|(id, lifetime, untyped, plaintext)| {
            let how = ClientAuthenticationConfig::Basic;
            let client = ClientAuthentication::new(how, id, Some(&secret), None).unwrap();
            let lifetime = Duration::from_secs(lifetime);
            Introspector::new(client, &secret, lifetime, untyped, plaintext).settings().to_owned()
        })
        .collect();
    for (index, one) in settings.iter().enumerate() {
        assert!(settings.iter().skip(index + 1).all(|other| other != one), "{one}");
        assert!(!one.contains("a-secret"), "{one}");
    }
}
