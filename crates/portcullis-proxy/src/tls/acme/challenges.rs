//! What proves that a host is ours, for as long as it is being asked for.
//!
//! A proof is offered for one host and for one order; when the order ends, however it ends, there is nothing left to be
//! had. Every gateway with the same folder offers it, since nobody knows which of them the authority reaches. A handshake that offers `acme-tls/1` and nothing else gets the certificate that proves its host and then no byte; no
//! other handshake gets it (RFC 8737, section 3).

use super::Proof;
use crate::tls::Problem;
use arc_swap::ArcSwap;
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::server::{ClientHello, NoServerSessionStorage};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// The protocol of a handshake that asks for a proof (RFC 8737, section 6.2).
const PROTOCOL: &[u8] = b"acme-tls/1";

/// What is asked for now.
#[derive(Default)]
pub struct Challenges {
    /// By token: the host, and what is answered.
    answers: ArcSwap<HashMap<String, (String, String)>>,
    /// By host.
    certificates: ArcSwap<HashMap<String, Arc<ServerConfig>>>,
}

impl fmt::Debug for Challenges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Challenges").finish_non_exhaustive()
    }
}

/// What proves one host: a token of the authority's with the fingerprint of our account (RFC 8555, section 8.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Proven {
    pub(super) domain: String,
    pub(super) authorization: String,
}

impl Challenges {
    /// The answer for a token, to whoever asks this host for it.
    pub(crate) fn answer(&self, host: &str, token: &str) -> Option<String> {
        let answers = self.answers.load();
        let (domain, answer) = answers.get(token)?;
        // SECURITY: a proof is for its own host (only_what_is_pending_is_answered).
        (domain == host).then(|| answer.clone())
    }

    /// Whether any handshake is to be looked at.
    pub(crate) fn has_certificates(&self) -> bool {
        !self.certificates.load().is_empty()
    }

    /// What a handshake that asks for a proof is answered with.
    pub(crate) fn certificate(&self, hello: &ClientHello<'_>) -> Option<Arc<ServerConfig>> {
        // SECURITY: only whoever asks for a proof and for nothing else gets it
        // (a_proof_is_given_to_nobody_who_does_not_ask_for_it).
        let mut offered = hello.alpn()?;
        if offered.next() != Some(PROTOCOL) || offered.next().is_some() {
            return None;
        }
        self.certificates.load().get(hello.server_name()?).cloned()
    }

    /// Offers these proofs and no others from now on.
    pub(super) fn set(&self, proofs: &[Proven], proof: Proof) -> Result<(), Problem> {
        let mut answers = HashMap::new();
        let mut certificates = HashMap::new();
        for Proven { domain, authorization } in proofs {
            match (proof, authorization.split_once('.')) {
                (Proof::Http, Some((token, _))) => {
                    answers.insert(token.to_owned(), (domain.clone(), authorization.clone()));
                }
                (Proof::Http, None) => return Err(Problem::Unusable("a proof without a token".to_owned())),
                (Proof::TlsAlpn, _) => {
                    certificates.insert(domain.clone(), Arc::new(proving(domain, authorization)?));
                }
            }
        }
        self.answers.store(Arc::new(answers));
        self.certificates.store(Arc::new(certificates));
        Ok(())
    }

    /// Offers nothing any more.
    pub(super) fn clear(&self) {
        self.answers.store(Arc::default());
        self.certificates.store(Arc::default());
    }
}

/// The TLS of a handshake that proves a host.
fn proving(domain: &str, authorization: &str) -> Result<ServerConfig, Problem> {
    let failed = |error: &dyn std::fmt::Display| Problem::Unusable(error.to_string());
    let digest = Sha256::digest(authorization.as_bytes());
    let mut params = CertificateParams::new(vec![domain.to_owned()]).map_err(|error| failed(&error))?;
    params.distinguished_name = DistinguishedName::new();
    params.custom_extensions = vec![CustomExtension::new_acme_identifier(&digest)];
    let key = KeyPair::generate().map_err(|error| failed(&error))?;
    let certificate = params.self_signed(&key).map_err(|error| failed(&error))?;
    let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| failed(&error))?;
    let builder = builder.with_no_client_auth();
    let private = any_supported_type(&private).map_err(|error| failed(&error))?;
    // Not judged as other certificates are: its extension is critical and known to nobody but those who ask for it.
    let pair = CertifiedKey::new(vec![certificate.der().clone()], private);
    let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(pair)));
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    // Nothing of such a connection is carried on.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proofs() -> [Proven; 2] {
        [("a.example", "token.thumb"), ("b.example", "other.thumb")]
            .map(|(domain, proof)| Proven { domain: domain.to_owned(), authorization: proof.to_owned() })
    }

    #[test]
    fn only_what_is_pending_is_answered() {
        let challenges = Challenges::default();
        challenges.set(&proofs(), Proof::Http).unwrap();
        assert!(!challenges.has_certificates());
        assert_eq!(challenges.answer("a.example", "token").as_deref(), Some("token.thumb"));
        for (host, token) in [
            ("b.example", "token"),
            ("a.example", "other"),
            ("a.example", ""),
            ("a.example", "Token"),
            ("a.example", "token.thumb"),
            ("", "token"),
        ] {
            assert_eq!(challenges.answer(host, token), None, "{host} {token}");
        }
        challenges.clear();
        assert_eq!(challenges.answer("a.example", "token"), None);
    }

    #[test]
    fn a_proof_ends_with_its_order() {
        let challenges = Challenges::default();
        assert!(!challenges.has_certificates());
        challenges.set(&proofs(), Proof::TlsAlpn).unwrap();
        assert!(challenges.has_certificates());
        assert_eq!(challenges.answer("a.example", "token"), None, "not in the clear");
        challenges.clear();
        assert!(!challenges.has_certificates());
    }
}
