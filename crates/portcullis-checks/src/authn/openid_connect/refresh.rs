//! One question to the provider for each refresh token, however many requests have a session with it.
//!
//! A provider that hands out a new refresh token with each use takes the second use of the old one for theft, and ends the
//! session. A browser sends several requests at once, with one cookie. So the first of them asks, all of them get that
//! answer, and so does whoever still comes with the old cookie for a while after. A browser that goes away in the middle
//! leaves the question behind for the next request to wait for. Gateways that serve one site together do not know of each
//! other's answers.

use event_listener::Event;
use http::StatusCode;
use portcullis_core::{Effects, Fault, Fetched, Wait};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// How long an answer serves those that come with the old cookie.
const GRACE: Duration = Duration::from_secs(60);
/// How long it is not asked again when there was no answer.
const PAUSE: Duration = Duration::from_secs(5);
/// How long a question is kept for which nobody waits. Its own time is shorter.
const ABANDONED: Duration = Duration::from_secs(60);
/// The most refresh tokens that are remembered at once.
const MAX_FLIGHTS: usize = 4096;

/// What a token endpoint answered.
pub type Answer = Result<Fetched, Fault>;

type Question = Wait<'static, Answer>;

struct Landed {
    answer: Answer,
    /// On the clock that never goes back.
    until: Duration,
}

struct Flight {
    begun: Duration,
    /// The question, while nobody waits for it.
    question: Mutex<Option<Question>>,
    landed: OnceLock<Landed>,
    changed: Event,
}

/// The questions that are asked, and those that were a moment ago.
#[derive(Default)]
pub struct Refreshes {
    flights: Mutex<HashMap<[u8; 32], Arc<Flight>>>,
}

/// Has the question in hand, and puts it back if the one that waits goes away.
struct Waiting<'a> {
    flight: &'a Flight,
    question: Option<Question>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(question) = self.question.take() {
            *lock(&self.flight.question) = Some(question);
        }
        self.flight.changed.notify(usize::MAX);
    }
}

// A poisoned lock means that a thread died between two plain writes; either value is a valid state.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the provider has decided: it gave tokens, or took the token for a bad request.
fn is_final(answer: &Answer) -> bool {
    let status = answer.as_ref().map(|fetched| fetched.status);
    status.is_ok_and(|status| status.is_success() || status == StatusCode::BAD_REQUEST)
}

impl Refreshes {
    /// The answer for the refresh token with this digest; `ask` asks if nobody has.
    pub async fn answer(
        &self,
        digest: [u8; 32],
        effects: &dyn Effects,
        ask: impl FnOnce() -> Question,
    ) -> Answer {
        let Some(flight) = self.flight(digest, effects.monotonic(), ask) else {
            return Err(Fault { detail: "too many sessions to refresh at once".into() });
        };
        loop {
            let changed = flight.changed.listen();
            if let Some(landed) = flight.landed.get() {
                return landed.answer.clone();
            }
            let question = lock(&flight.question).take();
            let Some(question) = question else {
                changed.await;
                continue;
            };
            let mut waiting = Waiting { flight: &flight, question: Some(question) };
            if let Some(question) = &mut waiting.question {
                let answer = question.await;
                let serves = if is_final(&answer) { GRACE } else { PAUSE };
                let until = effects.monotonic().saturating_add(serves);
                let _ = flight.landed.set(Landed { answer, until });
            }
            // SECURITY: a question that was answered is not asked again (a_refresh_token_is_used_once).
            waiting.question = None;
        }
    }

    fn flight(&self, digest: [u8; 32], now: Duration, ask: impl FnOnce() -> Question) -> Option<Arc<Flight>> {
        let mut flights = lock(&self.flights);
        let serves = |flight: &Flight| match flight.landed.get() {
            Some(landed) => now < landed.until,
            None => now < flight.begun.saturating_add(ABANDONED),
        };
        if let Some(flight) = flights.get(&digest).filter(|flight| serves(flight)) {
            return Some(Arc::clone(flight));
        }
        // Tokens are not kept longer than they must be, and a look at all of them is little next to a question.
        flights.retain(|_, flight| serves(flight));
        if flights.len() >= MAX_FLIGHTS {
            return None;
        }
        let question = Mutex::new(Some(ask()));
        let flight =
            Arc::new(Flight { begun: now, question, landed: OnceLock::new(), changed: Event::new() });
        flights.insert(digest, Arc::clone(&flight));
        Some(flight)
    }
}
