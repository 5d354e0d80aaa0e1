use super::*;
use crate::authn::declared::{build, compiled_with, method, rehearsed, stage};
use crate::rehearsal::Known;
use crate::token::tests::at_once;
use crate::token::tests::request::Asked;
use crate::token::tests::world::World;
use portcullis_config::{Source, from_yaml};
use std::time::Duration;

fn shown(names: &[&str], subject: &str, thumbprint: u8) -> ClientCertificate {
    let names = names.iter().map(|name| CertificateName::dns(name)).collect();
    let subject = subject.to_owned();
    ClientCertificate { thumbprint: [thumbprint; 32], subject, names, not_after: Duration::MAX }
}

fn check() -> Mtls {
    let known = [
        (Mark::Name(CertificateName::dns("alice.example")), ConsumerId(0)),
        (Mark::Subject("CN=bob".into()), ConsumerId(1)),
        (Mark::Fingerprint([7; 32]), ConsumerId(2)),
    ];
    Mtls { method: MethodId(0), known: Arc::new(Certificates(known.into_iter().collect())) }
}

fn outcome(certificate: &ClientCertificate) -> Result<Evidence, Code> {
    match check().judge(certificate) {
        Authn::Claim(evidence) => Ok(evidence),
        Authn::Deny(denial) => Err(denial.code()),
        Authn::ClaimAndTell(..) | Authn::NotMine => panic!("neither is said of a certificate"),
    }
}

#[test]
fn a_certificate_is_found_by_any_of_its_marks_and_by_nothing_else() {
    let found = |certificate| outcome(&certificate).map(|evidence| evidence.identity().clone());
    let consumer = |id| Ok(portcullis_core::Identity::Consumer(ConsumerId(id)));
    assert_eq!(found(shown(&["other.example", "alice.example"], "CN=x", 0)), consumer(0));
    assert_eq!(found(shown(&[], "CN=bob", 0)), consumer(1));
    assert_eq!(found(shown(&[], "CN=x", 7)), consumer(2));
    // A name is no subject, and a subject no name.
    assert_eq!(found(shown(&["CN=bob"], "alice.example", 0)), Err(Code::CredentialUnknown));
    assert_eq!(found(shown(&[], "CN=Bob", 0)), Err(Code::CredentialUnknown));
}

#[test]
fn a_name_is_of_the_kind_that_its_form_says() {
    let name = |text: &str| match Kind::OfItsForm.mark(text) {
        Some(Mark::Name(name)) => name.to_string(),
        other => format!("{other:?}"),
    };
    for (text, means) in [
        ("Admin.example.com", "dns:admin.example.com"),
        ("*.example.com", "dns:*.example.com"),
        ("spiffe://Example/carol", "uri:spiffe://Example/carol"),
        ("urn:uuid:1", "uri:urn:uuid:1"),
        ("Alice@Example.com", "email:Alice@example.com"),
        ("192.0.2.1", "ip:192.0.2.1"),
        ("2001:DB8::1", "ip:2001:db8::1"),
        ("dns:admin.example.com", "dns:admin.example.com"),
        ("uri:admin.example.com:x", "uri:admin.example.com:x"),
        ("email:a@b", "email:a@b"),
        ("ip:192.0.2.1", "ip:192.0.2.1"),
        ("Alice Smith", "None"),
        ("a/b", "None"),
        ("@example.com", "None"),
        ("ip:example.com", "None"),
        ("dns:", "None"),
        ("", "None"),
    ] {
        assert_eq!(name(text), means, "{text}");
    }
}

#[test]
fn a_name_of_another_kind_is_nobodys() {
    let text = "alice.example";
    let of = |name: CertificateName| ClientCertificate { names: vec![name], ..shown(&[], "CN=x", 0) };
    assert!(outcome(&of(CertificateName::Dns(text.into()))).is_ok());
    for other in [CertificateName::Uri(text.into()), CertificateName::Email(text.into())] {
        assert_eq!(outcome(&of(other)).err(), Some(Code::CredentialUnknown));
    }
    assert!(check().describe().contains("dns:alice.example"));
}

#[test]
fn a_certificate_of_two_consumers_is_nobodys() {
    assert_eq!(outcome(&shown(&["alice.example"], "CN=bob", 0)).err(), Some(Code::CredentialsDisagree));
    assert!(outcome(&shown(&["alice.example", "alice.example"], "CN=x", 0)).is_ok());
}

#[test]
fn a_fingerprint_is_thirty_two_bytes() {
    assert_eq!(fingerprint("0f:".repeat(32).trim_end_matches(':')), Some([15; 32]));
    assert_eq!(fingerprint(&"AB".repeat(32)), Some([0xab; 32]));
    for bad in ["", "ab", &"+f".repeat(32), &"zz".repeat(32), &"ab".repeat(33)] {
        assert_eq!(fingerprint(bad), None, "{bad}");
    }
}

/// What an identity of this text becomes in a plan: whether it is there, and the codes of what is wrong with it.
fn identity(yaml: &str, build: &mut Build) -> (bool, Vec<&'static str>) {
    let mut cx = Context::for_code();
    let identity: CertificateIdentityConfig = from_yaml(&Source::new("identity", yaml), &mut cx).unwrap();
    let compiled = identity.compile(ConsumerId(0), build, &mut cx);
    (compiled.is_some(), cx.diagnostics.into_iter().map(|diagnostic| diagnostic.code).collect())
}

#[test]
fn a_certificate_is_told_by_one_mark_that_it_can_have() {
    let hex = "ab".repeat(32);
    for good in [
        "name: alice.example",
        "name: 192.0.2.1",
        "dns: '*.example.com'",
        "uri: spiffe://example/alice",
        "uri: 'urn:x'",
        "email: alice@example.com",
        "ip: '2001:db8::1'",
        "subject: 'CN=alice'",
        &format!("fingerprint: {hex}"),
    ] {
        let mut build = build();
        assert!(build.certificates.is_empty());
        assert_eq!(identity(&format!("{{ {good} }}"), &mut build), (true, vec![]), "{good}");
        assert!(!build.certificates.is_empty());
        let again = identity(&format!("{{ {good} }}"), &mut build);
        assert_eq!(again, (false, vec!["config.duplicate_certificate"]), "{good}");
    }
    for bad in [
        "dns: a/b",
        "dns: ''",
        "uri: no-scheme",
        "uri: '1a:b'",
        "uri: ':b'",
        "uri: 'a:b c'",
        "email: alice",
        "email: 'a b@example.com'",
        "ip: alice.example",
        "subject: alice",
        "fingerprint: abcd",
        "dns: a.example, uri: 'a:b'",
        "",
    ] {
        let said = identity(&format!("{{ {bad} }}"), &mut build());
        assert_eq!(said, (false, vec!["config.certificate_identity"]), "{bad}");
    }
}

#[test]
fn the_help_shows_a_mark_of_the_kind_that_was_written() {
    let help = |yaml: &str| {
        let mut cx = Context::for_code();
        let identity: CertificateIdentityConfig = from_yaml(&Source::new("identity", yaml), &mut cx).unwrap();
        assert!(identity.mark(&mut cx).is_none());
        cx.diagnostics.sorted().first().unwrap().help.clone().unwrap()
    };
    for (yaml, example) in [
        ("{ name: a/b }", "`alice.example.com`"),
        ("{ dns: a/b }", "`alice.example.com`"),
        ("{ uri: a }", "`spiffe://example.com/alice`"),
        ("{ email: a }", "`alice@example.com`"),
        ("{ ip: a }", "`192.0.2.1`"),
        ("{ subject: a }", "`CN=alice,O=Example`"),
        ("{ fingerprint: a }", "64 hexadecimal digits"),
        ("{}", "`subject` and `fingerprint`"),
    ] {
        assert!(help(yaml).contains(example), "{yaml}: {}", help(yaml));
    }
}

#[test]
fn certificates_are_asked_for_and_are_somebodys() {
    let said = |asks: bool, known: bool| {
        let mut build = build();
        build.asks_for_certificates = asks;
        if known {
            assert!(identity("{ dns: alice.example }", &mut build).0);
        }
        let (compiled, codes) = compiled_with("{ type: mtls }", &mut build);
        assert_eq!(compiled.is_some(), codes.is_empty());
        codes
    };
    assert_eq!(said(true, true), Vec::<&str>::new());
    assert_eq!(said(true, false), ["config.no_certificates"]);
    assert_eq!(said(false, true), ["config.mtls_without_certificates"]);
    assert_eq!(said(false, false), ["config.mtls_without_certificates"]);
}

#[test]
fn a_rehearsal_shows_certificates_that_are_known_and_others() {
    let mtls = method("{ type: mtls }");
    assert!(!mtls.is_authorization());
    assert_eq!(mtls.establishes(), Establishes::Consumers);
    let (_, doubles) = rehearsed();
    for identity in ["{ dns: alice.example }", "{ subject: 'CN=bob' }", "{ fingerprint: '%' }"] {
        let yaml = identity.replace('%', &"07".repeat(32));
        let identity: CertificateIdentityConfig =
            from_yaml(&Source::new("identity", yaml.as_str()), &mut Context::for_code()).unwrap();
        let certificates = [identity];
        let consumers = [Known {
            name: "alice",
            roles: &[],
            scopes: &[],
            keys: &[],
            password: None,
            certificates: &certificates,
        }];
        let stage = Stage { consumers: &consumers, ..stage(&doubles, "GET") };
        let person = |name: &str| Person { name: name.into(), ..Person::default() };
        let good = mtls.good(&person("alice"), &stage).unwrap();
        assert!(outcome(&good.certificate.unwrap()).is_ok(), "{yaml}");
        assert!(mtls.good(&person("bob"), &stage).is_err());
        let wrong = mtls.wrong(&person("alice"), &stage);
        assert_eq!(wrong.len(), 2);
        for (attack, credential) in wrong {
            assert_eq!(attack, Attack::Wrong);
            assert!(outcome(&credential.certificate.unwrap()).is_err(), "{yaml}");
        }
    }
}

#[test]
fn a_connection_without_a_certificate_is_another_methods() {
    let (world, check) = (World::default(), check());
    let mut asked = Asked::get(&[]);
    let said = |asked: &Asked| at_once(check.authenticate(&asked.facts(&world), &world).resolve());
    assert!(matches!(said(&asked), Authn::NotMine));
    asked.conn.certificate = Some(Arc::new(shown(&["alice.example"], "CN=x", 3)));
    let Authn::Claim(let_in) = said(&asked) else { panic!("not let in") };
    assert_eq!(let_in.ground.as_ref().unwrap().credential, CredentialName::Digest([3; 32]));
    let upheld =
        |evidence: &Evidence| at_once(check.uphold(evidence, &asked.facts(&world), &world).resolve());
    assert!(matches!(upheld(&let_in), Authn::Claim(_)));
    let mut by_another = let_in;
    by_another.check = CheckId::new("authn.api_key");
    assert!(matches!(upheld(&by_another), Authn::NotMine));
    assert_eq!(check.challenges(None), ["Certificate"]);
    let answers = |kind| check.answers(&SecurityScheme { name: "scheme", kind });
    assert_eq!(answers(SchemeKind::MutualTls), [(MethodId(0), Answers::Certainly)]);
    assert_eq!(answers(SchemeKind::Http("bearer")), []);
}

#[test]
fn a_listing_shows_some_of_the_names() {
    let with = |names: usize| {
        let known = (0..names)
            .map(|name| (Mark::Name(CertificateName::dns(&format!("n{name:02}.example"))), ConsumerId(0)));
        let subject = (Mark::Subject("CN=bob".into()), ConsumerId(1));
        let known = known.chain([subject]).collect();
        Mtls { method: MethodId(0), known: Arc::new(Certificates(known)) }.describe()
    };
    assert_eq!(with(0), "a client certificate");
    assert_eq!(with(1), "a client certificate, known by its name dns:n00.example");
    assert!(with(LISTED_NAMES).ends_with("dns:n09.example"));
    assert!(with(LISTED_NAMES + 2).ends_with("dns:n09.example or 2 others"));
}
