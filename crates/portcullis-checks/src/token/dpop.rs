//! Proof that the sender has the key to which a token is bound (RFC 9449).
//!
//! A proof is a small token of the client's own, for one request: it names the method, the URL, and the access token. It is
//! good for a short time, and once. What was used is remembered until it is too old; if it cannot be remembered, the
//! request is refused.

use super::cache::TokenDigest;
use super::jws::{self, Jws};
use super::keys::{self, VerificationKey};
use aws_lc_rs::{digest, hmac};
use base64ct::{Base64UrlUnpadded, Encoding};
use http::{HeaderName, Uri};
use portcullis_core::head::{host, path};
use portcullis_core::{Claim, Code, Denial, Effects, Facts, Once};
use std::time::Duration;

/// The field that holds the proof.
pub const FIELD: HeaderName = HeaderName::from_static("dpop");
/// The field in which the client is given a nonce.
pub const NONCE_FIELD: HeaderName = HeaderName::from_static("dpop-nonce");
/// The algorithms that a proof may have, as a challenge lists them.
pub const ALGORITHMS: &str = "ES256 ES384 ES512 PS256 PS384 PS512 RS256 RS384 RS512 EdDSA";

/// How old a proof may be, or how far in the future.
const WINDOW: Duration = Duration::from_secs(60);
/// The longest proof in bytes.
const MAX_PROOF_BYTES: usize = 8 * 1024;
/// The longest `jti` in bytes.
const MAX_JTI_BYTES: usize = 256;
/// How long a nonce is given out; it is accepted for as long again.
const NONCE_PERIOD: u64 = 120;

/// Nonces that need no memory: a keyed code of the time.
#[derive(Clone)]
pub struct Nonces(hmac::Key);

impl Nonces {
    /// Nonces of this secret. Gateways that serve one API together need the same.
    pub fn new(secret: &[u8]) -> Nonces {
        Nonces(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// The nonce to give out now.
    pub fn current(&self, now: Duration) -> String {
        self.of(now.as_secs() / NONCE_PERIOD)
    }

    fn of(&self, period: u64) -> String {
        let code = hmac::sign(&self.0, &period.to_be_bytes());
        Base64UrlUnpadded::encode_string(code.as_ref())
    }

    /// Whether a nonce was given out now or in the period before.
    fn accepts(&self, nonce: &str, now: Duration) -> bool {
        let period = now.as_secs() / NONCE_PERIOD;
        let Ok(code) = jws::decode(nonce) else { return false };
        [period, period.saturating_sub(1)]
            .iter()
            .any(|period| hmac::verify(&self.0, &period.to_be_bytes(), &code).is_ok())
    }
}

fn invalid(detail: &'static str) -> Denial {
    Denial::new(Code::ProofInvalid, detail)
}

/// Checks the proof of a request that carries a token bound to the key with this thumbprint. `resource` is the URL of the
/// API, if it is known; otherwise the client's word on the host is compared with the proof's.
///
/// # Errors
/// `TokenBinding` where the key is another one, `ProofInvalid`, `ProofNonce` and `ProofReplayed`; `Fault` where nobody
/// can tell whether it was used before.
pub async fn check(
    facts: &Facts<'_>,
    token: &TokenDigest,
    key: &[u8; 32],
    nonces: Option<&Nonces>,
    resource: Option<&Uri>,
    effects: &dyn Effects,
) -> Result<(), Denial> {
    let proof = match facts.head.once(FIELD.as_str()) {
        Once::One(proof) => proof,
        Once::Absent => return Err(invalid("there is no proof")),
        // SECURITY: which of two proofs counts is a matter of taste, so neither does: RFC 9449, section 4.3
        // (tests/tokens/attacks.rs).
        Once::Repeated => return Err(invalid("there are several proofs")),
        Once::Unreadable => return Err(invalid("the proof is not text")),
    };
    if proof.len() > MAX_PROOF_BYTES {
        return Err(invalid("the proof is too long"));
    }
    let jws = Jws::parse(&proof).map_err(|_| invalid("the proof is not a signed token"))?;
    let thumbprint = signer(&jws)?;
    if thumbprint != *key {
        return Err(Denial::new(
            Code::TokenBinding,
            "the proof is by another key than the token is bound to",
        ));
    }
    let text = |name: &str| jws.claims.member(name).and_then(Claim::as_text);
    if text("htm") != Some(facts.head.method().as_str()) {
        return Err(invalid("the proof is for another method"));
    }
    if !text("htu").is_some_and(|url| is_target(url, facts, resource)) {
        return Err(invalid("the proof is for another URL"));
    }
    if text("ath") != Some(Base64UrlUnpadded::encode_string(token).as_str()) {
        return Err(invalid("the proof is for another token"));
    }
    let issued = match jws.claims.member("iat") {
        Some(Claim::Integer(seconds)) => u64::try_from(*seconds).ok().map(Duration::from_secs),
        Some(Claim::Number(seconds)) => Duration::try_from_secs_f64(*seconds).ok(),
        Some(Claim::Null | Claim::Bool(_) | Claim::Text(_) | Claim::List(_) | Claim::Object(_)) | None => {
            None
        }
    };
    let issued = issued.ok_or_else(|| invalid("the proof has no iat"))?;
    // SECURITY: the time of the memory that is asked below, and not that at which the request came: a proof that grew too old
    // while an authorization server was asked would be forgotten there and still be taken here (a_proof_grows_old_while_the_provider_is_asked).
    let now = effects.now().unix;
    if issued > now.saturating_add(WINDOW) || issued.saturating_add(WINDOW) <= now {
        return Err(invalid("the proof is too old, or of the future"));
    }
    if let Some(nonces) = nonces
        && !text("nonce").is_some_and(|nonce| nonces.accepts(nonce, now))
    {
        return Err(Denial::new(Code::ProofNonce, "the proof has no nonce, or none of ours that is fresh"));
    }
    let jti = text("jti").filter(|jti| !jti.is_empty() && jti.len() <= MAX_JTI_BYTES);
    let jti = jti.ok_or_else(|| invalid("the proof has no jti"))?;
    let mut used = digest::Context::new(&digest::SHA256);
    used.update(&thumbprint);
    used.update(jti.as_bytes());
    let mut id = [0; 32];
    id.iter_mut().zip(used.finish().as_ref()).for_each(|(byte, of)| *byte = *of);
    // SECURITY: remembered until no clock would accept it (tests/tokens/attacks.rs).
    match effects.first_use(facts.head.client(), id, issued.saturating_add(WINDOW)).resolve().await {
        Ok(true) => Ok(()),
        Ok(false) => Err(Denial::new(Code::ProofReplayed, "the proof was used before")),
        Err(fault) => Err(Denial::new(Code::Fault, fault.detail)),
    }
}

/// The thumbprint of the key that signed a proof, which the proof itself brings.
fn signer(jws: &Jws<'_>) -> Result<[u8; 32], Denial> {
    if jws.typ.as_deref() != Some("dpop+jwt") {
        return Err(invalid("it is no proof, by its typ"));
    }
    let jwk = jws.header.member("jwk").ok_or_else(|| invalid("the proof brings no key"))?;
    if keys::is_private(jwk) {
        return Err(invalid("the proof gives away a private key"));
    }
    let key = VerificationKey::of_jwk(jwk, &[jws.algorithm]).map_err(invalid)?;
    if !key.verifies(jws.algorithm, jws.signed.as_bytes(), &jws.signature) {
        return Err(invalid("the proof is not signed by its key"));
    }
    keys::thumbprint(jwk).ok_or_else(|| invalid("the proof's key has no thumbprint"))
}

/// Whether a URL is the one that the request is for, but for its query and fragment (RFC 9449, section 4.3).
fn is_target(url: &str, facts: &Facts<'_>, resource: Option<&Uri>) -> bool {
    let Ok(uri) = url.parse::<Uri>() else { return false };
    // SECURITY: a client that was lured to another host made a good proof for that one; whoever has it can repeat the host
    // as well, so the host that counts is the API's own wherever it is known (tests/tokens/attacks.rs).
    let wanted = match resource {
        Some(resource) => origin(resource),
        None => {
            let (scheme, name, port) = facts.head.origin();
            Some((scheme.to_owned(), name, port))
        }
    };
    wanted.is_some()
        && origin(&uri) == wanted
        && path::spelled(uri.path()).is_ok_and(|spelled| spelled.path == facts.head.path())
}

/// Scheme, canonical host, and port where it is not the scheme's own. `None` for a URL that has a user's name, or no host.
fn origin(url: &Uri) -> Option<(String, String, Option<u16>)> {
    let (scheme, authority) = (url.scheme_str()?, url.authority()?);
    let own = if scheme == "https" { 443 } else { 80 };
    let host = host::canonical(authority.as_str()).ok()?;
    Some((scheme.to_owned(), host, authority.port_u16().filter(|port| *port != own)))
}

#[cfg(test)]
mod tests;
