//! Reads an answer that must be judged before the client sees it.
//!
//! An upstream that stops in the middle is given up like one whose answer streams. A failure says which side it was.

use super::handler::ResponseBody;
use super::life::Life;
use crate::upstream::AnswerBody;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use portcullis_core::{Code, Denial};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// The body of an upstream's answer, under the deadline for each of its parts.
pub(crate) struct AnswerReader {
    body: AnswerBody,
    idle: Duration,
    life: Rc<Life>,
    waiting: Option<Instant>,
}

impl AnswerReader {
    pub(crate) fn new(body: AnswerBody, idle: Duration, life: &Rc<Life>) -> AnswerReader {
        AnswerReader { body, idle, life: Rc::clone(life), waiting: None }
    }

    pub(crate) fn into_body(self) -> AnswerBody {
        self.body
    }
}

impl Body for AnswerReader {
    type Data = Bytes;
    type Error = Denial;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Denial>>> {
        let this = &mut *self;
        this.body.turn(this.life.now());
        let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) else {
            let since = *this.waiting.get_or_insert_with(|| this.life.now());
            if !this.life.has_passed(since.checked_add(this.idle)) {
                return Poll::Pending;
            }
            let denial = this.life.revoked().unwrap_or_else(|| {
                Denial::new(Code::UpstreamTimeout, "the upstream stopped in the middle of its answer")
            });
            return Poll::Ready(Some(Err(denial)));
        };
        this.waiting = None;
        this.life.upstream_moved();
        Poll::Ready(frame.map(|frame| {
            frame.map_err(|error| {
                let cause = error.source().map_or(String::new(), |source| format!(": {source}"));
                Denial::new(Code::UpstreamClosed, format!("the answer broke off: {error}{cause}"))
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of a handler's answer.
pub(crate) struct HandlerReader(pub(crate) ResponseBody);

impl Body for HandlerReader {
    type Data = Bytes;
    type Error = Denial;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Denial>>> {
        Pin::new(&mut self.0).poll_frame(cx).map_err(|error| {
            Denial::new(Code::HandlerFailed, format!("the handler's answer broke off: {error}"))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}
