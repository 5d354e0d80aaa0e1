//! What outlives a plan and is no counter: an issuer's keys, remembered tokens, sessions that were logged out.
//!
//! Each thing is found by its type and a name: everything that it was made from. Compiling the next plan finds what the running
//! plan has; a changed setting is another name, so what was decided under other settings is never used again. What no plan
//! has any more is forgotten, unless forgetting it would let somebody back in.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

type Thing = dyn Any + Send + Sync;

/// Things by type and name. Its clones are the same.
#[derive(Clone, Default)]
pub struct Kept(Arc<Mutex<Things>>);

#[derive(Default)]
struct Things {
    /// As long as a plan has them.
    shared: HashMap<(TypeId, String), Weak<Thing>>,
    /// For good.
    held: HashMap<(TypeId, String), Arc<Thing>>,
    /// When a look for what is gone is worth its cost again.
    sweep_at: usize,
}

impl Kept {
    /// The thing of this name, made if no plan has one. Forgotten with the last plan that has it.
    ///
    /// `name` must say everything that `make` depends on. It may hold digests of secrets, and no secret.
    pub fn keep<T: Send + Sync + 'static>(&self, name: &str, make: impl FnOnce() -> T) -> Arc<T> {
        self.find(name).unwrap_or_else(|| self.insert(name, Arc::new(make())))
    }

    /// The thing of this name, if a plan has one.
    pub fn find<T: Send + Sync + 'static>(&self, name: &str) -> Option<Arc<T>> {
        let there = self.with(|things| things.shared.get(&key::<T>(name)).and_then(Weak::upgrade));
        there.and_then(|there| there.downcast().ok())
    }

    /// Remembers a thing under this name, as long as a plan has it.
    pub fn insert<T: Send + Sync + 'static>(&self, name: &str, thing: Arc<T>) -> Arc<T> {
        let any: Arc<Thing> = Arc::clone(&thing) as Arc<Thing>;
        self.with(|things| {
            if things.shared.len() >= things.sweep_at {
                things.shared.retain(|_, thing| thing.strong_count() > 0);
                things.sweep_at = (things.shared.len() * 2).max(64);
            }
            things.shared.insert(key::<T>(name), Arc::downgrade(&any));
        });
        thing
    }

    /// The thing of this name, kept until the process ends: for what must be known again when a plan that was taken away
    /// comes back.
    pub fn hold<T: Default + Send + Sync + 'static>(&self, name: &str) -> Arc<T> {
        let held = self.with(|things| {
            Arc::clone(things.held.entry(key::<T>(name)).or_insert_with(|| Arc::new(T::default())))
        });
        held.downcast().unwrap_or_default()
    }

    fn with<T>(&self, work: impl FnOnce(&mut Things) -> T) -> T {
        // A poisoned lock means that a thread died between two plain writes; any value is a valid state.
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn key<T: 'static>(name: &str) -> (TypeId, String) {
    (TypeId::of::<T>(), name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn a_thing_lives_as_long_as_somebody_has_it() {
        let kept = Kept::default();
        let first = kept.keep("a", || AtomicU32::new(1));
        first.store(7, Ordering::Relaxed);
        let again = kept.keep("a", || AtomicU32::new(1));
        assert_eq!(again.load(Ordering::Relaxed), 7);
        assert_eq!(kept.keep("b", || AtomicU32::new(1)).load(Ordering::Relaxed), 1, "another name");
        assert_eq!(*kept.keep("a", || 5_u8), 5, "another type");
        drop((first, again));
        assert_eq!(kept.keep("a", || AtomicU32::new(1)).load(Ordering::Relaxed), 1);
    }

    #[test]
    fn what_is_held_is_known_again() {
        let kept = Kept::default();
        kept.hold::<AtomicU32>("a").store(7, Ordering::Relaxed);
        assert_eq!(kept.hold::<AtomicU32>("a").load(Ordering::Relaxed), 7);
        assert_eq!(kept.hold::<AtomicU32>("b").load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_thousand_plans_leave_nothing_behind() {
        let kept = Kept::default();
        for number in 0..1000 {
            kept.keep(&number.to_string(), || number);
        }
        assert!(kept.with(|things| things.shared.len()) <= 65);
    }
}
