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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::rules::RoleRules;
    use portcullis_core::{Claim, ClaimPath};
    use std::time::Duration;

    fn opened(claims: usize) -> Opened {
        let rules = SessionRules {
            issuer: "i".into(),
            client: "c".into(),
            roles: RoleRules::plain(ClaimPath::new(["roles"])),
            claims: Vec::new(),
            lifetime: Duration::ZERO,
            idle: Duration::ZERO,
            ended_by_provider: false,
            keeps_id_token: false,
            max_bytes: 0,
        };
        let session = Session {
            id: "n".into(),
            subject: "s".into(),
            claims: Claim::Object(vec![("a".into(), Claim::Text("x".repeat(claims)))]),
            sid: None,
            id_token: None,
            scopes: Vec::new(),
            started: Duration::ZERO,
            seen: Duration::ZERO,
            renewal: None,
        };
        Opened::new(session, &rules)
    }

    #[test]
    fn a_cookie_is_opened_once() {
        let sessions = OpenedSessions::default();
        assert!(sessions.find("a", || None).is_none());
        let first = sessions.find("a", || Some(opened(0))).unwrap();
        let again = sessions.find("a", || panic!("it was opened")).unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        assert!(sessions.find("b", || None).is_none(), "another cookie is another session");
    }

    #[test]
    fn a_session_is_weighed_with_its_cookie_and_twice_its_subject() {
        let held = |cookie: usize, claims: usize| {
            let sessions = OpenedSessions::default();
            sessions.find(&"c".repeat(cookie), || Some(opened(claims)));
            sessions.0.held().1
        };
        // Beyond what each of as many sessions as there may be has room for.
        let large = held(10_000, 10_000);
        assert_eq!(held(11_000, 10_000), large + 1000);
        assert_eq!(held(10_000, 11_000), large + 2000);
        let subject = u64::try_from(opened(10_000).subject.bytes()).unwrap();
        assert!(large > 10_000 + 2 * subject + u64::try_from(size_of::<Opened>()).unwrap());
    }
}
