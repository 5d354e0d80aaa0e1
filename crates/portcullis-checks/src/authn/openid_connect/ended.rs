//! Sessions that were logged out before their time, so that a copy of the cookie is worth nothing on this gateway.
//!
//! Without it, a request that was under way during the logout could bring the session back with its answer. Memory is
//! bounded; when it is full, the session that would end first is forgotten. Gateways that serve one site together know of each
//! other's logouts if they share a store, and so does one that was started again; if that does not answer, sessions are refused.

use super::session::{Session, SessionRules};
use crate::token::cache;
use arc_swap::ArcSwap;
use portcullis_core::{Effects, Fault, Step};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// The most sessions that are remembered: about 8 MiB.
const MAX_SESSIONS: usize = 65_536;

/// The most names of one session.
const NAMES: usize = 3;

/// What a session can be ended by, and when it began: text that a stream can keep beside it.
///
/// Its own number comes first. Where the provider may end sessions, its name for the session follows, and its name for the person. A
/// session without a name at the provider has another one in its place, by which all of that person end that have none.
#[derive(Clone)]
pub struct Names(Arc<str>);

/// What the provider names when it ends sessions.
#[derive(Clone, Copy, Debug)]
pub enum Named<'a> {
    /// A session of it.
    Session(&'a str),
    /// All of a person.
    Person(&'a str),
    /// All of a person that it has no name for.
    Nameless(&'a str),
}

impl Named<'_> {
    /// The name, which is the same for the same client of the same issuer alone, and says nothing of whom it means.
    pub fn name(self, rules: &SessionRules) -> String {
        let (kind, name) = match self {
            Named::Session(name) => ("session", name),
            Named::Person(name) => ("person", name),
            Named::Nameless(name) => ("nameless", name),
        };
        cache::named(format!("{kind} {:?} {:?} {name:?}", rules.issuer, rules.client).as_bytes())
    }
}

impl Names {
    /// Those of a session.
    pub fn of(session: &Session, rules: &SessionRules) -> Names {
        let mut text = format!("{} {}", session.started.as_secs(), session.id);
        if rules.ended_by_provider {
            let subject = session.subject.as_str();
            let at_provider = session.sid.as_deref().map_or(Named::Nameless(subject), Named::Session);
            for name in [at_provider, Named::Person(subject)] {
                text.push(' ');
                text.push_str(&name.name(rules));
            }
        }
        Names(text.into())
    }

    /// The same as text.
    pub fn text(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }

    /// From their text: when the session began, and the names with how many there are.
    fn read(text: &str) -> (Duration, [&str; NAMES], usize) {
        let mut words = text.split(' ');
        let begun =
            words.next().and_then(|word| word.parse().ok()).map_or(Duration::ZERO, Duration::from_secs);
        let (mut names, mut count) = ([""; NAMES], 0);
        for (place, word) in names.iter_mut().zip(words) {
            *place = word;
            count += 1;
        }
        (begun, names, count)
    }
}

/// Those that are over: up to which beginning, and until when that matters; both time since 1970.
#[derive(Default)]
pub struct Ended(ArcSwap<HashMap<String, (Duration, Duration)>>);

impl Ended {
    /// Whether the session with these names is over here, or at a gateway that shares a store with this one.
    pub fn has<'a>(&self, names: &str, effects: &'a dyn Effects) -> Step<'a, Result<bool, Fault>> {
        let (begun, names, count) = Names::read(names);
        let names = names.get(..count).unwrap_or_default();
        if names.iter().any(|name| self.contains(name, begun)) {
            return Step::Ready(Ok(true));
        }
        effects.has_ended(names, begun)
    }

    /// Whether sessions with this name that began then are over here. Takes no lock.
    fn contains(&self, name: &str, begun: Duration) -> bool {
        let ended = self.0.load();
        !ended.is_empty() && ended.get(name).is_some_and(|(by, _)| begun <= *by)
    }

    /// Ends the sessions with this name that began at `by` or earlier, here and at gateways that share a store with this one. Is
    /// remembered until `until`.
    pub fn end<'a>(
        &self,
        name: &str,
        by: Duration,
        until: Duration,
        effects: &'a dyn Effects,
    ) -> Step<'a, Result<(), Fault>> {
        self.add(name, by, until, effects.now().unix);
        effects.end_session(name, by, until)
    }

    fn add(&self, name: &str, by: Duration, until: Duration, now: Duration) {
        self.0.rcu(|ended| {
            let mut next = HashMap::clone(ended);
            next.retain(|_, (_, until)| *until > now);
            if next.len() >= MAX_SESSIONS
                && let Some(first) =
                    next.iter().min_by_key(|(_, (_, until))| *until).map(|(name, _)| name.clone())
            {
                next.remove(&first);
            }
            // What was said before stays said.
            let (before, longer) = next.get(name).copied().unwrap_or_default();
            next.insert(name.to_owned(), (by.max(before), until.max(longer)));
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
        let contains = |name: &str| ended.contains(name, seconds(50));
        assert!(!contains("a"));
        ended.add("a", Duration::MAX, seconds(100), seconds(0));
        ended.add("b", Duration::MAX, seconds(200), seconds(50));
        assert!(contains("a") && contains("b") && !contains("c"));
        ended.add("c", Duration::MAX, seconds(300), seconds(100));
        assert!(!contains("a") && contains("b") && contains("c"));
        // Those that began later are others; and what was said is not taken back.
        for by in [60, 40] {
            ended.add("d", seconds(by), seconds(400), seconds(100));
            assert!(ended.contains("d", seconds(60)) && !ended.contains("d", seconds(61)));
        }
    }

    #[test]
    fn a_name_is_of_one_kind_at_one_client() {
        let rules = |issuer: &str, client: &str| SessionRules {
            issuer: issuer.into(),
            client: client.into(),
            roles: crate::token::rules::RoleRules::plain(portcullis_core::ClaimPath::parse("roles").unwrap()),
            claims: Vec::new(),
            lifetime: Duration::ZERO,
            idle: Duration::ZERO,
            ended_by_provider: true,
            keeps_id_token: true,
            max_bytes: 0,
        };
        let mut all = Vec::new();
        for (issuer, client) in [("a", "b"), ("a", "c"), ("a b", ""), ("b", "a")] {
            for named in [Named::Session("x"), Named::Person("x"), Named::Nameless("x"), Named::Person("y")] {
                all.push(named.name(&rules(issuer, client)));
            }
        }
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
        assert_eq!(Names::read("17 n s p"), (Duration::from_secs(17), ["n", "s", "p"], 3));
        assert_eq!(Names::read("17 n"), (Duration::from_secs(17), ["n", "", ""], 1));
    }
}
