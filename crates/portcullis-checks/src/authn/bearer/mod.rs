//! Whose access token it is: RFC 6750, and RFC 9449 for tokens that are bound to a key.
//!
//! All methods of a route that take a token from one place are one check: it finds
//! the issuer that the token names, and asks that one's rules. A signed token is verified with the issuer's keys, another
//! one by asking the issuer. A token that is repeated, malformed, forged, expired, for somebody else, or bound to somebody
//! else is a denial; only a request without a token lets the next method be asked. If keys or an answer cannot be had, the
//! request is refused as by a fault.
//!
//! | file         | decides                                                              |
//! |--------------|----------------------------------------------------------------------|
//! | [`carriage`]   | where a request's token stands, and how it is sent                   |
//! | [`verdict`]    | whether an issuer accepts it, and what several verdicts come to      |
//! | [`binding`]    | whether its sender may have it                                       |

mod binding;
mod carriage;
mod verdict;

use super::rules_of;
use super::token_schemes::TokenSchemes;
use crate::token::cache::{self, TokenCache, TokenDigest, Verified};
use crate::token::dpop::{self, Nonces};
use crate::token::introspection::Introspector;
use crate::token::issuer::Issuer;
use crate::token::rules::Rules;
use carriage::{Scheme, is_token, token};
use http::{Uri, header};
use portcullis_core::check::Check;
use portcullis_core::{
    Answers, Authenticate, Authn, CheckId, Code, CredentialLocation, CredentialName, Denial, Effects,
    Evidence, Facts, Ground, MethodId, SecurityScheme, Step,
};
use std::sync::Arc;

/// An issuer whose tokens are accepted, and on which conditions.
pub struct Trust {
    /// Its number among the methods.
    pub method: MethodId,
    /// The check under whose name its principals and refusals go.
    pub id: CheckId,
    /// The issuer.
    pub issuer: Arc<Issuer>,
    /// What its tokens must say.
    pub rules: Rules,
    /// Who asks about opaque tokens; `None` accepts none.
    pub introspector: Option<Arc<Introspector>>,
    /// Whether the server is asked about signed tokens too, after their signature and claims were judged here.
    pub asks_signed: bool,
    /// Whether a token must be bound to a key or a certificate.
    pub binding_required: bool,
    /// For proofs that must have a nonce of the gateway.
    pub nonces: Option<Nonces>,
    /// Where the API says of itself which issuers it trusts (RFC 9728).
    pub metadata_url: Option<String>,
    /// The URL of the API, for which proofs must be.
    pub resource: Option<Uri>,
    /// Which security schemes of an API description mean its tokens.
    pub schemes: TokenSchemes,
    /// Where the token stands.
    pub place: CredentialLocation,
    /// Whether the token goes upstream.
    pub forward: bool,
    /// What it does, in one line.
    pub summary: String,
}

impl Trust {
    /// Everything that what is remembered of its tokens depends on. Holds no secret.
    pub fn settings(&self) -> String {
        let asks = self.introspector.as_ref().map(|introspector| introspector.settings());
        format!("{} {:?} {asks:?} {}", self.issuer.settings(), self.rules, self.asks_signed)
    }

    /// A number for them, and for whether a token must be bound.
    fn number(&self) -> u64 {
        rules_of(&[&self.settings(), if self.binding_required { "bound" } else { "bearer" }])
    }
}

/// The check.
pub struct Bearer {
    place: CredentialLocation,
    trusts: Vec<Trust>,
    /// A number for the rules of each.
    numbers: Vec<u64>,
    cache: Arc<TokenCache>,
    max_token_bytes: usize,
}

impl Bearer {
    /// The check for these issuers, at least one, whose tokens stand in this place.
    pub fn new(
        place: CredentialLocation,
        trusts: Vec<Trust>,
        cache: Arc<TokenCache>,
        max_token_bytes: usize,
    ) -> Bearer {
        let numbers = trusts.iter().map(Trust::number).collect();
        Bearer { place, trusts, numbers, cache, max_token_bytes }
    }
}

impl Check for Bearer {
    fn id(&self) -> CheckId {
        self.trusts.first().map_or(CheckId::new("authn.jwt"), |trust| trust.id)
    }

    fn describe(&self) -> String {
        let whose = self.trusts.iter().map(|trust| trust.summary.as_str()).collect::<Vec<_>>().join(", or ");
        match &self.place {
            CredentialLocation::Header(name) if *name == header::AUTHORIZATION => whose,
            CredentialLocation::Header(name) => format!("{whose}, in the header field {name}"),
            CredentialLocation::Query(name) => format!("{whose}, in the query parameter {name}"),
            CredentialLocation::Cookie(name) => format!("{whose}, in the cookie {name}"),
        }
    }
}

impl Authenticate for Bearer {
    fn authenticate<'a>(&'a self, facts: &'a Facts<'a>, effects: &'a dyn Effects) -> Step<'a, Authn> {
        let (scheme, token) = match token(facts, &self.place, self.max_token_bytes) {
            Ok(None) => return Step::Ready(Authn::NotMine),
            Ok(Some(found)) => found,
            Err(denial) => return Step::Ready(Authn::Deny(denial)),
        };
        let digest = cache::digest(&token);
        let generation = |issuer: usize| self.trusts.get(issuer)?.issuer.generation(facts.now.monotonic);
        let known = self.cache.find(&digest, facts.now.unix, generation);
        // SECURITY: a token is remembered before it is known whether its sender may have it, so what is remembered is not yet
        // let in (tests/tokens/attacks.rs).
        if let Some(verified) = &known
            && !verified.binding.is_bound()
            && scheme == Scheme::Bearer
            && self.trusts.get(verified.issuer).is_some_and(|trust| !trust.binding_required)
        {
            return Step::Ready(self.claim(verified, &digest));
        }
        if known.is_none() && !is_token(&token) {
            let denial = Denial::new(Code::TokenMalformed, "the token has characters that no token has");
            return Step::Ready(Authn::Deny(denial));
        }
        Step::Later(Box::pin(async move {
            let verified = match known {
                Some(verified) => Ok(verified),
                None => self.verify(&token, digest, facts, effects).await,
            };
            match verified {
                Err(denial) => Authn::Deny(denial.of_credential(cache::fingerprint(&digest))),
                Ok(verified) => match self.show_binding(scheme, &verified, &digest, facts, effects).await {
                    Err(denial) => Authn::Deny(denial.of_credential(cache::fingerprint(&digest))),
                    Ok(()) => self.claim(&verified, &digest),
                },
            }
        }))
    }

    // SECURITY: a token is good while its issuer is trusted by the rules that it was verified by, until its end
    // (a_stream_ends_with_its_token), and one that the issuer was asked about while it says so
    // (a_stream_ends_when_its_opaque_token_is_revoked).
    fn uphold<'a>(
        &'a self,
        evidence: &'a Evidence,
        facts: &'a Facts<'a>,
        effects: &'a dyn Effects,
    ) -> Step<'a, Authn> {
        let ground = evidence.ground.as_ref();
        let rules = ground.map(|ground| ground.rules);
        let mut trusts = self.trusts.iter().zip(&self.numbers);
        let found = trusts.find(|(trust, number)| trust.id == evidence.check && rules == Some(**number));
        let of_tokens = self.trusts.iter().any(|trust| trust.id == evidence.check);
        match (found, ground.map(|ground| &ground.credential)) {
            (Some(_), Some(CredentialName::Token { digest, token })) => {
                let generation =
                    |issuer: usize| self.trusts.get(issuer)?.issuer.generation(facts.now.monotonic);
                if let Some(known) = self.cache.find(digest, facts.now.unix, generation) {
                    return Step::Ready(self.claim(&known, digest));
                }
                Step::Later(Box::pin(async move {
                    match self.verify(token, *digest, facts, effects).await {
                        Ok(verified) => self.claim(&verified, digest),
                        Err(denial) => Authn::Deny(denial),
                    }
                }))
            }
            (Some((trust, _)), _) => Step::Ready(Authn::Claim(evidence.now_by(trust.method))),
            (None, _) if of_tokens => Step::Ready(Authn::Deny(Denial::new(
                Code::TokenIssuer,
                "the rules that accepted the token have changed",
            ))),
            (None, _) => Step::Ready(Authn::NotMine),
        }
    }

    fn challenges(&self, refused: Option<&Denial>) -> Vec<String> {
        let error = match refused.map(Denial::code) {
            // Whoever sent nothing did nothing wrong (RFC 6750, section 3.1).
            None | Some(Code::CredentialMissing) => None,
            Some(Code::ProofNonce) => Some("use_dpop_nonce"),
            Some(Code::ProofInvalid | Code::ProofReplayed) => Some("invalid_dpop_proof"),
            Some(_) => Some("invalid_token"),
        };
        let proof = matches!(error, Some("use_dpop_nonce" | "invalid_dpop_proof"));
        let metadata = self.trusts.iter().find_map(|trust| trust.metadata_url.as_deref());
        let parameters = |own: Option<String>| {
            let mut parameters: Vec<String> = own.into_iter().collect();
            parameters.extend(error.map(|error| format!("error=\"{error}\"")));
            parameters.extend(metadata.map(|url| format!("resource_metadata=\"{url}\"")));
            parameters.join(", ")
        };
        let mut challenges = Vec::new();
        if !proof && !self.trusts.iter().all(|trust| trust.binding_required) {
            challenges.push(format!("Bearer {}", parameters(None)).trim_end().to_owned());
        }
        if proof || self.trusts.iter().any(|trust| trust.binding_required || trust.nonces.is_some()) {
            challenges.push(format!("DPoP {}", parameters(Some(format!("algs=\"{}\"", dpop::ALGORITHMS)))));
        }
        challenges
    }

    fn is_bearer(&self) -> bool {
        self.is_in_authorization()
    }

    fn credentials(&self) -> Vec<CredentialLocation> {
        match self.is_in_authorization() {
            true => vec![self.place.clone(), CredentialLocation::Header(dpop::FIELD)],
            false => vec![self.place.clone()],
        }
    }

    fn forwarded(&self) -> Vec<(MethodId, CredentialLocation)> {
        let forwarding = self.trusts.iter().filter(|trust| trust.forward);
        forwarding
            .flat_map(|trust| self.credentials().into_iter().map(|location| (trust.method, location)))
            .collect()
    }

    // SECURITY: the very token that was accepted, by its digest (tests/tokens/exchange.rs).
    fn token(&self, evidence: &Evidence, facts: &Facts<'_>) -> Option<Arc<str>> {
        if !self.trusts.iter().any(|trust| trust.method == evidence.method) {
            return None;
        }
        let accepted = match &evidence.ground.as_ref()?.credential {
            CredentialName::Digest(digest) | CredentialName::Token { digest, .. } => digest,
            CredentialName::Text(_) => return None,
        };
        let (_, token) = token(facts, &self.place, self.max_token_bytes).ok()??;
        (cache::digest(&token) == *accepted).then(|| Arc::from(&*token))
    }

    fn answers(&self, scheme: &SecurityScheme<'_>) -> Vec<(MethodId, Answers)> {
        let answers = |trust: &Trust| Some((trust.method, trust.schemes.answer(scheme)?));
        self.trusts.iter().filter_map(answers).collect()
    }
}

impl Bearer {
    fn is_in_authorization(&self) -> bool {
        self.place == CredentialLocation::Header(header::AUTHORIZATION)
    }

    fn claim(&self, verified: &Verified, digest: &TokenDigest) -> Authn {
        let Some(trust) = self.trusts.get(verified.issuer) else {
            return Authn::Deny(Denial::new(Code::Fault, "a token of an issuer of another check"));
        };
        let rules = self.numbers.get(verified.issuer).copied().unwrap_or_default();
        let credential = match &verified.asked {
            Some(token) => CredentialName::Token { digest: *digest, token: Arc::clone(token) },
            None => CredentialName::Digest(*digest),
        };
        let ground = Ground { credential, rules, until: verified.expires };
        let evidence =
            Evidence::subject(Arc::clone(&verified.subject), trust.method, trust.id).resting_on(ground);
        // A signature cannot be guessed, so a new token of an old user is welcome from wherever it comes.
        Authn::Claim(match verified.guessable {
            true => evidence.by_credential(cache::fingerprint(digest)),
            false => evidence,
        })
    }
}

#[cfg(test)]
mod tests;
