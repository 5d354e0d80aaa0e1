//! The place of a request at a server of a group, until its answer has come or has broken off.

use super::group::Trying;
use std::time::Instant;

/// The place of a request at a server of a group. Dropped, the request is over there.
pub(super) struct Seat {
    trying: Box<Trying>,
    /// Whether the answer is a stream without an end of its own: that it breaks off says little of the server.
    stream: bool,
}

impl Seat {
    pub(super) fn new(trying: Box<Trying>) -> Seat {
        Seat { trying, stream: false }
    }

    /// The answer is a stream.
    pub(super) fn streams(&mut self) {
        self.stream = true;
    }

    /// The whole answer has come.
    pub(super) fn completed(&self) {
        self.trying.completed();
    }

    /// The answer broke off after its head, by the server's doing.
    pub(super) fn broke_off(&self, now: Instant) {
        if !self.stream {
            self.trying.broke_off(now);
        }
    }
}
