//! What each test of the check stands on: issuers, tokens, and what is said of a request.

mod binding;
mod carriage;
mod check;
mod verdict;

use super::*;
use crate::token::keys::{KeySet, asymmetric};
use crate::token::rules::{Profile, RoleRules};
use crate::token::tests::at_once;
use crate::token::tests::key::{Key, key_set};
use crate::token::tests::request::Asked;
use crate::token::tests::world::{START, World};
use portcullis_core::{ClaimPath, Identity};
use serde_json::{Value, json};
use std::time::Duration;

const ISSUER: &str = "https://issuer.example";
const OTHER: &str = "https://other.example";
const INTROSPECT: &str = "https://issuer.example/introspect";
const KEY: Key = Key { seed: 1, kid: Some("a") };
const JWT: CheckId = CheckId::new("authn.jwt");

fn rules() -> Rules {
    Rules {
        audience: Some(vec!["api".into()]),
        audience_claim: None,
        profile: Profile::Any,
        leeway: Duration::ZERO,
        max_age: None,
        roles: RoleRules::plain(ClaimPath::new(["roles"])),
        scopes: None,
        subject: None,
    }
}

/// An issuer whose keys are given, and which is asked at this URL.
fn issuer(name: &str, keys: &[Key], asked_at: Option<&str>) -> Arc<Issuer> {
    let keys = KeySet::parse(key_set(keys).as_bytes(), &asymmetric()).unwrap();
    let asked_at = asked_at.map(|url| url.parse().unwrap());
    Arc::new(Issuer::double(name.into(), keys, asked_at, "material"))
}

/// That tokens of this issuer are accepted.
fn trust_in(method: u32, issuer: Arc<Issuer>) -> Trust {
    let name = issuer.name().unwrap_or_default();
    Trust {
        method: MethodId(method),
        id: JWT,
        issuer,
        rules: rules(),
        introspector: None,
        asks_signed: false,
        binding_required: false,
        nonces: None,
        metadata_url: None,
        resource: None,
        schemes: TokenSchemes::default(),
        place: CredentialLocation::Header(header::AUTHORIZATION),
        forward: false,
        summary: format!("a token signed by {name}"),
    }
}

/// That signed tokens of the issuer are accepted.
fn trust() -> Trust {
    trust_in(1, issuer(ISSUER, &[KEY], None))
}

fn bearer(trusts: Vec<Trust>) -> Bearer {
    let place = trusts.first().unwrap().place.clone();
    Bearer::new(place, trusts, Arc::new(TokenCache::new(100)), 4096)
}

fn claims(more: &Value) -> Value {
    let mut claims = json!({ "iss": ISSUER, "sub": "alice", "aud": "api", "exp": START + 600 });
    claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    claims
}

/// A token of the issuer with these claims beside its own.
fn token_with(more: &Value) -> String {
    KEY.sign(&json!({}), &claims(more))
}

fn good_token() -> String {
    token_with(&json!({}))
}

fn with_field(value: &str) -> Asked {
    Asked::get(&[("authorization", value)])
}

/// A request with this token.
fn with_token(token: &str) -> Asked {
    with_field(&format!("Bearer {token}"))
}

fn authenticate(check: &Bearer, asked: &Asked, world: &World) -> Authn {
    let facts = asked.facts(world);
    at_once(check.authenticate(&facts, world).resolve())
}

/// By which method somebody is let in, and who it is; `None` where the request has no token.
type Said = Result<Option<(u32, String)>, Code>;

fn said(authn: Authn) -> Said {
    match authn {
        Authn::Claim(evidence) | Authn::ClaimAndTell(evidence, _) => match evidence.identity() {
            Identity::Subject(subject) => Ok(Some((evidence.method.0, subject.name.clone()))),
            other @ (Identity::Anonymous | Identity::Consumer(_) | Identity::Stored(_)) => {
                panic!("{other:?}")
            }
        },
        Authn::Deny(denial) => Err(denial.code()),
        Authn::NotMine => Ok(None),
    }
}

fn says(check: &Bearer, asked: &Asked, world: &World) -> Said {
    said(authenticate(check, asked, world))
}

fn alice(method: u32) -> Said {
    Ok(Some((method, "alice".to_owned())))
}

fn evidence(authn: Authn) -> Evidence {
    match authn {
        Authn::Claim(evidence) => evidence,
        Authn::ClaimAndTell(..) | Authn::NotMine => panic!("no plain claim"),
        Authn::Deny(denial) => panic!("{denial:?}"),
    }
}
