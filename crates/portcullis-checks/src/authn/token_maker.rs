//! The tokens of a rehearsal: good ones, and every way in which one can be wrong.
//!
//! They are made as the issuer would make them whose double signs here: with its claims for roles and scopes, for the route's
//! audience, by an algorithm that the route takes. Each wrong one differs from a good one in one thing.

use super::openid_connect::browser;
use super::token_config::{ProfileConfig, TokenConfig};
use crate::claim_path::ClaimPathConfig;
use crate::rehearsal::{Attack, Credential, Person, Signer, Stage, Wrong, base64url, place_claim};
use crate::token::algorithm::Algorithm;
use crate::token::{cache, dpop::Nonces, keys};
use portcullis_core::ClaimPath;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// How long its tokens are good.
const LIFETIME: u64 = 300;
/// Who signs for others.
const FOREIGNER: &str = "https://another-issuer.invalid";
/// Who holds the key to which tokens are bound.
const HOLDER: &str = "the holder of a key";

/// Who makes the tokens of a method.
pub(super) struct Maker<'a> {
    /// By what its double is found.
    pub(super) of: String,
    /// What its tokens have as `iss`.
    pub(super) issuer: String,
    /// What is asked of them.
    pub(super) token: &'a TokenConfig,
    /// Whether they are signed with a secret that the gateway has.
    pub(super) shared: bool,
    /// Whether tokens for clients are refused even if no profile says so.
    pub(super) access_only: bool,
    /// Whether opaque ones are taken as well.
    pub(super) opaque: bool,
}

/// One token, before it is signed.
struct Draft {
    header: Value,
    claims: Map<String, Value>,
}

impl Draft {
    fn with(&self, name: &str, value: Value) -> Draft {
        let mut claims = self.claims.clone();
        claims.insert(name.to_owned(), value);
        Draft { header: self.header.clone(), claims }
    }

    fn typed(&self, typ: &Value) -> Draft {
        Draft { header: json!({ "typ": typ }), claims: self.claims.clone() }
    }
}

impl Maker<'_> {
    fn algorithms(&self) -> Vec<Algorithm> {
        match &self.token.algorithms {
            Some(names) => names.value.iter().filter_map(|name| Algorithm::named(name)).collect(),
            None if self.shared => vec![Algorithm::Hs256],
            None => keys::asymmetric(),
        }
    }

    /// A credential with this token.
    fn bearer(&self, token: &str) -> Credential {
        self.token.shown(token)
    }

    /// A good token in a cookie, with a request that another site's page sent.
    fn of_another_site(&self, good: &Draft, stage: &Stage<'_>) -> Option<Wrong> {
        let method = http::Method::from_bytes(stage.method.as_bytes()).ok()?;
        if self.token.cookie.is_none() || !browser::needs_origin(&method, false) {
            return None;
        }
        let mut shown = self.shown(good, stage)?;
        shown.headers = vec![("sec-fetch-site".to_owned(), "cross-site".to_owned())];
        Some((Attack::CrossSite, shown))
    }

    fn bound(&self) -> bool {
        self.token.dpop.as_ref().is_some_and(|dpop| dpop.required)
    }

    fn leeway(&self) -> u64 {
        self.token.leeway.value.as_secs()
    }

    fn draft(&self, person: &Person, stage: &Stage<'_>) -> Draft {
        let now = stage.now.as_secs();
        let mut claims = Map::new();
        for (path, value) in &person.claims {
            place_claim(&mut claims, &names(path), value.clone());
        }
        let prefix = self.token.prefix();
        let roles: Vec<&str> =
            person.roles.iter().filter_map(|role| role.strip_prefix(prefix.as_str())).collect();
        let roles = match &self.token.roles_separator {
            Some(separator) => json!(roles.join(&separator.value)),
            None => json!(roles),
        };
        place_claim(&mut claims, self.token.roles_claim.value.0.names(), roles);
        let scopes = self
            .token
            .scopes_claim
            .as_ref()
            .map_or_else(|| ClaimPathConfig::named("scope"), |path| path.value.clone());
        place_claim(&mut claims, scopes.0.names(), json!(person.scopes.join(" ")));
        let set = [
            ("iss", json!(self.issuer)),
            ("sub", json!(person.name)),
            ("iat", json!(now)),
            ("exp", json!(now + LIFETIME)),
            ("jti", json!(stage.doubles.nobodys(&format!("jti {}", person.name)))),
            ("client_id", json!("rehearsal")),
        ];
        claims.extend(set.map(|(name, value)| (name.to_owned(), value)));
        if let Some(path) = &self.token.subject_claim {
            place_claim(&mut claims, path.value.0.names(), json!(person.name));
        }
        if let Some(audience) = self.token.audience.as_ref().and_then(|audience| audience.value.0.first()) {
            claims.insert("aud".to_owned(), json!(audience));
        }
        Draft { header: json!({}), claims }
    }

    fn signer(&self, stage: &Stage<'_>) -> Option<Arc<Signer>> {
        stage.doubles.signer(&self.of)
    }

    fn sign(&self, draft: &Draft, stage: &Stage<'_>) -> Option<String> {
        let algorithm = Signer::algorithm_of(&self.algorithms())?;
        self.signer(stage)?.sign(algorithm, &draft.header, &Value::Object(draft.claims.clone()))
    }

    /// A credential with this token, and with a proof where tokens must be bound.
    fn shown(&self, draft: &Draft, stage: &Stage<'_>) -> Option<Credential> {
        if !self.bound() {
            return Some(self.bearer(&self.sign(draft, stage)?));
        }
        let holder = stage.doubles.signer(HOLDER)?;
        let bound = draft.with("cnf", json!({ "jkt": holder.thumbprint(Algorithm::Es256)? }));
        let token = self.sign(&bound, stage)?;
        let proof = self.proof(&holder, &token, stage)?;
        Some(
            Credential::header("authorization", format!("DPoP {token}"))
                .and(Credential::header("dpop", proof)),
        )
    }

    fn proof(&self, holder: &Signer, token: &str, stage: &Stage<'_>) -> Option<String> {
        let key = Value::Object(holder.public_key(Algorithm::Es256)?);
        let header = json!({ "typ": "dpop+jwt", "jwk": key, "kid": null });
        let url = match &self.token.resource {
            None => stage.url.clone(),
            Some(resource) => {
                let resource = resource.value.parse::<http::Uri>().ok()?;
                let path = stage.url.parse::<http::Uri>().ok()?.path().to_owned();
                format!("{}://{}{path}", resource.scheme_str()?, resource.authority()?)
            }
        };
        let mut random = [0; 16];
        aws_lc_rs::rand::fill(&mut random).ok()?;
        let mut claims = json!({
            "htm": stage.method, "htu": url, "iat": stage.now.as_secs(), "jti": base64url(random),
            "ath": base64url(cache::digest(token)),
        });
        let secret = self.token.dpop.as_ref().and_then(|dpop| dpop.nonce_secret.as_ref());
        if let (Some(secret), Some(claims)) = (secret, claims.as_object_mut()) {
            let nonce = Nonces::new(secret.value.expose().as_bytes()).current(stage.now);
            claims.insert("nonce".to_owned(), json!(nonce));
        }
        holder.sign(Algorithm::Es256, &header, &claims)
    }

    pub(super) fn good(&self, person: &Person, stage: &Stage<'_>) -> Result<Credential, String> {
        let dpop = self.token.dpop.as_ref();
        if dpop.is_some_and(|dpop| dpop.required && dpop.nonce && dpop.nonce_secret.is_none()) {
            return Err(
                "a proof needs a nonce of a running gateway; with `nonce_secret` it can be made here"
                    .to_owned(),
            );
        }
        let made = self.shown(&self.draft(person, stage), stage);
        made.ok_or_else(|| "no token can be made for these algorithms".to_owned())
    }

    pub(super) fn wrong(&self, person: &Person, stage: &Stage<'_>) -> Vec<Wrong> {
        let draft = self.draft(person, stage);
        let mut wrong = Vec::new();
        for (attack, draft) in self.wrong_claims(&draft, stage) {
            wrong.extend(self.shown(&draft, stage).map(|credential| (attack, credential)));
            if self.opaque {
                wrong.extend(self.shown_opaque(&draft, stage).map(|credential| (attack, credential)));
            }
        }
        wrong.extend(self.wrong_signatures(&draft, stage));
        wrong.extend(self.unbound(&draft, stage));
        wrong.extend(self.of_another_site(&draft, stage));
        wrong.extend([
            (Attack::Wrong, self.bearer("not-a-token")),
            (Attack::Wrong, self.bearer(&format!("opaque-{}", stage.doubles.nobodys("token")))),
        ]);
        wrong
    }

    /// An opaque token of which its server says the same.
    fn shown_opaque(&self, draft: &Draft, stage: &Stage<'_>) -> Option<Credential> {
        // `null` is absent, and a server need not say when a token ends: RFC 7662, section 2.2.
        let endless = draft.claims.get("exp").is_some_and(Value::is_null);
        if self.bound() || draft.header.get("typ").is_some() || endless {
            return None;
        }
        let mut claims = draft.with("active", json!(true)).claims;
        claims.entry("token_type").or_insert_with(|| json!("Bearer"));
        Some(self.bearer(&stage.doubles.opaque(&claims)))
    }

    fn wrong_claims(&self, good: &Draft, stage: &Stage<'_>) -> Vec<(Attack, Draft)> {
        let (now, leeway) = (stage.now.as_secs(), self.leeway());
        let mut wrong = vec![
            (Attack::Expired, good.with("exp", json!(now.saturating_sub(leeway)))),
            (Attack::Expired, good.with("exp", json!(now.saturating_sub(leeway + 86_400)))),
            (Attack::Expired, good.with("exp", Value::Null)),
            (Attack::NotYetValid, good.with("nbf", json!(now + leeway + 1))),
            (Attack::AnotherIssuer, good.with("iss", json!(FOREIGNER))),
            (Attack::AnotherIssuer, good.with("iss", json!(format!("{}/", self.issuer)))),
            (Attack::WrongPurpose, good.typed(&json!("dpop+jwt"))),
        ];
        if self.token.audience.is_some() {
            wrong.push((Attack::WrongAudience, good.with("aud", json!("another-api"))));
            wrong.push((Attack::WrongAudience, good.with("aud", json!(["another-api"]))));
            let mut without = good.with("aud", Value::Null);
            without.claims.remove("aud");
            wrong.push((Attack::WrongAudience, without));
        }
        if let Some(max_age) = self.token.max_age {
            let issued = now.saturating_sub(max_age.as_secs() + leeway);
            wrong.push((Attack::TooOld, good.with("iat", json!(issued))));
        }
        if self.token.profile == ProfileConfig::AccessToken {
            wrong.push((Attack::WrongPurpose, good.typed(&Value::Null)));
            wrong.push((Attack::WrongPurpose, good.typed(&json!("jwt"))));
        }
        if self.access_only || self.token.profile == ProfileConfig::AccessToken {
            wrong.push((Attack::WrongPurpose, good.with("at_hash", json!("Zm9yIGEgY2xpZW50"))));
            wrong.push((Attack::WrongPurpose, good.with("token_use", json!("id"))));
            wrong.push((Attack::WrongPurpose, good.with("token_type", json!("refresh"))));
        }
        let most = usize::try_from(self.token.max_token_size.0).unwrap_or(usize::MAX);
        // A longer head is refused as such.
        if most < 7000 {
            wrong.push((Attack::Oversize, good.with("padding", json!("x".repeat(most)))));
        }
        wrong
    }

    fn wrong_signatures(&self, good: &Draft, stage: &Stage<'_>) -> Vec<Wrong> {
        let claims = Value::Object(good.claims.clone());
        let mut tokens = vec![(Attack::AlgorithmNone, Some(Signer::unsigned(&claims)))];
        let algorithms = self.algorithms();
        let chosen = Signer::algorithm_of(&algorithms);
        if let (Some(algorithm), Some(signer)) = (chosen, self.signer(stage)) {
            let foreigner = stage.doubles.signer(FOREIGNER);
            let forged =
                foreigner.as_ref().and_then(|foreigner| foreigner.sign(algorithm, &good.header, &claims));
            tokens.push((Attack::ForeignSignature, forged));
            // Known to nobody, with a name of a key that nobody has.
            let named = foreigner
                .and_then(|foreigner| foreigner.sign(algorithm, &json!({ "kid": "nobodys" }), &claims));
            // A lone secret has no name, so the name says nothing there.
            tokens.push((Attack::ForeignSignature, named));
            tokens.push((Attack::AlgorithmSwapped, signer.swapped(algorithm, &claims)));
            let other = [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Hs512]
                .into_iter()
                .find(|other| !algorithms.contains(other) && (self.shared || *other != Algorithm::Hs512));
            let signed = other.and_then(|other| signer.sign(other, &good.header, &claims));
            tokens.push((Attack::AnotherAlgorithm, signed));
        }
        let shown = |(attack, token): (Attack, Option<String>)| Some((attack, self.bearer(&token?)));
        tokens.into_iter().filter_map(shown).collect()
    }

    /// Tokens that are not bound although they must be, and bound ones without their proof.
    fn unbound(&self, good: &Draft, stage: &Stage<'_>) -> Vec<Wrong> {
        let Some(holder) = stage.doubles.signer(HOLDER) else { return Vec::new() };
        let Some(thumbprint) = holder.thumbprint(Algorithm::Es256) else { return Vec::new() };
        let bound = good.with("cnf", json!({ "jkt": thumbprint }));
        let mut tokens = vec![self.sign(&bound, stage)];
        if self.bound() {
            tokens.push(self.sign(good, stage));
        }
        tokens.into_iter().flatten().map(|token| (Attack::NoProof, self.bearer(&token))).collect()
    }
}

/// The members on the way to a claim.
fn names(path: &str) -> Vec<String> {
    ClaimPath::parse(path).map_or_else(|| vec![path.to_owned()], |path| path.names().to_vec())
}

#[cfg(test)]
mod tests;
