//! What a connection is doing, and by when it must be done with it.
//!
//! Everything that takes time on a connection notes here since when; the connection looks at the earliest deadline
//! after each of its turns and keeps one timer, which is moved only to fire earlier. So no request sets a timer, and
//! a deadline is never passed over.

use super::shares::Share;
use super::tunnel::Tunnel;
use crate::timeouts::Timeouts;
use crate::upload::{SPARE_BODY, Upload};
use crate::upstream::Interim;
use portcullis_core::{Admission, Denial};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// How long a connection without a request may stay once the drain has begun. A client that sends requests without
/// pause has sent one by then, and its answer tells it to close.
pub(crate) const FAREWELL: Duration = Duration::from_millis(250);

/// What a connection is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    /// It has not sent a byte.
    Fresh,
    /// It is between two requests.
    Idle,
    /// It has begun to send a request head.
    Head,
    /// A request is being served.
    Serving,
}

/// Whose time is up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Due {
    /// There was no request for too long.
    Quiet,
    /// A request head is not complete in time.
    Head,
    /// The client does not take its answer.
    Answer,
    /// The client does not send its body.
    Upload,
    /// The upstream keeps us waiting; whoever waits for it sees that on its next turn.
    Upstream,
    /// What let the request in is gone, and the request did not end by itself.
    Revoked,
}

/// How long a request has to end by itself once what let it in is gone.
const LAST_TURN: Duration = Duration::from_secs(1);

/// What let the running request in.
#[derive(Default)]
struct Admitted {
    admission: RefCell<Option<Box<Admission>>>,
    /// A number for the request, among those of the connection.
    number: Cell<u64>,
    /// When it was last found that it would still be let in.
    held_at: Cell<Option<Instant>>,
    /// Why it would not be let in any more, and when that was found.
    revoked: RefCell<Option<(Denial, Instant)>>,
    /// Whether the connection has switched protocols.
    switched: Cell<bool>,
    /// What drives the connection.
    waker: RefCell<Option<Waker>>,
}

/// What a connection is doing, and since when.
pub(crate) struct Life {
    timeouts: Timeouts,
    now: Cell<Instant>,
    phase: Cell<Phase>,
    since: Cell<Instant>,
    write_blocked: Cell<Option<Instant>>,
    upstream: Cell<Option<Instant>>,
    upload: RefCell<Option<Arc<Upload>>>,
    /// Bytes of the body that nobody will read, at most.
    unread: Cell<u64>,
    tunnel: RefCell<Option<Tunnel>>,
    /// Informational answers that the client has not been sent.
    interim: RefCell<Vec<Interim>>,
    /// Whether it is a stream of a connection, which is asked for more of its answer only when the client takes some.
    stream: bool,
    answered: Cell<bool>,
    admitted: Admitted,
}

impl Life {
    pub(crate) fn new(timeouts: Timeouts) -> Life {
        let now = Instant::now();
        Life {
            timeouts,
            now: Cell::new(now),
            phase: Cell::new(Phase::Fresh),
            since: Cell::new(now),
            write_blocked: Cell::new(None),
            upstream: Cell::new(None),
            upload: RefCell::new(None),
            unread: Cell::new(0),
            tunnel: RefCell::new(None),
            interim: RefCell::new(Vec::new()),
            stream: false,
            answered: Cell::new(false),
            admitted: Admitted::default(),
        }
    }

    /// The life of one stream of a connection.
    pub(crate) fn of_stream(timeouts: Timeouts) -> Life {
        Life { stream: true, ..Life::new(timeouts) }
    }

    /// Whether it is one of several streams of a connection.
    pub(crate) fn is_stream(&self) -> bool {
        self.stream
    }

    /// Reads the clock; once for each turn of the connection.
    pub(crate) fn tick(&self) {
        self.now.set(Instant::now());
    }

    /// The time at which the connection's turn began.
    pub(crate) fn now(&self) -> Instant {
        self.now.get()
    }

    fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        self.since.set(self.now.get());
    }

    /// Bytes came in.
    pub(crate) fn read_some(&self) {
        match self.phase.get() {
            // What comes after an answer may still be the body of its request.
            Phase::Fresh | Phase::Idle if !self.is_uploading() => self.enter(Phase::Head),
            Phase::Fresh | Phase::Idle | Phase::Head | Phase::Serving => {}
        }
    }

    /// Bytes went out.
    pub(crate) fn wrote_some(&self) {
        self.write_blocked.set(None);
    }

    /// A part of the answer's body was handed out.
    pub(crate) fn handed_out(&self) {
        if self.stream {
            self.write_blocks();
        }
    }

    /// The answer is asked for more.
    pub(crate) fn asked_for_more(&self) {
        if self.stream {
            self.wrote_some();
        }
    }

    /// Since when nothing has gone out that has to; `None` while nothing has to.
    pub(crate) fn blocked_since(&self) -> Option<Instant> {
        self.write_blocked.get()
    }

    /// By when something must go out; `None` while nothing has to.
    pub(crate) fn blocked_until(&self) -> Option<Instant> {
        self.write_blocked.get().and_then(|since| since.checked_add(self.timeouts.body))
    }

    /// Whether the whole answer was handed out.
    pub(crate) fn is_answered(&self) -> bool {
        self.answered.get()
    }

    /// Nothing more goes out until the client reads.
    pub(crate) fn write_blocks(&self) {
        if self.write_blocked.get().is_none() {
            self.write_blocked.set(Some(self.now.get()));
        }
    }

    /// A request head is complete.
    pub(crate) fn begin_request(&self) {
        self.watch(None);
        self.admitted.admission.take();
        self.admitted.revoked.take();
        self.admitted.number.set(self.admitted.number.get().wrapping_add(1));
        self.unread.set(0);
        self.enter(Phase::Serving);
    }

    /// The answer has been handed to the connection, or given up.
    pub(crate) fn end_request(&self, answered: bool) {
        self.answered.set(answered);
        self.upstream.set(None);
        self.enter(Phase::Idle);
    }

    /// Keeps what let the request in.
    pub(crate) fn admit(&self, admission: Option<Box<Admission>>) {
        self.admitted.held_at.set(Some(self.now.get()));
        *self.admitted.admission.borrow_mut() = admission;
    }

    /// The request that runs, with its number, if it was not found since `before` that it would still be let in.
    pub(crate) fn to_review(&self, before: Instant) -> Option<(u64, Admission)> {
        let Admitted { admission, number, held_at, revoked, switched, .. } = &self.admitted;
        let runs = self.phase.get() == Phase::Serving || switched.get() || self.is_uploading();
        if !runs || revoked.borrow().is_some() || held_at.get().is_some_and(|held| held > before) {
            return None;
        }
        Some((number.get(), Admission::clone(admission.borrow().as_deref()?)))
    }

    /// The request with this number would be let in at `now`.
    pub(crate) fn holds(&self, number: u64, now: Instant) {
        if self.admitted.number.get() == number {
            self.admitted.held_at.set(Some(now));
        }
    }

    /// Since when nobody could tell whether the request would be let in.
    pub(crate) fn held_at(&self) -> Option<Instant> {
        self.admitted.held_at.get()
    }

    /// The request with this number would not be let in any more: it ends.
    pub(crate) fn revoke(&self, number: u64, denial: Denial, now: Instant) {
        if self.admitted.number.get() != number {
            return;
        }
        if let Some(upload) = self.upload.borrow().as_deref() {
            upload.refuse(denial.clone());
        }
        *self.admitted.revoked.borrow_mut() = Some((denial, now));
        if let Some(waker) = self.admitted.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }

    /// Why the request would not be let in any more. `None` while it would.
    pub(crate) fn revoked(&self) -> Option<Denial> {
        self.admitted.revoked.borrow().as_ref().map(|(denial, _)| denial.clone())
    }

    /// Notes what drives the connection, so that it can be told that its request must end.
    pub(crate) fn driven_by(&self, cx: &Context<'_>) {
        let mut waker = self.admitted.waker.borrow_mut();
        match &mut *waker {
            Some(waker) => waker.clone_from(cx.waker()),
            None => *waker = Some(cx.waker().clone()),
        }
    }

    /// Done when the request must end, and says why.
    pub(crate) async fn is_revoked(&self) -> Denial {
        poll_fn(|cx| {
            self.driven_by(cx);
            self.revoked().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    /// Watches the body of the request.
    pub(crate) fn watch(&self, upload: Option<&Arc<Upload>>) {
        *self.upload.borrow_mut() = upload.cloned();
    }

    /// Gives up the body that is being watched.
    pub(crate) fn expire_upload(&self) {
        if let Some(upload) = self.upload.borrow().as_deref() {
            upload.expire();
        }
    }

    fn is_uploading(&self) -> bool {
        self.upload.borrow().as_deref().is_some_and(|upload| !upload.has_ended())
    }

    /// The request is answered without its body having been read, of which so much was announced; `None` where nobody
    /// knows.
    pub(crate) fn leave_unread(&self, rest: Option<u64>) {
        self.unread.set(rest.unwrap_or(u64::MAX));
    }

    /// Whether so much is left unread that the connection must not be used again.
    pub(crate) fn left_unread(&self) -> bool {
        self.unread.get() > SPARE_BODY || self.upload.borrow().as_deref().is_some_and(Upload::left_unread)
    }

    /// Keeps what begins when this connection has switched protocols.
    pub(crate) fn keep_tunnel(&self, tunnel: Tunnel) {
        self.admitted.switched.set(true);
        *self.tunnel.borrow_mut() = Some(tunnel);
    }

    /// Gives the place of the request to its tunnel. It comes back where there is none.
    pub(super) fn keep_in_tunnel(&self, share: Share) -> Option<Share> {
        match &mut *self.tunnel.borrow_mut() {
            Some(tunnel) => {
                tunnel.keep(share);
                None
            }
            None => Some(share),
        }
    }

    /// Keeps an informational answer for the client.
    pub(crate) fn interim(&self, interim: Interim) {
        self.interim.borrow_mut().push(interim);
    }

    /// The informational answers that have come since the last call.
    pub(crate) fn take_interim(&self) -> Vec<Interim> {
        std::mem::take(&mut *self.interim.borrow_mut())
    }

    /// What begins now that the connection has switched protocols.
    pub(crate) fn take_tunnel(&self) -> Option<Tunnel> {
        self.tunnel.borrow_mut().take()
    }

    /// Whether there is no request, and nothing of one.
    pub(crate) fn is_quiet(&self) -> bool {
        matches!(self.phase.get(), Phase::Fresh | Phase::Idle) && !self.is_uploading()
    }

    /// The earliest deadline, and whose it is. `draining` since when, if the front is.
    pub(crate) fn due(&self, draining: Option<Instant>) -> Option<(Instant, Due)> {
        let since = self.since.get();
        let mut first: Option<(Instant, Due)> = None;
        let mut note = |when: Option<Instant>, due: Due| {
            if let Some(when) = when
                && first.is_none_or(|(earlier, _)| when < earlier)
            {
                first = Some((when, due));
            }
        };
        let farewell = |since: Instant| draining.and_then(|begun| begun.max(since).checked_add(FAREWELL));
        match self.phase.get() {
            Phase::Fresh => {
                note(since.checked_add(self.timeouts.header.min(self.timeouts.idle)), Due::Quiet);
                note(farewell(since), Due::Quiet);
            }
            Phase::Idle if !self.is_uploading() => {
                note(since.checked_add(self.timeouts.idle), Due::Quiet);
                note(farewell(since), Due::Quiet);
            }
            Phase::Head => note(since.checked_add(self.timeouts.header), Due::Head),
            Phase::Idle | Phase::Serving => {}
        }
        if let Some((_, since)) = &*self.admitted.revoked.borrow()
            && self.phase.get() == Phase::Serving
        {
            note(since.checked_add(LAST_TURN), Due::Revoked);
        }
        note(self.blocked_until(), Due::Answer);
        note(self.upstream.get(), Due::Upstream);
        if let Some(upload) = self.upload.borrow().as_deref() {
            note(upload.deadline(&self.timeouts, self.now.get()), Due::Upload);
        }
        first
    }

    /// Waits for the upstream until `deadline`, which is asked for anew on each turn. `None` where it has passed, or the
    /// request must end.
    pub(crate) async fn within<F: Future>(
        &self,
        deadline: impl Fn() -> Option<Instant>,
        future: F,
    ) -> Option<F::Output> {
        let mut future = pin!(future);
        poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => {
                self.upstream.set(None);
                Poll::Ready(Some(output))
            }
            Poll::Pending if self.has_passed(deadline()) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        })
        .await
    }

    /// Notes by when the upstream must do something. `true` if that has passed, or the request must end.
    pub(crate) fn has_passed(&self, deadline: Option<Instant>) -> bool {
        let revoked = self.admitted.revoked.borrow().is_some();
        let passed = revoked || deadline.is_some_and(|deadline| deadline <= self.now.get());
        self.upstream.set(deadline.filter(|_| !passed));
        passed
    }

    /// The upstream has done something.
    pub(crate) fn upstream_moved(&self) {
        self.upstream.set(None);
    }
}
