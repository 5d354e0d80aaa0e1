//! Whose access token it is: RFC 6750, and RFC 9449 for tokens that are bound to a key.
//!
//! All methods of a route that take a token are one check, since there is one place in which a token can stand: it finds
//! the issuer that the token names, and asks that one's rules. A signed token is verified with the issuer's keys, another
//! one by asking the issuer. A token that is repeated, malformed, forged, expired, for somebody else, or bound to somebody
//! else is a denial; only a request without a token lets the next method be asked. If keys or an answer cannot be had, the
//! request is refused as by a fault.

use super::token_schemes::TokenSchemes;
use crate::token::cache::{self, TokenCache, TokenDigest, Verified};
use crate::token::dpop::{self, Nonces};
use crate::token::introspection::Introspector;
use crate::token::issuer::{Issuer, Loaded};
use crate::token::jws::{self, Jws};
use crate::token::rules::{Binding, Rules};
use http::{HeaderValue, Uri, header};
use portcullis_core::check::Check;
use portcullis_core::{
    Answers, Authenticate, Authn, CheckId, Claim, Code, CredentialLocation, Denial, Effects, Evidence, Facts,
    Fault, MethodId, Once, SecurityScheme, Step,
};
use std::borrow::Cow;
use std::sync::Arc;

/// How a token is told apart from what the client must do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Bearer,
    Dpop,
}

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
    pub introspector: Option<Introspector>,
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
    /// Whether the token goes upstream.
    pub forward: bool,
    /// What it does, in one line.
    pub summary: String,
}

/// The check.
pub struct Bearer {
    trusts: Vec<Trust>,
    cache: TokenCache,
    max_token_bytes: usize,
}

impl Bearer {
    /// The check for these issuers, at least one.
    pub fn new(trusts: Vec<Trust>, cache_entries: usize, max_token_bytes: usize) -> Bearer {
        Bearer { trusts, cache: TokenCache::new(cache_entries), max_token_bytes }
    }
}

impl Check for Bearer {
    fn id(&self) -> CheckId {
        self.trusts.first().map_or(CheckId::new("authn.jwt"), |trust| trust.id)
    }

    fn describe(&self) -> String {
        self.trusts.iter().map(|trust| trust.summary.as_str()).collect::<Vec<_>>().join(", or ")
    }
}

fn malformed(detail: &'static str) -> Denial {
    Denial::new(Code::CredentialMalformed, detail)
}

/// The token of a request (RFC 6750, section 2.1). `Ok(None)` where it carries none.
fn token<'a>(facts: &Facts<'a>, max_bytes: usize) -> Result<Option<(Scheme, Cow<'a, str>)>, Denial> {
    let field = match facts.head.once(header::AUTHORIZATION.as_str()) {
        Once::Absent => return Ok(None),
        // SECURITY: which of two tokens counts is a matter of taste, so neither does (tests/tokens/attacks.rs).
        Once::Repeated => {
            return Err(Denial::new(Code::CredentialRepeated, "there are several Authorization fields"));
        }
        Once::Unreadable => return Err(malformed("Authorization is not text")),
        Once::One(Cow::Borrowed(field)) => field,
        Once::One(Cow::Owned(_)) => return Err(malformed("Authorization is not text")),
    };
    let (scheme, rest) = field.split_once(' ').unwrap_or((field, ""));
    let scheme = if scheme.eq_ignore_ascii_case("bearer") {
        Scheme::Bearer
    } else if scheme.eq_ignore_ascii_case("dpop") {
        Scheme::Dpop
    } else if !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        // Another scheme is another method's credential.
        return Ok(None);
    } else {
        // SECURITY: `Bearer` and a tab is no other scheme, and must not let the next method be asked
        // (tests/tokens/attacks.rs).
        return Err(malformed("Authorization names no scheme"));
    };
    let token = rest.trim_matches(' ');
    if token.len() > max_bytes {
        return Err(Denial::new(Code::TokenMalformed, "the token is too long"));
    }
    if token.is_empty() {
        return Err(Denial::new(Code::TokenMalformed, "the token is empty"));
    }
    Ok(Some((scheme, Cow::Borrowed(token))))
}

/// Whether it is made of the characters of a token (RFC 6750, section 2.1), which one that was verified before is.
fn is_token(token: &str) -> bool {
    token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte))
}

/// Whether an authorization server is asked about the token: not for a source that must wait, unless the token was good
/// from there before.
fn may_ask(digest: &TokenDigest, facts: &Facts<'_>, effects: &dyn Effects) -> Result<(), Denial> {
    match facts.blocked() {
        Some(denial) if !effects.is_known(facts.head.client(), cache::fingerprint(digest)) => Err(denial),
        Some(_) | None => Ok(()),
    }
}

impl Authenticate for Bearer {
    fn authenticate<'a>(&'a self, facts: &'a Facts<'a>, effects: &'a dyn Effects) -> Step<'a, Authn> {
        let (scheme, token) = match token(facts, self.max_token_bytes) {
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
                Err(denial) => Authn::Deny(denial),
                Ok(verified) => match self.show_binding(scheme, &verified, &digest, facts, effects).await {
                    Err(denial) => Authn::Deny(denial),
                    Ok(()) => self.claim(&verified, &digest),
                },
            }
        }))
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

    fn credentials(&self) -> Vec<CredentialLocation> {
        vec![CredentialLocation::Header(header::AUTHORIZATION), CredentialLocation::Header(dpop::FIELD)]
    }

    fn forwarded(&self) -> Vec<(MethodId, CredentialLocation)> {
        let forwarding = self.trusts.iter().filter(|trust| trust.forward);
        forwarding
            .flat_map(|trust| self.credentials().into_iter().map(|location| (trust.method, location)))
            .collect()
    }

    fn answers(&self, scheme: &SecurityScheme<'_>) -> Vec<(MethodId, Answers)> {
        let answers = |trust: &Trust| Some((trust.method, trust.schemes.answer(scheme)?));
        self.trusts.iter().filter_map(answers).collect()
    }
}

impl Bearer {
    fn claim(&self, verified: &Verified, digest: &TokenDigest) -> Authn {
        let Some(trust) = self.trusts.get(verified.issuer) else {
            return Authn::Deny(Denial::new(Code::Fault, "a token of an issuer of another check"));
        };
        let evidence = Evidence::subject(Arc::clone(&verified.subject), trust.method, trust.id);
        // A signature cannot be guessed, so a new token of an old user is welcome from wherever it comes.
        Authn::Claim(match verified.guessable {
            true => evidence.by_credential(cache::fingerprint(digest)),
            false => evidence,
        })
    }

    /// Verifies a token that is not known yet, and remembers it.
    async fn verify(
        &self,
        token: &str,
        digest: TokenDigest,
        facts: &Facts<'_>,
        effects: &dyn Effects,
    ) -> Result<Verified, Denial> {
        let verified = if jws::looks_signed(token) {
            self.verify_signed(token, facts, effects).await?
        } else {
            self.ask(token, digest, facts, effects).await?
        };
        self.cache.insert(digest, verified.clone());
        Ok(verified)
    }

    async fn verify_signed(
        &self,
        token: &str,
        facts: &Facts<'_>,
        effects: &dyn Effects,
    ) -> Result<Verified, Denial> {
        let jws = Jws::parse(token)?;
        let named = jws.claims.member("iss").and_then(Claim::as_text).map(str::to_owned);
        let mut last = Denial::new(Code::TokenIssuer, "it is from no issuer that the route accepts");
        let mut unready = None;
        let Some(named) = named else { return Err(last) };
        let mut jws = Some(jws);
        for (number, trust) in self.trusts.iter().enumerate() {
            // SECURITY: the keys of one issuer verify its own tokens only (tests/tokens/attacks.rs).
            if !trust.issuer.may_be(&named) {
                continue;
            }
            let loaded = match trust.issuer.loaded(facts.now.monotonic, effects).await {
                Ok(loaded) if loaded.issuer == named => loaded,
                Ok(_) => continue,
                Err(fault) => {
                    // It may be the one that the token names, so its silence is not held against the token.
                    unready = Some(fault);
                    continue;
                }
            };
            if loaded.keys.is_empty() && trust.introspector.is_some() {
                let digest = cache::digest(token);
                may_ask(&digest, facts, effects)?;
                return self.ask_one(number, trust, &loaded, token, digest, effects).await;
            }
            let read = match jws.take() {
                Some(jws) => jws,
                None => Jws::parse(token)?,
            };
            // An issuer can be named twice, for different purposes and audiences.
            if let Err(denial) = trust.rules.judge_type(read.typ.as_deref()) {
                last = denial;
                continue;
            }
            let loaded = trust.issuer.verify(&read, loaded, facts.now.monotonic, effects).await?;
            match trust.rules.judge(&loaded.issuer, read.claims, facts.now.unix) {
                Err(denial) => last = denial,
                Ok(judged) => {
                    return Ok(Verified {
                        subject: Arc::new(judged.subject),
                        until: judged.expires,
                        binding: judged.binding,
                        issuer: number,
                        generation: loaded.generation,
                        guessable: false,
                    });
                }
            }
        }
        match unready {
            Some(fault) => Err(Denial::new(Code::Fault, fault.detail)),
            None => Err(last),
        }
    }

    /// Asks about an opaque token, one authorization server after the other.
    async fn ask(
        &self,
        token: &str,
        digest: TokenDigest,
        facts: &Facts<'_>,
        effects: &dyn Effects,
    ) -> Result<Verified, Denial> {
        let mut last =
            Denial::new(Code::TokenMalformed, "it is not a signed token, and nobody can be asked about it");
        let mut unready = None;
        for (number, trust) in self.trusts.iter().enumerate() {
            if trust.introspector.is_none() {
                continue;
            }
            may_ask(&digest, facts, effects)?;
            let loaded = match trust.issuer.loaded(facts.now.monotonic, effects).await {
                Ok(loaded) => loaded,
                Err(Fault { detail }) => {
                    unready = Some(Denial::new(Code::Fault, detail));
                    continue;
                }
            };
            match self.ask_one(number, trust, &loaded, token, digest, effects).await {
                Err(denial) if denial.code() == Code::TokenInactive => last = denial,
                // It may be the one that gave the token out, so its silence is not held against the token.
                Err(denial) if denial.code() == Code::Fault => unready = Some(denial),
                answered => return answered,
            }
        }
        Err(unready.unwrap_or(last))
    }

    async fn ask_one(
        &self,
        number: usize,
        trust: &Trust,
        loaded: &Loaded,
        token: &str,
        digest: TokenDigest,
        effects: &dyn Effects,
    ) -> Result<Verified, Denial> {
        let (Some(introspector), Some(url)) = (&trust.introspector, &loaded.introspection) else {
            return Err(Denial::new(Code::TokenMalformed, "nobody can be asked about it"));
        };
        let outcome = introspector.ask(url, &loaded.issuer, &trust.rules, token, digest, effects).await?;
        Ok(Verified {
            subject: outcome.subject,
            until: outcome.until,
            binding: outcome.binding,
            issuer: number,
            generation: loaded.generation,
            guessable: true,
        })
    }

    /// Has the sender show that a bound token is theirs.
    async fn show_binding(
        &self,
        scheme: Scheme,
        verified: &Verified,
        digest: &TokenDigest,
        facts: &Facts<'_>,
        effects: &dyn Effects,
    ) -> Result<(), Denial> {
        let refused = |detail: &'static str| Err(Denial::new(Code::TokenBinding, detail));
        let trust = self.trusts.get(verified.issuer);
        let Binding { key, certificate } = verified.binding;
        if !verified.binding.is_bound() {
            if trust.is_none_or(|trust| trust.binding_required) {
                return refused("it is not bound to its sender, and must be");
            }
            // SECURITY: a client that proves a key means a token that is bound to it, RFC 9449, section 7.1
            // (tests/tokens/attacks.rs).
            return match scheme {
                Scheme::Bearer => Ok(()),
                Scheme::Dpop => refused("it is not bound to a key, and was sent as if it were"),
            };
        }
        if let Some(thumbprint) = certificate
            && facts.conn.certificate.as_ref().is_none_or(|shown| shown.thumbprint != thumbprint)
        {
            return refused("it is bound to a certificate that the client has not shown");
        }
        match (key, scheme) {
            (None, Scheme::Bearer) => Ok(()),
            (None, Scheme::Dpop) => refused("it is not bound to a key, and was sent as if it were"),
            // SECURITY: a stolen token must not become a bearer token, RFC 9449, section 7.2 (tests/tokens/attacks.rs).
            (Some(_), Scheme::Bearer) => refused("it is bound to a key, and was sent without proof"),
            (Some(key), Scheme::Dpop) => {
                let nonces = trust.and_then(|trust| trust.nonces.as_ref());
                let resource = trust.and_then(|trust| trust.resource.as_ref());
                let checked = dpop::check(facts, digest, &key, nonces, resource, effects).await;
                checked.map_err(|denial| match (denial.code(), nonces) {
                    (Code::ProofNonce, Some(nonces)) => {
                        let nonce = HeaderValue::try_from(nonces.current(facts.now.unix));
                        denial.telling(dpop::NONCE_FIELD, nonce.unwrap_or(HeaderValue::from_static("")))
                    }
                    _ => denial,
                })
            }
        }
    }
}
