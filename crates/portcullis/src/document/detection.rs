//! What looks for suspicious activity, and what is done about it.

use crate::observe::detection::webhook::Webhook;
use portcullis_checks::Cidr;
use portcullis_config::{Context, Secret, Spanned, keyword, object};
use portcullis_telemetry::detect::{DETECTORS, Severity};
use std::sync::Arc;
use std::time::Duration;

/// The longest block.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);
/// The shortest one.
const SHORTEST: Duration = Duration::from_secs(60);
/// The shortest secret of a webhook, in bytes.
const SHORTEST_SECRET: usize = 32;

keyword! {
    /// What is done about findings.
    pub enum DetectionMode {
        /// Findings are recorded, and the sender is blocked for a time.
        Enforce = "enforce",
        /// Findings are recorded.
        Observe = "observe",
    }
}

keyword! {
    /// How much a finding matters.
    pub enum SeverityConfig {
        /// Worth a look when there is time.
        Low = "low",
        /// Worth a look today.
        Medium = "medium",
        /// Likely an attack.
        High = "high",
    }
}

impl From<SeverityConfig> for Severity {
    fn from(config: SeverityConfig) -> Severity {
        match config {
            SeverityConfig::Low => Severity::Low,
            SeverityConfig::Medium => Severity::Medium,
            SeverityConfig::High => Severity::High,
        }
    }
}

object! {
    /// A server that gets each finding by POST, as JSON.
    pub struct WebhookConfig {
        /// Where findings are sent: an https URL, or http to this machine. An address that is not public must be in
        /// `outbound.allow`.
        pub url: Spanned<String>,
        /// The secret that signs each message (HMAC-SHA-256), at least 32 bytes.
        pub secret: Spanned<Secret>,
        /// The least severity that is sent. Default: medium.
        pub severity: SeverityConfig = SeverityConfig::Medium,
    }
}

object! {
    /// Detection of suspicious activity: stuffed credentials, scanners, ids that are enumerated, keys used from elsewhere
    /// and others. Findings appear in the log, the audit log, the metrics and the dashboard.
    pub struct DetectionConfig {
        /// `observe` only records findings. `enforce` also blocks the sender for `block_for`: its address, or, if it is
        /// authenticated, that consumer at that address. Default: observe.
        pub mode: DetectionMode = DetectionMode::Observe,
        /// Detectors that do not run, by name.
        pub disabled: Vec<Spanned<String>> = Vec::new(),
        /// How long a block lasts, from 1m to 30d. Default: 15m.
        pub block_for: Spanned<Duration> = Spanned::nowhere(Duration::from_secs(15 * 60)),
        /// The least severity that leads to a block. Default: high.
        pub block_severity: SeverityConfig = SeverityConfig::High,
        /// Addresses and networks whose requests are not examined, such as your monitoring. Default: none.
        pub exempt_addresses: Vec<Cidr> = Vec::new(),
        /// Consumers whose authenticated requests are not examined. Default: none.
        pub exempt_consumers: Vec<String> = Vec::new(),
        /// Sends findings to a server. Default: none.
        pub webhook: Option<WebhookConfig>,
    }
}

/// What runs.
#[derive(Clone)]
pub struct DetectionPolicy {
    /// Whether senders are blocked.
    pub blocks: bool,
    /// Detectors that do not run.
    pub disabled: Vec<String>,
    /// How long a block lasts.
    pub block_for: Duration,
    /// From which severity on.
    pub block_severity: Severity,
    /// Networks whose requests are not looked at.
    pub exempt_addresses: Vec<ipnet::IpNet>,
    /// Consumers whose requests are not looked at.
    pub exempt_consumers: Vec<String>,
    /// Who is told.
    pub webhook: Option<Arc<Webhook>>,
}

impl DetectionConfig {
    /// What runs. A webhook sends while its job runs.
    pub fn compile(&self, cx: &mut Context) -> Option<DetectionPolicy> {
        for name in &self.disabled {
            if !DETECTORS.iter().any(|kind| kind.name == name.value) {
                let names: Vec<_> = DETECTORS.iter().map(|kind| kind.name).collect();
                cx.error("config.detector", name.span, format!("there is no detector `{}`", name.value))
                    .help(format!("the detectors are {}", names.join(", ")));
                return None;
            }
        }
        if !(SHORTEST..=LONGEST).contains(&self.block_for.value) {
            cx.error("config.block_time", self.block_for.span, "a block lasts from 1m to 30d")
                .help("write a time such as `15m`");
            return None;
        }
        let webhook = match &self.webhook {
            None => None,
            Some(webhook) => Some(cx.at("webhook", |cx| webhook.compile(cx))?),
        };
        Some(DetectionPolicy {
            blocks: self.mode == DetectionMode::Enforce,
            disabled: self.disabled.iter().map(|name| name.value.clone()).collect(),
            block_for: self.block_for.value,
            block_severity: self.block_severity.into(),
            exempt_addresses: self.exempt_addresses.iter().map(|cidr| cidr.0).collect(),
            exempt_consumers: self.exempt_consumers.clone(),
            webhook,
        })
    }
}

impl WebhookConfig {
    fn compile(&self, cx: &mut Context) -> Option<Arc<Webhook>> {
        let url = match portcullis_checks::token::metadata::endpoint(&self.url.value) {
            Ok(url) => url,
            Err(why) => {
                cx.error(
                    "config.webhook_url",
                    self.url.span,
                    format!("findings cannot be sent there: {why}"),
                )
                .help("write an https URL, such as `https://alerts.example.com/portcullis`");
                return None;
            }
        };
        let secret = self.secret.value.expose().as_bytes();
        if secret.len() < SHORTEST_SECRET {
            cx.error("config.webhook_secret", self.secret.span, "the secret is shorter than 32 bytes")
                .help("`openssl rand -hex 32` prints a good one");
            return None;
        }
        Some(Arc::new(Webhook::new(url, secret, self.severity.into())))
    }
}
