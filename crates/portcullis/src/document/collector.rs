//! A collector of OpenTelemetry, as the configuration names it.

use http::{HeaderName, HeaderValue, Uri};
use portcullis_config::{Context, Secret, Spanned};
use portcullis_telemetry::otlp::Collector;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Tells two settings apart that are not the same, and shows nothing of them.
pub(crate) fn fingerprint(collector: &Collector) -> String {
    let Collector { url, headers, service } = collector;
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

/// The URL of a collector; without a path, this one is added.
pub(super) fn url(otlp: &Spanned<String>, path: &str, cx: &mut Context) -> Option<Uri> {
    let text = otlp.value.trim();
    let found = text.parse::<Uri>().ok().filter(|url| {
        matches!(url.scheme_str(), Some("http" | "https"))
            && url.authority().is_some_and(|authority| !authority.as_str().contains('@'))
            && url.query().is_none()
    });
    let Some(url) = found else {
        cx.error("config.collector", otlp.span, "this is not the URL of a collector")
            .help("write for instance `http://127.0.0.1:4318`; credentials go under `headers`");
        return None;
    };
    match url.path() {
        "/" => format!("{}{path}", text.trim_end_matches('/')).parse().ok(),
        _ => Some(url),
    }
}

/// The fields of each message.
pub(super) fn headers(
    written: &BTreeMap<String, Spanned<Secret>>,
    cx: &mut Context,
) -> Option<Vec<(HeaderName, HeaderValue)>> {
    let mut all = Vec::new();
    for (name, secret) in written {
        let field = name.parse::<HeaderName>().ok();
        let value = HeaderValue::from_str(secret.value.expose().trim()).ok();
        let (Some(field), Some(mut value)) = (field, value) else {
            cx.error("config.collector", secret.span, "this cannot be a header")
                .help("names are tokens such as `authorization`; values are visible ASCII characters");
            return None;
        };
        value.set_sensitive(true);
        all.push((field, value));
    }
    Some(all)
}
