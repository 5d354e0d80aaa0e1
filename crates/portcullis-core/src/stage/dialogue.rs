//! Messages that stand for requests: each is judged like a POST to the same address, by the same checks in the same order.
//!
//! The upgrade itself was judged like any request. What the client says after it is judged here, one message after the other:
//! addresses and limits, authorization, limits by consumer, and what looks into bodies. Who it is stays as it was; whether that
//! still holds, [`Admission`](super::Admission) asks. Each message that stands for a request has its own record. Where a
//! dependency fails, the message is refused.
//!
//! The plan is the one that the connection began with.

use super::{Authenticated, Case, Charged, Cleared, Refused, screen};
use crate::answer;
use crate::body::Capped;
use crate::check::Mode;
use crate::conn::Conn;
use crate::conversation::{Breach, Conversation, Heard};
use crate::denial::{Code, Denial};
use crate::effects::Effects;
use crate::head::Head;
use crate::held::Holding;
use crate::plan::Snapshot;
use crate::principal::Principal;
use crate::record::{Outcome, Recording};
use crate::route::RouteId;
use bytes::Bytes;
use http::{Method, StatusCode, Version};
use http_body::{Body, Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// Messages beside requests, such as pings: so many at once, and so many a second. Servers answer each.
const NOTES_AT_ONCE: f64 = 100.0;
const NOTES_A_SECOND: f64 = 10.0;

/// What a client says after an upgrade, and who judges it.
pub struct Dialogue {
    /// The upgrade's, as a POST of JSON.
    head: Head,
    conn: Conn,
    route: RouteId,
    principal: Principal,
    snapshot: Snapshot,
    mode: Mode,
    conversation: Box<dyn Conversation>,
    holding: Holding,
    most: u64,
    /// Notes that may come now, and when that was.
    notes: (f64, Duration),
}

/// What becomes of a message.
#[derive(Debug)]
pub enum Said {
    /// It goes on.
    Pass,
    /// It does not. The client is told this text.
    Refused(String),
    /// The connection ends.
    Breach(Breach, Denial),
}

impl Dialogue {
    /// The dialogue of a request that was let through, if one of its checks reads what follows.
    ///
    /// # Errors
    /// The messages would stand for requests that this route does not take.
    pub(super) fn of(cleared: &Cleared) -> Result<Option<Box<Dialogue>>, Denial> {
        let Cleared { case, route } = cleared;
        if case.head.upgrade().is_none() {
            return Ok(None);
        }
        let snapshot = case.recording.snapshot();
        let controls = &super::route_of(case, *route)?.controls;
        let begun = controls.inspection.requests.iter().filter(|guarded| guarded.mode != Mode::Off);
        let mut begun = begun.filter_map(|guarded| {
            Some((guarded.mode, guarded.check.converse(&case.head)?, guarded.check.id()))
        });
        let Some((mode, conversation, check)) = begun.next() else { return Ok(None) };
        let head = case.head.as_message();
        // SECURITY: a route that reads only, or that another one takes POST from, would let in here what it does not let in as a
        // request (messages_ask_for_no_more_than_post_may).
        if mode == Mode::Enforce && snapshot.routes.find(&head).ok() != Some(*route) {
            let detail = "messages stand for POST requests, which this route does not take here";
            return Err(Denial::new(Code::UpgradeRefused, detail).by(check));
        }
        let holding = snapshot.held_memory().holding(case.head.client());
        Ok(Some(Box::new(Dialogue {
            head,
            conn: case.conn.clone(),
            route: *route,
            principal: case.principal().clone(),
            snapshot: snapshot.clone(),
            mode,
            conversation,
            holding,
            most: controls.max_body_bytes,
            notes: (NOTES_AT_ONCE, snapshot.effects().monotonic()),
        })))
    }

    /// The subprotocol that the upstream must choose.
    pub fn protocol(&self) -> &'static str {
        self.conversation.protocol()
    }

    /// The size of the largest message, in bytes.
    pub fn most(&self) -> u64 {
        self.most
    }

    /// The memory that messages are held in.
    pub fn holding(&self) -> &Holding {
        &self.holding
    }

    /// What may be asked of the world.
    pub fn effects(&self) -> &dyn Effects {
        self.snapshot.effects()
    }

    /// Whether a message that asks for nothing, such as a ping, is one of too many.
    pub fn is_one_too_many(&mut self) -> bool {
        let now = self.effects().monotonic();
        let (left, before) = self.notes;
        let since = now.saturating_sub(before).as_secs_f64();
        let left = NOTES_A_SECOND.mul_add(since, left).min(NOTES_AT_ONCE);
        self.notes = (left - 1.0, now);
        if left < 1.0 {
            self.notes.0 = left;
        }
        left < 1.0
    }

    /// Judges a text of the client.
    pub async fn judge(&mut self, message: &Bytes) -> Said {
        let breach = match self.conversation.hear(message) {
            Heard::Request { name, body } => {
                return match self.request(body).await {
                    Ok(()) => Said::Pass,
                    Err(refused) => Said::Refused(self.tell(&name, *refused)),
                };
            }
            Heard::Note if self.is_one_too_many() => {
                let detail = "more messages that ask for nothing than any client needs";
                let breach = Breach { status: 4429, reason: "Too many messages" };
                return Said::Breach(breach, Denial::new(Code::RateLimited, detail));
            }
            Heard::Note => return Said::Pass,
            Heard::Breach(breach) => breach,
        };
        if self.mode == Mode::Observe {
            return Said::Pass;
        }
        Said::Breach(breach, Denial::new(Code::ContentMalformed, breach.reason))
    }

    /// Judges what stands for a request.
    async fn request(&self, body: Bytes) -> Result<(), Box<Refused>> {
        let mut recording = Recording::open(self.snapshot.clone(), &self.conn);
        let mut head = self.head.clone();
        head.has_body(body.len() as u64);
        let record = recording.record_mut();
        record.method = Some(Method::POST);
        record.version = Some(Version::HTTP_11);
        record.target = Some(head.target().clone());
        record.host = Some(head.host().clone());
        record.client = Some(head.client());
        record.route = Some(self.route);
        record.principal = Some(self.principal.clone());
        let mut case = Box::new(Case {
            head,
            conn: self.conn.clone(),
            recording,
            answer_fields: Vec::new(),
            additions: Vec::new(),
            told: None,
            rewritten: None,
        });
        if let Some(denial) = screen(&mut case, self.route).await {
            return Err(Box::new(case.refuse_and_tell(denial)));
        }
        let authorized = Authenticated { case, route: self.route }.authorize().await.map_err(Box::new)?;
        let Charged { case, route } = authorized.charge().await.map_err(Box::new)?;
        let cleared = Cleared { case, route };
        let inspected = cleared.inspect(Whole(body.clone()), Held).await.map_err(Box::new)?;
        let mut recording = inspected.recording;
        // What goes on is the message, so a body that a check would have changed cannot go.
        if inspected.body.as_held().is_some_and(|held| *held != body) {
            let denial =
                Denial::new(Code::Fault, "a check of the route changes bodies, which a message has not");
            return Err(Box::new(Refused { denial, told: None, recording }));
        }
        let record = recording.record_mut();
        record.status = Some(StatusCode::OK);
        record.bytes_sent = 0;
        recording.close(Outcome::Served);
        Ok(())
    }

    /// Closes the account of a refused message, and says what its client is told.
    fn tell(&self, name: &str, refused: Refused) -> String {
        let Refused { denial, mut recording, .. } = refused;
        let id = recording.record().id;
        let response = answer::refusal(&denial, &id, None);
        let text = self.conversation.refusal(name, &denial, &id, response.body().trim_ascii());
        let record = recording.record_mut();
        record.status = Some(response.status());
        record.bytes_sent = text.len() as u64;
        recording.close(Outcome::Refused(denial));
        text
    }
}

/// A body that is there already.
struct Whole(Bytes);

impl Body for Whole {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = std::mem::take(&mut self.0);
        Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.len() as u64)
    }
}

/// The same under its cap, read by a check.
struct Held(Capped<Whole>);

impl Body for Held {
    type Data = Bytes;
    type Error = Denial;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Denial>>> {
        Pin::new(&mut self.0).poll_frame(cx).map(|frame| frame.map(|frame| frame.map_err(Denial::from)))
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}
