//! Exactly one account of each request.
//!
//! A [`Recording`] is opened when a request arrives and cannot be copied. It is written when it is dropped, so there is
//! no way to lose it or to write it twice: a request whose client went away is accounted for like any other.

use crate::check::{CheckId, Held, LateCost};
use crate::conn::Conn;
use crate::denial::Denial;
use crate::effects::{KeysBuf, Limit, LimitId, Now};
use crate::hex;
use crate::notes::{Notes, Searched};
use crate::plan::{Plan, Snapshot};
use crate::principal::Principal;
use crate::route::RouteId;
use crate::trace::{Begun, Incoming, Trace};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What a client can quote to an operator: 128 random bits as 32 hexadecimal digits, or the id that a trusted proxy gave the
/// request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct RequestId {
    text: [u8; RequestId::LONGEST],
    length: u8,
}

impl RequestId {
    const SHORTEST: usize = 16;
    const LONGEST: usize = 36;

    /// The id that another proxy gave: 16 to 36 letters, digits and `-`, `_`, `.`, which a UUID, a ULID and 32 hexadecimal
    /// digits are. `None` for any other text.
    pub fn of_proxy(given: &str) -> Option<RequestId> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if !(Self::SHORTEST..=Self::LONGEST).contains(&given.len()) || !given.bytes().all(plain) {
            return None;
        }
        let mut text = [0; Self::LONGEST];
        text.iter_mut().zip(given.bytes()).for_each(|(place, byte)| *place = byte);
        Some(RequestId { text, length: u8::try_from(given.len()).ok()? })
    }

    /// The id of these random bytes.
    pub fn new(random: [u8; 16]) -> RequestId {
        let mut text = [0; Self::LONGEST];
        for (pair, byte) in text.chunks_exact_mut(2).zip(random) {
            pair.copy_from_slice(&hex::digits(byte));
        }
        RequestId { text, length: 32 }
    }

    fn bytes(&self) -> &[u8] {
        self.text.get(..usize::from(self.length)).unwrap_or_default()
    }

    /// Its digits.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.bytes()).unwrap_or_default()
    }

    /// Its digits as a field value.
    pub fn to_value(&self) -> HeaderValue {
        HeaderValue::from_bytes(self.bytes()).unwrap_or(HeaderValue::from_static(""))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The client has its whole answer.
    Served,
    /// It was refused before anything was forwarded.
    Refused(Denial),
    /// It was forwarded, and the upstream or the gateway failed.
    Failed(Denial),
    /// The client went away, or was cut off, before it had its whole answer.
    Aborted,
}

/// What an upstream did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamAccount {
    /// Its address, `host:port`, or the word `handler`. Of a group, the server that was tried last.
    pub name: Arc<str>,
    /// The group that the server belongs to; `None` where it belongs to none.
    pub group: Option<Arc<str>>,
    /// How often the request was sent to a server, or tried to be.
    pub tries: u32,
    /// Its status; `None` if it gave none.
    pub status: Option<StatusCode>,
    /// From the permit to its response head.
    pub elapsed: Duration,
}

impl UpstreamAccount {
    /// The account of a server that is asked once and has not answered yet.
    pub fn of(name: Arc<str>) -> UpstreamAccount {
        UpstreamAccount { name, group: None, tries: 1, status: None, elapsed: Duration::ZERO }
    }

    /// The account of a server of a group that is asked first and has not answered yet.
    pub fn of_member(name: Arc<str>, group: Arc<str>) -> UpstreamAccount {
        UpstreamAccount { group: Some(group), ..UpstreamAccount::of(name) }
    }

    /// The account of a group of which no server was asked yet.
    pub fn of_group(name: Arc<str>) -> UpstreamAccount {
        UpstreamAccount { tries: 0, group: Some(Arc::clone(&name)), ..UpstreamAccount::of(name) }
    }
}

/// The account of one request. Holds no credential, no body, and no query but in its target.
pub struct Record {
    /// Its id.
    pub id: RequestId,
    /// When it arrived.
    pub arrived: Now,
    /// From its arrival to its end.
    pub elapsed: Duration,
    /// Who connected.
    pub peer: SocketAddr,
    /// Who the client is, once the head is admitted.
    pub client: Option<IpAddr>,
    /// Its method; `None` if there was no head.
    pub method: Option<Method>,
    /// The version of HTTP that it came by; `None` if there was no head.
    pub version: Option<Version>,
    /// The canonical target once the head is admitted, before that the raw one. Only its path may be written.
    pub target: Option<PathAndQuery>,
    /// The canonical host.
    pub host: Option<HeaderValue>,
    /// Its route.
    pub route: Option<RouteId>,
    /// Who sent it.
    pub principal: Option<Principal>,
    /// How it ended.
    pub outcome: Outcome,
    /// What checks in `observe` mode would have refused.
    pub observed: Vec<Denial>,
    /// The status that the client was sent; `None` if none.
    pub status: Option<StatusCode>,
    /// What the upstream did; `None` if none was asked.
    pub upstream: Option<UpstreamAccount>,
    /// Bytes of the answer's body that were handed to the connection.
    pub bytes_sent: u64,
    /// What rules found in it, where rules search it.
    pub searched: Option<Box<Searched>>,
    /// Whether a public route was sent a credential. Always `false` where no sink wants to know.
    pub unasked_credential: bool,
    /// Its trace, where there is tracing.
    pub trace: Option<Box<Trace>>,
    /// How long its checks took, where it is one of the requests that are timed.
    pub checks: Vec<CheckTime>,
    /// The limit that left the least, and how much.
    pub limit: Option<Tightest>,
    /// What the client says of itself, where a sink wants to know.
    pub agent: Option<Box<Agent>>,
    timed: bool,
    received: Option<Arc<AtomicU64>>,
}

/// How long a check took, and whether it let the request on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckTime {
    /// The check.
    pub check: CheckId,
    /// How long.
    pub took: Duration,
    /// Whether it would have refused, in whatever mode.
    pub refused: bool,
}

/// What a request was allowed after it was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tightest {
    /// The limit.
    pub limit: LimitId,
    /// How many more could come then.
    pub remaining: u32,
}

/// Header fields in which a client says what it is and where it comes from. Nothing is decided by them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agent {
    /// `Referer`, as it was sent. It may have a query, and so a secret.
    pub referer: Option<HeaderValue>,
    /// `User-Agent`.
    pub user_agent: Option<HeaderValue>,
}

/// Of so many requests the checks of one are timed.
pub const TIMED_OF: u8 = 16;

// SECURITY: the target has the query, and a query may have a credential (a_record_shows_no_query).
impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("id", &self.id)
            .field("peer", &self.peer)
            .field("method", &self.method)
            .field("path", &self.target.as_ref().map(PathAndQuery::path))
            .field("route", &self.route)
            .field("outcome", &self.outcome)
            .field("observed", &self.observed)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

impl Record {
    /// Whether its checks are timed.
    pub(crate) fn is_timed(&self) -> bool {
        self.timed
    }

    /// Bytes of the request's body that were read.
    pub fn bytes_received(&self) -> u64 {
        self.received.as_ref().map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// Takes what is noted of a search.
    pub(crate) fn add_searched(&mut self, notes: Notes) {
        if let Some(searched) = notes.into_searched() {
            self.searched.get_or_insert_default().add(searched);
        }
    }
}

/// How much an operator has to care about a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something happened as it should.
    Info,
    /// Something may have to be mended.
    Warning,
}

impl Level {
    /// All of them.
    pub const ALL: [Level; 2] = [Level::Info, Level::Warning];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Info => "info",
            Level::Warning => "warning",
        }
    }
}

/// Where records go.
pub trait RecordSink: Send + Sync {
    /// Takes the account of one request. Must not block for long and must not panic.
    fn write(&self, record: &Record, plan: &Plan);

    /// Whether it wants to know of credentials that are sent to public routes, which costs each of their requests a look.
    fn wants_unasked_credentials(&self) -> bool {
        false
    }

    /// Whether it wants to know how long checks take. Then those of one request in [`TIMED_OF`] are timed.
    fn wants_check_times(&self) -> bool {
        false
    }

    /// Whether it wants to know what clients say of themselves.
    fn wants_agent(&self) -> bool {
        false
    }

    /// Takes what concerns no single request: what it is about, and what happened. A sink that has no place for it, which
    /// is the default, lets it go.
    fn notice(&self, about: &str, detail: &str) {
        let _ = (about, detail);
    }

    /// The same of something that an operator may have to mend.
    fn warn(&self, about: &str, detail: &str) {
        self.notice(about, detail);
    }
}

/// The open account of one request; written when it is dropped.
#[must_use]
pub struct Recording(Box<Open>);

struct Open {
    snapshot: Snapshot,
    record: Record,
    late: Vec<LateCharge>,
    /// Given back when the account is closed, and so exactly once, however the exchange ends.
    held: Vec<Held>,
}

/// What is charged to a limit once it is known how the request ended.
#[derive(Clone, Debug)]
pub struct LateCharge {
    limit: Limit,
    keys: KeysBuf,
    cost: LateCost,
    /// What the upstream's answer said.
    said: Option<u32>,
}

impl LateCharge {
    /// A charge to this limit.
    pub(crate) fn new(limit: Limit, keys: KeysBuf, cost: LateCost) -> LateCharge {
        LateCharge { limit, keys, cost, said: None }
    }

    /// What is charged for an answer of this status.
    fn amount(&self, record: &Record) -> u32 {
        match &self.cost {
            LateCost::OnStatus { statuses, cost } => {
                let hit = record.status.is_some_and(|status| {
                    statuses.iter().any(|(from, to)| (*from..=*to).contains(&status.as_u16()))
                });
                if hit { *cost } else { 0 }
            }
            // A request that no upstream has answered costs as one whose answer says nothing.
            LateCost::OfField { otherwise, .. } => self.said.unwrap_or(*otherwise),
        }
    }
}

impl Recording {
    /// Opens the account of a request that arrives now.
    pub fn open(snapshot: Snapshot, conn: &Conn) -> Recording {
        let effects = snapshot.effects();
        let random = effects.random();
        // Before a trusted proxy may give another id, so that no client chooses which requests are timed.
        let timed = snapshot.wants_check_times() && random.last().is_some_and(|byte| byte % TIMED_OF == 0);
        let record = Record {
            id: RequestId::new(random),
            arrived: effects.now(),
            elapsed: Duration::ZERO,
            peer: conn.peer,
            client: None,
            method: None,
            version: None,
            target: None,
            host: None,
            route: None,
            principal: None,
            outcome: Outcome::Aborted,
            observed: Vec::new(),
            status: None,
            upstream: None,
            bytes_sent: 0,
            searched: None,
            unasked_credential: false,
            trace: None,
            checks: Vec::new(),
            limit: None,
            agent: None,
            timed,
            received: None,
        };
        Recording(Box::new(Open { snapshot, record, late: Vec::new(), held: Vec::new() }))
    }

    /// Begins the trace of the request, where there is tracing.
    pub(crate) fn trace(&mut self, incoming: Option<&Incoming>) {
        let Some(sampling) = self.0.snapshot.head.tracing else { return };
        let trace = Trace::begin(sampling, incoming, || self.0.snapshot.effects().random());
        self.0.record.trace = Some(Box::new(trace));
    }

    /// A part of the request's life begins. Costs a look at a pointer where the request is not sampled.
    pub fn begin(&mut self, stage: &'static str) {
        let Open { snapshot, record, .. } = &mut *self.0;
        if let Some(trace) = record.trace.as_mut().filter(|trace| trace.sampled) {
            trace.parts.push(Begun { stage, at: snapshot.effects().monotonic() });
        }
    }

    /// Charges these when it is known how the request ended.
    pub(crate) fn charge_late(&mut self, mut late: Vec<LateCharge>) {
        self.0.late.append(&mut late);
    }

    /// Holds these until the account is closed.
    pub(crate) fn hold(&mut self, mut held: Vec<Held>) {
        self.0.held.append(&mut held);
    }

    /// Takes from an upstream's answer what it says of its cost.
    pub fn answered(&mut self, headers: &HeaderMap) {
        for late in &mut self.0.late {
            let LateCost::OfField { name, most, .. } = &late.cost else { continue };
            let mut values = headers.get_all(name).iter();
            let (Some(value), None) = (values.next(), values.next()) else { continue };
            let said = value.to_str().ok().and_then(|text| text.trim().parse::<u64>().ok());
            late.said = said.map(|said| u32::try_from(said).unwrap_or(u32::MAX).min(*most));
        }
    }

    /// What the request is judged with.
    pub fn snapshot(&self) -> &Snapshot {
        &self.0.snapshot
    }

    /// The account so far.
    pub fn record(&self) -> &Record {
        &self.0.record
    }

    /// The account, to add to it.
    pub fn record_mut(&mut self) -> &mut Record {
        &mut self.0.record
    }

    /// Time since the request arrived.
    pub fn elapsed(&self) -> Duration {
        self.0.snapshot.effects().monotonic().saturating_sub(self.0.record.arrived.monotonic)
    }

    /// The count of the bytes that were read from the client: of the body, and of a tunnel after an upgrade.
    pub fn count_received(&mut self) -> Arc<AtomicU64> {
        Arc::clone(self.0.record.received.get_or_insert_default())
    }

    /// Closes the account.
    pub fn close(mut self, outcome: Outcome) {
        self.0.record.outcome = outcome;
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.0.record.elapsed = self.elapsed();
        for late in &self.0.late {
            let amount = late.amount(&self.0.record);
            if amount > 0
                && let Some(keys) = late.keys.keys()
            {
                self.0.snapshot.effects().charge_late(&late.limit, &keys, amount);
            }
        }
        self.0.snapshot.sink().write(&self.0.record, &self.0.snapshot);
    }
}
