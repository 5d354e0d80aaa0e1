//! The configuration document: what can be written.
//!
//! Each part is declared once, in a file of its own; its decoding, its place in the JSON Schema and its reference text come
//! from that declaration. What checks read of the `security` section they declare themselves.

mod access_log;
mod acme;
mod audit_log;
mod brute_force;
mod consumer;
mod limits;
mod listener;
mod outbound;
mod request_headers;
mod route;
mod tls;
mod upstream;

pub use crate::findings::AcceptedFindingConfig;
pub use access_log::{AccessLogConfig, OnFullConfig};
pub use acme::{AcmeChallenge, AcmeConfig, answer_challenges};
pub use audit_log::AuditLogConfig;
pub use brute_force::BruteForceConfig;
pub use consumer::ConsumerConfig;
pub(crate) use limits::Limits;
pub use limits::LimitsConfig;
pub use listener::{HttpProtocol, ListenerConfig, TimeoutsConfig};
pub use outbound::OutboundConfig;
pub use portcullis_checks::Reason;
pub use request_headers::{KeptHeader, KeptHeaderConfig, MethodOverrideConfig, RequestHeadersConfig};
pub use route::{EncodedPathConfig, EncodedPathsConfig, MethodConfig, RouteConfig, RouteSecurityConfig};
use std::path::PathBuf;
pub use tls::{
    CertificateConfig, ClientCertificateNeed, ClientCertificatesConfig, TlsConfig, TlsVersion, name_hosts,
    warn_of_uncovered_hosts,
};
pub use upstream::{HANDLER_SCHEME, UpstreamConfig, UpstreamTarget, UpstreamTlsConfig};

use portcullis_checks::{Cidr, OpenapiConfig, SecurityConfig};
use portcullis_config::{OneOrMany, Secret, Spanned, object};
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

object! {
    /// The configuration of a Portcullis gateway.
    pub struct GatewayConfig {
        /// More files of this configuration, as paths or patterns such as `routes/*.yaml`, relative to the file that
        /// names them. Lists are joined in the order of the files; a pattern's files are taken by name. Anything else may
        /// stand in one file only: no file overrides another. Included files may include others. Keys at the top of a
        /// file that begin with `x-` are ignored, for anchors.
        pub include: OneOrMany<String> = OneOrMany(Vec::new()),
        /// Where the gateway listens. At least one.
        pub listeners: Vec<ListenerConfig>,
        /// What judges the requests of every route, unless the route says otherwise.
        pub security: Option<SecurityConfig>,
        /// Named sets of `security` sections. A route takes one by `security: { use: NAME }`: its own sections come first,
        /// then the profile's, then the gateway's, each section as a whole. A profile's limit is one limit for all
        /// routes that use it.
        pub security_profiles: BTreeMap<String, SecurityConfig> = BTreeMap::new(),
        /// The OpenAPI document of every route, unless the route has one of its own: the name of a file, or that and how it
        /// is enforced.
        pub openapi: Option<OpenapiConfig>,
        /// Who may use the API.
        pub consumers: Vec<ConsumerConfig> = Vec::new(),
        /// What is served, and where it goes. A request that no route describes is answered with 404.
        pub routes: Vec<RouteConfig>,
        /// How large a request's head may be, and how much of bodies may be kept in memory.
        pub limits: Option<LimitsConfig>,
        /// The proxies in front of the gateway, whose word on a client's address is believed; not everybody. Default: none.
        pub trusted_proxies: Vec<Spanned<Cidr>> = Vec::new(),
        /// Which request headers are removed, besides those that always are.
        pub request_headers: Option<RequestHeadersConfig>,
        /// A secret under which API keys are hashed, so that hashes in this file are of no use to who finds it.
        pub key_pepper: Option<Spanned<Secret>>,
        /// How guessing credentials is slowed down. Default: an address may fail ten times, and then waits ever longer.
        pub brute_force: Option<BruteForceConfig>,
        /// Where the access log goes, one JSON line per request. Default: stdout.
        pub access_log: AccessLogConfig = AccessLogConfig::Stdout { on_full: OnFullConfig::Wait },
        /// Where the audit log goes: refused credentials, roles, scopes and limits, reloads and changes, in a file whose
        /// every edit shows. Default: nowhere.
        pub audit_log: Option<AuditLogConfig>,
        /// What the gateway itself may ask of other servers. Default: addresses of the public Internet alone.
        pub outbound: Option<OutboundConfig>,
        /// How many threads serve requests, at most 1024. Default: one per core.
        pub workers: Option<Spanned<NonZeroU32>>,
        /// A folder for what the gateway keeps there, made if it is missing. A Unix socket in it answers `portcullis status`,
        /// to the user as whom the gateway runs and to root alone. Default: none.
        pub state_dir: Option<PathBuf>,
        /// Findings of `portcullis check` that are meant to be. Default: none.
        pub accepted_findings: Vec<AcceptedFindingConfig> = Vec::new(),
        /// How long running requests may take after the gateway was told to stop. Default: 30s.
        pub drain: Duration = Duration::from_secs(30),
    }
}
