//! One question to the provider for each refresh token, however many requests have a session with it.
//!
//! A provider that hands out a new refresh token with each use takes the second use of the old one for theft, and ends the
//! session. A browser sends several requests at once, with one cookie. So the first of them asks, all of them get that
//! answer, and so does whoever still comes with the old cookie for a while after. A browser that goes away in the middle
//! leaves the question behind for the next request to wait for. Gateways that serve one site together do not know of each
//! other's answers.

use event_listener::Event;
use http::{HeaderMap, StatusCode};
use portcullis_core::{Effects, Fault, Fetched, Wait};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// How long an answer serves those that come with the old cookie. A slow request that began before it can bring the old cookie
/// back with its own answer; the next request then gets the new one again.
const GRACE: Duration = Duration::from_secs(120);
/// How long it is not asked again when there was no answer.
const PAUSE: Duration = Duration::from_secs(5);
/// How long a question is kept for which nobody waits: its answer holds the only good refresh token, and who left may return.
const ABANDONED: Duration = Duration::from_secs(600);
/// How often those that no longer serve are looked for.
const SWEEP: Duration = Duration::from_secs(10);
/// The most refresh tokens that are remembered at once.
const MAX_FLIGHTS: usize = 16_384;
/// The most bytes of answers that are remembered at once. An answer is at most 64 KiB.
const MAX_BYTES: usize = 32 * 1024 * 1024;

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
    flights: Mutex<Flights>,
}

#[derive(Default)]
struct Flights {
    all: HashMap<[u8; 32], Arc<Flight>>,
    /// When those that no longer serve were last looked for.
    swept: Duration,
    /// The bytes of answers that have come in since they were counted, and of those that were there then.
    bytes: usize,
}

impl Flight {
    fn bytes(&self) -> usize {
        let answer = self.landed.get().and_then(|landed| landed.answer.as_ref().ok());
        answer.map_or(0, |fetched| fetched.body.len())
    }
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
                let mut answer = question.await;
                if let Ok(fetched) = &mut answer {
                    // Nobody reads them, and they are not bounded here.
                    fetched.headers = HeaderMap::new();
                }
                let serves = if is_final(&answer) { GRACE } else { PAUSE };
                let until = effects.monotonic().saturating_add(serves);
                let bytes = answer.as_ref().map_or(0, |fetched| fetched.body.len());
                if flight.landed.set(Landed { answer, until }).is_ok() {
                    self.make_room(digest, bytes);
                }
            }
            // SECURITY: a question that was answered is not asked again (a_refresh_token_is_used_once).
            waiting.question = None;
        }
    }

    /// Forgets the oldest answers while all of them together, with one more of this token, are too large.
    fn make_room(&self, newest: [u8; 32], bytes: usize) {
        let mut guard = lock(&self.flights);
        let Flights { all: flights, bytes: held, .. } = &mut *guard;
        *held += bytes;
        if *held <= MAX_BYTES {
            return;
        }
        // What was forgotten otherwise is no longer counted.
        *held = flights.values().map(|flight| flight.bytes()).sum();
        while *held > MAX_BYTES {
            let until = |flight: &Flight| flight.landed.get().map(|landed| landed.until);
            let others = flights.iter().filter(|(digest, _)| **digest != newest);
            let oldest = others.filter_map(|(digest, flight)| Some((until(flight)?, *digest))).min();
            let Some(gone) = oldest.and_then(|(_, digest)| flights.remove(&digest)) else { return };
            *held = held.saturating_sub(gone.bytes());
        }
    }

    fn flight(&self, digest: [u8; 32], now: Duration, ask: impl FnOnce() -> Question) -> Option<Arc<Flight>> {
        let mut guard = lock(&self.flights);
        let Flights { all: flights, swept, .. } = &mut *guard;
        let serves = |flight: &Flight| match flight.landed.get() {
            Some(landed) => now < landed.until,
            None => now < flight.begun.saturating_add(ABANDONED),
        };
        if let Some(flight) = flights.get(&digest).filter(|flight| serves(flight)) {
            return Some(Arc::clone(flight));
        }
        // Tokens are not kept much longer than they serve.
        if flights.len() >= MAX_FLIGHTS || now >= swept.saturating_add(SWEEP) {
            flights.retain(|_, flight| serves(flight));
            *swept = now;
        }
        if flights.len() >= MAX_FLIGHTS {
            let until = |flight: &Flight| flight.landed.get().map(|landed| landed.until);
            let oldest = flights.iter().filter_map(|(digest, flight)| Some((until(flight)?, *digest))).min();
            flights.remove(&oldest?.1);
        }
        let question = Mutex::new(Some(ask()));
        let flight =
            Arc::new(Flight { begun: now, question, landed: OnceLock::new(), changed: Event::new() });
        flights.insert(digest, Arc::clone(&flight));
        Some(flight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use portcullis_core::{
        Count, Fingerprint, KeyDigest, KeyRecord, KeySetId, Keys, Limit, Now, Standing, Step,
    };
    use std::future::Future;
    use std::net::IpAddr;
    use std::pin::pin;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::task::{Context, Poll, Waker};

    /// A world with nothing but a clock.
    #[derive(Default)]
    struct World(AtomicU64);

    impl Effects for World {
        fn now(&self) -> Now {
            let now = Duration::from_secs(1000 + self.0.load(Ordering::Relaxed));
            Now { monotonic: now, unix: now }
        }
        fn random(&self) -> [u8; 16] {
            [0; 16]
        }
        fn count<'a>(&'a self, _: &'a Limit, _: &'a Keys<'a>, _: u32) -> Step<'a, Result<Count, Fault>> {
            Step::Ready(Err(Fault { detail: "no counters".into() }))
        }
        fn key(&self, _: KeySetId, _: KeyDigest) -> Step<'_, Result<Option<KeyRecord>, Fault>> {
            Step::Ready(Err(Fault { detail: "no keys".into() }))
        }
        fn sleep(&self, _: Duration) -> Wait<'static, ()> {
            Box::pin(std::future::pending())
        }
        fn standing(&self, _: IpAddr) -> Standing {
            Standing::Free
        }
        fn credential_failed(&self, _: IpAddr) {}
        fn is_known(&self, _: IpAddr, _: Fingerprint) -> bool {
            false
        }
        fn credential_good(&self, _: IpAddr, _: Fingerprint) {}
        fn notice(&self, _: &str, _: &str) {}
    }

    fn poll<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Poll<T> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    fn at_once<T>(future: impl Future<Output = T>) -> T {
        match poll(pin!(future)) {
            Poll::Ready(value) => value,
            Poll::Pending => panic!("it waits"),
        }
    }

    fn answered(status: u16) -> Answer {
        let status = StatusCode::from_u16(status).unwrap();
        Ok(Fetched { status, headers: HeaderMap::new(), body: Bytes::new() })
    }

    /// A question that is answered when `open` says so.
    fn question(open: &Arc<AtomicU64>) -> Question {
        let open = Arc::clone(open);
        Box::pin(std::future::poll_fn(move |_| match open.load(Ordering::Relaxed) {
            0 => Poll::Pending,
            _ => Poll::Ready(answered(200)),
        }))
    }

    #[test]
    fn a_refresh_token_is_used_once() {
        let (refreshes, world, open) = (Refreshes::default(), World::default(), Arc::new(AtomicU64::new(0)));
        let mut asked = 0;
        let mut first = Box::pin(refreshes.answer([1; 32], &world, || {
            asked += 1;
            question(&open)
        }));
        assert!(poll(first.as_mut()).is_pending());
        let never = || -> Question { panic!("asked again") };
        let mut second = Box::pin(refreshes.answer([1; 32], &world, never));
        assert!(poll(second.as_mut()).is_pending());
        // Whoever asked goes away; the question stays, and the next one waits for it.
        drop(first);
        assert!(poll(second.as_mut()).is_pending());
        open.store(1, Ordering::Relaxed);
        assert!(matches!(poll(second.as_mut()), Poll::Ready(Ok(_))));
        world.0.store(119, Ordering::Relaxed);
        assert!(at_once(refreshes.answer([1; 32], &world, never)).is_ok());
        assert_eq!(asked, 1);
        world.0.store(120, Ordering::Relaxed);
        let again = at_once(refreshes.answer([1; 32], &world, || Box::pin(async { answered(400) })));
        assert_eq!(again.unwrap().status, StatusCode::BAD_REQUEST);
    }

    #[test]
    fn a_provider_that_fails_is_left_alone_for_a_moment() {
        for failure in [answered(503), answered(429), Err(Fault { detail: "down".into() })] {
            let (refreshes, world) = (Refreshes::default(), World::default());
            let failed = failure.is_err();
            let first = at_once(refreshes.answer([1; 32], &world, || Box::pin(async move { failure })));
            assert_eq!(first.is_err(), failed);
            world.0.store(4, Ordering::Relaxed);
            let second = at_once(refreshes.answer([1; 32], &world, || panic!("asked again")));
            assert_eq!(second.is_err(), failed);
            world.0.store(5, Ordering::Relaxed);
            let third = at_once(refreshes.answer([1; 32], &world, || Box::pin(async { answered(200) })));
            assert_eq!(third.unwrap().status, StatusCode::OK);
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (refreshes, world) = (Refreshes::default(), World::default());
        let digest = |number: usize| {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&(number as u64).to_le_bytes());
            digest
        };
        let ask =
            |number: usize| refreshes.answer(digest(number), &world, || Box::pin(async { answered(200) }));
        let abandon = |number: usize| {
            let waits = Arc::new(AtomicU64::new(0));
            let mut waiting = Box::pin(refreshes.answer(digest(number), &world, || question(&waits)));
            poll(waiting.as_mut()).is_pending()
        };
        let remembered = || lock(&refreshes.flights).all.len();
        assert!(at_once(ask(0)).is_ok());
        assert!((1..MAX_FLIGHTS).all(abandon));
        assert!(at_once(ask(MAX_FLIGHTS)).is_ok(), "an answer that was given makes room");
        assert_eq!(remembered(), MAX_FLIGHTS);
        assert!(abandon(MAX_FLIGHTS + 1), "and so does this one");
        assert!(at_once(ask(MAX_FLIGHTS + 2)).is_err(), "questions do not");
        world.0.store(600, Ordering::Relaxed);
        assert!(at_once(ask(MAX_FLIGHTS + 2)).is_ok());
        assert_eq!(remembered(), 1, "nothing is kept longer than it serves");
    }

    #[test]
    fn what_no_longer_serves_is_forgotten_after_a_while() {
        let (refreshes, world) = (Refreshes::default(), World::default());
        let ask = |number: u8| {
            assert!(
                at_once(refreshes.answer([number; 32], &world, || Box::pin(async { answered(200) }))).is_ok()
            );
            lock(&refreshes.flights).all.len()
        };
        assert_eq!((ask(1), ask(2)), (1, 2));
        world.0.store(121, Ordering::Relaxed);
        assert_eq!(ask(3), 1, "few answers are kept no longer than many");
    }

    #[test]
    fn where_there_is_no_room_all_that_no_longer_serve_go() {
        let (refreshes, world) = (Refreshes::default(), World::default());
        let ask = |number: usize| {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&(number as u64).to_le_bytes());
            assert!(at_once(refreshes.answer(digest, &world, || Box::pin(async { answered(200) }))).is_ok());
            lock(&refreshes.flights).all.len()
        };
        assert_eq!((1..MAX_FLIGHTS).map(ask).last(), Some(MAX_FLIGHTS - 1));
        world.0.store(115, Ordering::Relaxed);
        assert_eq!(ask(MAX_FLIGHTS), MAX_FLIGHTS, "all are good for two minutes");
        // They were looked for five seconds ago, and would be in five more.
        world.0.store(120, Ordering::Relaxed);
        assert_eq!(ask(MAX_FLIGHTS + 1), 2);
    }

    #[test]
    fn large_answers_are_bounded_in_bytes() {
        let (refreshes, world) = (Refreshes::default(), World::default());
        let digest = |number: usize| {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&(number as u64).to_le_bytes());
            digest
        };
        // An odd number: forgetting one too many shows after every second answer.
        for number in 0..2001 {
            let body = Bytes::from(vec![b' '; 64 * 1024]);
            let answer = Ok(Fetched { status: StatusCode::OK, headers: HeaderMap::new(), body });
            assert!(at_once(refreshes.answer(digest(number), &world, || Box::pin(async { answer }))).is_ok());
        }
        let guard = lock(&refreshes.flights);
        let held: usize = guard.all.values().map(|flight| flight.bytes()).sum();
        assert_eq!(held, MAX_BYTES, "no more is forgotten than has to be");
        assert!(guard.all.contains_key(&digest(2000)), "the newest one is there");
    }
}
