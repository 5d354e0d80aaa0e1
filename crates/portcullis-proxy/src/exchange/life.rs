//! The life of a connection, or of a stream: its state, and everything else that takes time on it.
//!
//! How long a state may last stands in [`crate::state`]. What can take too long in any state notes here since when: a client that
//! takes no answer or sends no body, an upstream, a request that would not be let in any more. The connection looks at
//! the earliest of all deadlines after each of its turns and keeps one timer, which is moved only to fire earlier. So no
//! request sets a timer, and a deadline is never passed over.

use super::shares::Share;
use super::tunnel::Tunnel;
use crate::state::{Due, Event, Kind, Machine, State};
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
    /// What drives the connection.
    waker: RefCell<Option<Waker>>,
}

/// What a connection is doing, and since when.
pub(crate) struct Life {
    timeouts: Timeouts,
    now: Cell<Instant>,
    machine: Machine,
    write_blocked: Cell<Option<Instant>>,
    upstream: Cell<Option<Instant>>,
    upload: RefCell<Option<Arc<Upload>>>,
    /// Bytes of the body that nobody will read, at most.
    unread: Cell<u64>,
    tunnel: RefCell<Option<Tunnel>>,
    /// Informational answers that the client has not been sent.
    interim: RefCell<Vec<Interim>>,
    answered: Cell<bool>,
    admitted: Admitted,
}

impl Life {
    /// A life that begins now.
    pub(crate) fn new(kind: Kind, timeouts: Timeouts, now: Instant) -> Life {
        Life {
            timeouts,
            now: Cell::new(now),
            machine: Machine::new(kind, now),
            write_blocked: Cell::new(None),
            upstream: Cell::new(None),
            upload: RefCell::new(None),
            unread: Cell::new(0),
            tunnel: RefCell::new(None),
            interim: RefCell::new(Vec::new()),
            answered: Cell::new(false),
            admitted: Admitted::default(),
        }
    }

    /// Whether it is one of several streams of a connection. Such a stream is asked for more of its answer only when the client
    /// takes some.
    pub(crate) fn is_stream(&self) -> bool {
        self.machine.kind() == Kind::Stream
    }

    /// Reads the clock; once for each turn of the connection.
    pub(crate) fn tick(&self) {
        self.now.set(Instant::now());
    }

    /// The time at which the connection's turn began.
    pub(crate) fn now(&self) -> Instant {
        self.now.get()
    }

    /// What it is doing.
    pub(crate) fn state(&self) -> State {
        self.machine.state()
    }

    /// Something happens in this turn. Whether it changes the state.
    pub(crate) fn happens(&self, event: Event) -> bool {
        self.machine.happens(event, self.now.get())
    }

    /// Something happened on the connection in another task's turn, which began then.
    pub(crate) fn happened(&self, event: Event, when: Instant) {
        self.machine.happens(event, when);
    }

    /// A part of a request head has come.
    pub(crate) fn head_begins(&self) {
        self.settle();
        self.happens(Event::HeadBegins);
    }

    /// Looks whether the upload that outlasted its answer is over.
    fn settle(&self) {
        if self.state() == State::Uploading && !self.is_uploading() {
            self.happens(Event::UploadEnds);
        }
    }

    /// Bytes went out.
    pub(crate) fn wrote_some(&self) {
        self.write_blocked.set(None);
    }

    /// A part of the answer's body was handed out.
    pub(crate) fn handed_out(&self) {
        if self.is_stream() {
            self.write_blocks();
        }
    }

    /// The answer is asked for more.
    pub(crate) fn asked_for_more(&self) {
        if self.is_stream() {
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
        self.happens(Event::RequestBegins);
    }

    /// The answer has been handed to the connection, or given up.
    pub(crate) fn end_request(&self, answered: bool) {
        self.answered.set(answered);
        self.upstream.set(None);
        self.happens(if self.is_uploading() { Event::AnsweredEarly } else { Event::Answered });
    }

    /// Keeps what let the request in.
    pub(crate) fn admit(&self, admission: Option<Box<Admission>>) {
        self.admitted.held_at.set(Some(self.now.get()));
        *self.admitted.admission.borrow_mut() = admission;
    }

    /// The request that runs, with its number, if it was not found since `before` that it would still be let in.
    pub(crate) fn to_review(&self, before: Instant) -> Option<(u64, Admission)> {
        let Admitted { admission, number, held_at, revoked, .. } = &self.admitted;
        if !self.state().runs()
            || revoked.borrow().is_some()
            || held_at.get().is_some_and(|held| held > before)
        {
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
        self.happens(Event::Switches);
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
        self.settle();
        matches!(self.state(), State::Fresh | State::Idle)
    }

    /// The earliest deadline, and whose it is. `draining` since when, if the front is.
    pub(crate) fn due(&self, draining: Option<Instant>) -> Option<(Instant, Due)> {
        self.settle();
        let mut first = self.machine.deadline(&self.timeouts, draining);
        let mut note = |when: Option<Instant>, due: Due| {
            if let Some(when) = when
                && first.is_none_or(|(earlier, _)| when < earlier)
            {
                first = Some((when, due));
            }
        };
        if let Some((_, since)) = &*self.admitted.revoked.borrow()
            && self.state().runs()
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

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_core::Code;

    #[test]
    fn the_idle_time_begins_when_the_upload_has_ended_too() {
        let timeouts = Timeouts { request: None, ..Timeouts::default() };
        let begun = Instant::now();
        let life = Life::new(Kind::Http1, timeouts, begun);
        let later = |seconds| begun + Duration::from_secs(seconds);
        life.begin_request();
        let upload = Arc::new(Upload::new(begun, None));
        life.watch(Some(&upload));
        life.end_request(true);
        life.now.set(later(100));
        assert_eq!(life.due(None), Some((later(100) + timeouts.body, Due::Upload)));
        // What comes now is not the beginning of a head.
        life.head_begins();
        assert!(!life.is_quiet() && life.state() == State::Uploading);
        upload.expire();
        life.now.set(later(101));
        assert_eq!(life.due(None), Some((later(101) + timeouts.idle, Due::Leave)));
        assert!(life.is_quiet());
    }

    #[test]
    fn the_earliest_deadline_counts_whatever_the_state() {
        let begun = Instant::now();
        let life = Life::new(Kind::Http1, Timeouts::default(), begun);
        life.begin_request();
        assert_eq!(life.due(None), None);
        life.write_blocks();
        assert_eq!(life.due(None), Some((begun + Timeouts::default().body, Due::Answer)));
        assert!(!life.has_passed(Some(begun + Duration::from_secs(3))));
        assert_eq!(life.due(None), Some((begun + Duration::from_secs(3), Due::Upstream)));
        life.revoke(1, Denial::new(Code::CredentialUnknown, "revoked"), begun);
        assert_eq!(life.due(None), Some((begun + LAST_TURN, Due::Revoked)));
        // What let the request in does not matter once it is over.
        life.end_request(true);
        life.wrote_some();
        assert_eq!(life.due(None), Some((begun + Timeouts::default().idle, Due::Leave)));
    }
}
