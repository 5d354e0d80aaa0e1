//! Which records become entries of the audit log, and what an entry says.
//!
//! A request becomes an entry if its authentication failed, if it was not authorized, or if it passed a limit; everything
//! else about requests is in the access log. Every notice becomes one: reloads, changes of keys and of the configuration,
//! actions of operators. An entry holds no credential, no query and no body, like a line of the access log.

use crate::line::{Printable, Time};
use http::StatusCode;
use portcullis_core::{Code, Denial, Outcome, Plan, Record};
use serde::Serialize;
use std::time::Duration;

/// What happened, without its place in the chain: the members of a JSON object, without its braces.
#[derive(Debug)]
pub struct Entry(Vec<u8>);

#[derive(Serialize)]
struct Refusal<'a> {
    time: Time,
    event: &'static str,
    request_id: &'a str,
    peer: std::net::IpAddr,
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
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    check: Option<&'static str>,
    detail: Printable<'a>,
}

impl Entry {
    /// The entry of a record; `None` for one that the audit log does not keep.
    pub fn of(record: &Record, plan: &Plan) -> Option<Entry> {
        let denial = match &record.outcome {
            Outcome::Refused(denial) | Outcome::Failed(denial) => denial,
            Outcome::Served | Outcome::Aborted => return None,
        };
        let who = record.principal.as_ref();
        let subject = who.and_then(|who| who.as_subject());
        Entry::from(&Refusal {
            time: Time(record.arrived.unix),
            event: event(denial)?,
            request_id: record.id.as_str(),
            peer: record.peer.ip(),
            client: record.client,
            method: record.method.as_ref().map(|method| Printable(method.as_str().as_bytes())),
            host: record.host.as_ref().map(|host| Printable(host.as_bytes())),
            path: record.target.as_ref().map(|target| Printable(target.path().as_bytes())),
            route: record.route.and_then(|id| plan.routes.route(id)).map(|route| route.path.as_str()),
            consumer: who.and_then(|who| who.consumer(&plan.consumers)),
            issuer: subject.map(|subject| Printable(subject.issuer.as_bytes())),
            subject: subject.map(|subject| Printable(subject.name.as_bytes())),
            code: denial.code().as_str(),
            check: denial.check().map(|check| check.as_str()),
            detail: Printable(denial.detail().as_bytes()),
        })
    }

    /// The entry of what concerns no single request.
    pub(super) fn notice(time: Duration, about: &str, detail: &str) -> Entry {
        let (about, detail) = (Printable(about.as_bytes()), Printable(detail.as_bytes()));
        Entry::event(time, "notice", Some(("about", &about)), Some(("detail", &detail)))
    }

    /// The log was opened. `key` is the public key of its checkpoints.
    pub(super) fn opened(time: Duration, key: &str) -> Entry {
        Entry::event(time, "opened", Some(("key", key)), Some(("version", env!("CARGO_PKG_VERSION"))))
    }

    /// So many bytes at the end of the file were no whole entry, and were removed.
    pub(super) fn repaired(time: Duration, bytes: u64) -> Entry {
        Entry::event(time, "repaired", Some(("removed_bytes", bytes)), None::<(&str, ())>)
    }

    /// So many entries are missing here.
    pub(super) fn dropped(time: Duration, count: u64) -> Entry {
        Entry::event(time, "entries_dropped", Some(("count", count)), None::<(&str, ())>)
    }

    /// A checkpoint.
    pub(super) fn checkpoint(time: Duration, key: &str, signature: &str) -> Entry {
        Entry::event(time, CHECKPOINT, Some(("key", key)), Some(("signature", signature)))
    }

    /// Its members as JSON, in the order in which they are written.
    pub(super) fn members(&self) -> &[u8] {
        &self.0
    }

    fn event(
        time: Duration,
        event: &'static str,
        first: Option<(&str, impl Serialize)>,
        second: Option<(&str, impl Serialize)>,
    ) -> Entry {
        let mut members = Vec::new();
        add(&mut members, "time", Time(time));
        add(&mut members, "event", event);
        first.into_iter().for_each(|(name, value)| add(&mut members, name, value));
        second.into_iter().for_each(|(name, value)| add(&mut members, name, value));
        Entry(members)
    }

    fn from(refusal: &Refusal<'_>) -> Option<Entry> {
        let object = serde_json::to_vec(refusal).ok()?;
        Some(Entry(object.strip_prefix(b"{")?.strip_suffix(b"}")?.to_vec()))
    }
}

fn add(members: &mut Vec<u8>, name: &str, value: impl Serialize) {
    let start = members.len();
    if start > 0 {
        members.push(b',');
    }
    let written = serde_json::to_writer(&mut *members, name).and_then(|()| {
        members.push(b':');
        serde_json::to_writer(&mut *members, &value)
    });
    if written.is_err() {
        // No value here can fail to be JSON; if one does, the entry stays an entry.
        members.truncate(start);
    }
}

/// The event of a checkpoint.
pub(super) const CHECKPOINT: &str = "checkpoint";

/// What a refusal is to an auditor; `None` for one that is no security decision about who sent the request.
fn event(denial: &Denial) -> Option<&'static str> {
    if denial.code() == Code::ClientCertificate {
        return Some("authentication_refused");
    }
    match denial.code().status() {
        StatusCode::UNAUTHORIZED => Some("authentication_refused"),
        StatusCode::FORBIDDEN => Some("authorization_refused"),
        StatusCode::TOO_MANY_REQUESTS => Some("limit_refused"),
        _ => None,
    }
}
