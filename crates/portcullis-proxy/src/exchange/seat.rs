//! The place of a request at a server of a group, until its answer has come or has broken off.

use crate::upstream::{Entered, Group, Pool, Running};
use std::rc::Rc;
use std::time::Instant;

/// The place of a request at a server of a group. Dropped, the request is over there.
pub(super) struct Seat {
    group: Rc<Group>,
    running: Running,
    /// Whether the answer is a stream without an end of its own: that it breaks off says little of the server.
    stream: bool,
    _entered: Entered,
}

impl Seat {
    pub(super) fn new(group: &Rc<Group>, running: Running, entered: Entered) -> Seat {
        Seat { group: Rc::clone(group), running, stream: false, _entered: entered }
    }

    /// The answer is a stream.
    pub(super) fn streams(&mut self) {
        self.stream = true;
    }

    /// The connections to the server.
    pub(super) fn pool(&self) -> &Rc<Pool> {
        self.running.pool()
    }

    /// The whole answer has come.
    pub(super) fn completed(&self) {
        self.running.completed();
    }

    /// The answer broke off after its head, by the server's doing.
    pub(super) fn broke_off(&self, now: Instant) {
        if !self.stream {
            self.group.hear_broken(&self.running, now);
        }
    }
}
