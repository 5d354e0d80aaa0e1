//! Things that are found out once for all who ask at the same time.
//!
//! However many requests carry the same credential at once, whoever comes first does the work, and the others wait for its
//! outcome. If that request goes away before there is one, somebody else begins anew. How many different things may be
//! under way at once is bounded.

use event_listener::Event;
use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

struct Flight<T> {
    landed: Event,
    outcome: OnceLock<T>,
}

/// What is being found out.
pub struct Flights<K, T> {
    max: usize,
    under_way: Mutex<HashMap<K, Arc<Flight<T>>>>,
}

/// Takes a flight off the list when whoever began it has its outcome, or goes away without.
struct Landing<'a, K: Eq + Hash, T> {
    flights: &'a Flights<K, T>,
    key: K,
    flight: Arc<Flight<T>>,
}

impl<K: Eq + Hash, T> Drop for Landing<'_, K, T> {
    fn drop(&mut self) {
        self.flights.list(|under_way| under_way.remove(&self.key));
        self.flight.landed.notify(usize::MAX);
    }
}

impl<K: Eq + Hash, T> Flights<K, T> {
    /// At most so many at once.
    pub fn new(max: usize) -> Flights<K, T> {
        Flights { max, under_way: Mutex::default() }
    }

    fn list<R>(&self, work: impl FnOnce(&mut HashMap<K, Arc<Flight<T>>>) -> R) -> R {
        // A poisoned lock means that a thread died between two plain writes; either value is a valid state.
        work(&mut self.under_way.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<K: Copy + Eq + Hash, T: Clone> Flights<K, T> {
    /// The outcome of `work` for `key`, or of somebody else's work for it that is under way. `None` where too many are.
    pub async fn join<F: Future<Output = T>>(&self, key: K, work: impl FnOnce() -> F) -> Option<T> {
        loop {
            let (flight, landed) = self.list(|under_way| match under_way.get(&key) {
                // SECURITY: listened for while the flight is on the list. A leader that goes away takes it off first and
                // wakes the listeners then, so nobody can miss it (a_waiter_is_woken_when_the_leader_goes_away).
                Some(flight) => Some((Arc::clone(flight), Some(flight.landed.listen()))),
                None if under_way.len() >= self.max => None,
                None => {
                    let flight = Arc::new(Flight { landed: Event::new(), outcome: OnceLock::new() });
                    under_way.insert(key, Arc::clone(&flight));
                    Some((flight, None))
                }
            })?;
            let Some(landed) = landed else {
                let landing = Landing { flights: self, key, flight };
                let outcome = work().await;
                let _ = landing.flight.outcome.set(outcome.clone());
                return Some(outcome);
            };
            if flight.outcome.get().is_none() {
                landed.await;
            }
            if let Some(outcome) = flight.outcome.get() {
                return Some(outcome.clone());
            }
            // Whoever led went away without an outcome, so somebody else leads.
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use std::hash::Hasher;
    use std::pin::pin;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
    use std::task::{Context, Poll, Wake, Waker};
    use std::time::{Duration, Instant};

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, SeqCst);
        }
    }

    /// How far either thread is in its rounds.
    #[derive(Default)]
    struct Rounds {
        led: AtomicUsize,
        looking: AtomicUsize,
        going: AtomicUsize,
        gone: AtomicUsize,
        done: AtomicUsize,
    }

    fn wait_for(counter: &AtomicUsize, round: usize) {
        let mut spins = 0_u32;
        while counter.load(SeqCst) < round {
            spins += 1;
            if spins.is_multiple_of(1000) {
                std::thread::yield_now();
            }
        }
    }

    /// All keys are one. The waiter's own, when it is compared under the lock, has the leader go away at once.
    #[derive(Clone, Copy)]
    struct Key<'a>(Option<(&'a Rounds, usize)>);

    impl PartialEq for Key<'_> {
        fn eq(&self, other: &Self) -> bool {
            if let Some((rounds, round)) = self.0.or(other.0) {
                rounds.looking.store(round, SeqCst);
                wait_for(&rounds.going, round);
                (0..round % 64).for_each(|_| std::hint::spin_loop());
            }
            true
        }
    }

    impl Eq for Key<'_> {}

    impl Hash for Key<'_> {
        fn hash<H: Hasher>(&self, _: &mut H) {}
    }

    #[test]
    fn a_waiter_is_woken_when_the_leader_goes_away() {
        const OVER: usize = usize::MAX;
        let end = Instant::now() + Duration::from_secs(2);
        let flights: Flights<Key<'_>, u8> = Flights::new(1);
        let rounds = Rounds::default();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for round in 1.. {
                    let mut leader = Box::pin(flights.join(Key(None), pending::<u8>));
                    assert!(leader.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
                    rounds.led.store(round, SeqCst);
                    wait_for(&rounds.looking, round);
                    rounds.going.store(round, SeqCst);
                    drop(leader);
                    rounds.gone.store(round, SeqCst);
                    wait_for(&rounds.done, round);
                    if rounds.done.load(SeqCst) == OVER {
                        return;
                    }
                }
            });
            for round in 1.. {
                wait_for(&rounds.led, round);
                let woken = Arc::new(Woken::default());
                let waker = Waker::from(Arc::clone(&woken));
                let mut waiter = pin!(flights.join(Key(Some((&rounds, round))), || async { 1 }));
                let mut answer = waiter.as_mut().poll(&mut Context::from_waker(&waker));
                wait_for(&rounds.gone, round);
                if answer.is_pending() && woken.0.load(SeqCst) {
                    answer = waiter.as_mut().poll(&mut Context::from_waker(&waker));
                }
                let over = answer.is_pending() || Instant::now() > end;
                // The other thread ends by itself, so that a failure here is reported and not waited for.
                rounds.done.store(if over { OVER } else { round }, SeqCst);
                assert_eq!(answer, Poll::Ready(Some(1)), "nobody wakes the waiter of round {round}");
                if over {
                    return;
                }
            }
        });
    }
}
