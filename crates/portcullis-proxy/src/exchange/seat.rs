//! The place of a request at a server of a group.

use crate::upstream::{Entered, Pool, Running};
use std::rc::Rc;

/// The place of a request at a server of a group. Dropped, the request is over there.
pub(super) struct Seat {
    running: Running,
    _entered: Entered,
}

impl Seat {
    pub(super) fn new(running: Running, entered: Entered) -> Seat {
        Seat { running, _entered: entered }
    }

    /// The connections to the server.
    pub(super) fn pool(&self) -> &Rc<Pool> {
        self.running.pool()
    }
}
