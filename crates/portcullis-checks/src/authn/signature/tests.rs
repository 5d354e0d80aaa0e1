use super::*;
use crate::authn::declared::{asked, build, compiled_with, method, rehearsed, said_of, stage};
use crate::authn::method::MethodConfig;
use crate::rehearsal::Doubles;
use crate::token::tests::at_once;
use crate::token::tests::request::Asked;
use crate::token::tests::world::{START, World};
use portcullis_core::Consumer;

/// The example of GitHub's page on validating webhook deliveries.
#[test]
fn github_signs_as_its_page_says() {
    let scheme = Scheme::github();
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"It's a Secret to Everybody");
    let request = Signed { time: "", method: "POST", target: "/", body: b"Hello, World!" };
    assert_eq!(
        scheme.write(scheme.sign(&key, &request).as_ref()),
        "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    );
}

/// The example of Slack's page on verifying requests.
#[test]
fn slack_signs_as_its_page_says() {
    let scheme = Scheme::slack();
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"8f742231b10e8888abcd99yyyzzz85a5");
    let body = b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    let request = Signed { time: "1531420618", method: "POST", target: "/", body };
    assert_eq!(
        scheme.write(scheme.sign(&key, &request).as_ref()),
        "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
    );
}

#[test]
fn what_is_signed_has_one_reading() {
    for (text, timed) in [
        ("{body}", false),
        ("{timestamp}.{body}", true),
        ("v0:{timestamp}:{body}", true),
        ("{method} {target}\n{timestamp}\n{body}", true),
        ("{method}:{body}", false),
    ] {
        assert!(pieces(text, timed).is_ok(), "{text}");
        assert!(pieces(text, !timed).is_err(), "{text}");
    }
    for text in [
        "",
        "body",
        "{body}.",
        "{body}{timestamp}",
        "{timestamp}{body}",
        "{timestamp}1{body}",
        "{method}{body}",
        "{method}P{body}",
        "{target}.{body}",
        "{target}/{body}",
        "{timestamp}.{timestamp}.{body}",
        "{timestamp}.",
        "{path}.{body}",
        "{body",
        "{timestamp}.{body}{body}",
    ] {
        assert!(pieces(text, true).is_err() && pieces(text, false).is_err(), "{text}");
    }
}

#[test]
fn a_time_has_one_spelling() {
    assert_eq!(seconds("1700000000").unwrap().1.as_secs(), 1_700_000_000);
    for bad in [
        "",
        "170000000",
        "17000000000",
        "0170000000",
        "+170000000",
        "1700000000.0",
        " 1700000000",
        "-170000000",
        "1700000000000",
    ] {
        assert!(seconds(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn a_list_of_codes_is_bounded_and_has_one_time() {
    let scheme = Scheme::stripe();
    let code = "ab".repeat(32);
    let shown = scheme.within(&format!("t=1700000000,v1={code},v0=zz,v1={code}")).unwrap();
    assert_eq!((shown.codes.len(), shown.time.unwrap().0.as_str()), (2, "1700000000"));
    for bad in [
        format!("v1={code}"),
        "t=1700000000".to_owned(),
        format!("t=1700000000,t=1700000000,v1={code}"),
        format!("t=1700000000,v0={code}"),
        "t=1700000000,v1=".to_owned(),
        format!("t=1700000000,v1={code}ab"),
        format!("t=1700000000,v1={}", "zz".repeat(32)),
        format!("t=1700000000{}", format!(",v1={code}").repeat(9)),
        String::new(),
    ] {
        assert!(scheme.within(&bad).is_err(), "{bad}");
    }
}

const SECRET: &str = "0123456789abcdef";

/// A method whose secret is the one that stands for [`SECRET`] in a rehearsal, and whose plan serves.
struct Case {
    method: MethodConfig,
    authenticate: Arc<dyn Authenticate>,
    inspect: Arc<dyn Inspect>,
    doubles: Arc<Doubles>,
    world: World,
}

impl Case {
    fn new(scheme: &str) -> Case {
        let (_, doubles) = rehearsed();
        let secret = format!("'{}'", doubles.signing_secret(&Secret::new(SECRET)));
        Case::of(scheme, &secret, &mut build(), doubles)
    }

    /// In a plan that is rehearsed.
    fn rehearsed(scheme: &str) -> Case {
        let (mut build, doubles) = rehearsed();
        Case::of(scheme, SECRET, &mut build, doubles)
    }

    fn of(scheme: &str, secret: &str, build: &mut Build, doubles: Arc<Doubles>) -> Case {
        let yaml = |secret: &str| format!("{{ type: signature, {scheme}, secret: {secret} }}");
        let (Some(Compiled::WithBody(authenticate, inspect)), _) = compiled_with(&yaml(secret), build) else {
            panic!("{scheme}")
        };
        Case { method: method(&yaml(SECRET)), authenticate, inspect, doubles, world: World::default() }
    }

    fn stage(&self, at: u64, body: &'static str) -> Stage<'_> {
        let body = Bytes::from_static(body.as_bytes());
        Stage { now: Duration::from_secs(at), body, ..stage(&self.doubles, "POST") }
    }

    fn good(&self, at: u64, body: &'static str) -> Credential {
        self.method.good(&Person::default(), &self.stage(at, body)).unwrap()
    }

    fn authn(&self, asked: &Asked) -> Authn {
        at_once(self.authenticate.authenticate(&asked.facts(&self.world), &self.world).resolve())
    }

    /// Whether a request is signed, and well; `Ok(false)` where it has no signature.
    fn says_of(&self, asked: &Asked, body: &[u8]) -> Result<bool, Code> {
        let evidence = match self.authn(asked) {
            Authn::NotMine => return Ok(false),
            Authn::Deny(denial) => return Err(denial.code()),
            Authn::Claim(evidence) | Authn::ClaimAndTell(evidence, _) => evidence,
        };
        let (principal, body) = (Principal::of(evidence), Bytes::copy_from_slice(body));
        let facts = asked.facts(&self.world);
        let wants = at_once(self.inspect.inspect_head(&facts, &principal, &self.world).resolve());
        assert!(matches!(wants, Ok(Wants::Body)));
        let inspected = at_once(self.inspect.inspect(&facts, &principal, &body, &self.world).resolve());
        inspected.map(|_| true).map_err(|denial| denial.code())
    }

    fn says(&self, credential: &Credential, body: &str) -> Result<bool, Code> {
        self.says_of(&asked("POST", credential), body.as_bytes())
    }
}

const HMAC: &str = "signed_by: hmac, header: x-sig";
const SCHEMES: [(&str, bool); 7] = [
    ("signed_by: github", false),
    ("signed_by: stripe", true),
    ("signed_by: slack", true),
    (HMAC, false),
    ("signed_by: hmac, header: x-sig, timestamp_header: x-time", true),
    (
        "signed_by: hmac, header: x-sig, timestamp_header: x-time, signed: '{method}:{target} {timestamp}|{body}', code_prefix: 'v=', hash: sha512, encoding: base64",
        true,
    ),
    ("signed_by: hmac, header: x-sig, signed: '{target} {body}', encoding: base64", false),
];

#[test]
fn each_scheme_takes_its_signatures_and_no_others() {
    for (scheme, timed) in SCHEMES {
        let case = Case::rehearsed(scheme);
        assert!(!case.method.is_authorization());
        let good = case.good(START, "{}");
        // A rehearsal has one signature for all its requests, since its time stands still.
        for _ in 0..2 {
            assert_eq!(case.says(&good, "{}"), Ok(true), "{scheme}");
        }
        assert_eq!(case.says(&Credential::default(), "{}"), Ok(false), "{scheme}");
        assert_eq!(case.says(&good, "{ }"), Err(Code::SignatureInvalid), "{scheme}");
        let twice = good.repeated().unwrap();
        assert!(case.says(&twice, "{}").is_err(), "{scheme}");
        let wrong = case.method.wrong(&Person::default(), &case.stage(START, "{}"));
        let attacks: Vec<&str> = wrong.iter().map(|(attack, _)| attack.as_str()).collect();
        let expected: &[&str] = &["wrong credential", "foreign signature", "expired", "not yet valid"];
        assert_eq!(attacks, expected[..if timed { 4 } else { 2 }], "{scheme}");
        for (attack, credential) in &wrong {
            assert!(case.says(credential, "{}").is_err(), "{scheme}: {attack}");
        }
    }
}

#[test]
fn a_time_is_within_the_tolerance() {
    for (scheme, timed) in SCHEMES {
        let case = Case::new(&format!("{scheme}, tolerance: 60s"));
        for (at, good) in [(START - 60, true), (START + 60, true), (START - 61, false), (START + 61, false)] {
            let expected = if good || !timed { Ok(true) } else { Err(Code::CredentialExpired) };
            assert_eq!(case.says(&case.good(at, "{}"), "{}"), expected, "{scheme} {at}");
        }
    }
    let case = Case::new("signed_by: slack, tolerance: 60s");
    let times: Vec<String> = case
        .method
        .wrong(&Person::default(), &case.stage(START, "{}"))
        .into_iter()
        .filter(|(attack, _)| matches!(attack, Attack::Expired | Attack::NotYetValid))
        .map(|(_, credential)| credential.headers[1].1.clone())
        .collect();
    assert_eq!(times, [(START - 61).to_string(), (START + 61).to_string()]);
}

#[test]
fn a_time_stands_there_once() {
    let case = Case::new("signed_by: slack");
    let good = case.good(START, "{}");
    let code = ("x-slack-signature", good.headers[0].1.as_str());
    let time = |time: &'static str| ("x-slack-request-timestamp", time);
    let says = |fields: &[(&str, &str)]| {
        let headers = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        case.says(&Credential { headers, ..Credential::default() }, "{}")
    };
    assert_eq!(says(&[code]), Err(Code::CredentialMalformed));
    assert_eq!(says(&[code, time("1800000000"), time("1800000000")]), Err(Code::CredentialMalformed));
    assert_eq!(says(&[code, time("soon")]), Err(Code::CredentialMalformed));
    assert_eq!(says(&[("x-slack-signature", "v0=zz"), time("1800000000")]), Err(Code::CredentialMalformed));
    assert_eq!(says(&[code, time("1800000000")]), Ok(true));
}

#[test]
fn a_field_is_no_longer_than_it_may_be() {
    let case = Case::new("signed_by: stripe, replay: allow");
    let good = case.good(START, "{}").headers[0].1.clone();
    let filled = |bytes: usize| {
        let field = format!("{good},x={}", "y".repeat(bytes - good.len() - 3));
        assert_eq!(field.len(), bytes);
        case.says(&Credential::header("stripe-signature", field), "{}")
    };
    assert_eq!(filled(MAX_FIELD_BYTES), Ok(true));
    assert_eq!(filled(MAX_FIELD_BYTES + 1), Err(Code::CredentialMalformed));
}

#[test]
fn a_signature_with_a_time_is_accepted_once_unless_it_is_said_otherwise() {
    for (scheme, timed) in SCHEMES {
        let case = Case::new(scheme);
        let good = case.good(START, "{}");
        assert_eq!(case.says(&good, "{}"), Ok(true));
        let again = if timed { Err(Code::SignatureReplayed) } else { Ok(true) };
        assert_eq!(case.says(&good, "{}"), again, "{scheme}");
        assert_eq!(case.says(&case.good(START, "[]"), "[]"), Ok(true), "another body: {scheme}");
        let once = if timed { ", accepted once" } else { "" };
        assert!(case.authenticate.describe().ends_with(&format!("){once}")), "{scheme}");
        let allowing = Case::new(&format!("{scheme}, replay: allow"));
        for _ in 0..2 {
            assert_eq!(allowing.says(&allowing.good(START, "{}"), "{}"), Ok(true), "{scheme}");
        }
        assert!(allowing.authenticate.describe().ends_with(')'), "{scheme}");
    }
    let case = Case::new("signed_by: slack, tolerance: 60s");
    assert_eq!(case.says(&case.good(START, "{}"), "{}"), Ok(true));
    assert_eq!(case.world.remembered(), [61], "until no clock would accept it");
    case.world.forget();
    assert_eq!(case.says(&case.good(START, "[]"), "[]"), Err(Code::Fault));
}

#[test]
fn each_of_several_secrets_signs() {
    let (_, doubles) = rehearsed();
    let own = format!("'{}'", doubles.signing_secret(&Secret::new(SECRET)));
    for secrets in [format!("[{own}, another-secret-0]"), format!("[another-secret-0, {own}]")] {
        let case = Case::of("signed_by: github", &secrets, &mut build(), Arc::clone(&doubles));
        assert_eq!(case.says(&case.good(START, "{}"), "{}"), Ok(true));
    }
    let stranger = Case::of("signed_by: github", "another-secret-0", &mut build(), doubles);
    assert_eq!(stranger.says(&stranger.good(START, "{}"), "{}"), Err(Code::SignatureInvalid));
}

#[test]
fn a_signature_is_good_while_the_rules_are_the_same() {
    let case = Case::new("signed_by: github");
    let Authn::Claim(let_in) = case.authn(&asked("POST", &case.good(START, "{}"))) else {
        panic!("not signed")
    };
    let upheld = |check: &Case, evidence: &Evidence| {
        let asked = Asked::get(&[]);
        let facts = asked.facts(&check.world);
        match at_once(check.authenticate.uphold(evidence, &facts, &check.world).resolve()) {
            Authn::Claim(_) => true,
            Authn::NotMine => false,
            Authn::ClaimAndTell(..) | Authn::Deny(_) => panic!("neither"),
        }
    };
    assert!(upheld(&case, &let_in) && upheld(&Case::new("signed_by: github"), &let_in));
    for other in ["signed_by: github, tolerance: 60s", "signed_by: stripe", HMAC] {
        assert!(!upheld(&Case::new(other), &let_in), "{other}");
    }
    let mut by_another = let_in.clone();
    by_another.check = CheckId::new("authn.api_key");
    assert!(!upheld(&case, &by_another));
    let mut by_nothing = let_in;
    by_nothing.ground = None;
    assert!(!upheld(&case, &by_nothing));
    assert_eq!(case.authenticate.challenges(None), ["Signature"]);
    assert_eq!(
        case.authenticate.describe(),
        "a signature over the body in the header field x-hub-signature-256 (github)"
    );
}

#[test]
fn what_another_method_let_in_needs_no_signature() {
    let case = Case::new("signed_by: github");
    let asked = Asked::get(&[]);
    let facts = asked.facts(&case.world);
    let other = Evidence::consumer(ConsumerId(0), MethodId(77), CheckId::new("authn.api_key"));
    let principal = Principal::of(other);
    let wants = case.inspect.inspect_head(&facts, &principal, &case.world);
    assert!(matches!(at_once(wants.resolve()), Ok(Wants::Nothing)));
}

#[test]
fn a_method_of_signatures_says_what_it_needs() {
    let without_time = "config.signature_without_time";
    let with = |keys: &str| {
        let secret = if keys.contains("secret:") { "" } else { ", secret: 0123456789abcdef" };
        said_of(&format!("{{ type: signature, {keys}{secret} }}"))
    };
    let none = Vec::<&str>::new();
    for (scheme, timed) in SCHEMES {
        assert_eq!(with(scheme), Vec::from_iter((!timed).then_some(without_time)), "{scheme}");
    }
    let slack = |more: &str| with(&format!("signed_by: slack{more}"));
    for (tolerance, expected) in [
        ("1s", none.clone()),
        ("1h", none.clone()),
        ("999ms", vec!["config.tolerance"]),
        ("3601s", vec!["config.tolerance"]),
    ] {
        assert_eq!(slack(&format!(", tolerance: {tolerance}")), expected, "{tolerance}");
    }
    let secrets = |count: usize| format!(", secret: [{}]", vec!["0123456789abcdef"; count].join(", "));
    for (secrets, expected) in [
        (secrets(1), none.clone()),
        (secrets(MAX_SECRETS), none.clone()),
        (secrets(MAX_SECRETS + 1), vec!["config.signing_secret"]),
        (secrets(0), vec!["config.signing_secret"]),
        (", secret: 0123456789abcde".to_owned(), vec!["config.signing_secret"]),
        (", secret: [0123456789abcdef, short]".to_owned(), vec!["config.signing_secret"]),
    ] {
        assert_eq!(slack(&secrets), expected, "{secrets}");
    }
    for own in [
        "header: x-sig",
        "timestamp_header: x-time",
        "code_prefix: 'v='",
        "signed: '{body}'",
        "hash: sha256",
        "encoding: hex",
    ] {
        assert_eq!(slack(&format!(", {own}")), ["config.signature_scheme"], "{own}");
    }
    assert_eq!(with("signed_by: hmac"), ["config.signature_scheme"]);
    assert_eq!(with(&format!("{HMAC}, signed: '{{timestamp}}.{{body}}'")), ["config.signed"]);
    assert_eq!(with(&format!("{HMAC}, timestamp_header: x-time, signed: '{{body}}'")), ["config.signed"]);
    assert_eq!(slack(", consumer: nobody"), ["config.unknown_consumer"]);
}

#[test]
fn a_consumer_signs_for_itself_alone() {
    let yaml = "{ type: signature, signed_by: slack, consumer: shop, secret: 0123456789abcdef }";
    let method = method(yaml);
    let (mut build, doubles) = rehearsed();
    let shop = Consumer { name: "shop".into(), roles: Vec::new(), scopes: Vec::new() };
    build.consumers.add(shop).unwrap();
    assert!(compiled_with(yaml, &mut build).0.is_some());
    let person = |name: &str| Person { name: name.into(), ..Person::default() };
    let stage = stage(&doubles, "POST");
    assert!(method.good(&person("shop"), &stage).is_ok());
    assert_eq!(method.good(&person("alice"), &stage), Err("`alice` signs nothing here".to_owned()));
    assert_eq!(method.establishes(), Establishes::Consumers);
    let nobodys =
        super::super::declared::method("{ type: signature, signed_by: slack, secret: 0123456789abcdef }");
    assert_eq!(nobodys.establishes(), Establishes::Unnamed);
}

#[test]
fn a_text_is_cut_into_its_pieces() {
    let text = |text: &str| Piece::Text(text.to_owned());
    assert_eq!(pieces("{body}", false), Ok(vec![Piece::Body]));
    assert_eq!(
        pieces("v0:{timestamp}.{body}", true),
        Ok(vec![text("v0:"), Piece::Timestamp, text("."), Piece::Body])
    );
    assert_eq!(
        pieces("{method}:{target}\n{body}", false),
        Ok(vec![Piece::Method, text(":"), Piece::Target, text("\n"), Piece::Body])
    );
}

#[test]
fn hexadecimal_digits_come_in_pairs() {
    assert_eq!(unhex("00fFa1"), Some(vec![0, 255, 161]));
    for bad in ["abc", "zz", "+f", "é", "a"] {
        assert_eq!(unhex(bad), None, "{bad}");
    }
}
