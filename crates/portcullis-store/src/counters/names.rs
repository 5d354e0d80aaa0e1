//! Numbers for names, for as long as anything may be owed on them.
//!
//! A name that a plan has keeps its number in the next plan. When no plan has it any more, its number is kept for as long as
//! anything that was counted under it could still count; only then another name may get it.

use std::collections::HashMap;
use std::sync::Arc;

/// Numbers by name.
#[derive(Default)]
pub(super) struct Names {
    by_name: HashMap<Arc<str>, Named>,
    free: Vec<u32>,
    next: u32,
}

struct Named {
    number: u32,
    /// How many plans have it.
    plans: u32,
    /// When it was first seen that no plan has it; nanoseconds on the clock that never goes back.
    left: Option<u64>,
}

impl Names {
    /// The numbers of these names, for a plan that has them from now on.
    pub(super) fn take(&mut self, names: &[Arc<str>]) -> Vec<u32> {
        let mut numbers = Vec::with_capacity(names.len());
        for name in names {
            if let Some(named) = self.by_name.get_mut(name) {
                named.plans += 1;
                named.left = None;
                numbers.push(named.number);
                continue;
            }
            let number = self.free.pop().unwrap_or_else(|| {
                self.next = self.next.saturating_add(1);
                self.next - 1
            });
            self.by_name.insert(Arc::clone(name), Named { number, plans: 1, left: None });
            numbers.push(number);
        }
        numbers
    }

    /// A plan that had these names is gone.
    pub(super) fn give_back(&mut self, names: &[Arc<str>]) {
        for name in names {
            if let Some(named) = self.by_name.get_mut(name) {
                named.plans = named.plans.saturating_sub(1);
            }
        }
    }

    /// Forgets the names that no plan has had for `longest`, in nanoseconds.
    pub(super) fn forget(&mut self, now: u64, longest: u64) {
        let free = &mut self.free;
        self.by_name.retain(|_, named| {
            if named.plans > 0 {
                return true;
            }
            let left = *named.left.get_or_insert(now);
            let stays = left.saturating_add(longest) > now;
            if !stays {
                free.push(named.number);
            }
            stays
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_goes_to_another_name_only_when_nothing_can_be_owed_on_it() {
        let names = |text: &str| text.split(' ').map(Arc::from).collect::<Vec<Arc<str>>>();
        let mut all = Names::default();
        assert_eq!(all.take(&names("a b")), [0, 1]);
        assert_eq!(all.take(&names("b c")), [1, 2]);
        all.give_back(&names("a b"));
        all.forget(10, 100);
        all.forget(109, 100);
        assert_eq!(all.take(&names("d")), [3], "the number of `a` is not free yet");
        assert_eq!(all.take(&names("a")), [0], "and `a` has it still");
        all.give_back(&names("a"));
        all.forget(200, 100);
        all.forget(300, 100);
        assert_eq!(all.take(&names("e b")), [0, 1]);
    }
}
