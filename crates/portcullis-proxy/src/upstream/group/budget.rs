//! How many retries a group may make: a part of its requests of the last ten seconds, and ten a second beside that.
//!
//! Retries multiply what a group that fails has to bear. The part keeps that bounded whatever clients send; the ten let a group
//! with few requests retry at all. Both hold for the whole process: each worker counts requests in a place of its own, which
//! nobody else writes, and only whoever wants to retry adds up the places of all. So a request takes no lock and shares nothing
//! with another worker. Retries are counted together, and where two workers want the last one, none or one of them gets it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};

const SECONDS: u64 = 10;
/// Retries within ten seconds that need no requests.
const SPARE: u64 = 100;
const COUNT: u64 = (1 << 32) - 1;

/// What was counted in each of the last ten seconds. A slot holds the second in its upper half, and the count in its lower one.
#[derive(Debug, Default)]
pub(super) struct Window([AtomicU64; SECONDS as usize]);

/// The retries of a group.
#[derive(Debug, Default)]
pub(super) struct Budget {
    /// The requests of each worker. Written when a configuration begins.
    requests: RwLock<Vec<Arc<Window>>>,
    retries: Window,
}

impl Window {
    fn slot(&self, second: u64) -> Option<&AtomicU64> {
        self.0.get(usize::try_from(second % SECONDS).ok()?)
    }

    /// Counts one in this second, where nobody else counts.
    pub(super) fn count(&self, second: u64) {
        if let Some(slot) = self.slot(second) {
            slot.store(more(slot.load(Relaxed), second), Relaxed);
        }
    }

    fn count_with_others(&self, second: u64) {
        if let Some(slot) = self.slot(second) {
            slot.update(Relaxed, Relaxed, |held| more(held, second));
        }
    }

    /// Takes back what was counted in this second.
    fn uncount(&self, second: u64) {
        if let Some(slot) = self.slot(second) {
            slot.update(Relaxed, Relaxed, |held| {
                if is_of(held, second) && held & COUNT > 0 { held - 1 } else { held }
            });
        }
    }

    /// What was counted in the ten seconds that end with this one.
    fn sum(&self, second: u64) -> u64 {
        let recent = |held: &u64| {
            let passed = (second & COUNT).wrapping_sub(held >> 32) & COUNT;
            // Another worker's clock may be a moment ahead.
            passed < SECONDS || passed == COUNT
        };
        self.0.iter().map(|slot| slot.load(Relaxed)).filter(recent).map(|held| held & COUNT).sum()
    }
}

fn is_of(held: u64, second: u64) -> bool {
    held >> 32 == second & COUNT
}

fn more(held: u64, second: u64) -> u64 {
    if is_of(held, second) && held & COUNT < COUNT { held + 1 } else { (second & COUNT) << 32 | 1 }
}

impl Budget {
    /// A place in which a worker counts its requests from now on.
    pub(super) fn window(&self, second: u64) -> Arc<Window> {
        let window = Arc::new(Window::default());
        let mut all = self.requests.write().unwrap_or_else(PoisonError::into_inner);
        // What a worker counted before a reload still counts for ten seconds.
        all.retain(|one| Arc::strong_count(one) > 1 || one.sum(second) > 0);
        all.push(Arc::clone(&window));
        window
    }

    /// Takes a retry, where there is one left of `percent` of the requests.
    pub(super) fn take(&self, second: u64, percent: u8) -> bool {
        if percent == 0 {
            return false;
        }
        let all = self.requests.read().unwrap_or_else(PoisonError::into_inner);
        let requests: u64 = all.iter().map(|window| window.sum(second)).sum();
        drop(all);
        let most = requests.saturating_mul(u64::from(percent)) / 100 + SPARE;
        // Counted before it is compared: two that take at once see each other, and never both get the last one.
        self.retries.count_with_others(second);
        let left = self.retries.sum(second) <= most;
        if !left {
            self.retries.uncount(second);
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;

    fn take_all(budget: &Budget, second: u64) -> usize {
        (0..10_000).filter(|_| budget.take(second, 20)).count()
    }

    #[test]
    fn retries_are_a_part_of_the_requests() {
        let budget = Budget::default();
        let window = budget.window(3);
        assert_eq!(take_all(&budget, 5), 100, "a group without requests");
        (0..1000).for_each(|_| window.count(5));
        assert_eq!(take_all(&budget, 5), 200);
        (0..100).for_each(|_| window.count(9));
        assert_eq!(take_all(&budget, 9), 20);
        // What was in the fifth second is forgotten ten seconds later.
        assert_eq!(take_all(&budget, 14), 0);
        assert_eq!(take_all(&budget, 15), 100 + 20 - 20);
        assert_eq!(take_all(&budget, 100), 100);
        assert!(!budget.take(200, 0));
    }

    #[test]
    fn the_budget_is_one_for_all_workers() {
        let budget = Budget::default();
        let windows = [budget.window(7), budget.window(7), budget.window(7)];
        windows.iter().for_each(|window| (0..100).for_each(|_| window.count(7)));
        assert_eq!(take_all(&budget, 7), 100 + 60, "a fifth of 300");
        // A reload gives each worker a new place; what was counted stays.
        drop(windows);
        let _after = [budget.window(8), budget.window(8), budget.window(8)];
        assert_eq!(take_all(&budget, 8), 0);
        assert_eq!(take_all(&budget, 17), 100);
        let _latest = budget.window(40);
        assert_eq!(budget.requests.read().unwrap().len(), 4, "those of workers that are gone are forgotten");
    }

    #[test]
    fn workers_that_take_at_once_take_no_more_than_there_is() {
        let budget = Budget::default();
        let window = budget.window(3);
        (0..1000).for_each(|_| window.count(3));
        let taken = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| taken.fetch_add(take_all(&budget, 3), Relaxed));
            }
        });
        let taken = taken.into_inner();
        assert!((297..=300).contains(&taken), "{taken}");
        assert_eq!(take_all(&budget, 3) + taken, 300, "what nobody got is still there");
    }
}
