//! What is shown once: a key that a form has made, for the page after it.
//!
//! A form that makes a key is answered with a redirection, so that loading the page again makes no second key. Until the
//! browser has followed it, the key stands in memory, for the session that made it, for a minute at most.

use portcullis_keys::NewKey;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a key waits for its page.
const PATIENCE: Duration = Duration::from_secs(60);
/// The most keys that wait at once. One more ends the oldest.
const MOST: usize = 100;

/// Keys that wait for their pages.
#[derive(Default)]
pub(crate) struct Once(Mutex<Vec<Waiting>>);

struct Waiting {
    /// Known to the session's pages alone.
    session: String,
    key: NewKey,
    since: Instant,
}

impl Once {
    /// Keeps a key for the next page of a session, in place of one that it has not seen.
    pub(crate) fn put(&self, session: &str, key: NewKey) {
        let mut waiting = self.alive();
        waiting.retain(|one| one.session != session);
        if waiting.len() >= MOST {
            waiting.remove(0);
        }
        waiting.push(Waiting { session: session.to_owned(), key, since: Instant::now() });
    }

    /// The key of this session. The next page has none.
    pub(crate) fn take(&self, session: &str) -> Option<NewKey> {
        let mut waiting = self.alive();
        let place = waiting.iter().position(|one| one.session == session)?;
        Some(waiting.remove(place).key)
    }

    fn alive(&self) -> MutexGuard<'_, Vec<Waiting>> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|one| one.since.elapsed() < PATIENCE);
        waiting
    }
}
