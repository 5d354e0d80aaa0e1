//! The configuration document: what can be written.
//!
//! Each part is declared once, in a file of its own; its decoding, its place in the JSON Schema and its reference text come
//! from that declaration. What checks read of the `security` section they declare themselves.

mod access_log;
mod acme;
mod admin;
mod audit_log;
mod brute_force;
mod collector;
mod compression;
mod consumer;
mod detection;
mod error_bodies;
mod header_changes;
mod limits;
mod listener;
mod matching;
mod methods;
mod metrics;
mod outbound;
mod places;
mod request_headers;
mod rewriting;
mod route;
mod store;
mod syslog;
mod tls;
mod tracing;
mod upstream;

pub use crate::findings::AcceptedFindingConfig;
pub use crate::prove::written::TestConfig;
pub use access_log::{
    AccessLogConfig, AddressesConfig, LineFormat, LineStyle, LogOutput, LogSettings, OnFullConfig,
    RotationConfig,
};
pub use acme::{AcmeChallenge, AcmeConfig, answer_challenges};
pub(crate) use admin::token as admin_token;
pub use admin::{Admin, AdminConfig, AdminRole, AdminTlsConfig, AdminTokenConfig};
pub use audit_log::AuditLogConfig;
pub use brute_force::BruteForceConfig;
pub(crate) use collector::fingerprint;
pub use compression::{CodingConfig, CompressionConfig, CompressionSettingsConfig, LevelConfig};
pub use consumer::ConsumerConfig;
pub use detection::{DetectionConfig, DetectionMode, DetectionPolicy, SeverityConfig, WebhookConfig};
pub use error_bodies::ErrorBodyConfig;
pub use header_changes::{ProtectionConfig, RequestHeaderChangesConfig, ResponseHeadersConfig};
pub(crate) use limits::Limits;
pub use limits::LimitsConfig;
pub use listener::{HttpProtocol, ListenerConfig, TimeoutsConfig};
pub use matching::MatchConfig;
pub use methods::MethodsConfig;
pub use metrics::{MetricsConfig, MetricsPlan};
pub use outbound::OutboundConfig;
pub use places::PLACES;
pub use portcullis_checks::Reason;
pub use request_headers::{
    KeptHeader, KeptHeaderConfig, MethodOverrideConfig, RequestHeadersConfig, RequestIdConfig,
};
pub use rewriting::{RedirectConfig, RespondConfig, RewriteConfig};
pub use route::{
    EncodedPathConfig, EncodedPathsConfig, RouteConfig, RouteSecurityConfig, UpstreamErrorsConfig,
};
use std::path::PathBuf;
pub use store::{CountersConfig, OnFailureConfig, RedisConfig, SentinelConfig, StoreConfig, SyncConfig};
pub use store::{KeyStoreConfig, PostgresConfig};
pub use syslog::{FacilityConfig, SyslogConfig, SyslogServer};
pub use tls::{
    CertificateConfig, ClientCertificateNeed, ClientCertificatesConfig, TlsConfig, TlsVersion, name_hosts,
    warn_of_uncovered_hosts,
};
pub use tracing::{Tracing, TracingConfig};
pub use upstream::{HANDLER_SCHEME, UpstreamConfig, UpstreamGroupConfig, UpstreamTarget, UpstreamTlsConfig};
pub(crate) use upstream::{is_group_name, url_of};

use portcullis_checks::quota::overload::OverloadConfig;
use portcullis_checks::quota::plans::PlanConfig;
use portcullis_checks::{Cidr, OpenapiConfig, SecurityConfig};
use portcullis_config::{OneOrMany, Secret, Spanned, object};
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

object! {
    /// The configuration of a Portcullis gateway.
    pub struct GatewayConfig {
        /// More files of this configuration: paths or patterns such as `routes/*.yaml`, relative to the file that names
        /// them. Lists are joined in the order of the files; the files of a pattern are sorted by name. Every other key
        /// may be in one file only: no file overrides another. Included files can include others. Top-level keys that
        /// begin with `x-` are ignored, so that you can use them for YAML anchors.
        pub include: OneOrMany<String> = OneOrMany(Vec::new()),
        /// The addresses on which the gateway listens. At least one.
        pub listeners: Vec<ListenerConfig>,
        /// The security controls of every route. A route can replace each section.
        pub security: Option<SecurityConfig>,
        /// Named sets of `security` sections. A route uses one by `security: { use: NAME }`. The route's own sections
        /// override the profile's, and the profile's override the gateway's, each section as a whole. A rate limit of a
        /// profile is shared by all routes that use it.
        pub security_profiles: BTreeMap<String, SecurityConfig> = BTreeMap::new(),
        /// The OpenAPI document of every route that does not name another: a file name, or a mapping with its settings.
        pub openapi: Option<OpenapiConfig>,
        /// The clients and people who use the API.
        pub consumers: Vec<ConsumerConfig> = Vec::new(),
        /// What consumers may use, by the name of their plan: limits and quotas that hold on every route.
        pub plans: BTreeMap<String, PlanConfig> = BTreeMap::new(),
        /// Where the gateway keeps what it shares with other gateways, and consumers and keys that change without a
        /// reload. Default: nothing is shared.
        pub store: Option<StoreConfig>,
        /// Groups of servers that stand for each other, by their names. A route uses one by `upstream: NAME`.
        pub upstreams: BTreeMap<String, UpstreamGroupConfig> = BTreeMap::new(),
        /// The routes. A request that matches no route gets 404.
        pub routes: Vec<RouteConfig>,
        /// Rejects some requests with 503 while the gateway itself is too slow. Default: none.
        pub overload: Option<OverloadConfig>,
        /// Limits of request heads, and of the memory for bodies.
        pub limits: Option<LimitsConfig>,
        /// Proxies whose `X-Forwarded-For` and `Forwarded` headers are trusted. Do not list everyone. Default: none.
        pub trusted_proxies: Vec<Spanned<Cidr>> = Vec::new(),
        /// Additional request headers to remove.
        pub request_headers: Option<RequestHeadersConfig>,
        /// Changes to the headers of answers on every route. A route's own `response_headers` come after them.
        pub response_headers: Option<ResponseHeadersConfig>,
        /// Compresses answers: `true`, or a mapping with settings. Answers with secrets are left alone. Default: false.
        pub compression: Option<CompressionConfig>,
        /// Your own bodies for the gateway's error answers, by status. Default: problem details (RFC 9457).
        pub error_bodies: Vec<ErrorBodyConfig> = Vec::new(),
        /// A secret for hashing API keys (HMAC-SHA-256). Without it, the hashes in this file are worthless to a thief.
        pub key_pepper: Option<Spanned<Secret>>,
        /// Protection against guessing of credentials. Default: after ten failures, an address must wait, each time twice
        /// as long.
        pub brute_force: Option<BruteForceConfig>,
        /// The access log: its output, the form of its lines, and which requests get one. Default: stdout.
        pub access_log: AccessLogConfig = AccessLogConfig::usual(),
        /// The audit log: a tamper-evident file of rejected credentials, missing roles and scopes, exceeded limits,
        /// reloads and changes. Default: none.
        pub audit_log: Option<AuditLogConfig>,
        /// Detection of suspicious activity. Default: none.
        pub detection: Option<DetectionConfig>,
        /// The admin listener: API, dashboard, `/metrics`, `/healthz` and `/readyz`. Default: none.
        pub admin: Option<AdminConfig>,
        /// A separate listener for Prometheus metrics. Default: none.
        pub metrics: Option<MetricsConfig>,
        /// Traces of requests, sent to a collector by OTLP. Default: none.
        pub tracing: Option<TracingConfig>,
        /// Which servers the gateway itself may connect to, for example to fetch an issuer's keys. Default: the public
        /// Internet only.
        pub outbound: Option<OutboundConfig>,
        /// How many threads serve requests, at most 1024. Default: one per core.
        pub workers: Option<Spanned<NonZeroU32>>,
        /// The folder for the gateway's state, created if missing. A Unix socket in it answers `portcullis status`, for
        /// root and the gateway's own user only. Default: none.
        pub state_dir: Option<PathBuf>,
        /// Findings of `portcullis check` that are meant to be. Default: none.
        pub accepted_findings: Vec<AcceptedFindingConfig> = Vec::new(),
        /// Tests of this configuration, which `portcullis test` and every reload run. They may stand in included files.
        /// Default: none.
        pub tests: Vec<TestConfig> = Vec::new(),
        /// How long running requests may take to finish after the gateway receives SIGTERM. Default: 30s.
        pub drain: Duration = Duration::from_secs(30),
    }
}
