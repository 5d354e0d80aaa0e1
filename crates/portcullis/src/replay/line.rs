//! A line of an access log.

use serde::Deserialize;
use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;

/// What a line says of a request. Fields that are not needed are passed over.
#[derive(Debug, Deserialize)]
pub struct Line<'a> {
    #[serde(borrow)]
    time: Cow<'a, str>,
    /// The request's id.
    #[serde(borrow)]
    pub request_id: Option<Cow<'a, str>>,
    pub(super) client: Option<IpAddr>,
    pub(super) method: Option<Cow<'a, str>>,
    pub(super) host: Option<Cow<'a, str>>,
    pub(super) path: Option<Cow<'a, str>>,
    pub(super) route: Option<Cow<'a, str>>,
    pub(super) consumer: Option<Cow<'a, str>>,
    pub(super) issuer: Option<Cow<'a, str>>,
    pub(super) subject: Option<Cow<'a, str>>,
    pub(super) authenticated_by: Option<Cow<'a, str>>,
    outcome: Cow<'a, str>,
    #[serde(borrow)]
    denied: Option<Denied<'a>>,
    pub(super) status: Option<u16>,
    #[serde(default)]
    pub(super) bytes_received: u64,
}

#[derive(Debug, Deserialize)]
struct Denied<'a> {
    #[serde(borrow)]
    code: Cow<'a, str>,
}

impl Line<'_> {
    /// The request of a line. `None` where it has none.
    pub fn parse(text: &str) -> Option<Line<'_>> {
        serde_json::from_str(text).ok()
    }

    /// Whether the request passed every control.
    pub fn was_allowed(&self) -> bool {
        self.outcome != "refused"
    }

    /// The code with which it was refused, or failed.
    pub(super) fn code(&self) -> &str {
        self.denied.as_ref().map_or("", |denied| &denied.code)
    }

    /// Who sent it, as far as it is known.
    pub(super) fn who(&self) -> &str {
        self.consumer.as_deref().or(self.subject.as_deref()).unwrap_or("-")
    }

    /// When it came, since 1970.
    pub(super) fn time(&self) -> Option<Duration> {
        let moment: jiff::Timestamp = self.time.parse().ok()?;
        let nanoseconds = u128::try_from(moment.as_nanosecond()).ok()?;
        Some(Duration::from_nanos(u64::try_from(nanoseconds).ok()?))
    }
}
