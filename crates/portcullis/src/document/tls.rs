//! How a listener protects its connections.

use super::{AcmeConfig, GatewayConfig, RouteConfig};
use portcullis_config::{Context, Span, Spanned, keyword, object};
use portcullis_proxy::Listener;
use portcullis_proxy::tls::{
    ClientSettings, Oldest, Pair, PairFiles, Problem, Protocol, Source, Tls, TlsSettings, self_signed,
};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

keyword! {
    /// A version of TLS.
    pub enum TlsVersion {
        /// TLS 1.2, with authenticated encryption and forward secrecy alone.
        V12 = "1.2",
        /// TLS 1.3.
        V13 = "1.3",
    }
}

keyword! {
    /// Whether a client must have a certificate.
    pub enum ClientCertificateNeed {
        /// A client without a valid certificate gets no connection.
        Required = "required",
        /// A client may connect without a certificate. If it sends one, it must be valid.
        Optional = "optional",
    }
}

object! {
    /// A certificate and its key.
    pub struct CertificateConfig {
        /// PEM file with the certificate, followed by the intermediate certificates.
        pub certificate: Spanned<PathBuf>,
        /// PEM file with the private key, with mode 0600. If root owns the file, the gateway's group may read it too (0440), as
        /// Kubernetes mounts secrets with `fsGroup`.
        pub key: Spanned<PathBuf>,
    }
}

impl CertificateConfig {
    /// The files.
    pub fn files(&self) -> PairFiles {
        PairFiles { certificate: self.certificate.value.clone(), key: self.key.value.clone() }
    }
}

object! {
    /// Client certificates (mutual TLS).
    pub struct ClientCertificatesConfig {
        /// Whether a client must have one. Default: required.
        pub need: ClientCertificateNeed = ClientCertificateNeed::Required,
        /// PEM file with the CAs whose client certificates are trusted.
        pub ca: Spanned<PathBuf>,
        /// PEM files with certificate revocation lists (RFC 5280). If you give any, every CA needs one. An expired list
        /// rejects all certificates of its CA. Default: none.
        pub crls: Vec<Spanned<PathBuf>> = Vec::new(),
    }
}

object! {
    /// The TLS settings of a listener.
    pub struct TlsConfig {
        /// The certificates. A client gets the one for the host that it requests (SNI), or the first one if it names no
        /// host. A host without a certificate gets no connection.
        pub certificates: Vec<CertificateConfig> = Vec::new(),
        /// Makes a self-signed certificate for `localhost` at the start. For development, on loopback addresses only.
        /// Default: false.
        pub self_signed: bool = false,
        /// Automatic certificates from a CA such as Let's Encrypt (ACME). Default: none.
        pub acme: Option<AcmeConfig>,
        /// Client certificates (mutual TLS). Default: not requested.
        pub client_certificates: Option<ClientCertificatesConfig>,
        /// The minimum TLS version. Default: 1.2.
        pub min_version: TlsVersion = TlsVersion::V12,
        /// How long browsers must use HTTPS for this host (`Strict-Transport-Security`, RFC 6797). `0s` cancels it. It is
        /// not sent with a self-signed certificate. Default: 365d.
        pub hsts: Duration = Duration::from_secs(365 * 24 * 3600),
        /// The maximum time of a TLS handshake. Default: 10s.
        pub handshake_timeout: Duration = Duration::from_secs(10),
        /// The maximum number of concurrent handshakes. One address gets at most half of them; further ones wait. Trusted
        /// proxies are exempt. Default: 1000.
        pub max_handshakes: NonZeroU32 = NonZeroU32::new(1_000).unwrap_or(NonZeroU32::MIN),
        /// How often the certificate files are checked for changes. New connections use the new files; existing ones
        /// continue. Default: 10s.
        pub reload_interval: Duration = Duration::from_secs(10),
    }
}

/// What a listener's TLS is.
pub struct CompiledTls {
    /// What runs.
    pub tls: Arc<Tls>,
    /// What browsers are told.
    pub hsts: Option<Duration>,
}

impl TlsConfig {
    /// The defaults, of a mapping that stands here.
    pub(super) fn at(at: Span) -> TlsConfig {
        TlsConfig {
            certificates: Vec::new(),
            self_signed: false,
            acme: None,
            client_certificates: None,
            min_version: TlsVersion::V12,
            hsts: Duration::ZERO,
            handshake_timeout: Duration::from_secs(10),
            max_handshakes: NonZeroU32::MIN,
            reload_interval: Duration::from_secs(10),
            at,
        }
    }

    /// What runs.
    pub fn compile(&self, loopback: bool, protocols: Vec<Protocol>, cx: &mut Context) -> Option<CompiledTls> {
        for (name, value) in
            [("handshake_timeout", self.handshake_timeout), ("reload_interval", self.reload_interval)]
        {
            if value.is_zero() {
                cx.error("config.timeout", self.at, format!("`{name}` must be greater than zero"))
                    .help("write a duration such as `10s`, or leave the key out");
                return None;
            }
        }
        // Each is looked at before the first failure counts, so that all failures are reported.
        let pairs = self.pairs(loopback, cx);
        let clients = self.client_certificates.as_ref().map(ClientCertificatesConfig::settings);
        let (source, pairs, trust) = pairs?;
        let settings = TlsSettings {
            source,
            clients,
            oldest: match self.min_version {
                TlsVersion::V12 => Oldest::Tls12,
                TlsVersion::V13 => Oldest::Tls13,
            },
            protocols,
            handshake_timeout: self.handshake_timeout,
            max_handshakes: usize::try_from(self.max_handshakes.get()).unwrap_or(usize::MAX),
            reload_interval: self.reload_interval,
            trust,
        };
        match Tls::new(settings, &pairs) {
            Ok(tls) => {
                // A browser must not insist on what it cannot trust.
                let trying = self.acme.as_ref().is_some_and(AcmeConfig::is_staging);
                Some(CompiledTls { tls, hsts: (!self.self_signed && !trying).then_some(self.hsts) })
            }
            Err(problem) => {
                self.report(&problem, self.at, self.at, cx);
                None
            }
        }
    }

    fn pairs(&self, loopback: bool, cx: &mut Context) -> Option<(Source, Vec<Pair>, Option<String>)> {
        let sources = [!self.certificates.is_empty(), self.self_signed, self.acme.is_some()];
        if sources.into_iter().filter(|given| *given).count() != 1 {
            cx.error("config.tls_source", self.at, "give exactly one source of certificates: files, ACME or self-signed")
                .help("write `certificates: [{ certificate: api.pem, key: api.key }]`, `acme: { .. }`, or `self_signed: true` for development");
            return None;
        }
        if let Some(acme) = &self.acme {
            let settings = cx.at("acme", |cx| acme.compile(cx))?;
            // What is wrong with a stored certificate is told when another is ordered.
            let stored = settings.stored().into_iter().collect();
            return Some((Source::Acme(settings), stored, None));
        }
        if self.self_signed {
            // SECURITY: nobody else can tell such a certificate from a forged one
            // (every_code_points_to_its_place_and_says_what_to_do).
            if !loopback {
                cx.error(
                    "config.self_signed",
                    self.at,
                    "clients on other machines do not trust a self-signed certificate",
                )
                .help("bind to 127.0.0.1, or give `certificates`");
                return None;
            }
            return match self_signed() {
                Ok((pair, trust)) => Some((Source::Memory, vec![pair], Some(trust))),
                Err(problem) => {
                    self.report(&problem, self.at, self.at, cx);
                    None
                }
            };
        }
        let mut files = Vec::new();
        let mut pairs = Vec::new();
        for (index, config) in self.certificates.iter().enumerate() {
            let pair = config.files();
            match Pair::read(&pair) {
                Ok(pair) => pairs.push(pair),
                Err(problem) => cx.at("certificates", |cx| {
                    cx.index(index, |cx| self.report(&problem, config.certificate.span, config.key.span, cx));
                }),
            }
            files.push(pair);
        }
        (files.len() == pairs.len()).then_some((Source::Files(files), pairs, None))
    }

    /// Says what is wrong, at the place that it is about.
    fn report(&self, problem: &Problem, certificate: Span, key: Span, cx: &mut Context) {
        let clients = self.client_certificates.as_ref();
        let (code, at, help) = match problem {
            Problem::Certificate(_) | Problem::Unusable(_) => (
                "config.tls_certificate",
                certificate,
                "the file holds the certificate and those that lead to its authority: `-----BEGIN CERTIFICATE-----`",
            ),
            Problem::Key(_) => (
                "config.tls_key",
                key,
                "the file holds an RSA key of at least 2048 bits, or an ECDSA or Ed25519 key, in PEM and not encrypted: `-----BEGIN PRIVATE KEY-----`",
            ),
            Problem::KeyPermissions(_) => (
                "config.tls_key_permissions",
                key,
                "run `chmod 600` on the file; if root owns it, the gateway's group may read it (mode 0440)",
            ),
            Problem::Mismatch => (
                "config.tls_mismatch",
                key,
                "give the key that the certificate was made with; the certificate comes first in its file",
            ),
            Problem::Expired { .. } | Problem::NotYetValid { .. } => (
                "config.tls_validity",
                certificate,
                "renew the certificate, or set the clock of this machine",
            ),
            Problem::Nameless => (
                "config.tls_names",
                certificate,
                "have it made with a subjectAltName such as `DNS:api.example.com`",
            ),
            Problem::Authorities(_) => (
                "config.client_authorities",
                clients.map_or(self.at, |clients| clients.ca.span),
                "the file holds the authorities' certificates in PEM: `-----BEGIN CERTIFICATE-----`",
            ),
            Problem::Revoked { file, .. } => (
                "config.revoked_certificates",
                clients
                    .and_then(|clients| clients.crls.iter().find(|crl| crl.value == *file))
                    .map_or(self.at, |crl| crl.span),
                "the file holds a list of revoked certificates in PEM: `-----BEGIN X509 CRL-----`",
            ),
        };
        cx.error(code, at, problem.to_string()).help(help);
    }
}

impl ClientCertificatesConfig {
    fn settings(&self) -> ClientSettings {
        ClientSettings {
            required: self.need == ClientCertificateNeed::Required,
            authorities: self.ca.value.clone(),
            revoked: self.crls.iter().map(|crl| crl.value.clone()).collect(),
        }
    }
}

/// Warns of hosts that are served, and that no certificate is for: no client that checks one would reach them.
pub fn warn_of_uncovered_hosts(listeners: &[Listener], routes: &[RouteConfig], cx: &mut Context) {
    let all: Vec<&Tls> = listeners.iter().filter_map(|listener| listener.tls.as_deref()).collect();
    if all.is_empty() || all.iter().any(|tls| tls.settings().source == Source::Memory) {
        return;
    }
    for host in routes.iter().flat_map(|route| &route.hosts) {
        let name = host.value.to_ascii_lowercase();
        if !all.iter().any(|tls| tls.covers(&name)) {
            cx.warning("config.host_not_covered", host.span, "no certificate has this host")
                .help("give a listener a certificate for it, or remove the host");
        }
    }
}

/// Gives each redirect the hosts that it may name: those of the routes and of the certificates.
pub fn name_hosts(listeners: &mut [Listener], config: &GatewayConfig, cx: &mut Context) {
    let mut hosts: Vec<String> =
        listeners.iter().filter_map(|listener| listener.tls.as_ref()).flat_map(|tls| tls.names()).collect();
    let protected = listeners.iter().any(|listener| listener.tls.is_some());
    hosts.extend(
        config.routes.iter().flat_map(|route| &route.hosts).map(|host| host.value.to_ascii_lowercase()),
    );
    hosts.sort_unstable();
    hosts.dedup();
    for (listener, written) in listeners.iter_mut().zip(&config.listeners) {
        let (Some(redirect), Some(port)) = (&mut listener.redirect, &written.redirect_to_https) else {
            continue;
        };
        if !protected {
            cx.error("config.redirect_to_nowhere", port.span, "no listener uses HTTPS")
                .help("add `tls` to another listener");
        }
        redirect.hosts.clone_from(&hosts);
    }
}
