//! Where counters are shared.

use portcullis_checks::{Build, Reason};
use portcullis_config::{Context, Secret, Spanned, keyword, object};
use portcullis_store::SharedStore;
use portcullis_store::shared::{Endpoint, OnFailure, SharedSettings, Sync, Tls};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The longest time that a request may wait for the store.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(2);

keyword! {
    /// When gateways tell each other what they count.
    pub enum SyncConfig {
        /// At each request, so that a limit is exact.
        Strict = "strict",
        /// A gateway takes up to a twentieth of a limit in advance, so that most requests need no round trip.
        Leased = "leased",
    }
}

keyword! {
    /// What happens to limits while the store does not answer.
    pub enum OnFailureConfig {
        /// Each gateway allows the limit divided by the gateways that were seen in the last minute.
        LocalShare = "local_share",
        /// Requests that have a limit are rejected with 503.
        Deny = "deny",
    }
}

object! {
    /// A server that Redis Sentinel watches.
    pub struct SentinelConfig {
        /// The name that the sentinels have for it.
        pub service: String,
        /// The URLs of the sentinels.
        pub urls: Vec<Spanned<Secret>>,
    }
}

object! {
    /// Redis or Valkey: one server, a cluster, or a server that sentinels watch.
    pub struct RedisConfig {
        /// The URL: `redis://user:password@host:6379/0`, or `rediss://` with TLS. With `sentinel`, only user, password, database
        /// and whether there is TLS are taken from it.
        pub url: Option<Spanned<Secret>>,
        /// The URLs of some servers of a cluster, in place of `url`.
        pub cluster: Vec<Spanned<Secret>> = Vec::new(),
        /// The sentinels that know which server to use.
        pub sentinel: Option<SentinelConfig>,
        /// PEM file with the CAs that verify the server. If set, no others are trusted for it.
        pub ca: Option<Spanned<PathBuf>>,
        /// When gateways tell each other what they count. Default: strict.
        pub sync: SyncConfig = SyncConfig::Strict,
        /// What happens to limits while the store does not answer. Default: local_share.
        pub on_failure: OnFailureConfig = OnFailureConfig::LocalShare,
        /// While the store does not answer, requests pass without limits, for this reason. In place of `on_failure`.
        pub insecure_allow: Option<Reason>,
        /// How long a request waits for the store, at most 2s. Default: 100ms.
        pub timeout: Spanned<Duration> = Spanned::nowhere(Duration::from_millis(100)),
        /// What the names of all keys in the store begin with. Gateways with the same prefix count together. Default:
        /// portcullis.
        pub prefix: Spanned<String> = Spanned::nowhere("portcullis".to_owned()),
    }
}

object! {
    /// Where limits are counted.
    pub struct CountersConfig {
        /// Redis or Valkey.
        pub redis: RedisConfig,
    }
}

impl CountersConfig {
    /// What runs.
    pub fn compile(&self, build: &Build, cx: &mut Context) -> Option<Arc<SharedStore>> {
        cx.at("redis", |cx| self.redis.compile(build, cx))
    }
}

impl RedisConfig {
    fn compile(&self, build: &Build, cx: &mut Context) -> Option<Arc<SharedStore>> {
        let settings = self.settings(cx)?;
        let name = settings.name();
        Some(build.kept.keep(&name, || SharedStore::new(settings)))
    }

    fn settings(&self, cx: &mut Context) -> Option<SharedSettings> {
        let endpoint = self.endpoint(cx);
        if self.timeout.value.is_zero() || self.timeout.value > LONGEST_TIMEOUT {
            cx.error(
                "config.wait",
                self.timeout.span,
                "a request waits for the store for some time, at most 2s",
            )
            .help("write a time such as `100ms`");
            return None;
        }
        let prefix = &self.prefix.value;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
        if prefix.is_empty() || prefix.len() > 64 || !prefix.bytes().all(plain) {
            cx.error(
                "config.store_prefix",
                self.prefix.span,
                "a prefix is made of at most 64 letters, digits and the marks `-`, `_`, `.` and `:`",
            )
            .help("write a name such as `orders-gateway`");
            return None;
        }
        let on_failure = match (&self.insecure_allow, self.on_failure) {
            (Some(_), _) => OnFailure::Allow,
            (None, OnFailureConfig::LocalShare) => OnFailure::LocalShare,
            (None, OnFailureConfig::Deny) => OnFailure::Deny,
        };
        if self.insecure_allow.is_some() && self.on_failure == OnFailureConfig::Deny {
            cx.error(
                "config.store_failure",
                self.at,
                "while the store does not answer, requests are both rejected and allowed",
            )
            .help("remove `on_failure` or `insecure_allow`");
            return None;
        }
        let sync = match self.sync {
            SyncConfig::Strict => Sync::Strict,
            SyncConfig::Leased => Sync::Leased,
        };
        Some(SharedSettings {
            endpoint: endpoint?,
            sync,
            on_failure,
            deadline: self.timeout.value,
            prefix: prefix.clone(),
        })
    }

    fn endpoint(&self, cx: &mut Context) -> Option<Endpoint> {
        let tls = self.tls(cx)?;
        let text = |secret: &Spanned<Secret>| secret.value.expose().trim().to_owned();
        let one = |cx: &mut Context, message: &str| {
            cx.error("config.store_url", self.at, message)
                .help("write `url` for one server, `cluster` for a cluster, or `url` and `sentinel`");
        };
        let (endpoint, at) = match (&self.url, self.cluster.as_slice(), &self.sentinel) {
            (Some(url), [], None) => (Endpoint::Single { url: text(url), tls }, url.span),
            (None, [first, ..], None) => {
                (Endpoint::Cluster { urls: self.cluster.iter().map(text).collect(), tls }, first.span)
            }
            (Some(url), [], Some(sentinel)) => {
                let sentinels: Vec<String> = sentinel.urls.iter().map(text).collect();
                if sentinels.is_empty() {
                    one(cx, "no sentinel is named");
                    return None;
                }
                (
                    Endpoint::Sentinel {
                        sentinels,
                        service: sentinel.service.clone(),
                        server: text(url),
                        tls,
                    },
                    url.span,
                )
            }
            (None, [], _) => {
                one(cx, "nothing says where the store is");
                return None;
            }
            (_, [_, ..], _) => {
                one(cx, "the store is a cluster and something else at once");
                return None;
            }
        };
        if let Err(message) = endpoint.check() {
            cx.error("config.store_url", at, message)
                .help("write for instance `redis://user:password@10.0.0.5:6379/0`; percent-encode what is special in a password");
            return None;
        }
        if endpoint.travels_in_plain_text() {
            cx.warning(
                "config.store_plain_text",
                at,
                "counters and the password of the store travel in plain text",
            )
            .help("use `rediss://`");
        }
        Some(endpoint)
    }

    fn tls(&self, cx: &mut Context) -> Option<Tls> {
        let Some(ca) = &self.ca else { return Some(Tls::default()) };
        let path = cx.resolve(ca.span, &ca.value);
        match std::fs::read(&path) {
            Ok(pem) if pem.windows(10).any(|part| part == b"-----BEGIN") => Some(Tls { ca: Some(pem) }),
            Ok(_) => {
                cx.error("config.store_ca", ca.span, "this file holds no certificate in PEM")
                    .help("name a file that begins with `-----BEGIN CERTIFICATE-----`");
                None
            }
            Err(error) => {
                cx.error("config.store_ca", ca.span, format!("the file cannot be read: {error}"))
                    .help("name a file with the CAs in PEM");
                None
            }
        }
    }
}
