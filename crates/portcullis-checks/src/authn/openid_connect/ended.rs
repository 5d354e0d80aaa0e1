//! Sessions that were logged out before their time, so that a copy of the cookie is worth nothing on this gateway.
//!
//! Without it, a request that was under way during the logout could bring the session back with its answer. Memory is
//! bounded; when it is full, the session that would end first is forgotten. Gateways that serve one site together know of each
//! other's logouts if they share a store, and so does one that was started again; if that does not answer, sessions are refused.

use arc_swap::ArcSwap;
use std::collections::HashMap;
use std::time::Duration;

/// The most sessions that are remembered: about 8 MiB.
const MAX_SESSIONS: usize = 65_536;

/// Sessions that are over, and when they would have ended anyway, time since 1970.
#[derive(Default)]
pub struct Ended(ArcSwap<HashMap<String, Duration>>);

impl Ended {
    /// Whether the session with this number was logged out. Takes no lock.
    pub fn contains(&self, session: &str) -> bool {
        let ended = self.0.load();
        !ended.is_empty() && ended.contains_key(session)
    }

    /// Remembers that this session was logged out, until `until`.
    pub fn add(&self, session: &str, until: Duration, now: Duration) {
        self.0.rcu(|ended| {
            let mut next = HashMap::clone(ended);
            next.retain(|_, until| *until > now);
            if next.len() >= MAX_SESSIONS
                && let Some(first) =
                    next.iter().min_by_key(|(_, until)| **until).map(|(name, _)| name.clone())
            {
                next.remove(&first);
            }
            next.insert(session.to_owned(), until);
            next
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_remembered_until_it_would_have_ended() {
        let (ended, seconds) = (Ended::default(), Duration::from_secs);
        assert!(!ended.contains("a"));
        ended.add("a", seconds(100), seconds(0));
        ended.add("b", seconds(200), seconds(50));
        assert!(ended.contains("a") && ended.contains("b") && !ended.contains("c"));
        ended.add("c", seconds(300), seconds(100));
        assert!(!ended.contains("a") && ended.contains("b") && ended.contains("c"));
    }
}
