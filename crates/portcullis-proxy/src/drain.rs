//! Whether the connections of a listener are to end, as one worker knows it.
//!
//! A drain begins when the front ends, and for a single listener when a new configuration has no place for it or changes
//! what its connections are. It never goes back. Running requests are finished; what waits for a request is closed.

use std::sync::OnceLock;
use std::time::Instant;
use tokio::sync::Notify;

/// The drain of one listener in one worker.
#[derive(Default)]
pub(crate) struct Drain {
    since: OnceLock<Instant>,
    begun: Notify,
}

impl Drain {
    /// Begins it. Does nothing the second time.
    pub(crate) fn begin(&self) {
        if self.since.set(Instant::now()).is_ok() {
            self.begun.notify_waiters();
        }
    }

    /// Since when; `None` while it has not begun.
    pub(crate) fn since(&self) -> Option<Instant> {
        self.since.get().copied()
    }

    /// Done when the drain begins, or has begun.
    pub(crate) async fn begins(&self) {
        let begins = self.begun.notified();
        if self.since().is_none() {
            begins.await;
        }
    }
}
