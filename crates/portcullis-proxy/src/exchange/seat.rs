//! The place of a request at a group: which server has it, and what is remembered until one has answered. Which server that is,
//! and whether there is another try, is for `group` to say.

use crate::upstream::{Entered, Group, Members, Outcome, Running, Tried};
use http::uri::PathAndQuery;
use std::cell::Cell;
use std::rc::Rc;
use std::time::Instant;

/// The place of a request at a group, from its first try until its answer has come or has broken off. Dropped, the request is
/// over there.
pub(super) struct Seat {
    pub(super) group: Rc<Group>,
    /// The servers that it met, until it is answered.
    pub(super) members: Option<Members>,
    /// What it asks for, until it is answered.
    pub(super) path_and_query: PathAndQuery,
    /// What decides which server it gets, where something does.
    pub(super) value: Option<u64>,
    /// Whether its method may be repeated.
    pub(super) repeatable: bool,
    /// The server that has it.
    pub(super) running: Option<Running>,
    /// Those that have had it.
    pub(super) tried: Tried,
    /// How many tries count. Those at servers that could not be reached do not, as long as there is another one.
    pub(super) counted: u32,
    /// Whether a retry was taken out of the budget because of an answer's status.
    pub(super) taken: Cell<bool>,
    /// Whether the answer is a stream without an end of its own: that it breaks off says little of the server.
    pub(super) stream: bool,
    pub(super) _entered: Entered,
}

impl Seat {
    /// Whether a server that is not left out was not tried yet.
    pub(super) fn has_another(&self, now: Instant) -> bool {
        Group::has_another(self.members.as_deref().unwrap_or_default(), self.tried, now)
    }

    /// The server has answered.
    pub(super) fn answered(&mut self, outcome: Outcome, now: Instant) {
        if let Some(running) = &self.running {
            self.group.hear(running, outcome, now);
        }
        // An answer can take long, and nothing is tried again.
        self.members = None;
        self.path_and_query = PathAndQuery::from_static("/");
    }

    /// The answer is a stream.
    pub(super) fn streams(&mut self) {
        self.stream = true;
    }

    /// The whole answer has come.
    pub(super) fn completed(&self) {
        if let Some(running) = &self.running {
            running.completed();
        }
    }

    /// The answer broke off after its head, by the server's doing.
    pub(super) fn broke_off(&self, now: Instant) {
        if let Some(running) = self.running.as_ref().filter(|_| !self.stream) {
            self.group.hear_broken(running, now);
        }
    }
}
