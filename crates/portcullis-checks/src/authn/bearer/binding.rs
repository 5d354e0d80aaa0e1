//! Whether the sender of a token may have it: proof of the key or the certificate to which it is bound (RFC 9449, RFC 8705).

use super::Bearer;
use super::carriage::Scheme;
use crate::token::cache::{TokenDigest, Verified};
use crate::token::dpop;
use crate::token::rules::Binding;
use http::HeaderValue;
use portcullis_core::{Code, Denial, Effects, Facts};

impl Bearer {
    /// Has the sender show that a bound token is theirs.
    pub(super) async fn show_binding(
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
