//! Where traces go, and of how many requests.

use http::{HeaderName, HeaderValue, Uri};
use portcullis_config::{Context, Secret, Spanned, object};
use portcullis_core::trace::Sampling;
use portcullis_telemetry::traces::Collector;
use sha2::{Digest, Sha256};
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

impl Tracing {
    /// Tells two settings apart that are not the same, and shows nothing of them.
    pub fn fingerprint(&self) -> String {
        let Collector { url, headers, service } = &self.collector;
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update(bytes.len().to_le_bytes());
            hash.update(bytes);
        };
        part(url.to_string().as_bytes());
        part(service.as_bytes());
        for (name, value) in headers {
            part(name.as_str().as_bytes());
            part(value.as_bytes());
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl TracingConfig {
    /// What runs.
    pub fn compile(&self, cx: &mut Context) -> Option<Tracing> {
        let url = self.url(cx);
        let sampling = self.sampling(cx);
        let headers = self.headers(cx);
        let collector = Collector { url: url?, headers: headers?, service: self.service.clone() };
        Some(Tracing { sampling: sampling?, collector })
    }

    fn url(&self, cx: &mut Context) -> Option<Uri> {
        let text = self.otlp.value.trim();
        let found = text.parse::<Uri>().ok().filter(|url| {
            matches!(url.scheme_str(), Some("http" | "https"))
                && url.authority().is_some_and(|authority| !authority.as_str().contains('@'))
                && url.query().is_none()
        });
        let Some(url) = found else {
            cx.error("config.tracing", self.otlp.span, "this is not the URL of a collector")
                .help("write for instance `http://127.0.0.1:4318`; credentials go under `headers`");
            return None;
        };
        match url.path() {
            "/" => format!("{}/v1/traces", text.trim_end_matches('/')).parse().ok(),
            _ => Some(url),
        }
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

    fn headers(&self, cx: &mut Context) -> Option<Vec<(HeaderName, HeaderValue)>> {
        let mut all = Vec::new();
        for (name, secret) in &self.headers {
            let field = name.parse::<HeaderName>().ok();
            let value = HeaderValue::from_str(secret.value.expose().trim()).ok();
            let (Some(field), Some(mut value)) = (field, value) else {
                cx.error("config.tracing", secret.span, "this cannot be a header")
                    .help("names are tokens such as `authorization`; values are visible ASCII characters");
                return None;
            };
            value.set_sensitive(true);
            all.push((field, value));
        }
        Some(all)
    }
}
