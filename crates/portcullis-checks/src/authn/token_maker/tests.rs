use super::*;
use crate::authn::declared::{asked, bearer, method, rehearsed, stage};
use crate::authn::method::MethodConfig;
use crate::token::jws;
use crate::token::tests::at_once;
use crate::token::tests::world::{START, World};
use portcullis_core::{Authenticate, Authn};
use std::collections::BTreeMap;

const JWT: &str = "type: jwt, issuer: 'https://issuer.example', audience: api";
const SECRET: &str = ", secret: 0123456789abcdef0123456789abcdef";
const OAUTH2: &str = "type: OAuth2, issuer: 'https://issuer.example', client_id: gate, client_secret: s3cret-of-the-gate, audience: api, introspection_url: 'https://issuer.example/introspect'";

/// A method in a rehearsal.
struct Rehearsed {
    method: MethodConfig,
    check: super::super::bearer::Bearer,
    doubles: Arc<crate::rehearsal::Doubles>,
    world: World,
}

impl Rehearsed {
    fn new(keys: &str) -> Rehearsed {
        let (mut build, doubles) = rehearsed();
        let method = method(&format!("{{ {keys} }}"));
        let check = bearer(&method, &mut build);
        let world = World::rehearsed(&doubles);
        Rehearsed { method, check, doubles, world }
    }

    /// What a request with this credential is taken for.
    fn says(&self, verb: &str, credential: &Credential) -> Result<bool, portcullis_core::Code> {
        let asked = asked(verb, credential);
        let facts = asked.facts(&self.world);
        match at_once(self.check.authenticate(&facts, &self.world).resolve()) {
            Authn::Claim(_) | Authn::ClaimAndTell(..) => Ok(true),
            Authn::NotMine => Ok(false),
            Authn::Deny(denial) => Err(denial.code()),
        }
    }

    fn good(&self, person: &Person, verb: &str) -> Result<Credential, String> {
        self.method.good(person, &stage(&self.doubles, verb))
    }

    fn wrong(&self, verb: &str) -> Vec<Wrong> {
        self.method.wrong(&alice(), &stage(&self.doubles, verb))
    }

    /// How often each attack is tried. Each try is refused, and a good credential is not.
    fn tries(&self, verb: &str) -> BTreeMap<&'static str, usize> {
        let good = self.good(&alice(), verb).unwrap();
        assert_eq!(self.says(verb, &good), Ok(true), "{good:?}");
        let mut tries = BTreeMap::new();
        for (attack, credential) in self.wrong(verb) {
            assert!(self.says(verb, &credential).is_err(), "{attack}: {credential:?}");
            *tries.entry(attack.as_str()).or_default() += 1;
        }
        tries
    }
}

fn alice() -> Person {
    let claims = [("tenant.id", json!("blue")), ("odd..path", json!(1))];
    Person {
        name: "alice".into(),
        roles: vec!["user".into(), "admin".into()],
        scopes: vec!["read".into(), "write".into()],
        claims: claims.into_iter().map(|(path, value)| (path.to_owned(), value)).collect(),
    }
}

/// How often each attack on tokens of an issuer with public keys is tried if nothing more is said.
fn usual() -> BTreeMap<&'static str, usize> {
    BTreeMap::from([
        ("expired", 3),
        ("not yet valid", 1),
        ("another issuer", 2),
        ("wrong purpose", 1),
        ("wrong audience", 3),
        ("algorithm none", 1),
        ("foreign signature", 2),
        ("algorithm swapped", 1),
        ("no proof", 1),
        ("wrong credential", 2),
    ])
}

/// The claims of the token of a credential.
fn claims_of(credential: &Credential) -> Value {
    let token = credential.headers.iter().find(|(name, _)| name == "authorization").unwrap().1.clone();
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&jws::decode(payload).unwrap()).unwrap()
}

#[test]
fn every_wrong_token_is_refused_and_the_good_one_is_not() {
    let with = |more: &[(&'static str, usize)]| {
        let mut all = usual();
        for (attack, count) in more {
            all.insert(attack, *count);
        }
        all.retain(|_, count| *count > 0);
        all
    };
    for (keys, verb, expected) in [
        (JWT.to_owned(), "GET", usual()),
        (format!("{JWT}, leeway: 0s"), "GET", usual()),
        (format!("{JWT}, leeway: 5m"), "GET", usual()),
        (
            JWT.replace("audience: api", "insecure_any_audience: 'a test'"),
            "GET",
            with(&[("wrong audience", 0)]),
        ),
        (format!("{JWT}, max_age: 60s"), "GET", with(&[("too old", 1)])),
        (format!("{JWT}, profile: access_token"), "GET", with(&[("wrong purpose", 6)])),
        (format!("{JWT}, algorithms: [ES256]"), "GET", with(&[("another algorithm", 1)])),
        (format!("{JWT}, algorithms: [EdDSA]"), "GET", with(&[("another algorithm", 1)])),
        (format!("{JWT}, algorithms: [ES256, EdDSA]"), "GET", usual()),
        (
            format!("{JWT}{SECRET}"),
            "GET",
            with(&[("another algorithm", 1), ("algorithm swapped", 0), ("foreign signature", 2)]),
        ),
        (format!("{JWT}, max_token_size: 6999"), "GET", with(&[("oversize", 1)])),
        (format!("{JWT}, max_token_size: 7000"), "GET", usual()),
        (format!("{JWT}, header: x-token"), "GET", usual()),
        (format!("{JWT}, query: token"), "GET", usual()),
        (format!("{JWT}, cookie: token"), "GET", usual()),
        (format!("{JWT}, cookie: token"), "POST", with(&[("another site", 1)])),
        (JWT.to_owned(), "POST", usual()),
        (format!("{JWT}, dpop: {{ required: true }}"), "GET", with(&[("no proof", 2)])),
        (
            format!("{JWT}, dpop: {{ required: true }}, resource: 'https://public.example/api'"),
            "GET",
            with(&[("no proof", 2)]),
        ),
        (
            OAUTH2.to_owned(),
            "GET",
            with(&[
                ("expired", 5),
                ("not yet valid", 2),
                ("another issuer", 4),
                ("wrong purpose", 7),
                ("wrong audience", 6),
            ]),
        ),
    ] {
        assert_eq!(Rehearsed::new(&keys).tries(verb), expected, "{keys} {verb}");
    }
}

#[test]
fn a_proof_has_a_nonce_where_one_can_be_made() {
    let good = |dpop: &str| {
        let rehearsed = Rehearsed::new(&format!("{JWT}, dpop: {{ {dpop} }}"));
        rehearsed.good(&alice(), "GET").map(|credential| rehearsed.says("GET", &credential))
    };
    let secret = "nonce_secret: 0123456789abcdef0123456789abcdef";
    assert_eq!(good("required: true"), Ok(Ok(true)));
    assert_eq!(good("nonce: true"), Ok(Ok(true)), "a token that is not bound needs no proof");
    assert_eq!(good(&format!("required: true, nonce: true, {secret}")), Ok(Ok(true)));
    assert!(good("required: true, nonce: true").is_err());
}

#[test]
fn a_token_says_of_somebody_what_is_asked() {
    let claims = |more: &str| {
        let rehearsed = Rehearsed::new(&format!("{JWT}{more}"));
        claims_of(&rehearsed.good(&alice(), "GET").unwrap())
    };
    let usual = claims("");
    for (name, expected) in [
        ("iss", json!("https://issuer.example")),
        ("sub", json!("alice")),
        ("aud", json!("api")),
        ("iat", json!(START)),
        ("exp", json!(START + LIFETIME)),
        ("roles", json!(["user", "admin"])),
        ("scope", json!("read write")),
        ("tenant", json!({ "id": "blue" })),
        ("odd..path", json!(1)),
    ] {
        assert_eq!(usual[name], expected, "{name}");
    }
    assert_eq!(
        claims(", roles_claim: realm.roles, roles_separator: ','")["realm"]["roles"],
        json!("user,admin")
    );
    assert_eq!(
        claims(", roles_prefix: ad")["roles"],
        json!(["min"]),
        "those of other issuers are not its own"
    );
    assert_eq!(claims(", scopes_claim: perms")["perms"], json!("read write"));
    assert_eq!(claims(", subject_claim: oid")["oid"], json!("alice"));
}

#[test]
fn a_token_is_too_old_at_the_very_second() {
    let rehearsed = Rehearsed::new(&format!("{JWT}, max_age: 60s, leeway: 30s"));
    let wrong = rehearsed.wrong("GET");
    let issued: Vec<_> = wrong
        .iter()
        .filter(|(attack, _)| *attack == Attack::TooOld)
        .map(|(_, credential)| claims_of(credential)["iat"].clone())
        .collect();
    assert_eq!(issued, [json!(START - 90)]);
}

#[test]
fn a_tenants_tokens_are_those_of_the_first() {
    let rehearsed = Rehearsed::new(
        "type: jwt, issuer: 'https://login.example/{tenant}/v2.0', tenants: [one, two], audience: api",
    );
    let good = rehearsed.good(&alice(), "GET").unwrap();
    assert_eq!(claims_of(&good)["iss"], json!("https://login.example/one/v2.0"));
    assert_eq!(rehearsed.says("GET", &good), Ok(true));
}
