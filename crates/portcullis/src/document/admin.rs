//! Where operators ask and order.

use super::{CertificateConfig, TlsConfig};
use portcullis_admin::service::Settings;
use portcullis_admin::tokens::{LONGEST, Role, SHORTEST, Token};
use portcullis_checks::Reason;
use portcullis_config::decode::refuse_writable;
use portcullis_config::{Context, Spanned, keyword, object};
use portcullis_proxy::tls::{Protocol, Tls};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

keyword! {
    /// What the holder of a token may do.
    pub enum AdminRole {
        /// Read everything, change nothing.
        ReadOnly = "read_only",
        /// Also reload the configuration, and block addresses.
        Operator = "operator",
    }
}

object! {
    /// A token for the admin listener.
    pub struct AdminTokenConfig {
        /// File with the token, 32 to 512 visible ASCII characters. Create one with `openssl rand -hex 32`, mode 0600.
        pub file: Spanned<PathBuf>,
        /// What its holder may do. Default: read_only.
        pub role: AdminRole = AdminRole::ReadOnly,
    }
}

object! {
    /// The certificate of the admin listener.
    pub struct AdminTlsConfig {
        /// PEM file with the certificate and its chain.
        pub certificate: Spanned<PathBuf>,
        /// PEM file with the private key. Only its owner may be able to read it.
        pub key: Spanned<PathBuf>,
    }
}

object! {
    /// The admin listener: API, dashboard, `/metrics`, `/healthz` and `/readyz`.
    pub struct AdminConfig {
        /// The address and port, such as 127.0.0.1:9901. An address that is not loopback needs `tls` and `remote_access`.
        pub bind: Spanned<SocketAddr>,
        /// The tokens. Default: one with the role `operator`, created in `state_dir` as `admin.token`, mode 0600.
        pub tokens: Vec<AdminTokenConfig> = Vec::new(),
        /// Additional names under which the listener is reached, such as `gateway.internal:9901`. Requests for other hosts
        /// get 421. Default: none.
        pub hosts: Vec<String> = Vec::new(),
        /// The certificate of the listener. Its files are read again when they change. Default: no TLS.
        pub tls: Option<AdminTlsConfig>,
        /// Allows an address that is not loopback, and says why it is needed. Requires `tls`.
        pub remote_access: Option<Reason>,
        /// Serves `/metrics` without a token, and says why that is safe.
        pub insecure_open_metrics: Option<Reason>,
    }
}

/// The admin listener, ready to bind.
#[derive(Clone)]
pub struct Admin {
    /// Where it listens.
    pub bind: SocketAddr,
    /// Who may ask, under which names.
    pub settings: Settings,
    /// How its connections are protected.
    pub tls: Option<Arc<Tls>>,
    /// Where a token is made, if there is none in the configuration.
    pub made_token: Option<PathBuf>,
}

impl AdminConfig {
    /// What listens.
    pub fn compile(&self, state_dir: Option<&Path>, cx: &mut Context) -> Option<Admin> {
        let loopback = self.bind.value.ip().to_canonical().is_loopback();
        // SECURITY: tokens and what operators see must not cross a network in the clear (an_admin_listener_for_others_needs_tls).
        if !loopback && (self.tls.is_none() || self.remote_access.is_none()) {
            cx.error(
                "config.admin_address",
                self.bind.span,
                "others on the network could reach the admin listener",
            )
            .label("not a loopback address")
            .help("bind to 127.0.0.1, or add both `tls` and `remote_access: \"why\"`");
            return None;
        }
        let tls = match &self.tls {
            None => None,
            Some(tls) => Some(cx.at("tls", |cx| tls.compile(loopback, cx))?),
        };
        let made_token = match (self.tokens.is_empty(), state_dir) {
            (false, _) => None,
            (true, Some(folder)) => Some(folder.join("admin.token")),
            (true, None) => {
                cx.error("config.admin_tokens", self.at, "there is no token, and no folder to make one in")
                    .help("set `state_dir`, or list `tokens: [{ file: admin.token, role: operator }]`");
                return None;
            }
        };
        let read = self.tokens.iter().enumerate();
        let tokens: Vec<_> =
            read.map(|(index, token)| cx.at("tokens", |cx| cx.index(index, |cx| token.read(cx)))).collect();
        let tokens = tokens.into_iter().collect::<Option<Vec<_>>>()?;
        let hosts = self.hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
        let settings = Settings { tokens, hosts, open_metrics: self.insecure_open_metrics.is_some() };
        Some(Admin { bind: self.bind.value, settings, tls, made_token })
    }
}

impl AdminTlsConfig {
    fn compile(&self, loopback: bool, cx: &mut Context) -> Option<Arc<Tls>> {
        let AdminTlsConfig { certificate, key, at } = self.clone();
        let certificates = vec![CertificateConfig { certificate, key, at }];
        let tls = TlsConfig { certificates, ..TlsConfig::at(at) };
        tls.compile(loopback, vec![Protocol::Http1], cx).map(|compiled| compiled.tls)
    }
}

impl AdminTokenConfig {
    fn read(&self, cx: &mut Context) -> Option<Token> {
        let role = match self.role {
            AdminRole::ReadOnly => Role::ReadOnly,
            AdminRole::Operator => Role::Operator,
        };
        let file = &self.file.value;
        refuse_writable(file, self.file.span, cx)?;
        let problem = match std::fs::read_to_string(file) {
            Err(error) => format!("cannot read {}: {error}", file.display()),
            Ok(text) => match token(&text) {
                Some(token) => return Some(Token::new(token, role)),
                None => format!("{} does not hold a token", file.display()),
            },
        };
        cx.error("config.admin_token", self.file.span, problem)
            .help(format!("it must hold {SHORTEST} to {LONGEST} visible ASCII characters, such as `openssl rand -hex 32` prints"));
        None
    }
}

/// The token that a file holds, without the line break at its end.
pub(crate) fn token(text: &str) -> Option<&str> {
    let token = text.trim_end_matches(['\r', '\n']);
    let good =
        (SHORTEST..=LONGEST).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic());
    good.then_some(token)
}
