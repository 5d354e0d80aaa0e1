//! The body of a request on its way to an upstream or a handler, and what is known of it while it is read.
//!
//! It is read under the route's cap, and under the client's deadlines: those are watched by the client's connection,
//! which ends the body with an error when one has passed. Why a body failed is kept here, because whoever reads it
//! only learns that it did.

use crate::body::{BodyFault, ClientBody};
use crate::timeouts::Timeouts;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use portcullis_core::{BodyRefused, Capped, Code, Denial};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// The most bytes of a body that may be left unread on a connection that is used again; they are skipped.
pub(crate) const SPARE_BODY: u64 = 8 * 1024;

/// The body of a request, under the route's cap and the client's deadlines. Trailer fields are dropped.
pub(crate) struct ForwardedBody(Option<Streamed>);

struct Streamed {
    /// `None` where there is no more than what was read before.
    body: Option<Capped<ClientBody>>,
    /// What is kept for a copy.
    tee: Option<Rc<RefCell<Tee>>>,
    /// Parts that were read before and are to be read again.
    before: VecDeque<Bytes>,
    memory: Memory,
    /// `None` for a body that is here already.
    upload: Option<Arc<Upload>>,
}

/// The most of a body that is remembered.
const MOST_REMEMBERED: usize = 64 * 1024;

/// The most parts of it: a client may send a byte at a time, and each part takes memory of its own.
const MOST_PARTS: usize = 256;

/// What is remembered of a body while it is read.
enum Memory {
    /// Nothing.
    Off,
    /// What was read, and how much that is.
    Parts(VecDeque<Bytes>, usize),
    /// More was read than is remembered.
    Beyond,
}

/// What was read of a body, for a copy of it.
#[derive(Default)]
pub(crate) struct Tee {
    parts: VecDeque<Bytes>,
    size: usize,
    complete: bool,
}

impl Tee {
    /// The whole body. `None` where it is not here yet, or is larger than a copy may be.
    pub(crate) fn take(&mut self) -> Option<VecDeque<Bytes>> {
        (self.complete && self.size <= MOST_REMEMBERED).then(|| std::mem::take(&mut self.parts))
    }

    fn add(&mut self, part: &Bytes) {
        self.size = self.size.saturating_add(part.len());
        if self.parts.len() >= MOST_PARTS {
            self.size = usize::MAX;
        }
        if self.size <= MOST_REMEMBERED {
            self.parts.push_back(part.clone());
        } else {
            self.parts.clear();
        }
    }
}

impl Memory {
    fn add(&mut self, part: &Bytes) {
        if let Memory::Parts(parts, size) = self {
            *size = size.saturating_add(part.len());
            if *size > MOST_REMEMBERED || parts.len() >= MOST_PARTS {
                *self = Memory::Beyond;
            } else {
                parts.push_back(part.clone());
            }
        }
    }
}

impl ForwardedBody {
    /// The body, and what watches it; nothing watches a body that is empty, or here already.
    /// `pause` is how long the client may be silent where that is more than its listener says: in a stream of messages, which
    /// has no length either.
    pub(crate) fn new(
        body: Capped<ClientBody>,
        now: Instant,
        pause: Option<Duration>,
    ) -> (ForwardedBody, Option<Arc<Upload>>) {
        if body.is_end_stream() {
            return (ForwardedBody(None), None);
        }
        let upload = (!body.is_held()).then(|| Arc::new(Upload::new(now, pause)));
        let streamed = Streamed {
            body: Some(body),
            tee: None,
            before: VecDeque::new(),
            memory: Memory::Off,
            upload: upload.clone(),
        };
        (ForwardedBody(Some(streamed)), upload)
    }

    /// Remembers from now on what is read, up to a bound, so that it can be read again. Nothing is copied for that.
    pub(crate) fn remember(&mut self) {
        if let Some(streamed) = &mut self.0 {
            streamed.memory = Memory::Parts(VecDeque::new(), 0);
        }
    }

    /// A body of these parts.
    pub(crate) fn of_parts(parts: VecDeque<Bytes>) -> ForwardedBody {
        if parts.iter().all(Bytes::is_empty) {
            return ForwardedBody(None);
        }
        let (before, memory) = (parts, Memory::Off);
        ForwardedBody(Some(Streamed { body: None, tee: None, before, memory, upload: None }))
    }

    /// Keeps what is read for a copy, up to a bound. `None` where there is nothing to read.
    pub(crate) fn tee(&mut self) -> Option<Rc<RefCell<Tee>>> {
        let streamed = self.0.as_mut()?;
        Some(Rc::clone(streamed.tee.get_or_insert_default()))
    }

    /// Goes back to its beginning. `false` where that is not remembered.
    pub(crate) fn rewind(&mut self) -> bool {
        let Some(streamed) = &mut self.0 else { return true };
        match std::mem::replace(&mut streamed.memory, Memory::Parts(VecDeque::new(), 0)) {
            Memory::Parts(parts, _) => {
                self.put_back(parts);
                true
            }
            gone @ (Memory::Off | Memory::Beyond) => {
                streamed.memory = gone;
                false
            }
        }
    }

    /// Puts back what was read of it so far: it is read again, from its beginning.
    pub(crate) fn put_back(&mut self, parts: VecDeque<Bytes>) {
        if let Some(streamed) = &mut self.0 {
            // What is read again is remembered again.
            if !matches!(streamed.memory, Memory::Off) {
                streamed.memory = Memory::Parts(VecDeque::new(), 0);
            }
            if let Some(tee) = &streamed.tee {
                *tee.borrow_mut() = Tee::default();
            }
            let later = std::mem::replace(&mut streamed.before, parts);
            streamed.before.extend(later);
        }
    }
}

/// Whether no more comes of what a client sends.
fn ended(body: Option<&Capped<ClientBody>>) -> bool {
    body.is_none_or(Body::is_end_stream)
}

impl Body for ForwardedBody {
    type Data = Bytes;
    type Error = BodyRefused<BodyFault>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some(Streamed { body, tee, before, memory, upload }) = &mut self.0 else {
            return Poll::Ready(None);
        };
        let mut note = |part: Option<&Bytes>, complete: bool| {
            part.into_iter().for_each(|part| memory.add(part));
            if let Some(tee) = tee.as_ref() {
                let mut tee = tee.borrow_mut();
                part.into_iter().for_each(|part| tee.add(part));
                tee.complete = complete;
            }
        };
        if let Some(part) = before.pop_front() {
            note(Some(&part), before.is_empty() && ended(body.as_ref()));
            return Poll::Ready(Some(Ok(Frame::data(part))));
        }
        let polled = match body {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(None),
        };
        match &polled {
            Poll::Ready(Some(Ok(frame))) => note(frame.data_ref(), ended(body.as_ref())),
            Poll::Ready(None) => note(None, true),
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
        }
        let Some(upload) = upload else { return polled };
        let mut state = upload.state();
        // An error that has been told once is told again: no reader may take a broken body for a complete one.
        if let Some(denial) = &state.broken {
            return Poll::Ready(Some(Err(BodyRefused::Denied(denial.clone()))));
        }
        match &polled {
            Poll::Pending => {
                state.waiting.get_or_insert_with(Instant::now);
                match &mut state.waker {
                    Some(waker) => waker.clone_from(cx.waker()),
                    None => state.waker = Some(cx.waker().clone()),
                }
            }
            Poll::Ready(Some(Ok(_))) => {
                state.waiting = None;
                state.active = Instant::now();
                state.ended = ended(body.as_ref());
            }
            Poll::Ready(Some(Err(BodyRefused::Denied(denial)))) => state.broken = Some(denial.clone()),
            Poll::Ready(Some(Err(BodyRefused::Transport(fault)))) => {
                state.broken = Some(Denial::new(Code::BodyMalformed, fault.to_string()));
            }
            Poll::Ready(None) => state.ended = true,
        }
        drop(state);
        polled
    }

    fn is_end_stream(&self) -> bool {
        let broken = |upload: &Option<Arc<Upload>>| upload.as_deref().is_some_and(Upload::is_broken);
        self.0.as_ref().is_none_or(|streamed| {
            streamed.before.is_empty() && ended(streamed.body.as_ref()) && !broken(&streamed.upload)
        })
    }

    fn size_hint(&self) -> SizeHint {
        let Some(Streamed { body, before, .. }) = &self.0 else { return SizeHint::with_exact(0) };
        let again: u64 = before.iter().map(|part| part.len() as u64).sum();
        let hint = body.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint);
        hint.exact().map_or(hint, |rest| SizeHint::with_exact(rest.saturating_add(again)))
    }
}

impl Drop for ForwardedBody {
    fn drop(&mut self) {
        let Some(Streamed { body: Some(body), upload: Some(upload), .. }) = &self.0 else { return };
        let rest = if body.is_end_stream() { Some(0) } else { body.size_hint().exact() };
        let mut state = upload.state();
        if !state.ended {
            state.rest = rest.unwrap_or(u64::MAX);
        }
        state.ended = true;
    }
}

/// What is known of a body while somebody else reads it.
pub(crate) struct Upload(Mutex<State>);

struct State {
    pause: Option<Duration>,
    started: Instant,
    /// When the client last sent something.
    active: Instant,
    /// Since when a read waits for the client.
    waiting: Option<Instant>,
    /// Read to its end, or given up.
    ended: bool,
    /// How much may still come of a body that was given up.
    rest: u64,
    /// Why it broke, once it has.
    broken: Option<Denial>,
    waker: Option<Waker>,
}

impl Upload {
    pub(crate) fn new(now: Instant, pause: Option<Duration>) -> Upload {
        let state = State {
            pause,
            started: now,
            active: now,
            waiting: None,
            ended: false,
            rest: 0,
            broken: None,
            waker: None,
        };
        Upload(Mutex::new(state))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_broken(&self) -> bool {
        self.state().broken.is_some()
    }

    /// Why the body failed; `None` while it has not.
    pub(crate) fn refused(&self) -> Option<Denial> {
        self.state().broken.clone()
    }

    /// Whether so much is left unread that the connection must not be used again.
    pub(crate) fn left_unread(&self) -> bool {
        let state = self.state();
        state.rest > SPARE_BODY || state.broken.is_some()
    }

    /// Whether the body is at its end, in one way or another.
    pub(crate) fn has_ended(&self) -> bool {
        let state = self.state();
        state.ended || state.broken.is_some()
    }

    /// When the client last sent something; `None` while a read waits for it.
    pub(crate) fn active(&self) -> Option<Instant> {
        let state = self.state();
        state.waiting.is_none().then_some(state.active)
    }

    /// When the client's time is up, at the earliest. A read that does not wait yet could begin to at `now`.
    pub(crate) fn deadline(&self, timeouts: &Timeouts, now: Instant) -> Option<Instant> {
        let state = self.state();
        if state.ended || state.broken.is_some() {
            return None;
        }
        let pause = state.pause.map_or(timeouts.body, |pause| pause.max(timeouts.body));
        let step = state.waiting.unwrap_or(now).checked_add(pause);
        let whole = match state.pause {
            None => timeouts.request.and_then(|limit| state.started.checked_add(limit)),
            Some(_) => None,
        };
        step.into_iter().chain(whole).min()
    }

    /// Ends the body: the client's time is up.
    pub(crate) fn expire(&self) {
        self.refuse(Denial::new(Code::BodyTimeout, "the client did not send its body in time"));
    }

    /// Ends the body for this reason. Does nothing where it has ended.
    pub(crate) fn refuse(&self, denial: Denial) {
        let mut state = self.state();
        if state.ended || state.broken.is_some() {
            return;
        }
        state.broken = Some(denial);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
