//! Sessions that were opened a moment ago, so that the next request with the same cookie need not open it again.
//!
//! Each thread has a table of its own, bounded in bytes: nothing is shared, nothing waits. An entry is found by the SHA-256 of the whole cookie.
//! It says what was sealed and nothing else: whether the session is still good is judged anew for each request.

use super::ended::Names;
use super::session::{Session, SessionRules};
use crate::byte_cache::ByteCache;
use crate::token::cache::{TokenDigest, digest};
use portcullis_core::Subject;
use std::sync::Arc;

/// How many sessions each thread remembers, and how many bytes of them.
const ENTRIES: usize = 1024;
const BYTES: usize = 4 * 1024 * 1024;

/// A session, and whom it stands for.
pub struct Opened {
    /// The session.
    pub session: Session,
    /// Whom it stands for.
    pub subject: Arc<Subject>,
    /// What it can be ended by.
    pub names: Names,
}

impl Opened {
    /// The session with its subject.
    pub fn new(session: Session, rules: &SessionRules) -> Opened {
        let (subject, names) = (session.to_subject(rules), Names::of(&session, rules));
        Opened { session, subject, names }
    }
}

/// The sessions that were opened.
pub struct OpenedSessions(ByteCache<TokenDigest, Arc<Opened>>);

impl Default for OpenedSessions {
    fn default() -> OpenedSessions {
        OpenedSessions(ByteCache::new(ENTRIES, BYTES))
    }
}

impl OpenedSessions {
    /// What is in this cookie; `open` opens it where nobody remembers. `None` where it does not open.
    pub fn find(&self, cookie: &str, open: impl FnOnce() -> Option<Opened>) -> Option<Arc<Opened>> {
        let digest = digest(cookie);
        if let Some(found) = self.0.find(&digest, |found| Some(Arc::clone(found))) {
            return Some(found);
        }
        let opened = Arc::new(open()?);
        // A session holds about as much as the subject that is made of it.
        let bytes = size_of::<Opened>() + 2 * opened.subject.bytes() + cookie.len();
        self.0.insert(digest, Arc::clone(&opened), bytes);
        Some(opened)
    }
}
