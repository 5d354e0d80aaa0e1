//! The body: streamed under its cap where nothing looks into it, held until it is judged where something does.
//!
//! What can be told from the head is judged first, so that no memory is spent on a body whose request is refused anyway.
//! A held body is read whole, within the cap and within the memory for held bodies, before any of it goes upstream.

use super::{Case, Cleared, Dialogue, Facts, Findings, Refused, facts, route_of};
use crate::answer::Told;
use crate::body::Capped;
use crate::check::{CheckId, Guarded, Mode, Wants};
use crate::denial::{Code, Denial};
use crate::head::Framing;
use crate::held::{Collected, collect, keep};
use crate::notes::Notes;
use crate::permit::Permit;
use crate::plan::ErrorDetail;
use crate::principal::Principal;
use crate::route::RouteId;
use bytes::Bytes;
use http::StatusCode;
use http_body::Body;

const BODY_SIZE: CheckId = CheckId::new("inspect.body_size");

impl Cleared {
    /// Puts the body under the route's cap, and has the route's inspectors judge it.
    ///
    /// `read` turns a body that must be held into what reads it, under the deadlines of whoever waits for it. It is not
    /// called where the body streams.
    ///
    /// # Errors
    /// A body that is larger than the cap (413), that could not be read or that no memory is left for, and whatever an
    /// inspector refuses.
    pub async fn inspect<B, R>(
        mut self,
        body: B,
        read: impl FnOnce(Capped<B>) -> R,
    ) -> Result<Permit<B>, Refused>
    where
        B: Body<Data = Bytes> + Unpin,
        R: Body<Data = Bytes> + Unpin,
        R::Error: Into<Denial>,
    {
        self.case.recording.begin("inspect");
        let body = match self.cap(body) {
            Ok(body) => body,
            Err(denial) => return Err(self.refuse(denial)),
        };
        if route_of(&self.case, self.route).is_ok_and(|route| route.controls.inspection.requests.is_empty()) {
            return self.permit(body);
        }
        // On the heap, so that requests whose bodies stream carry no room for it.
        let mut findings = Findings::of(&self.case);
        let principal = self.case.principal().clone();
        let wants = route_of(&self.case, self.route).is_ok_and(|route| {
            let inspectors = &route.controls.inspection.requests;
            inspectors.iter().any(|guarded| guarded.mode != Mode::Off && guarded.check.reads_arguments())
        });
        let notes = Notes::new(wants);
        let judged =
            Box::pin(hold(&mut self.case, self.route, &principal, body, read, &mut findings, &notes));
        let judged = judged.await;
        let record = self.case.recording.record_mut();
        findings.tell(record);
        record.add_searched(notes);
        match (findings.refused, judged) {
            (Some(denial), _) => Err(self.refuse(denial)),
            (None, Err(denial)) => Err(self.refuse(denial)),
            (None, Ok(body)) => self.permit(body),
        }
    }

    fn cap<B: Body<Data = Bytes> + Unpin>(&mut self, body: B) -> Result<Capped<B>, Denial> {
        let cap = route_of(&self.case, self.route)?.controls.max_body_bytes;
        if let Framing::Length(length) = self.case.head.framing()
            && length > cap
        {
            let detail = format!("a body of {length} bytes, {cap} are allowed");
            return Err(Denial::new(Code::BodyTooLarge, detail).by(BODY_SIZE));
        }
        let received = (!body.is_end_stream()).then(|| self.case.recording.count_received());
        Ok(Capped::new(body, cap, received))
    }

    fn refuse(self, denial: Denial) -> Refused {
        let Cleared { case, route, .. } = self;
        let pointed = route_of(&case, route)
            .is_ok_and(|route| route.controls.inspection.error_detail == ErrorDetail::Pointers);
        let tells = matches!(
            denial.status(),
            StatusCode::BAD_REQUEST | StatusCode::UNSUPPORTED_MEDIA_TYPE | StatusCode::UNPROCESSABLE_ENTITY
        );
        let denial = if pointed && tells { denial.told_to_the_client() } else { denial };
        case.refuse_and_tell(denial)
    }

    fn permit<B>(self, body: Capped<B>) -> Result<Permit<B>, Refused> {
        let dialogue = match Dialogue::of(&self) {
            Ok(dialogue) => dialogue,
            Err(denial) => return Err(self.refuse(denial)),
        };
        let Cleared { case, route } = self;
        let principal = case.principal().clone();
        let target = match route_of(&case, route) {
            Ok(found) => found.target,
            Err(denial) => return Err(case.refuse_and_tell(denial)),
        };
        let cross_origin = route_of(&case, route).is_ok_and(|route| route.controls.cross_origin.is_some());
        let Case { head, conn, recording, answer_fields, additions, told, rewritten } = *case;
        let told = (told.is_some() || !answer_fields.is_empty() || cross_origin).then_some(Told {
            limit: told,
            fields: answer_fields,
            cross_origin,
        });
        Ok(Permit {
            head,
            conn,
            route,
            target,
            principal,
            told,
            additions,
            rewritten,
            body,
            dialogue,
            recording,
        })
    }
}

/// Judges a request by its head and, where an inspector wants it, by its body. What was refused is in `findings`; the
/// error is that the body could not be read.
async fn hold<B, R>(
    case: &mut Case,
    route: RouteId,
    principal: &Principal,
    body: Capped<B>,
    read: impl FnOnce(Capped<B>) -> R,
    findings: &mut Findings,
    notes: &Notes,
) -> Result<Capped<B>, Denial>
where
    B: Body<Data = Bytes> + Unpin,
    R: Body<Data = Bytes> + Unpin,
    R::Error: Into<Denial>,
{
    let snapshot = case.recording.snapshot().clone();
    let Some(found) = snapshot.routes.route(route) else {
        return Err(Denial::new(Code::Fault, "a route number of another plan"));
    };
    let effects = snapshot.effects();
    let mut wanting = Vec::new();
    for guarded in &found.controls.inspection.requests {
        let Guarded { mode, check } = guarded;
        if *mode == Mode::Off {
            continue;
        }
        let facts = Facts { notes: Some(notes), ..facts(case, route)? };
        let begun = findings.clock(effects);
        let judged = check.inspect_head(&facts, principal, effects).resolve().await;
        findings.ran(check.id(), begun, judged.is_err(), effects);
        match judged {
            Ok(Wants::Body) => wanting.push(guarded),
            Ok(Wants::Nothing) => {}
            Err(denial) => {
                if findings.refuse(*mode, check.id(), denial) {
                    return Ok(body);
                }
            }
        }
    }
    if wanting.is_empty() {
        return Ok(body);
    }
    let holding = snapshot.held_memory().holding(case.head.client());
    let mut bytes = Bytes::new();
    if !body.is_end_stream() {
        let announced = body.size_hint().exact();
        match collect(&mut read(body), announced, usize::MAX, &holding, || effects.monotonic()).await? {
            Collected::Whole(read) | Collected::Beyond(read) => bytes = read,
        }
    }
    for Guarded { mode, check } in wanting {
        let facts = Facts { holding: Some(&holding), notes: Some(notes), ..facts(case, route)? };
        let begun = findings.clock(effects);
        let judged = check.inspect(&facts, principal, &bytes, effects).resolve().await;
        findings.ran(check.id(), begun, judged.is_err(), effects);
        match judged {
            Ok(inspected) => {
                // Who only observes changes nothing.
                if *mode == Mode::Enforce
                    && let Some((replaced, coding)) = inspected.replacement()
                {
                    bytes = keep(replaced, &holding, effects.monotonic())?;
                    case.head.replace_body(bytes.len() as u64, coding);
                }
            }
            Err(denial) => {
                if findings.refuse(*mode, check.id(), denial) {
                    break;
                }
            }
        }
    }
    Ok(Capped::held(bytes))
}
