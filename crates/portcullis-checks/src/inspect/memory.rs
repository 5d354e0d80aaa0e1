//! What judging a body takes, such as its parsed tree, counted in the memory for held bodies.
//!
//! It is taken as it is used and given back when the body has been judged. Where none is left, the request is refused with
//! 503.

use portcullis_core::{Effects, Facts, Holding, Taken};
use portcullis_openapi::Memory;
use std::cell::{Cell, RefCell};

/// So much is taken at once, so that small values do not each ask the account.
const STEP: usize = 16 * 1024;

/// Memory of one request.
pub(super) struct Lent<'a> {
    holding: Option<&'a Holding>,
    effects: &'a dyn Effects,
    taken: RefCell<Option<Taken>>,
    spare: Cell<usize>,
}

impl<'a> Lent<'a> {
    /// From the memory of this request.
    pub(super) fn new(facts: &Facts<'a>, effects: &'a dyn Effects) -> Self {
        Lent { holding: facts.holding, effects, taken: RefCell::new(None), spare: Cell::new(0) }
    }
}

impl Memory for Lent<'_> {
    fn take(&self, bytes: usize) -> bool {
        let Some(holding) = self.holding else { return true };
        if let Some(spare) = self.spare.get().checked_sub(bytes) {
            self.spare.set(spare);
            return true;
        }
        let more = (bytes - self.spare.get()).next_multiple_of(STEP);
        let (mut taken, now) = (self.taken.borrow_mut(), self.effects.monotonic());
        let grown = match &mut *taken {
            Some(taken) => taken.grow(more, now),
            None => holding.take(more, now).map(|first| *taken = Some(first)),
        };
        if grown.is_ok() {
            self.spare.set(self.spare.get() + more - bytes);
        }
        grown.is_ok()
    }
}
