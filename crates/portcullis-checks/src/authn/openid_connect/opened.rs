//! Sessions that were opened a moment ago, so that the next request with the same cookie need not open it again.
//!
//! Each thread has a table of its own: nothing is shared, nothing waits. An entry is found by the SHA-256 of the whole cookie.
//! It says what was sealed and nothing else: whether the session is still good is judged anew for each request.

use super::session::{Session, SessionRules};
use crate::token::cache::{TokenDigest, digest};
use portcullis_core::Subject;
use quick_cache::unsync::Cache;
use std::cell::RefCell;
use std::sync::Arc;
use thread_local::ThreadLocal;

/// How many sessions each thread remembers: about 2 MiB.
const ENTRIES: usize = 1024;

/// A session, and whom it stands for.
pub struct Opened {
    /// The session.
    pub session: Session,
    /// Whom it stands for.
    pub subject: Arc<Subject>,
}

impl Opened {
    /// The session with its subject.
    pub fn new(session: Session, rules: &SessionRules) -> Opened {
        let subject = session.to_subject(rules);
        Opened { session, subject }
    }
}

/// The sessions that were opened.
#[derive(Default)]
pub struct OpenedSessions(ThreadLocal<RefCell<Cache<TokenDigest, Arc<Opened>>>>);

impl OpenedSessions {
    /// What is in this cookie; `open` opens it where nobody remembers. `None` where it does not open.
    pub fn find(&self, cookie: &str, open: impl FnOnce() -> Option<Opened>) -> Option<Arc<Opened>> {
        let digest = digest(cookie);
        let cache = self.0.get_or(|| RefCell::new(Cache::new(ENTRIES)));
        if let Some(found) = cache.borrow().get(&digest) {
            return Some(Arc::clone(found));
        }
        let opened = Arc::new(open()?);
        cache.borrow_mut().insert(digest, Arc::clone(&opened));
        Some(opened)
    }
}
