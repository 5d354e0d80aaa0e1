//! How a listener gets its certificate by itself.

use super::outbound::read_authorities;
use super::{GatewayConfig, ListenerConfig};
use http::Uri;
use portcullis_config::{Context, Spanned, keyword, object};
use portcullis_core::head::host::canonical;
use portcullis_proxy::Listener;
use portcullis_proxy::tls::acme::{AcmeSettings, Proof, judge_folder};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Let's Encrypt's servers: the one that counts, and the one to try with.
const PRODUCTION: &str = "https://acme-v02.api.letsencrypt.org/directory";
const STAGING: &str = "https://acme-staging-v02.api.letsencrypt.org/directory";

/// The most hosts that a certificate is for; authorities take no more.
const MAX_DOMAINS: usize = 100;

keyword! {
    /// The ACME challenge that proves control of a host.
    pub enum AcmeChallenge {
        /// By a handshake on port 443, which is this listener (TLS-ALPN-01, RFC 8737).
        TlsAlpn = "tls_alpn",
        /// By an answer in the clear on port 80, which another listener gives (HTTP-01, RFC 8555).
        Http = "http",
    }
}

object! {
    /// Automatic certificates by ACME (RFC 8555).
    pub struct AcmeConfig {
        /// The hosts of the certificate, such as api.example.com. Wildcard names are not supported.
        pub domains: Vec<Spanned<String>>,
        /// Whether you agree to the CA's terms of service. Most CAs issue nothing without it.
        pub agree_to_terms: bool = false,
        /// The folder for the account key and the certificates. It is created if missing, with access for its owner only.
        /// Several gateways can share it: one of them orders, and all use the certificates.
        pub storage: Spanned<PathBuf>,
        /// Contact addresses for the CA, such as `mailto:operator@example.com`. Default: none.
        pub contact: Vec<Spanned<String>> = Vec::new(),
        /// URL of the ACME directory. A server outside the public Internet must also be listed under `outbound.allow`.
        /// Default: Let's Encrypt.
        pub directory: Option<Spanned<String>>,
        /// Uses Let's Encrypt's staging server, for tests. Clients do not trust its certificates. Default: false.
        pub staging: Option<Spanned<bool>>,
        /// How the CA verifies that you control the hosts. Default: tls_alpn.
        pub challenge: Spanned<AcmeChallenge> = Spanned::nowhere(AcmeChallenge::TlsAlpn),
        /// PEM file with the CAs that verify the ACME server. If set, no others are trusted for it. Default: the system's
        /// CAs and those of `outbound.ca`.
        pub ca: Option<Spanned<PathBuf>>,
        /// How long before it expires a certificate is renewed, at the latest. The CA may suggest an earlier time (RFC
        /// 9773). Default: a third of its lifetime.
        pub renew_before: Option<Spanned<Duration>>,
        /// How long to wait before a failed order is retried. The wait doubles after each failure, up to 6h, and a
        /// `Retry-After` of the CA is respected. It is also the shortest time between two orders. Default: 1m.
        pub retry_interval: Duration = Duration::from_secs(60),
    }
}

impl AcmeConfig {
    /// What runs.
    pub fn compile(&self, cx: &mut Context) -> Option<Arc<AcmeSettings>> {
        // Each is looked at before the first failure counts, so that all failures are reported.
        let domains = self.domains(cx);
        let contact = self.contact(cx);
        let directory = self.directory(cx);
        let authorities = match &self.ca {
            None => Some(None),
            Some(file) => read_authorities(file, cx).map(Some),
        };
        let mut good = true;
        if !self.agree_to_terms {
            good = false;
            cx.error(
                "config.acme_terms",
                self.at,
                "the CA issues no certificates without agreement to its terms",
            )
            .help("read its terms of service, and write `agree_to_terms: true`");
        }
        if let Err(why) = judge_folder(&self.storage.value) {
            good = false;
            cx.error("config.acme_storage", self.storage.span, format!("the folder cannot be used: {why}"))
                .help("the folder holds private keys: use a separate folder with `chmod 700`");
        }
        let before = self.renew_before.as_ref().map(|before| before.value);
        for (name, value) in [("renew_before", before), ("retry_interval", Some(self.retry_interval))] {
            if value.is_some_and(|value| value.is_zero()) {
                good = false;
                cx.error("config.timeout", self.at, format!("`{name}` must be greater than zero"))
                    .help("write a duration such as `30d`, or leave the key out");
            }
        }
        let settings = AcmeSettings {
            domains: domains?,
            contact: contact?,
            directory: directory?,
            authorities: authorities?.map(|found| found.iter().map(|der| der.to_vec().into()).collect()),
            storage: self.storage.value.clone(),
            proof: match self.challenge.value {
                AcmeChallenge::TlsAlpn => Proof::TlsAlpn,
                AcmeChallenge::Http => Proof::Http,
            },
            renew_before: before,
            retry_interval: self.retry_interval,
        };
        good.then(|| Arc::new(settings))
    }

    /// Whether nobody trusts its certificates.
    pub fn is_staging(&self) -> bool {
        self.staging.as_ref().is_some_and(|staging| staging.value)
    }

    fn domains(&self, cx: &mut Context) -> Option<Vec<String>> {
        let mut domains = Vec::new();
        let mut good = true;
        for domain in &self.domains {
            match host(&domain.value) {
                Ok(name) if domains.contains(&name) => {}
                Ok(name) => domains.push(name),
                Err(why) => {
                    good = false;
                    cx.error("config.acme_domain", domain.span, why)
                        .help("write the host as clients do, such as `api.example.com`");
                }
            }
        }
        if self.domains.is_empty() || domains.len() > MAX_DOMAINS {
            good = false;
            cx.error(
                "config.acme_domain",
                self.at,
                format!("a certificate can have 1 to {MAX_DOMAINS} hosts"),
            )
            .help("list the hosts that clients use: `domains: [api.example.com]`");
        }
        good.then_some(domains)
    }

    fn contact(&self, cx: &mut Context) -> Option<Vec<String>> {
        let mut good = true;
        for contact in &self.contact {
            let address = contact.value.strip_prefix("mailto:").unwrap_or_default();
            let plain = |text: &str| {
                !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() && !"?,@".contains(c))
            };
            if !address.split_once('@').is_some_and(|(name, host)| plain(name) && plain(host)) {
                good = false;
                cx.error("config.acme_contact", contact.span, "this is not a contact address")
                    .help("write an address such as `mailto:operator@example.com`");
            }
        }
        good.then(|| self.contact.iter().map(|contact| contact.value.clone()).collect())
    }

    fn directory(&self, cx: &mut Context) -> Option<String> {
        let staging = self.staging.as_ref().filter(|staging| staging.value);
        let Some(directory) = &self.directory else {
            return Some(if staging.is_some() { STAGING } else { PRODUCTION }.to_owned());
        };
        if let Some(staging) = staging {
            cx.error("config.acme_directory", staging.span, "`staging` and `directory` exclude each other")
                .help("`staging` is for Let's Encrypt only; remove it if you name a `directory`");
            return None;
        }
        let parsed = directory.value.parse::<Uri>().ok();
        let good = parsed.is_some_and(|url| {
            url.scheme_str() == Some("https")
                && url.authority().is_some_and(|authority| !authority.as_str().contains('@'))
        });
        if !good {
            cx.error("config.acme_directory", directory.span, "this is not an HTTPS URL")
                .help("write a URL that begins with `https://` and has no password in it");
            return None;
        }
        Some(directory.value.clone())
    }
}

/// A host as certificates name it.
fn host(written: &str) -> Result<String, &'static str> {
    if written.contains('*') {
        return Err("a name with `*` is proven by DNS, which the gateway does not change");
    }
    let name = canonical(written).map_err(|_| "this is not a host")?;
    let label = |label: &str| !label.starts_with('-') && !label.ends_with('-') && !label.contains('_');
    if written.contains([':', '[']) || name.parse::<IpAddr>().is_ok() {
        return Err("a certificate is for hosts, without addresses and ports");
    }
    if !name.contains('.') || !name.split('.').all(label) {
        return Err("this is not a host of the Internet");
    }
    Ok(name)
}

/// Has the listeners in the clear answer for those that prove their hosts there.
pub fn answer_challenges(listeners: &mut [Listener], config: &GatewayConfig, cx: &mut Context) {
    let mut pending = Vec::new();
    let clear = listeners.iter().any(|listener| listener.tls.is_none());
    for (index, (listener, written)) in listeners.iter().zip(&config.listeners).enumerate() {
        let Some(tls) = &listener.tls else { continue };
        if tls.acme().is_none_or(|acme| acme.proof != Proof::Http) {
            continue;
        }
        if !clear {
            let at = challenge_span(written);
            cx.at("listeners", |cx| {
                cx.index(index, |cx| {
                    cx.error("config.acme_without_http", at, "the `http` challenge needs a listener without TLS")
                        .help("add a listener for port 80: `{ bind: \"0.0.0.0:80\", redirect_to_https: 443 }`, or use `tls_alpn`");
                });
            });
        }
        pending.push(Arc::clone(tls.challenges()));
    }
    for listener in listeners.iter_mut().filter(|listener| listener.tls.is_none()) {
        listener.challenges.clone_from(&pending);
    }
}

fn challenge_span(written: &ListenerConfig) -> portcullis_config::Span {
    let acme = written.tls.as_ref().and_then(|tls| tls.acme.as_ref());
    acme.map_or(portcullis_config::Span::NONE, |acme| acme.challenge.span)
}
