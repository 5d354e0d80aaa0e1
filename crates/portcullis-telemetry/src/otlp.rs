//! A collector of OpenTelemetry: how it is sent a message by OTLP (protobuf over HTTP), and what every message has.
//!
//! A message that the collector does not take is sent a second time, if it may be taken then, and given up after that. It goes
//! the way of everything that the gateway itself asks: only to addresses that the operator allows.

use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue, Method, StatusCode, Uri};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use portcullis_core::{Effects, Fetch};
use std::fmt;
use std::time::Duration;

/// The pause before the second attempt.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest text of an attribute in bytes.
const MAX_TEXT: usize = 256;

/// Where spans or metrics go.
#[derive(Clone)]
pub struct Collector {
    /// The whole URL, such as `http://127.0.0.1:4318/v1/traces`.
    pub url: Uri,
    /// Fields of each request. May hold secrets.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What the gateway is called.
    pub service: String,
}

// SECURITY: the fields may hold secrets (debug_of_a_collector_shows_no_field).
impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Collector").field("url", &self.url).field("headers", &names).finish_non_exhaustive()
    }
}

impl Collector {
    /// What every message says of the gateway.
    pub(crate) fn resource(&self) -> Resource {
        Resource {
            attributes: vec![
                text("service.name", &self.service),
                text("service.version", env!("CARGO_PKG_VERSION")),
            ],
            ..Resource::default()
        }
    }

    fn fetch(&self, body: &[u8]) -> Fetch {
        let mut headers = self.headers.clone();
        headers.push((CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf")));
        Fetch { method: Method::POST, headers, body: body.to_vec().into(), ..Fetch::get(self.url.clone()) }
    }

    /// Sends a message; twice, if it may be taken the second time.
    pub(crate) async fn send(&self, body: &[u8], effects: &dyn Effects) -> Result<(), String> {
        for attempt in 1.. {
            let why = match effects.fetch(self.fetch(body)).await {
                Ok(answer) if answer.status.is_success() => return Ok(()),
                Ok(answer) if attempt == 1 && is_passing(answer.status) => String::new(),
                Ok(answer) => return Err(format!("the collector answers {}", answer.status)),
                Err(fault) => fault.detail,
            };
            if attempt > 1 {
                return Err(why);
            }
            effects.sleep(PAUSE).await;
        }
        Ok(())
    }
}

/// Answers after which the same message may be sent again (OTLP, "Failures").
fn is_passing(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 502..=504)
}

/// Who made the spans or metrics of a message.
pub(crate) fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "portcullis".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}

pub(crate) fn text(key: &str, value: &str) -> KeyValue {
    let mut plain = value.escape_default().to_string();
    plain.truncate(MAX_TEXT);
    attribute(key, Value::StringValue(plain))
}

pub(crate) fn number(key: &str, value: u16) -> KeyValue {
    attribute(key, Value::IntValue(i64::from(value)))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_of_a_collector_shows_no_field() {
        let secret = HeaderValue::from_static("secret-of-the-collector");
        let collector = Collector {
            url: Uri::from_static("https://collector.example/v1/traces"),
            headers: vec![(http::header::AUTHORIZATION, secret)],
            service: "portcullis".to_owned(),
        };
        let shown = format!("{collector:?}");
        assert!(!shown.contains("secret-of") && shown.contains("authorization"), "{shown}");
    }

    #[test]
    fn a_text_of_a_client_is_bounded_and_printable() {
        let KeyValue { value, .. } = text("url.path", &"\u{202e}\n".repeat(500));
        let Some(Value::StringValue(plain)) = value.and_then(|value| value.value) else { panic!("no text") };
        assert!(plain.len() <= MAX_TEXT && plain.bytes().all(|byte| matches!(byte, b' '..=b'~')));
    }
}
