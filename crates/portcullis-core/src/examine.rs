//! What an answer must pass before the client sees any of it.
//!
//! An [`Examiner`] comes with a permit wherever a route looks into answers. It reads an answer's body as far as its
//! inspectors want it, up to the route's bound, and lets them judge it. A refusal is not the client's fault: it becomes
//! a 502 of the gateway's own.

use crate::body::forget_body;
use crate::check::{CheckId, Guarded, InspectAnswer, Mode, Wants};
use crate::conn::Conn;
use crate::denial::{Code, Denial};
use crate::effects::{Effects, Standing};
use crate::head::Head;
use crate::held::{Collected, Holding, collect, keep};
use crate::notes::Notes;
use crate::principal::Principal;
use crate::record::Recording;
use crate::route::RouteId;
use crate::stage::{Facts, Findings};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, StatusCode};
use http_body::Body;

/// The refusal of an answer that cannot be judged is the engine's own.
const ANSWER_SIZE: CheckId = CheckId::new("answer.size");

/// What is known of a request when its answer comes, and who judges that.
pub struct Examiner {
    head: Head,
    conn: Conn,
    route: RouteId,
    principal: Principal,
}

/// An answer that may go to the client.
#[derive(Debug)]
pub enum Examined<R> {
    /// Nothing was read of its body.
    Unread(R),
    /// All of it, whole.
    Whole(Bytes),
    /// Its body is too large to be judged, and the route only observes.
    Beyond {
        /// What was read of it.
        read: Bytes,
        /// What remains.
        rest: R,
    },
}

impl Examiner {
    pub(crate) fn new(head: Head, conn: Conn, route: RouteId, principal: Principal) -> Examiner {
        Examiner { head, conn, route, principal }
    }

    /// Judges an answer. `headers` lose what no longer fits a body that an inspector has replaced.
    ///
    /// # Errors
    /// The client must not see it.
    pub async fn examine<R>(
        &self,
        recording: &mut Recording,
        status: StatusCode,
        headers: &mut HeaderMap,
        body: R,
    ) -> Result<Examined<R>, Denial>
    where
        R: Body<Data = Bytes> + Unpin,
        R::Error: Into<Denial>,
    {
        let snapshot = recording.snapshot().clone();
        let Some(route) = snapshot.routes.route(self.route) else {
            return Err(Denial::new(Code::Fault, "a route number of another plan"));
        };
        let holding = snapshot.held_memory().holding(self.head.client());
        let notes = Notes::default();
        let facts = Facts {
            head: &self.head,
            conn: &self.conn,
            plan: &snapshot,
            route,
            route_id: self.route,
            now: recording.record().arrived,
            source: Standing::Free,
            holding: Some(&holding),
            notes: Some(&notes),
        };
        let mut examination = Examination {
            facts,
            principal: &self.principal,
            effects: snapshot.effects(),
            status,
            headers,
            holding: &holding,
            findings: Findings::default(),
        };
        let examined = examination.run(body).await;
        let findings = &mut examination.findings;
        let record = recording.record_mut();
        record.observed.append(&mut findings.observed);
        let refused = findings.refused.take();
        record.add_searched(notes);
        match refused {
            Some(denial) => Err(denial),
            None => examined,
        }
    }
}

/// One answer on its way through the inspectors.
struct Examination<'a> {
    facts: Facts<'a>,
    principal: &'a Principal,
    effects: &'a dyn Effects,
    status: StatusCode,
    headers: &'a mut HeaderMap,
    holding: &'a Holding,
    findings: Findings,
}

type Inspectors<'a> = Vec<&'a Guarded<dyn InspectAnswer>>;

impl<'a> Examination<'a> {
    async fn run<R>(&mut self, mut body: R) -> Result<Examined<R>, Denial>
    where
        R: Body<Data = Bytes> + Unpin,
        R::Error: Into<Denial>,
    {
        let wanting = self.heads().await;
        if self.findings.refused.is_some() || wanting.is_empty() || self.is_bodiless() {
            return Ok(Examined::Unread(body));
        }
        if self.is_endless() {
            self.cannot_judge(&wanting, "a stream of events has no end at which it could be judged");
            return Ok(Examined::Unread(body));
        }
        let most = self.facts.route.controls.inspection.max_answer_bytes;
        let announced = body.size_hint().exact();
        let limit = usize::try_from(most).unwrap_or(usize::MAX);
        match collect(&mut body, announced, limit, self.holding, || self.effects.monotonic()).await? {
            Collected::Whole(bytes) => self.bodies(bytes, &wanting).await.map(Examined::Whole),
            Collected::Beyond(read) => {
                self.cannot_judge(&wanting, &format!("an answer of more than {most} bytes is not judged"));
                Ok(Examined::Beyond { read, rest: body })
            }
        }
    }

    /// Whether the answer has no body, whatever its fields say of one (RFC 9112, section 6.3).
    fn is_bodiless(&self) -> bool {
        self.facts.head.method() == Method::HEAD
            || matches!(self.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
    }

    fn is_endless(&self) -> bool {
        let kind = self.headers.get(CONTENT_TYPE).map(|value| value.as_bytes().to_ascii_lowercase());
        kind.is_some_and(|kind| kind.starts_with(b"text/event-stream"))
    }

    fn cannot_judge(&mut self, wanting: &Inspectors<'a>, detail: &str) {
        for guarded in wanting {
            let denial = Denial::new(Code::AnswerTooLarge, detail.to_owned());
            if self.findings.refuse(guarded.mode, ANSWER_SIZE, denial) {
                break;
            }
        }
    }

    /// Has each inspector judge status and fields; answers with those that want to see the body.
    async fn heads(&mut self) -> Inspectors<'a> {
        let mut wanting = Vec::new();
        for guarded in &self.facts.route.controls.inspection.answers {
            let Guarded { mode, check } = guarded;
            if *mode == Mode::Off {
                continue;
            }
            let judged =
                check.inspect_head(&self.facts, self.principal, self.status, self.headers, self.effects);
            match judged.resolve().await {
                Ok(Wants::Body) => wanting.push(guarded),
                Ok(Wants::Nothing) => {}
                Err(denial) => {
                    if self.findings.refuse(*mode, check.id(), denial) {
                        break;
                    }
                }
            }
        }
        wanting
    }

    /// Has each of these inspectors judge the body; answers with what it is afterwards.
    async fn bodies(&mut self, mut bytes: Bytes, wanting: &Inspectors<'a>) -> Result<Bytes, Denial> {
        for Guarded { mode, check } in wanting {
            let judged =
                check.inspect(&self.facts, self.principal, self.status, self.headers, &bytes, self.effects);
            match judged.resolve().await {
                Ok(inspected) => {
                    // Who only observes changes nothing.
                    if *mode == Mode::Enforce
                        && let Some((replaced, coding)) = inspected.replacement()
                    {
                        bytes = keep(replaced, self.holding, self.effects.monotonic())?;
                        forget_body(self.headers, coding);
                    }
                }
                Err(denial) => {
                    if self.findings.refuse(*mode, check.id(), denial) {
                        break;
                    }
                }
            }
        }
        Ok(bytes)
    }
}
