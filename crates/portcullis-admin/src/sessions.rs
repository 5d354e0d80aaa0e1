//! Sessions of browsers: a random cookie in place of the token, which no page has to keep.
//!
//! A session stands in memory alone, as the hash of its cookie, and ends with the process. It is bound to the address from which
//! it was opened.

use crate::tokens::{Role, digest};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use subtle::ConstantTimeEq;

/// How long a session lasts that is not used.
const IDLE: Duration = Duration::from_secs(30 * 60);
/// How long a session lasts at most.
const LIFE: Duration = Duration::from_secs(12 * 3600);
/// The most sessions at once. One more ends the one that was not used for longest.
const MOST: usize = 100;

/// The sessions.
#[derive(Default)]
pub(crate) struct Sessions(Mutex<Vec<Session>>);

struct Session {
    digest: [u8; 32],
    csrf: String,
    role: Role,
    /// Which token opened it.
    token: String,
    peer: IpAddr,
    opened: Instant,
    used: Instant,
}

/// Who a session stands for.
#[derive(Clone, Debug)]
pub(crate) struct Opened {
    pub(crate) role: Role,
    pub(crate) token: String,
    /// What each form of this session must carry.
    pub(crate) csrf: String,
}

/// 256 random bits as hexadecimal digits.
pub(crate) fn random() -> String {
    let bytes: [u8; 32] = rand::random();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Sessions {
    /// Opens a session; its cookie.
    pub(crate) fn open(&self, role: Role, token: String, peer: IpAddr) -> String {
        let cookie = random();
        let now = Instant::now();
        let mut sessions = self.alive(now);
        if sessions.len() >= MOST
            && let Some(oldest) =
                (0..sessions.len()).min_by_key(|place| sessions.get(*place).map(|one| one.used))
        {
            sessions.swap_remove(oldest);
        }
        let digest = digest(&cookie);
        sessions.push(Session { digest, csrf: random(), role, token, peer, opened: now, used: now });
        cookie
    }

    /// The session of this cookie, for this peer.
    pub(crate) fn find(&self, cookie: &str, peer: IpAddr) -> Option<Opened> {
        let now = Instant::now();
        let digest = digest(cookie);
        let mut sessions = self.alive(now);
        let session =
            sessions.iter_mut().find(|one| one.peer == peer && bool::from(one.digest.ct_eq(&digest)))?;
        session.used = now;
        Some(Opened { role: session.role, token: session.token.clone(), csrf: session.csrf.clone() })
    }

    /// Ends a session.
    pub(crate) fn end(&self, cookie: &str) {
        let digest = digest(cookie);
        self.alive(Instant::now()).retain(|one| !bool::from(one.digest.ct_eq(&digest)));
    }

    /// Ends every session of a token that is not among these any more.
    pub(crate) fn keep(&self, tokens: &[String]) {
        self.alive(Instant::now()).retain(|one| tokens.contains(&one.token));
    }

    fn alive(&self, now: Instant) -> MutexGuard<'_, Vec<Session>> {
        let mut sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|one| now.duration_since(one.used) < IDLE && now.duration_since(one.opened) < LIFE);
        sessions
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_for_its_peer_and_ends() {
        let sessions = Sessions::default();
        let (here, there) = ("127.0.0.1".parse().unwrap(), "127.0.0.2".parse().unwrap());
        let cookie = sessions.open(Role::Operator, "t".into(), here);
        assert!(sessions.find(&cookie, here).is_some());
        assert!(sessions.find(&cookie, there).is_none());
        assert!(sessions.find("", here).is_none());
        sessions.keep(&["t".to_owned()]);
        assert!(sessions.find(&cookie, here).is_some());
        sessions.keep(&[]);
        assert!(sessions.find(&cookie, here).is_none());
        let cookies: Vec<_> = (0..150).map(|_| sessions.open(Role::ReadOnly, "t".into(), here)).collect();
        assert_eq!(cookies.iter().filter(|cookie| sessions.find(cookie, here).is_some()).count(), MOST);
        sessions.end(&cookies[149]);
        assert!(sessions.find(&cookies[149], here).is_none());
    }
}
