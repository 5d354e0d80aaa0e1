//! A server that is told of findings.
//!
//! Each message is a POST of JSON with a time and a signature over both, so that its reader can tell that it comes from this
//! gateway and is not sent again by somebody else. Messages wait in a bounded queue; what does not fit is dropped and
//! counted. A message that the server does not take is sent again a few times, ever later, and then given up. It goes the
//! way of everything that the gateway itself asks: only to addresses that the operator allows, and no redirect is followed.

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Uri, header};
use portcullis_core::{Effects, Fetch, Job, Wait};
use portcullis_telemetry::detect::{Change, Finding, Severity};
use serde_json::json;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// The most messages that wait.
const MOST: usize = 256;
/// The pauses before a message is sent again.
const PAUSES: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(30), Duration::from_secs(120)];
/// The field with the signature: `t=` the time in seconds since 1970, `v1=` HMAC-SHA-256 of the time, a dot and the body.
pub const SIGNATURE: &str = "x-portcullis-signature";

/// Where findings are sent.
pub struct Webhook {
    url: Uri,
    key: Key,
    severity: Severity,
    waiting: Mutex<VecDeque<Bytes>>,
    wake: Notify,
    dropped: AtomicU64,
}

impl Webhook {
    /// To this URL, signed with this secret, from this severity on.
    pub fn new(url: Uri, secret: &[u8], severity: Severity) -> Webhook {
        Webhook {
            url,
            key: Key::new(HMAC_SHA256, secret),
            severity,
            waiting: Mutex::default(),
            wake: Notify::new(),
            dropped: AtomicU64::new(0),
        }
    }

    /// Where it sends to.
    pub fn url(&self) -> &Uri {
        &self.url
    }

    /// From which severity on.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// Sends what became of a finding, as soon as it can.
    pub fn put(&self, change: &Change) {
        let (finding, event): (&Finding, _) = match change {
            Change::Began(finding) => (finding, "began"),
            Change::Grew(finding) => (finding, "grew"),
            Change::Ended(finding) => (finding, "ended"),
        };
        if finding.severity < self.severity {
            return;
        }
        let body = json!({ "event": event, "finding": finding }).to_string();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= MOST {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        waiting.push_back(Bytes::from(body));
        drop(waiting);
        self.wake.notify_one();
    }

    fn next(&self) -> Option<Bytes> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// The message as it is sent at this time.
    fn message(&self, body: &Bytes, now: Duration) -> Fetch {
        let time = now.as_secs();
        let signed = [time.to_string().as_bytes(), b".", body.as_ref()].concat();
        let digits: String =
            sign(&self.key, &signed).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let signature = HeaderValue::from_str(&format!("t={time},v1={digits}"));
        Fetch {
            method: Method::POST,
            headers: vec![
                (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
                (HeaderName::from_static(SIGNATURE), signature.unwrap_or(HeaderValue::from_static(""))),
            ],
            body: body.clone(),
            max_bytes: 64 * 1024,
            ..Fetch::get(self.url.clone())
        }
    }

    async fn send(&self, body: &Bytes, effects: &dyn Effects) {
        let mut pauses = PAUSES.iter();
        loop {
            let why = match effects.fetch(self.message(body, effects.now().unix)).await {
                Ok(answer) if answer.status.is_success() => return,
                Ok(answer) => format!("it answered with status {}", answer.status.as_u16()),
                Err(fault) => fault.detail,
            };
            match pauses.next() {
                Some(pause) => tokio::time::sleep(*pause).await,
                None => {
                    effects.warn("detection", &format!("the webhook did not take a finding: {why}"));
                    return;
                }
            }
        }
    }
}

impl Job for Webhook {
    fn name(&self) -> String {
        "webhook of findings".to_owned()
    }

    fn run<'a>(&'a self, effects: &'a dyn Effects) -> Wait<'a, ()> {
        Box::pin(async move {
            loop {
                while let Some(body) = self.next() {
                    self.send(&body, effects).await;
                    let dropped = self.dropped.swap(0, Ordering::Relaxed);
                    if dropped > 0 {
                        effects
                            .warn("detection", &format!("{dropped} findings were not sent: too many wait"));
                    }
                }
                self.wake.notified().await;
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_telemetry::detect::Subject;

    fn finding(severity: Severity) -> Finding {
        Finding {
            id: "1".into(),
            detector: "scanner".into(),
            severity,
            summary: "One address looks for paths that do not exist.".into(),
            subject: Subject::default(),
            evidence: Vec::new(),
            start: 1,
            last: 2,
            open: true,
            source: None,
            blocked_until: None,
        }
    }

    #[test]
    fn a_message_is_signed_with_its_time() {
        let webhook =
            Webhook::new(Uri::from_static("https://alerts.example.com/"), &[7; 32], Severity::Medium);
        webhook.put(&Change::Began(finding(Severity::Low)));
        assert!(webhook.next().is_none(), "less than what is sent");
        webhook.put(&Change::Began(finding(Severity::High)));
        let body = webhook.next().unwrap();
        let message = webhook.message(&body, Duration::from_secs(77));
        let field = message.headers.iter().find(|(name, _)| name == SIGNATURE).unwrap();
        let text = field.1.to_str().unwrap();
        let digits = text.strip_prefix("t=77,v1=").unwrap();
        let tag: Vec<u8> =
            (0..32).map(|at| u8::from_str_radix(&digits[at * 2..at * 2 + 2], 16).unwrap()).collect();
        let key = Key::new(HMAC_SHA256, &[7; 32]);
        let signed = [b"77.", message.body.as_ref()].concat();
        aws_lc_rs::hmac::verify(&key, &signed, &tag).unwrap();
        let later = webhook.message(&body, Duration::from_secs(78));
        assert_ne!(later.headers, message.headers);
    }

    #[test]
    fn a_server_that_takes_nothing_costs_a_bounded_queue() {
        let webhook = Webhook::new(Uri::from_static("https://alerts.example.com/"), &[7; 32], Severity::Low);
        (0..MOST + 5).for_each(|_| webhook.put(&Change::Ended(finding(Severity::High))));
        assert_eq!(webhook.dropped.load(Ordering::Relaxed), 5);
        assert_eq!(std::iter::from_fn(|| webhook.next()).count(), MOST);
    }
}
