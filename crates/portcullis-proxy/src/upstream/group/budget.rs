//! How many retries a worker may make: a part of the requests of the last ten seconds, and ten a second beside that.
//!
//! Retries multiply what a group that fails has to bear. The part keeps that bounded whatever clients send; the ten let a group
//! with few requests retry at all.

use std::cell::{Cell, RefCell};

const SECONDS: usize = 10;
/// Retries within ten seconds that need no requests.
const SPARE: u64 = 100;

/// The requests and retries of the last ten seconds.
#[derive(Default)]
pub(super) struct Budget {
    slots: RefCell<[(u32, u32); SECONDS]>,
    now: Cell<u64>,
    requests: Cell<u64>,
    retries: Cell<u64>,
}

impl Budget {
    /// Counts a request in this second.
    pub(super) fn count(&self, second: u64) {
        self.roll(second);
        self.add(second, (1, 0));
    }

    /// Takes a retry, where there is one left of `percent` of the requests.
    pub(super) fn take(&self, second: u64, percent: u8) -> bool {
        self.roll(second);
        let most = self.requests.get().saturating_mul(u64::from(percent)) / 100 + SPARE;
        let left = percent > 0 && self.retries.get() < most;
        if left {
            self.add(second, (0, 1));
        }
        left
    }

    fn add(&self, second: u64, (requests, retries): (u32, u32)) {
        if let Some(slot) = self.slots.borrow_mut().get_mut(place(second)) {
            *slot = (slot.0.saturating_add(requests), slot.1.saturating_add(retries));
        }
        self.requests.set(self.requests.get() + u64::from(requests));
        self.retries.set(self.retries.get() + u64::from(retries));
    }

    /// Forgets what is older than ten seconds.
    fn roll(&self, second: u64) {
        let passed = second.saturating_sub(self.now.replace(second));
        if passed == 0 {
            return;
        }
        let mut slots = self.slots.borrow_mut();
        for old in (0..passed.min(SECONDS as u64)).map(|back| second.wrapping_sub(back)) {
            if let Some(slot) = slots.get_mut(place(old)) {
                let (requests, retries) = std::mem::take(slot);
                self.requests.set(self.requests.get().saturating_sub(u64::from(requests)));
                self.retries.set(self.retries.get().saturating_sub(u64::from(retries)));
            }
        }
    }
}

fn place(second: u64) -> usize {
    usize::try_from(second % SECONDS as u64).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_are_a_part_of_the_requests() {
        let budget = Budget::default();
        let take_all = |second| (0..10_000).filter(|_| budget.take(second, 20)).count();
        assert_eq!(take_all(5), 100, "a group without requests");
        (0..1000).for_each(|_| budget.count(5));
        assert_eq!(take_all(5), 200);
        (0..100).for_each(|_| budget.count(9));
        assert_eq!(take_all(9), 20);
        // What was in the fifth second is forgotten ten seconds later.
        assert_eq!(take_all(14), 0);
        assert_eq!(take_all(15), 100 + 20 - 20);
        assert_eq!(take_all(100), 100);
        assert!(!budget.take(200, 0));
    }
}
