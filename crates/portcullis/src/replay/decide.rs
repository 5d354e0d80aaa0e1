//! The decision on one line.
//!
//! [`portcullis_core::judge`] decides, in its order, as in a gateway. What a line cannot tell is marked on the way, and a decision
//! with a mark is unknown.

use super::Decision;
use super::controls::told;
use super::counts::{Counts, Sender};
use super::line::Line;
use crate::compile::Blueprint;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, UPGRADE};
use http::request::Parts;
use http::{Method, Request};
use http_body_util::Empty;
use portcullis_core::permit::Permit;
use portcullis_core::{
    Code, Conn, Effects, Head, Mode, Plan, Record, RecordSink, Recording, Refused, Snapshot, Transport, judge,
};
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// A configuration that judges the lines of a log, in their order.
pub struct Replay {
    snapshot: Snapshot,
    log: Arc<Counts>,
    /// Whether header fields or the query choose between routes anywhere.
    has_conditions: bool,
    /// By the number of the route: whether it answers preflights.
    cross_origin: Vec<bool>,
}

/// Ends a decision early.
type Early<T> = Result<T, Decision>;

const CANONICAL: &str = "the log spells the path in its canonical form";
const UNREADABLE: &str = "the request could not be read";

fn unknown<T>(why: &'static str) -> Early<T> {
    Err(Decision::Unknown(why))
}

impl Replay {
    /// By this plan. `None` where somebody else has it too.
    pub fn new(blueprint: Blueprint) -> Option<Replay> {
        let plan = Arc::into_inner(blueprint.plan)?;
        let waits = blueprint.failures_mode == Mode::Enforce;
        let log = Arc::new(Counts::new(if waits { blueprint.failures.free } else { u32::MAX }));
        let has_conditions = plan.routes.iter().any(|route| route.conditions.count() > 0);
        let cross_origin = plan.routes.iter().map(|route| route.controls.cross_origin.is_some()).collect();
        let routes = crate::judge::with_controls(plan.routes, &mut |_, controls| told(controls, &log));
        let effects: Arc<dyn Effects> = Arc::<Counts>::clone(&log);
        let snapshot = Snapshot::new(Arc::new(Plan { routes, ..plan }), effects, Arc::new(Nowhere));
        Some(Replay { snapshot, log, has_conditions, cross_origin })
    }

    /// What becomes of the request of this line.
    pub fn decide(&self, line: &Line<'_>) -> Decision {
        match self.judge(line) {
            Ok(()) => Decision::Allowed,
            Err(decision) => decision,
        }
    }

    fn judge(&self, line: &Line<'_>) -> Early<()> {
        let Some(time) = line.time() else { return unknown("the line has no time") };
        let owned = |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().map(str::to_owned);
        self.log.begin(
            time,
            Sender {
                by: owned(&line.authenticated_by),
                consumer: owned(&line.consumer),
                issuer: owned(&line.issuer),
                subject: owned(&line.subject),
            },
        );
        let Some(client) = line.client else { return unknown("the log does not tell the client's address") };
        let conn = conn(client);
        let mut parts = parts(line)?;
        self.looked_at_first(line, &conn, &mut parts)?;
        let recording = Recording::open(self.snapshot.clone(), &conn);
        let deciding = async {
            let cleared = judge(parts, conn, recording).await?;
            cleared.inspect(Empty::<Bytes>::new(), |body| body).await
        };
        let decided = match pin!(deciding).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(decided) => decided,
            Poll::Pending => return unknown("a check waits for something that is not here"),
        };
        self.said(line, client, &decided)
    }

    /// What came of it, as far as the line tells.
    fn said<B>(&self, line: &Line<'_>, client: IpAddr, decided: &Result<Permit<B>, Refused>) -> Early<()> {
        let (judged, path, code) = match decided {
            Ok(permit) => (Some(permit.head().client()), Some(permit.head().path()), None),
            Err(Refused { denial, recording, .. }) => {
                let record = recording.record();
                (record.client, record.target.as_ref().map(|target| target.path()), Some(denial.code()))
            }
        };
        match judged {
            None if code == Some(Code::ForwardedAddress) => {
                return unknown("the log does not tell the way through proxies");
            }
            None => return unknown(UNREADABLE),
            Some(found) if found != client.to_canonical() => return unknown(CANONICAL),
            Some(_) => {}
        }
        if path != line.path.as_deref() {
            return unknown(CANONICAL);
        }
        if let Some(why) = self.log.unknown() {
            return unknown(why);
        }
        match code {
            Some(Code::AmbiguousPath) => unknown(CANONICAL),
            Some(Code::Fault) => unknown("a check asks somebody who is not here"),
            Some(code) => Err(Decision::Refused(code.as_str())),
            None if line.was_allowed() || head_alone(line.code()) => Ok(()),
            None => unknown("the log does not have the request that was refused"),
        }
    }

    /// What is asked of a few lines before they are judged: those for which more than their head chooses what becomes of them.
    fn looked_at_first(&self, line: &Line<'_>, conn: &Conn, parts: &mut Parts) -> Early<()> {
        let switches = line.status == Some(101);
        if !self.has_conditions && !switches && parts.method != Method::OPTIONS {
            return Ok(());
        }
        // What is refused here is refused again.
        let Ok(head) = Head::admit(parts.clone(), conn, &self.snapshot.head) else { return Ok(()) };
        if self.snapshot.routes.has_conditions_at(&head) {
            return unknown("the log does not have the headers and the query by which the route is chosen");
        }
        let Ok(id) = self.snapshot.routes.find(&head) else { return Ok(()) };
        let answers = usize::try_from(id.0).ok().and_then(|index| self.cross_origin.get(index));
        if parts.method == Method::OPTIONS && (answers == Some(&true) || line.code() == "preflight") {
            return unknown("the log does not tell a preflight from another request");
        }
        if switches {
            // To which protocol, the log does not tell: to one that the route allows, if it allows any.
            let allowed = self.snapshot.routes.route(id).and_then(|route| route.upgrades.first());
            let protocol = allowed.map_or("websocket", String::as_str);
            if let Ok(protocol) = protocol.parse() {
                parts.headers.insert(UPGRADE, protocol);
                parts.headers.insert(CONNECTION, http::HeaderValue::from_static("upgrade"));
            }
        }
        Ok(())
    }
}

/// Whether a refusal with this code came before anything was looked at that the log does not have.
fn head_alone(code: &str) -> bool {
    matches!(
        code,
        "route_not_found"
            | "method_not_allowed"
            | "address_refused"
            | "role_missing"
            | "scope_missing"
            | "not_owner"
            | "rate_limited"
    )
}

fn conn(client: IpAddr) -> Conn {
    let local = SocketAddr::from(([127, 0, 0, 1], 80));
    Conn { peer: SocketAddr::new(client, 1), local, transport: Transport::Memory, certificate: None }
}

/// The head, as far as the log has it.
fn parts(line: &Line<'_>) -> Early<Parts> {
    let (Some(method), Some(host), Some(path)) = (&line.method, &line.host, &line.path) else {
        return unknown(UNREADABLE);
    };
    let mut request =
        Request::builder().method(method.as_ref()).uri(path.as_ref()).header(HOST, host.as_ref());
    if line.bytes_received > 0 {
        request = request.header(CONTENT_LENGTH, line.bytes_received);
    }
    request.body(()).map_or_else(|_| unknown(UNREADABLE), |request| Ok(request.into_parts().0))
}

/// Where the records of such requests go.
struct Nowhere;

impl RecordSink for Nowhere {
    fn write(&self, _: &Record, _: &Plan) {}
}
