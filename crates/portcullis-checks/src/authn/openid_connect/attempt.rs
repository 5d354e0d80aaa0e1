//! An attempt to log in: what the way back is checked with.
//!
//! The browser keeps it, sealed, in one of a few slots, for ten minutes; the slot stands at the beginning of the `state`.
//! After its use a mark takes its place. A user who goes back to the link, or loads it again, is then redirected to the page that
//! the login led to. A browser that has to log in repeatedly, within half a minute each time, does not keep its session. It is
//! refused, since it would be redirected without end. A browser that keeps no cookies comes back without its attempt, and is
//! refused at once.

use super::browser;
use super::cookie::{Cookies, SLOTS};
use super::seal::{Purpose, Sealer};
use crate::token::json;
use base64ct::{Base64UrlUnpadded, Encoding};
use http::HeaderMap;
use portcullis_core::head::cookie;
use portcullis_core::{Claim, Effects, Once};
use serde_json::json;
use std::fmt;
use std::time::Duration;

/// How long somebody may take to log in.
pub const LIFETIME: Duration = Duration::from_secs(600);
/// How long it counts that somebody has just logged in.
const JUST_NOW: Duration = Duration::from_secs(30);
/// How often somebody may log in again right after a login.
const MAX_IN_A_ROW: i64 = 3;

/// An attempt.
#[derive(Clone, PartialEq, Eq)]
pub struct Attempt {
    /// What comes back in the query; it begins with the slot's number.
    pub state: String,
    /// What comes back in the ID token.
    pub nonce: String,
    /// What shows that the code was asked for here (RFC 7636).
    pub verifier: String,
    /// Where the browser goes afterwards.
    pub path: String,
    /// Time since 1970 from which on it is no longer valid.
    pub until: Duration,
    /// How many logins have just gone before.
    pub before: i64,
}

// SECURITY: with what comes back, it is worth a login (an_attempt_shows_nothing).
impl fmt::Debug for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempt")
            .field("until", &self.until)
            .field("before", &self.before)
            .finish_non_exhaustive()
    }
}

/// What a slot holds.
#[derive(Debug, PartialEq, Eq)]
pub enum Slot {
    /// Nothing that this gateway has sealed.
    Free,
    /// An attempt.
    Open(Attempt),
    /// The mark of an attempt that was used.
    Used {
        /// How many logins in a row it was.
        logins: i64,
        /// When.
        at: Duration,
        /// The state that came back.
        state: String,
        /// Where the browser went.
        path: String,
    },
}

/// The cookies of attempts, as a request has them.
pub struct Attempts<'a> {
    pub(super) cookies: &'a Cookies,
    pub(super) sealer: &'a Sealer,
    pub(super) headers: &'a HeaderMap,
}

impl Attempts<'_> {
    /// What this slot holds.
    pub fn slot(&self, name: &str) -> Slot {
        let Once::One(text) = cookie(self.headers, name) else { return Slot::Free };
        let opened = self.sealer.open(Purpose::Attempt, name, &text);
        opened.and_then(|bytes| decode(&bytes)).unwrap_or(Slot::Free)
    }

    /// A new attempt, and the name of its cookie. `None` where too many logins have just gone before.
    pub fn begin(&self, target: &str, now: Duration, effects: &dyn Effects) -> Option<(Attempt, String)> {
        let mut before = 0;
        // The slot to take, and how gladly: one that is free, then one that was used, then the one that is oldest.
        let mut taken: Option<((u8, Duration), u8, &str)> = None;
        for (slot, name) in self.cookies.slots() {
            let rank = match self.slot(name) {
                Slot::Free => (0, Duration::ZERO),
                Slot::Used { logins, at, .. } => {
                    if now < at.saturating_add(JUST_NOW) && at <= now.saturating_add(JUST_NOW) {
                        before = before.max(logins);
                    }
                    (1, at)
                }
                Slot::Open(attempt) if attempt.until <= now => (1, attempt.until),
                Slot::Open(attempt) => (2, attempt.until),
            };
            if taken.is_none_or(|(best, ..)| rank < best) {
                taken = Some((rank, slot, name));
            }
        }
        // SECURITY: an end to a loop that no cookie would stop (whoever_logs_in_again_and_again_is_refused).
        if before >= MAX_IN_A_ROW {
            return None;
        }
        let (_, slot, name) = taken?;
        let attempt = Attempt {
            state: format!("{slot}{}", random(effects)),
            nonce: random(effects),
            verifier: format!("{}{}", random(effects), random(effects)),
            path: browser::return_path(target).to_owned(),
            until: now.saturating_add(LIFETIME),
            before,
        };
        Some((attempt, name.to_owned()))
    }

    /// The name of the cookie in which the attempt with this state is.
    pub fn name_of(&self, state: &str) -> Option<&str> {
        let digit = state.bytes().next()?;
        let slot = digit.checked_sub(b'0').filter(|slot| *slot < SLOTS)?;
        self.cookies.slot(slot)
    }
}

/// 128 random bits that stand in a URL as they are.
fn random(effects: &dyn Effects) -> String {
    Base64UrlUnpadded::encode_string(&effects.random())
}

impl Attempt {
    /// What is sealed.
    pub fn encode(&self) -> Vec<u8> {
        let Attempt { state, nonce, verifier, path, until, before } = self;
        json!({
            "state": state,
            "nonce": nonce,
            "verifier": verifier,
            "path": path,
            "until": until.as_secs(),
            "before": before,
        })
        .to_string()
        .into_bytes()
    }

    /// The mark that takes its place when it was used.
    pub fn mark(&self, now: Duration) -> Vec<u8> {
        let Attempt { state, path, before, .. } = self;
        json!({ "logins": before + 1, "at": now.as_secs(), "state": state, "path": path })
            .to_string()
            .into_bytes()
    }
}

fn decode(bytes: &[u8]) -> Option<Slot> {
    let document = json::object(bytes).ok()?;
    let text = |name: &str| document.member(name).and_then(Claim::as_text).map(str::to_owned);
    let number = |name: &str| match document.member(name) {
        Some(Claim::Integer(number)) => Some(*number),
        Some(
            Claim::Null
            | Claim::Bool(_)
            | Claim::Number(_)
            | Claim::Text(_)
            | Claim::List(_)
            | Claim::Object(_),
        )
        | None => None,
    };
    let moment =
        |name: &str| number(name).and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
    if let Some(logins) = number("logins") {
        let text = |name| text(name).unwrap_or_default();
        return Some(Slot::Used { logins, at: moment("at")?, state: text("state"), path: text("path") });
    }
    Some(Slot::Open(Attempt {
        state: text("state")?,
        nonce: text("nonce")?,
        verifier: text("verifier")?,
        path: text("path")?,
        until: moment("until")?,
        before: number("before")?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authn::openid_connect::cookie::Protection;
    use crate::token::tests::world::World;

    #[test]
    fn an_attempt_shows_nothing() {
        let secret = "hunter2".to_owned();
        let attempt = Attempt {
            state: secret.clone(),
            nonce: secret.clone(),
            verifier: secret.clone(),
            path: secret,
            until: Duration::ZERO,
            before: 0,
        };
        let shown = format!("{:?}", Slot::Open(attempt));
        assert!(shown.contains("Attempt") && shown.contains("before: 0"), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    const START: u64 = crate::token::tests::world::START;
    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(START + seconds)
    }

    /// A browser with cookies.
    struct Browser {
        cookies: Cookies,
        sealer: Sealer,
        kept: std::collections::BTreeMap<String, String>,
        world: World,
    }

    impl Browser {
        fn new() -> Browser {
            let sealer = Sealer::new(&[SECRET], "https://id.example", "gate").unwrap();
            Browser {
                cookies: Cookies::new("s", Protection::Tls),
                sealer,
                kept: Default::default(),
                world: World::default(),
            }
        }

        fn headers(&self) -> HeaderMap {
            let all: Vec<String> = self.kept.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let mut headers = HeaderMap::new();
            headers.insert("cookie", all.join("; ").parse().unwrap());
            headers
        }

        fn attempts<T>(&self, read: impl FnOnce(Attempts<'_>) -> T) -> T {
            let headers = self.headers();
            read(Attempts { cookies: &self.cookies, sealer: &self.sealer, headers: &headers })
        }

        fn keep(&mut self, name: &str, content: Vec<u8>) {
            let sealed = self.sealer.seal(Purpose::Attempt, name, self.world.random(), content).unwrap();
            self.kept.insert(name.to_owned(), sealed);
        }

        /// Begins an attempt, of which the browser keeps the cookie. Gives the attempt and its slot.
        fn begin(&mut self, target: &str, now: Duration) -> Option<(Attempt, String)> {
            let begun = self.attempts(|attempts| attempts.begin(target, now, &self.world))?;
            self.keep(&begun.1, begun.0.encode());
            Some(begun)
        }

        /// The number of the slot that the next attempt takes.
        fn next_slot(&mut self, now: Duration) -> char {
            self.begin("/", now).unwrap().1.chars().last().unwrap()
        }

        /// Begins an attempt and completes it.
        fn log_in(&mut self, now: Duration) -> Option<i64> {
            let (attempt, name) = self.begin("/", now)?;
            self.keep(&name, attempt.mark(now));
            Some(attempt.before)
        }
    }

    #[test]
    fn an_attempt_comes_back_as_it_was_kept() {
        let mut browser = Browser::new();
        let (attempt, name) = browser.begin("/orders?page=2", at(0)).unwrap();
        assert_eq!((attempt.path.as_str(), attempt.until, attempt.before), ("/orders?page=2", at(600), 0));
        assert_eq!(browser.attempts(|attempts| attempts.slot(&name)), Slot::Open(attempt.clone()));
        assert_eq!(browser.attempts(|attempts| attempts.slot("__Host-s-attempt-1")), Slot::Free);
        // What comes back says in which slot it is, and all of it is random.
        assert!(attempt.state.starts_with('0'), "{}", attempt.state);
        let (other, _) = browser.begin("/", at(0)).unwrap();
        assert!(other.state.starts_with('1'), "{}", other.state);
        let texts =
            [&attempt.state, &attempt.nonce, &attempt.verifier, &other.state, &other.nonce, &other.verifier];
        for (index, text) in texts.iter().enumerate() {
            assert!(text.len() >= 22 && texts.iter().skip(index + 1).all(|other| other != text), "{text}");
        }
        browser.keep(&name, attempt.mark(at(5)));
        let used = Slot::Used { logins: 1, at: at(5), state: attempt.state, path: attempt.path };
        assert_eq!(browser.attempts(|attempts| attempts.slot(&name)), used);
        assert_eq!(browser.begin("//evil.example", at(0)).unwrap().0.path, "/", "of this site alone");
    }

    #[test]
    fn what_is_not_an_attempt_of_this_slot_is_none() {
        let mut browser = Browser::new();
        let (_, name) = browser.begin("/", at(0)).unwrap();
        let sealed = browser.kept[&name].clone();
        browser.kept.insert("__Host-s-attempt-1".into(), sealed);
        assert_eq!(browser.attempts(|attempts| attempts.slot("__Host-s-attempt-1")), Slot::Free);
        for content in
            ["", "[]", "{}", r#"{"state":"0","nonce":"n","verifier":"v","path":"/","until":"1","before":0}"#]
        {
            browser.keep(&name, content.into());
            assert_eq!(browser.attempts(|attempts| attempts.slot(&name)), Slot::Free, "{content}");
        }
    }

    #[test]
    fn a_state_names_a_slot_that_there_is() {
        let browser = Browser::new();
        let name_of = |state: &str| browser.attempts(|attempts| attempts.name_of(state).map(str::to_owned));
        assert_eq!(name_of("0abc").as_deref(), Some("__Host-s-attempt-0"));
        assert_eq!(name_of("2").as_deref(), Some("__Host-s-attempt-2"));
        for bad in ["3abc", "4", "9", "", "a", "/", "-1"] {
            assert_eq!(name_of(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_slot_that_is_needed_least_is_taken() {
        let mut browser = Browser::new();
        assert_eq!([0, 1, 2].map(|second| browser.next_slot(at(second))), ['0', '1', '2']);
        // The oldest of those that are open.
        assert_eq!(browser.next_slot(at(3)), '0');
        assert_eq!(browser.next_slot(at(4)), '1');
        // One that was used goes first, however young it is.
        let mut browser = Browser::new();
        browser.begin("/", at(0));
        let (attempt, name) = browser.begin("/", at(1)).unwrap();
        browser.begin("/", at(2));
        browser.keep(&name, attempt.mark(at(100)));
        assert_eq!(browser.next_slot(at(100)), '1');
        // One that is over counts as used: of the two, the older goes.
        let mut browser = Browser::new();
        let (attempt, name) = browser.begin("/", at(0)).unwrap();
        browser.begin("/", at(10));
        browser.begin("/", at(300));
        browser.keep(&name, attempt.mark(at(611)));
        assert_eq!(browser.next_slot(at(609)), '0', "the second is still good");
        let mut browser = Browser::new();
        let (attempt, name) = browser.begin("/", at(0)).unwrap();
        browser.begin("/", at(10));
        browser.begin("/", at(300));
        browser.keep(&name, attempt.mark(at(611)));
        assert_eq!(browser.next_slot(at(610)), '1', "it has just ended");
    }

    #[test]
    fn whoever_logs_in_again_and_again_is_refused() {
        let mut browser = Browser::new();
        assert_eq!([0, 29, 58].map(|second| browser.log_in(at(second))), [Some(0), Some(1), Some(2)]);
        assert_eq!(browser.log_in(at(87)), None);
        assert_eq!(browser.log_in(at(88)), Some(0), "half a minute later it is no row any more");
        // A login that is of the future, by a clock that was set back, counts for as long.
        let mut browser = Browser::new();
        assert_eq!(browser.log_in(at(100)), Some(0));
        assert_eq!(browser.log_in(at(69)), Some(0), "too far away");
        let mut browser = Browser::new();
        assert_eq!(browser.log_in(at(100)), Some(0));
        assert_eq!(browser.log_in(at(70)), Some(1));
    }
}
