//! TLS towards upstreams: whom the gateway believes there, and what it shows of itself.
//!
//! An upstream's certificate is verified, for the name under which it is reached, with the system's authorities or with
//! those that are given for it, and then with no others. A connection that cannot be verified is not used.

use super::{Pair, PairFiles, Problem, pair};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use rustls_platform_verifier::Verifier;
use sha2::{Digest, Sha256};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// What an upstream's TLS is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamTlsSettings {
    /// A file with the authorities that are believed, in PEM; `None` for the system's.
    pub authorities: Option<PathBuf>,
    /// The certificate that the gateway shows.
    pub client: Option<PairFiles>,
    /// The name that the certificate must be for; `None` for the host under which the upstream is reached.
    pub server_name: Option<String>,
    /// Believes whatever answers.
    pub insecure_skip_verify: bool,
    /// Whether HTTP/2 is spoken.
    pub http2: bool,
}

impl UpstreamTlsSettings {
    /// What stands for the content of its files, in their order; nothing where one cannot be read.
    pub fn contents(&self) -> Vec<[u8; 32]> {
        let client = self.client.iter().flat_map(|files| [&files.certificate, &files.key]);
        let files = self.authorities.iter().chain(client);
        files.filter_map(|file| Some(Sha256::digest(std::fs::read(file).ok()?).into())).collect()
    }
}

/// The TLS to an upstream.
#[derive(Clone)]
pub struct UpstreamTls {
    pub(crate) config: Arc<ClientConfig>,
    pub(crate) name: ServerName<'static>,
}

impl UpstreamTls {
    /// The TLS to `host`.
    ///
    /// # Errors
    /// Files that cannot be used, a name that no certificate can have, or a system without authorities.
    pub fn new(settings: &UpstreamTlsSettings, host: &str) -> Result<UpstreamTls, Problem> {
        let unusable = |error: &dyn fmt::Display| Problem::Unusable(error.to_string());
        let name = settings.server_name.as_deref().unwrap_or(host).trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(name).map_err(|error| unusable(&error))?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions().map_err(|error| unusable(&error))?;
        let verifier: Arc<dyn ServerCertVerifier> = match &settings.authorities {
            _ if settings.insecure_skip_verify => Arc::new(Anybody(provider)),
            None => Arc::new(Verifier::new(provider).map_err(|error| unusable(&error))?),
            Some(file) => {
                let roots = Arc::new(authorities(file)?);
                WebPkiServerVerifier::builder_with_provider(roots, provider)
                    .build()
                    .map_err(|error| unusable(&error))?
            }
        };
        let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
        let mut config = match &settings.client {
            None => builder.with_no_client_auth(),
            Some(files) => {
                let pair = Pair::read_client(files)?;
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(pair)))
            }
        };
        config.alpn_protocols = vec![if settings.http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
        Ok(UpstreamTls { config: Arc::new(config), name })
    }
}

impl PartialEq for UpstreamTls {
    /// Whether connections under the one are connections under the other: only where both are the very same.
    fn eq(&self, other: &UpstreamTls) -> bool {
        Arc::ptr_eq(&self.config, &other.config) && self.name == other.name
    }
}

impl Eq for UpstreamTls {}

impl fmt::Debug for UpstreamTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamTls").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The authorities in a file.
pub(super) fn authorities(file: &std::path::Path) -> Result<RootCertStore, Problem> {
    let text = pair::read(file).map_err(Problem::Authorities)?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|error| Problem::Authorities(error.to_string()))?;
        roots.add(certificate).map_err(|error| Problem::Authorities(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(Problem::Authorities("it holds no certificate in PEM".to_owned()));
    }
    Ok(roots)
}

/// Believes any certificate. Its key must still have signed the handshake.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    // SECURITY: only where the file says why (effects/protection.rs).
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
