//! Whose client certificates are believed, and what is known of one that is.
//!
//! The chain, its validity, its usage and whether it was revoked are judged during the handshake, by rustls. A list of
//! revoked certificates that is out of date, or that is missing for an authority while there is one for another, refuses:
//! nobody can tell then who was revoked.

use super::{Problem, pair, subject, upstream};
use portcullis_core::{CertificateName, ClientCertificate};
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};
use sha2::{Digest, Sha256};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Which client certificates a listener asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientSettings {
    /// Whether a client without one is turned away. Otherwise one that is shown must be good.
    pub required: bool,
    /// A file with the authorities' certificates, in PEM.
    pub authorities: PathBuf,
    /// Files with lists of revoked certificates, in PEM.
    pub revoked: Vec<PathBuf>,
}

impl ClientSettings {
    /// What judges client certificates.
    ///
    /// # Errors
    /// A file that cannot be read or does not hold what it should.
    pub(super) fn verifier(
        &self,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ClientCertVerifier>, Problem> {
        let roots = upstream::authorities(&self.authorities)?;
        let mut lists = Vec::new();
        for file in &self.revoked {
            let revoked = |detail: String| Problem::Revoked { file: file.clone(), detail };
            let text = pair::read(file).map_err(revoked)?;
            let before = lists.len();
            for list in CertificateRevocationListDer::pem_slice_iter(&text) {
                lists.push(list.map_err(|error| revoked(error.to_string()))?);
            }
            if lists.len() == before {
                return Err(revoked("it holds no list of revoked certificates in PEM".to_owned()));
            }
        }
        let mut verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
        if !lists.is_empty() {
            verifier = verifier.with_crls(lists).enforce_revocation_expiration();
        }
        if !self.required {
            verifier = verifier.allow_unauthenticated();
        }
        verifier.build().map_err(|error| Problem::Authorities(error.to_string()))
    }
}

/// What is known of a certificate that was verified. `None` for one that cannot be read after all.
#[expect(clippy::wildcard_enum_match_arm, reason = "a kind of name that has no text tells nobody")]
pub(super) fn identity(certificate: &CertificateDer<'_>) -> Option<ClientCertificate> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let listed = parsed.subject_alternative_name().ok()?;
    let listed = listed.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
    // SECURITY: each name keeps its kind, since an authority may be constrained in one and free in another
    // (a_name_of_another_kind_is_nobodys).
    let names = listed.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(CertificateName::dns(name)),
        GeneralName::RFC822Name(address) => Some(CertificateName::email(address)),
        GeneralName::URI(uri) => Some(CertificateName::Uri((*uri).to_owned())),
        GeneralName::IPAddress(bytes) => address(bytes).map(CertificateName::Ip),
        _ => None,
    });
    Some(ClientCertificate {
        thumbprint: Sha256::digest(certificate).into(),
        subject: subject::text(parsed.subject()),
        names: names.collect(),
        not_after: Duration::from_secs(u64::try_from(parsed.validity().not_after.timestamp()).unwrap_or(0)),
    })
}

/// When a certificate ends. `None` where it cannot be read.
pub(super) fn end(certificate: &CertificateDer<'_>) -> Option<SystemTime> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let seconds = u64::try_from(parsed.validity().not_after.timestamp()).unwrap_or(0);
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// An address as a certificate has it (RFC 5280, section 4.2.1.6).
pub(super) fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|bytes| IpAddr::V4(Ipv4Addr::from(bytes)));
    let v6 = || <[u8; 16]>::try_from(bytes).map(|bytes| IpAddr::V6(Ipv6Addr::from(bytes)));
    v4.or_else(|_| v6()).ok()
}
