//! Where traces go, and of how many requests.

use super::collector;
use portcullis_config::{Context, Secret, Spanned, object};
use portcullis_core::trace::Sampling;
use portcullis_telemetry::otlp::Collector;
use std::collections::BTreeMap;

object! {
    /// Traces by OTLP, for a collector such as that of OpenTelemetry, Jaeger or Phoenix.
    pub struct TracingConfig {
        /// URL of the collector, for protobuf over HTTP, such as `http://127.0.0.1:4318`. Without a path, `/v1/traces` is added. The
        /// rules of `outbound` hold: list a private address under `outbound.allow`; `http` is for this machine only.
        pub otlp: Spanned<String>,
        /// Of how many requests spans are recorded, such as `1%` or `0.01%`, if no trusted proxy has decided it. Default: 1%.
        pub sample: Spanned<String> = Spanned::nowhere("1%".to_owned()),
        /// Headers for the collector, such as `authorization`. Default: none.
        pub headers: BTreeMap<String, Spanned<Secret>> = BTreeMap::new(),
        /// The name of this gateway in traces. Default: portcullis.
        pub service: String = "portcullis".to_owned(),
    }
}

/// What is to be traced, and where it goes.
#[derive(Clone, Debug)]
pub struct Tracing {
    /// Of how many requests.
    pub sampling: Sampling,
    /// Where spans go.
    pub collector: Collector,
}

impl TracingConfig {
    /// What runs.
    pub fn compile(&self, cx: &mut Context) -> Option<Tracing> {
        let url = collector::url(&self.otlp, "/v1/traces", cx);
        let sampling = self.sampling(cx);
        let headers = collector::headers(&self.headers, cx);
        let collector = Collector { url: url?, headers: headers?, service: self.service.clone() };
        Some(Tracing { sampling: sampling?, collector })
    }

    fn sampling(&self, cx: &mut Context) -> Option<Sampling> {
        let share =
            self.sample.value.trim().strip_suffix('%').and_then(|text| text.trim().parse::<f64>().ok());
        match share.filter(|share| (0.0..=100.0).contains(share)) {
            Some(share) => {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a number from 0 to a million"
                )]
                let per_million = (share * 10_000.0).round() as u32;
                Some(Sampling::per_million(per_million))
            }
            None => {
                cx.error("config.tracing", self.sample.span, "this is not a share of requests")
                    .help("write a percentage from 0% to 100%, such as `1%`");
                None
            }
        }
    }
}
