//! Where metrics go, beside the admin listener: to whoever scrapes them, or to a collector.

use super::collector;
use portcullis_checks::Reason;
use portcullis_config::{Context, Secret, Spanned, object};
use portcullis_telemetry::otlp::Collector;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

object! {
    /// Metrics for Prometheus, on a listener that serves `/metrics` and nothing else, or for a collector of OpenTelemetry.
    pub struct MetricsConfig {
        /// The address and port, such as 127.0.0.1:9464. An address that is not loopback needs `insecure_plaintext`. Default: no
        /// listener.
        pub bind: Option<Spanned<SocketAddr>>,
        /// Allows an address that is not loopback, and says why that is safe. Anyone who reaches it can read the names of
        /// routes and consumers, and how often they are used.
        pub insecure_plaintext: Option<Reason>,
        /// URL of a collector that is sent the metrics, for protobuf over HTTP, such as `http://127.0.0.1:4318`. Without a path,
        /// `/v1/metrics` is added. The rules of `outbound` hold: list a private address under `outbound.allow`; `http` is for this
        /// machine only.
        pub otlp: Option<Spanned<String>>,
        /// How often metrics are sent to the collector, 1 second or more. Default: 60s.
        pub every: Spanned<Duration> = Spanned::nowhere(Duration::from_secs(60)),
        /// Headers for the collector, such as `authorization`. Default: none.
        pub headers: BTreeMap<String, Spanned<Secret>> = BTreeMap::new(),
        /// The name of this gateway at the collector. Default: portcullis.
        pub service: String = "portcullis".to_owned(),
    }
}

/// Where metrics go.
#[derive(Clone, Debug, Default)]
pub struct MetricsPlan {
    /// Where they are scraped.
    pub bind: Option<SocketAddr>,
    /// Where they are sent, and how often.
    pub export: Option<(Collector, Duration)>,
}

impl MetricsConfig {
    /// What runs.
    pub fn compile(&self, cx: &mut Context) -> Option<MetricsPlan> {
        // SECURITY: names of consumers and routes are not for everybody (a_plaintext_listener_needs_a_reason).
        if let Some(bind) = self.bind.as_ref().filter(|bind| !bind.value.ip().to_canonical().is_loopback())
            && self.insecure_plaintext.is_none()
        {
            cx.error("config.plaintext", bind.span, "anybody on the network could read the metrics")
                .label("not a loopback address")
                .help("bind to 127.0.0.1, or say why it is safe here: `insecure_plaintext: \"only the scraper reaches this network\"`");
            return None;
        }
        let export = match &self.otlp {
            None => {
                if self.bind.is_none() {
                    let unused = self.headers.values().next().map_or(self.every.span, |header| header.span);
                    cx.error("config.metrics", unused, "nobody would get the metrics")
                        .help("add `bind: 127.0.0.1:9464`, or `otlp` with the URL of a collector");
                    return None;
                }
                None
            }
            Some(otlp) => {
                if self.every.value < Duration::from_secs(1) {
                    cx.error("config.metrics", self.every.span, "metrics are sent once a second at most")
                        .help("write a time such as `60s`");
                    return None;
                }
                let url = collector::url(otlp, "/v1/metrics", cx);
                let headers = collector::headers(&self.headers, cx);
                let collector = Collector { url: url?, headers: headers?, service: self.service.clone() };
                Some((collector, self.every.value))
            }
        };
        Some(MetricsPlan { bind: self.bind.as_ref().map(|bind| bind.value), export })
    }
}
