//! What judging a body takes, such as its parsed tree, counted in the memory for held bodies.
//!
//! It is taken as it is used and given back when the body has been judged. Where none is left, the request is refused with
//! 503. What the body was read as is left in the notes, if a check that is still to come reads them.

use portcullis_core::{Arguments, BodyFormat, Effects, Facts, Holding, Notes, Taken};
use portcullis_openapi::json::Document;
use portcullis_openapi::{Memory, Reader};
use std::cell::{Cell, RefCell};

/// So much is taken at once, so that small values do not each ask the account.
const STEP: usize = 16 * 1024;

/// Memory of one request.
pub(super) struct Lent<'a> {
    holding: Option<&'a Holding>,
    effects: &'a dyn Effects,
    notes: Option<&'a Notes>,
    taken: RefCell<Option<Taken>>,
    spare: Cell<usize>,
}

impl<'a> Lent<'a> {
    /// From the memory of this request.
    pub(super) fn new(facts: &Facts<'a>, effects: &'a dyn Effects) -> Self {
        let notes = facts.notes.filter(|notes| notes.wants_arguments());
        Lent { holding: facts.holding, effects, notes, taken: RefCell::new(None), spare: Cell::new(0) }
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

    fn reader(&self) -> Option<&dyn Reader> {
        self.notes.is_some().then_some(self)
    }
}

/// The most values that are left in the notes, and the most bytes of their names. The names of a document can take far more
/// than its text, since each has the whole path. Whoever wants more reads the body itself, and refuses it.
const MOST_VALUES: usize = 10_000;
const MOST_NAME_BYTES: usize = 4 << 20;

impl Reader for Lent<'_> {
    fn json(&self, body: &[u8], document: &Document<'_>) {
        let Some(notes) = self.notes else { return };
        let (mut pairs, mut names) = (Vec::new(), 0_usize);
        let whole = document.leaves("json", &mut |path, text| {
            names = names.saturating_add(path.len());
            let fits = pairs.len() < MOST_VALUES && names <= MOST_NAME_BYTES;
            if fits {
                pairs.push((path.as_bytes().to_vec(), text.as_bytes().to_vec()));
            }
            fits
        });
        if whole {
            notes.keep(body, Arguments { format: BodyFormat::Json, pairs });
        }
    }

    fn form(&self, body: &[u8], pairs: &mut dyn Iterator<Item = (&str, &str)>) {
        let Some(notes) = self.notes else { return };
        let pairs = pairs.map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()));
        notes.keep(body, Arguments { format: BodyFormat::Form, pairs: pairs.collect() });
    }

    fn xml(&self, body: &[u8], text: String, attributes: Vec<String>) {
        let Some(notes) = self.notes else { return };
        let text = (b"/*".to_vec(), text.into_bytes());
        let attributes = attributes.into_iter().map(|value| (b"//@*".to_vec(), value.into_bytes()));
        let pairs = std::iter::once(text).chain(attributes).collect();
        notes.keep(body, Arguments { format: BodyFormat::Xml, pairs });
    }
}
