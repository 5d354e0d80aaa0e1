//! How much of all answers of a connection may wait for its socket.
//!
//! A stream hands on what its window allows, and a client can open windows that it never reads. So what was handed on since
//! the socket last took everything is bounded for all streams of a connection together. Beyond a small amount it counts for the
//! client's address; if the address has no room, the connection has that small amount alone.

use crate::exchange::shares::Unread;
use std::cell::{Cell, RefCell};
use std::task::{Context, Poll, Waker};

/// What may wait in any case.
const SMALL: usize = 32 * 1024;
/// The most bytes of answers that wait for the socket of a connection, and one part more.
const MAX_WAITING: usize = 256 * 1024;

/// What waits.
pub(super) struct Outbox {
    waiting: Cell<usize>,
    /// What counts for the client's address; `None` where nothing does.
    unread: RefCell<Option<Unread>>,
    /// The connection is over.
    closed: Cell<bool>,
    streams: RefCell<Vec<Waker>>,
}

impl Outbox {
    /// Nothing waits. What will counts there.
    pub(super) fn new(unread: Option<Unread>) -> Outbox {
        Outbox {
            waiting: Cell::new(0),
            unread: RefCell::new(unread),
            closed: Cell::new(false),
            streams: RefCell::default(),
        }
    }

    /// Ready with `true` when more may be handed on, and with `false` when nothing ever will.
    pub(super) fn poll_room(&self, cx: &Context<'_>) -> Poll<bool> {
        if self.closed.get() || self.has_room() {
            return Poll::Ready(!self.closed.get());
        }
        let mut streams = self.streams.borrow_mut();
        if !streams.iter().any(|waker| waker.will_wake(cx.waker())) {
            streams.push(cx.waker().clone());
        }
        Poll::Pending
    }

    fn has_room(&self) -> bool {
        match self.waiting.get() {
            ..SMALL => true,
            SMALL..MAX_WAITING => {
                self.unread.borrow_mut().as_mut().is_none_or(|unread| unread.set(MAX_WAITING - SMALL))
            }
            MAX_WAITING.. => false,
        }
    }

    /// Bytes were handed on.
    pub(super) fn handed_on(&self, size: usize) {
        self.waiting.set(self.waiting.get().saturating_add(size));
    }

    /// The connection is over.
    ///
    /// SECURITY: a stream that waits here hears of it nowhere else, and would keep its connection to the upstream for ever
    /// (streams_end_with_their_connection).
    pub(super) fn close(&self) {
        self.closed.set(true);
        self.unread.take();
        self.streams.take().into_iter().for_each(Waker::wake);
    }

    /// The socket has taken everything.
    pub(super) fn emptied(&self) {
        if self.waiting.replace(0) < SMALL {
            return;
        }
        if let Some(unread) = &mut *self.unread.borrow_mut() {
            unread.set(0);
        }
        if !self.streams.borrow().is_empty() {
            self.streams.take().into_iter().for_each(Waker::wake);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::task::Wake;

    struct Nobody;

    impl Wake for Nobody {
        fn wake(self: Arc<Self>) {}
    }

    #[test]
    fn what_waits_is_bounded_and_goes_on_when_the_socket_has_taken_it() {
        let outbox = Outbox::new(None);
        let waker = Waker::from(Arc::new(Nobody));
        let cx = Context::from_waker(&waker);
        outbox.handed_on(MAX_WAITING - 1);
        assert_eq!(outbox.poll_room(&cx), Poll::Ready(true));
        outbox.handed_on(1);
        assert!(outbox.poll_room(&cx).is_pending() && outbox.poll_room(&cx).is_pending());
        assert_eq!(outbox.streams.borrow().len(), 1);
        outbox.emptied();
        assert_eq!(outbox.poll_room(&cx), Poll::Ready(true));
        assert!(outbox.streams.borrow().is_empty());
        outbox.handed_on(MAX_WAITING);
        assert!(outbox.poll_room(&cx).is_pending());
        outbox.close();
        assert_eq!(outbox.poll_room(&cx), Poll::Ready(false));
    }
}
