//! A value for each thread, and one collector that reads all of them.
//!
//! A worker touches its own lane alone, so no cache line moves between cores. A lane has a lock, which nobody but the collector
//! ever takes beside its worker, a few times a second at most.

use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use thread_local::ThreadLocal;

/// A table that a request touches. Its hash is seeded, and costs a tenth of the usual one, whose strength against those who know
/// the hashes is of no use here: nobody sees them.
pub(crate) type FastMap<K, V> = HashMap<K, V, RandomState>;

/// A value for each thread. The lane of a thread that has ended is given to the next new thread, with what stands in it.
pub(crate) struct Lanes<T: Send>(ThreadLocal<Mutex<T>>);

impl<T: Send> Default for Lanes<T> {
    fn default() -> Lanes<T> {
        Lanes(ThreadLocal::new())
    }
}

impl<T: Send + Default> Lanes<T> {
    /// Works on this thread's lane.
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        work(&mut lock(self.0.get_or_default()))
    }

    /// Works on each lane, one after the other.
    pub(crate) fn each(&self, mut work: impl FnMut(&mut T)) {
        self.0.iter().for_each(|lane| work(&mut lock(lane)));
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A poisoned lock means that a thread died between two plain writes; any value is a valid state.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
