//! One thread's share of a front: what its connections have in common.
//!
//! Nothing in it is shared with another worker, except what the snapshot leads to. What it judges by can be replaced while
//! it serves: see [`Current`].

use super::current::Current;
use super::life::Life;
use super::shares::Shares;
use portcullis_core::{Conn, Denial, Outcome, Recording, RequestId};
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use tokio::sync::Notify;

/// What the connections of a worker have in common.
pub(crate) struct Worker {
    current: RefCell<Rc<Current>>,
    shares: Rc<Shares>,
    connections: Cell<usize>,
    last_closed: Notify,
    lives: RefCell<Lives>,
}

/// Whatever has requests, so that those that run for long can be judged again.
#[derive(Default)]
struct Lives {
    places: Vec<Option<Weak<Life>>>,
    free: Vec<usize>,
}

/// A place among the lives of a worker.
pub(crate) struct Enrolled(Rc<Worker>, usize);

/// A connection that the worker has; counted as long as it exists.
pub(crate) struct Counted(Rc<Worker>);

impl Worker {
    /// A worker that judges by this.
    ///
    /// `unread` becomes the sum of what all clients leave unread of their answers.
    pub(crate) fn new(current: Current, unread: Arc<AtomicUsize>) -> Worker {
        Worker {
            current: RefCell::new(Rc::new(current)),
            shares: Rc::new(Shares::summed(unread)),
            connections: Cell::new(0),
            last_closed: Notify::new(),
            lives: RefCell::default(),
        }
    }

    /// Has the requests of this life judged again while they run.
    pub(crate) fn enroll(self: &Rc<Self>, life: &Rc<Life>) -> Enrolled {
        let mut lives = self.lives.borrow_mut();
        let entry = Some(Rc::downgrade(life));
        let place = lives.free.pop().unwrap_or(lives.places.len());
        match lives.places.get_mut(place) {
            Some(there) => *there = entry,
            None => lives.places.push(entry),
        }
        Enrolled(Rc::clone(self), place)
    }

    /// Every life that there is.
    pub(super) fn lives(&self) -> Vec<Rc<Life>> {
        self.lives.borrow().places.iter().flatten().filter_map(Weak::upgrade).collect()
    }

    /// What requests are judged and forwarded by from now on.
    ///
    /// A request takes it once, when it arrives, and keeps it.
    pub(crate) fn current(&self) -> Rc<Current> {
        Rc::clone(&self.current.borrow())
    }

    /// Requests that arrive from now on are judged and forwarded by this.
    pub(crate) fn exchange(&self, current: Current) {
        self.current.replace(Rc::new(current));
    }

    /// What each address has here.
    pub(crate) fn shares(&self) -> &Rc<Shares> {
        &self.shares
    }

    /// Counts a connection.
    pub(crate) fn count(self: &Rc<Self>) -> Counted {
        self.connections.set(self.connections.get() + 1);
        Counted(Rc::clone(self))
    }

    /// Writes the account of what never became a request, and says under which id.
    pub(crate) fn account(&self, conn: &Conn, denial: Denial, answered: bool) -> RequestId {
        let mut recording = Recording::open(self.current().snapshot.clone(), conn);
        recording.record_mut().status = answered.then(|| denial.status());
        let id = recording.record().id;
        recording.close(Outcome::Refused(denial));
        id
    }

    /// Done when the last connection has closed.
    pub(crate) async fn all_closed(&self) {
        loop {
            let closed = self.last_closed.notified();
            if self.connections.get() == 0 {
                return;
            }
            closed.await;
        }
    }
}

impl Drop for Enrolled {
    fn drop(&mut self) {
        let mut lives = self.0.lives.borrow_mut();
        if let Some(there) = lives.places.get_mut(self.1) {
            *there = None;
            lives.free.push(self.1);
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let left = self.0.connections.get() - 1;
        self.0.connections.set(left);
        if left == 0 {
            self.0.last_closed.notify_waiters();
        }
    }
}
