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
            let (flight, leads) = self.list(|under_way| match under_way.get(&key) {
                Some(flight) => Some((Arc::clone(flight), false)),
                None if under_way.len() >= self.max => None,
                None => {
                    let flight = Arc::new(Flight { landed: Event::new(), outcome: OnceLock::new() });
                    under_way.insert(key, Arc::clone(&flight));
                    Some((flight, true))
                }
            })?;
            if leads {
                let landing = Landing { flights: self, key, flight: Arc::clone(&flight) };
                let outcome = work().await;
                let _ = landing.flight.outcome.set(outcome.clone());
                return Some(outcome);
            }
            let landed = flight.landed.listen();
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
