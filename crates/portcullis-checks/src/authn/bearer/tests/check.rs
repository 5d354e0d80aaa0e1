use super::*;
use portcullis_core::SchemeKind;

/// What is said of somebody who was let in before.
fn upheld(check: &Bearer, evidence: &Evidence, world: &World) -> Said {
    let asked = Asked::get(&[]);
    let facts = asked.facts(world);
    said(at_once(check.uphold(evidence, &facts, world).resolve()))
}

/// Whether the answer is there at once, without a signature being verified or anybody being asked.
fn is_at_once(check: &Bearer, asked: &Asked, world: &World) -> bool {
    let facts = asked.facts(world);
    matches!(check.authenticate(&facts, world), Step::Ready(Authn::Claim(_)))
}

/// The check for tokens in this place.
fn at_place(place: CredentialLocation) -> Bearer {
    bearer(vec![Trust { place, ..trust() }])
}

#[test]
fn a_token_is_verified_once_and_then_remembered() {
    let (world, check) = (World::default(), bearer(vec![trust()]));
    let asked = with_token(&good_token());
    assert!(!is_at_once(&check, &asked, &world));
    assert_eq!(says(&check, &asked, &world), alice(1));
    assert!(is_at_once(&check, &asked, &world));
    assert_eq!(says(&check, &asked, &world), alice(1));
    world.pass_seconds(599);
    assert!(is_at_once(&check, &asked, &world));
    world.pass_seconds(1);
    assert_eq!(says(&check, &asked, &world), Err(Code::CredentialExpired));
}

#[test]
fn a_token_of_strange_characters_is_not_even_looked_at() {
    let (world, check) = (World::default(), bearer(vec![trust()]));
    let detail = |token: &str| match authenticate(&check, &with_token(token), &world) {
        Authn::Deny(denial) => (denial.code(), denial.detail().to_owned()),
        Authn::Claim(_) | Authn::ClaimAndTell(..) | Authn::NotMine => panic!("{token}"),
    };
    let strange = "the token has characters that no token has".to_owned();
    assert_eq!(detail("a,b"), (Code::TokenMalformed, strange));
    let opaque = "it is not a signed token, and nobody can be asked about it".to_owned();
    assert_eq!(detail("a-b"), (Code::TokenMalformed, opaque));
}

#[test]
fn somebody_stays_let_in_while_the_rules_are_the_same() {
    let (world, check) = (World::default(), bearer(vec![trust()]));
    let let_in = evidence(authenticate(&check, &with_token(&good_token()), &world));
    assert_eq!(upheld(&check, &let_in, &world), alice(1));
    // The next plan has the same rules under another number, and remembers nothing yet.
    let renumbered = bearer(vec![Trust { method: MethodId(7), ..trust() }]);
    assert_eq!(upheld(&renumbered, &let_in, &world), alice(7));
    let among_others =
        bearer(vec![trust_in(3, issuer(OTHER, &[KEY], None)), Trust { method: MethodId(8), ..trust() }]);
    assert_eq!(upheld(&among_others, &let_in, &world), alice(8));
    let changes: [fn(&mut Trust); 4] = [
        |trust| trust.rules.audience = Some(vec!["other".into()]),
        |trust| trust.binding_required = true,
        |trust| trust.asks_signed = true,
        |trust| trust.issuer = issuer(OTHER, &[KEY], None),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let mut changed = trust();
        change(&mut changed);
        assert_eq!(upheld(&bearer(vec![changed]), &let_in, &world), Err(Code::TokenIssuer), "{number}");
    }
    let mut by_other_rules = let_in.clone();
    by_other_rules.ground.as_mut().unwrap().rules += 1;
    assert_eq!(upheld(&check, &by_other_rules, &world), Err(Code::TokenIssuer));
    let mut by_nothing = let_in.clone();
    by_nothing.ground = None;
    assert_eq!(upheld(&check, &by_nothing, &world), Err(Code::TokenIssuer));
    // What another check let in is its own matter.
    let mut by_another = let_in;
    by_another.check = CheckId::new("authn.api_key");
    assert_eq!(upheld(&check, &by_another, &world), Ok(None));
}

#[test]
fn a_token_that_its_issuer_was_asked_about_is_asked_about_again() {
    let world = World::default();
    let check = bearer(vec![verdict::asking_trust(1, ISSUER, INTROSPECT)]);
    let active = r#"{"active":true,"token_type":"Bearer","sub":"alice","aud":"api"}"#;
    world.publish(INTROSPECT, active);
    let let_in = evidence(authenticate(&check, &with_token("opaque"), &world));
    assert!(let_in.fingerprint.is_some(), "whoever tries tokens could hit it");
    assert_eq!(world.asked().len(), 1);
    assert_eq!(upheld(&check, &let_in, &world), alice(1));
    assert!(world.asked().is_empty(), "the answer still counts");
    world.pass_seconds(60);
    assert_eq!(upheld(&check, &let_in, &world), alice(1));
    assert_eq!(world.asked().len(), 1);
    world.publish(INTROSPECT, r#"{"active":false}"#);
    world.pass_seconds(60);
    assert_eq!(upheld(&check, &let_in, &world), Err(Code::TokenInactive));
}

#[test]
fn a_signature_cannot_be_guessed() {
    let (world, check) = (World::default(), bearer(vec![trust()]));
    let let_in = evidence(authenticate(&check, &with_token(&good_token()), &world));
    assert_eq!(let_in.fingerprint, None);
    let ground = let_in.ground.unwrap();
    assert_eq!(ground.until, Some(Duration::from_secs(START + 600)));
    assert_eq!(ground.credential, CredentialName::Digest(cache::digest(&good_token())));
}

#[test]
fn a_client_is_told_what_to_send() {
    let algorithms = dpop::ALGORITHMS;
    let url = "https://api.example/.well-known/oauth-protected-resource";
    let with = |change: fn(&mut Trust)| {
        let mut changed = trust();
        change(&mut changed);
        bearer(vec![changed])
    };
    let plain = bearer(vec![trust()]);
    let bound = with(|trust| trust.binding_required = true);
    let nonces = with(|trust| trust.nonces = Some(Nonces::new(b"secret")));
    let known = with(|trust| {
        trust.metadata_url = Some("https://api.example/.well-known/oauth-protected-resource".into())
    });
    let mixed = bearer(vec![Trust { binding_required: true, ..trust() }, trust()]);
    let proofs = |error: &str| vec![format!("DPoP algs=\"{algorithms}\"{error}")];
    let both = |error: &str, more: &str| [vec![format!("Bearer{error}")], proofs(more)].concat();
    let one = |text: &str| vec![text.to_owned()];
    for (check, code, expected) in [
        (&plain, None, one("Bearer")),
        (&plain, Some(Code::CredentialMissing), one("Bearer")),
        (&plain, Some(Code::TokenSignature), one("Bearer error=\"invalid_token\"")),
        (&plain, Some(Code::ProofInvalid), proofs(", error=\"invalid_dpop_proof\"")),
        (&plain, Some(Code::ProofReplayed), proofs(", error=\"invalid_dpop_proof\"")),
        (&plain, Some(Code::ProofNonce), proofs(", error=\"use_dpop_nonce\"")),
        (&bound, None, proofs("")),
        (&bound, Some(Code::TokenBinding), proofs(", error=\"invalid_token\"")),
        (&nonces, None, both("", "")),
        (&nonces, Some(Code::TokenBinding), both(" error=\"invalid_token\"", ", error=\"invalid_token\"")),
        (&nonces, Some(Code::ProofNonce), proofs(", error=\"use_dpop_nonce\"")),
        (&mixed, None, both("", "")),
        (&known, None, one(&format!("Bearer resource_metadata=\"{url}\""))),
        (
            &known,
            Some(Code::CredentialExpired),
            one(&format!("Bearer error=\"invalid_token\", resource_metadata=\"{url}\"")),
        ),
    ] {
        let refused = code.map(|code| Denial::new(code, "no"));
        assert_eq!(check.challenges(refused.as_ref()), expected, "{code:?}");
    }
}

#[test]
fn a_check_knows_where_its_token_stands() {
    let authorization = CredentialLocation::Header(header::AUTHORIZATION);
    let named = CredentialLocation::Header(http::HeaderName::from_static("x-token"));
    let (query, cookie) = (CredentialLocation::Query("t".into()), CredentialLocation::Cookie("c".into()));
    let proof = CredentialLocation::Header(dpop::FIELD);
    let whose = format!("a token signed by {ISSUER}");
    for (place, is_bearer, credentials, described) in [
        (&authorization, true, vec![authorization.clone(), proof], whose.clone()),
        (&named, false, vec![named.clone()], format!("{whose}, in the header field x-token")),
        (&query, false, vec![query.clone()], format!("{whose}, in the query parameter t")),
        (&cookie, false, vec![cookie.clone()], format!("{whose}, in the cookie c")),
    ] {
        let check = at_place(place.clone());
        assert_eq!(check.is_bearer(), is_bearer, "{place:?}");
        assert_eq!(check.credentials(), credentials, "{place:?}");
        assert_eq!(check.describe(), described);
        assert_eq!(check.forwarded(), []);
        let forwarding = bearer(vec![
            Trust { place: place.clone(), ..trust_in(3, issuer(OTHER, &[KEY], None)) },
            Trust { place: place.clone(), forward: true, ..trust() },
        ]);
        let forwarded: Vec<_> = credentials.into_iter().map(|location| (MethodId(1), location)).collect();
        assert_eq!(forwarding.forwarded(), forwarded);
        assert_eq!(forwarding.id(), JWT);
    }
    let two = bearer(vec![trust(), trust_in(2, issuer(OTHER, &[KEY], None))]);
    assert_eq!(two.describe(), format!("{whose}, or a token signed by {OTHER}"));
}

#[test]
fn the_token_that_was_accepted_is_the_one_that_is_given_on() {
    let (world, check) = (World::default(), bearer(vec![trust()]));
    let (asked, other) = (with_token(&good_token()), with_token(&token_with(&json!({ "n": 1 }))));
    let let_in = evidence(authenticate(&check, &asked, &world));
    let given = |check: &Bearer, evidence: &Evidence, asked: &Asked| {
        check.token(evidence, &asked.facts(&world)).map(|token| token.to_string())
    };
    assert_eq!(given(&check, &let_in, &asked), Some(good_token()));
    assert_eq!(given(&check, &let_in, &other), None, "it is not the one");
    assert_eq!(given(&check, &let_in, &Asked::get(&[])), None);
    let elsewhere = bearer(vec![Trust { method: MethodId(2), ..trust() }]);
    assert_eq!(given(&elsewhere, &let_in, &asked), None, "another method let it in");
    let mut by_name = let_in;
    by_name.ground.as_mut().unwrap().credential = CredentialName::Text("alice".into());
    assert_eq!(given(&check, &by_name, &asked), None);
}

#[test]
fn each_issuer_answers_for_its_own_schemes() {
    let with_issuer = |method: u32, name: &str| {
        let mut trust = trust_in(method, issuer(name, &[KEY], None));
        trust.schemes.issuer = Some(name.into());
        trust
    };
    let check = bearer(vec![with_issuer(1, ISSUER), with_issuer(2, OTHER)]);
    let answers = |kind| check.answers(&SecurityScheme { name: "scheme", kind });
    assert_eq!(
        answers(SchemeKind::OpenIdConnect(OTHER)),
        [(MethodId(1), Answers::Foreign), (MethodId(2), Answers::Certainly)]
    );
    assert_eq!(answers(SchemeKind::MutualTls), []);
}

#[test]
fn everything_that_verdicts_depend_on_is_among_the_settings() {
    let base = || verdict::asking_trust(1, ISSUER, INTROSPECT);
    let changes: [fn(&mut Trust); 4] = [
        |trust| trust.rules.leeway = Duration::from_secs(1),
        |trust| trust.asks_signed = true,
        |trust| trust.introspector = None,
        |trust| trust.issuer = issuer(OTHER, &[KEY], None),
    ];
    let mut all = vec![base().settings()];
    for change in changes {
        let mut changed = base();
        change(&mut changed);
        all.push(changed.settings());
    }
    for (index, one) in all.iter().enumerate() {
        assert!(all.iter().skip(index + 1).all(|other| other != one), "{one}");
        assert!(!one.contains("a-secret"), "{one}");
    }
}
