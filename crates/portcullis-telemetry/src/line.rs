//! A record as one line of JSON.
//!
//! The line holds who, what, when, the decision and its reason: everything that an operator paged at night asks first. It
//! holds no credential, no query and no body. What a client wrote stands in JSON strings, so it can neither start a
//! line of its own nor reach a terminal as a control character.

use jiff::Timestamp;
use portcullis_core::{Denial, KeyId, Outcome, Plan, Record, Searched};
use serde::{Serialize, Serializer};
use std::cell::RefCell;
use std::io::Write;
use std::time::Duration;

#[derive(Serialize)]
struct Line<'a> {
    time: Time,
    request_id: &'a str,
    #[serde(serialize_with = "displayed")]
    peer: std::net::SocketAddr,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<std::net::IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<Printable<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<Printable<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<Printable<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consumer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<Printable<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<Printable<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authenticated_by: Option<&'static str>,
    /// The number of the key of the store that was used, which is no secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<Number>,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    denied: Option<Reason<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    observed: Vec<Reason<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    searched: Option<Search<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    bytes_received: u64,
    bytes_sent: u64,
    elapsed_us: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_group: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_tries: Option<u32>,
}

/// What concerns no single request.
#[derive(Serialize)]
struct Notice<'a> {
    time: Time,
    about: Printable<'a>,
    notice: Printable<'a>,
}

#[derive(Serialize)]
struct Reason<'a> {
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    check: Option<&'static str>,
    detail: Printable<'a>,
}

/// What rules found. Left out where they found nothing and searched every value.
#[derive(Serialize)]
struct Search<'a> {
    #[serde(skip_serializing_if = "<[u64]>::is_empty")]
    rules: &'a [u64],
    values: u64,
    /// How many of the values were not searched, since a document proves them harmless.
    #[serde(skip_serializing_if = "is_zero")]
    harmless: u64,
}

impl<'a> Search<'a> {
    fn of(searched: &'a Searched) -> Option<Search<'a>> {
        let Searched { rules, values, harmless } = searched;
        let says_something = !rules.is_empty() || *harmless > 0;
        says_something.then_some(Search { rules, values: *values, harmless: *harmless })
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl<'a> Reason<'a> {
    fn of(denial: &'a Denial) -> Reason<'a> {
        Reason {
            code: denial.code().as_str(),
            check: denial.check().map(|check| check.as_str()),
            detail: Printable(denial.detail().as_bytes()),
        }
    }
}

/// Bytes of which only printable ASCII is written as it is; anything else becomes `\u{..}` or `\x..` text. JSON alone
/// would let bidirectional overrides and C1 controls through to a terminal.
pub(crate) struct Printable<'a>(pub(crate) &'a [u8]);

impl Serialize for Printable<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let plain = |text: &&str| text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        match std::str::from_utf8(self.0).ok().filter(plain) {
            Some(text) => serializer.serialize_str(text),
            None => serializer.serialize_str(&self.0.escape_ascii().to_string()),
        }
    }
}

/// Time since 1970, written as RFC 3339 in UTC with microseconds.
pub(crate) struct Time(pub(crate) Duration);

thread_local! {
    /// The last second that was written, and its text: thousands of lines share one.
    static SECOND: RefCell<(u64, String)> = const { RefCell::new((u64::MAX, String::new())) };
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        SECOND.with_borrow_mut(|(second, text)| {
            if *second != self.0.as_secs() {
                *second = self.0.as_secs();
                // Out of the calendar only where the clock is wrong; the line is worth more than its time.
                let time = i64::try_from(*second).ok().and_then(|second| Timestamp::from_second(second).ok());
                *text = time.unwrap_or(Timestamp::UNIX_EPOCH).strftime("%Y-%m-%dT%H:%M:%S").to_string();
            }
            serializer.collect_str(&format_args!("{text}.{:06}Z", self.0.subsec_micros()))
        })
    }
}

fn displayed<T: std::fmt::Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// The number of a key.
struct Number(KeyId);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Writes what concerns no single request as one line.
///
/// # Errors
/// The output fails.
pub fn write_notice(time: Duration, about: &str, notice: &str, mut to: impl Write) -> std::io::Result<()> {
    let line =
        Notice { time: Time(time), about: Printable(about.as_bytes()), notice: Printable(notice.as_bytes()) };
    serde_json::to_writer(&mut to, &line)?;
    to.write_all(b"\n")
}

/// Writes the line of a record, with its newline.
///
/// # Errors
/// Those of `to`.
pub fn write(record: &Record, plan: &Plan, mut to: impl Write) -> std::io::Result<()> {
    let (outcome, denied) = match &record.outcome {
        Outcome::Served => ("served", None),
        Outcome::Refused(denial) => ("refused", Some(denial)),
        Outcome::Failed(denial) => ("failed", Some(denial)),
        Outcome::Aborted => ("aborted", None),
    };
    let upstream = record.upstream.as_ref();
    let who = record.principal.as_ref();
    let subject = who.and_then(|who| who.as_subject());
    let line = Line {
        time: Time(record.arrived.unix),
        request_id: record.id.as_str(),
        peer: record.peer,
        client: record.client,
        method: record.method.as_ref().map(|method| Printable(method.as_str().as_bytes())),
        host: record.host.as_ref().map(|host| Printable(host.as_bytes())),
        path: record.target.as_ref().map(|target| Printable(target.path().as_bytes())),
        route: record.route.and_then(|id| plan.routes.route(id)).map(|route| route.path.as_str()),
        consumer: who.and_then(|who| who.consumer(&plan.consumers)),
        issuer: subject.map(|subject| Printable(subject.issuer.as_bytes())),
        subject: subject.map(|subject| Printable(subject.name.as_bytes())),
        authenticated_by: who.and_then(|who| who.authenticated_by()).map(|check| check.as_str()),
        key: who.and_then(|who| who.keys().next()).map(Number),
        outcome,
        denied: denied.map(Reason::of),
        observed: record.observed.iter().map(Reason::of).collect(),
        searched: record.searched.as_deref().and_then(Search::of),
        status: record.status.map(|status| status.as_u16()),
        bytes_received: record.bytes_received(),
        bytes_sent: record.bytes_sent,
        elapsed_us: micros(record.elapsed),
        upstream: upstream.map(|upstream| &*upstream.name),
        upstream_status: upstream.and_then(|upstream| upstream.status).map(|status| status.as_u16()),
        upstream_us: upstream.map(|upstream| micros(upstream.elapsed)),
        upstream_group: upstream.and_then(|upstream| upstream.group.as_deref()),
        upstream_tries: upstream.filter(|upstream| upstream.group.is_some()).map(|upstream| upstream.tries),
    };
    serde_json::to_writer(&mut to, &line)?;
    to.write_all(b"\n")
}
