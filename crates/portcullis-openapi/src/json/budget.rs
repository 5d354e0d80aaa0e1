//! What may be done with one document while a schema judges it, or tells what is wrong with it.
//!
//! A schema that refers to itself from several alternatives makes the work double with each level of a value, and the value
//! is the attacker's. So every look at a value spends. Once the budget is spent, every value looks empty, which ends the
//! judging soon, and whatever was said is void.

use std::cell::Cell;

/// Looks at values that judging any document may take: about 10 ms.
const LEAST: usize = 1_000_000;

/// Looks for each value in the document.
const FOR_EACH: usize = 400;

/// Looks that telling may take beyond those that judging took.
const TELLING: usize = 50_000;

/// Bytes of a text that are looked at in the time of one look at a value.
const BYTES_OF_A_LOOK: usize = 64;

/// What is left, and what was spent.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    allowed: Cell<usize>,
    left: Cell<usize>,
    /// Errors that may still be told of.
    errors: Cell<usize>,
    /// Results that the schema library may still remember by the identity of a value. Each takes some 40 bytes.
    remembered: Cell<usize>,
}

impl Budget {
    /// Allows as much as judging a document of this many values should take.
    pub(crate) fn judge(&self, values: usize) {
        self.allow(LEAST.saturating_add(values.saturating_mul(FOR_EACH)), values);
        self.errors.set(usize::MAX);
    }

    /// Looks that were taken since it was last said how many are allowed.
    pub(crate) fn spent(&self) -> usize {
        self.allowed.get().saturating_sub(self.left.get())
    }

    /// Allows as much again as judging has taken, and to find so many errors.
    pub(crate) fn tell(&self, values: usize, errors: usize) {
        self.allow(self.spent().saturating_add(TELLING), values);
        self.errors.set(errors);
    }

    /// Allows so many looks for saying of each value which part of a schema has judged it.
    pub(crate) fn evaluate(&self, values: usize, looks: usize) {
        self.allow(looks, values);
        self.errors.set(usize::MAX);
    }

    fn allow(&self, looks: usize, values: usize) {
        self.allowed.set(looks);
        self.left.set(looks);
        self.remembered.set((values / 4).saturating_add(4096));
    }

    /// Spends one look at a value. `false`: there is none left.
    pub(super) fn look(&self) -> bool {
        let left = self.left.get().saturating_sub(1);
        self.left.set(left);
        left > 0
    }

    /// Spends so many looks at once. `false`: there are not so many left.
    pub(super) fn pay(&self, looks: usize) -> bool {
        let left = self.left.get().saturating_sub(looks);
        self.left.set(left);
        left > 0
    }

    /// Spends what looking at so many bytes takes.
    pub(super) fn read(&self, bytes: usize) {
        self.left.set(self.left.get().saturating_sub(bytes / BYTES_OF_A_LOOK));
    }

    /// An error was found; whether it is true of the value. Once there are enough, nothing more is looked at.
    pub(super) fn error(&self) -> bool {
        let left = self.errors.get();
        let found = left > 0 && !self.is_spent();
        if left <= 1 {
            self.left.set(0);
        }
        self.errors.set(left.saturating_sub(1));
        found
    }

    /// Whether one more result may be remembered.
    pub(super) fn remember(&self) -> bool {
        let left = self.remembered.get();
        self.remembered.set(left.saturating_sub(1));
        left > 0
    }

    /// Whether everything is spent. What was said of the value is void then.
    pub(crate) fn is_spent(&self) -> bool {
        self.left.get() == 0
    }
}
