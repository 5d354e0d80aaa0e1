//! TX: the variables that rules set.

use crate::operator::spec::integer;
use crate::plan::{CAPTURES, Plan, Slot};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// The most variables whose names are made at run time.
const MOST_DYNAMIC: usize = 20_000;

/// TX.
pub(super) struct State<'r> {
    slots: Vec<Option<Cow<'r, [u8]>>>,
    /// By name in lower case: the name as it was made, and the value.
    dynamic: BTreeMap<Vec<u8>, (Vec<u8>, Vec<u8>)>,
}

/// Where a variable is.
pub(super) enum Key {
    Slot(Slot),
    Dynamic(Vec<u8>),
}

impl<'r> State<'r> {
    pub(super) fn new(plan: &'r Plan) -> Self {
        let slots = plan.initial.iter().map(|value| value.as_deref().map(Cow::Borrowed)).collect();
        Self { slots, dynamic: BTreeMap::new() }
    }

    pub(super) fn slot(&self, slot: Slot) -> Option<&[u8]> {
        self.slots.get(slot.0).and_then(|value| value.as_deref())
    }

    /// The same for as long as the request is there.
    pub(super) fn shared(&self, slot: Slot) -> Option<Cow<'r, [u8]>> {
        self.slots.get(slot.0).cloned().flatten()
    }

    fn value(&self, key: &Key) -> Option<&[u8]> {
        match key {
            Key::Slot(slot) => self.slot(*slot),
            Key::Dynamic(name) => {
                self.dynamic.get(&name.to_ascii_lowercase()).map(|(_, value)| value.as_slice())
            }
        }
    }

    /// The number that a variable holds; 0 if there is none.
    pub(super) fn number(&self, slot: Option<Slot>) -> i64 {
        slot.and_then(|slot| self.slot(slot)).map_or(0, integer)
    }

    pub(super) fn current(&self, key: &Key) -> i64 {
        self.value(key).map_or(0, integer)
    }

    pub(super) fn set(&mut self, key: Key, value: Option<Vec<u8>>) {
        match (key, value) {
            (Key::Slot(slot), value) => {
                if let Some(place) = self.slots.get_mut(slot.0) {
                    *place = value.map(Cow::Owned);
                }
            }
            (Key::Dynamic(name), None) => {
                self.dynamic.remove(&name.to_ascii_lowercase());
            }
            (Key::Dynamic(name), Some(value)) => {
                let lower = name.to_ascii_lowercase();
                if self.dynamic.len() < MOST_DYNAMIC || self.dynamic.contains_key(&lower) {
                    self.dynamic.insert(lower, (name, value));
                }
            }
        }
    }

    /// Sets `TX:0` to `TX:9`; those without a text are gone.
    pub(super) fn capture(&mut self, captures: Vec<Vec<u8>>) {
        let mut captures = captures.into_iter();
        for place in self.slots.iter_mut().take(CAPTURES) {
            *place = captures.next().map(Cow::Owned);
        }
    }

    /// All variables: their names and values.
    pub(super) fn all<'s>(&'s self, plan: &'s Plan) -> impl Iterator<Item = (&'s [u8], &'s [u8])> {
        let slots = plan.slots.names().iter().zip(&self.slots);
        let slots = slots.filter_map(|(name, value)| Some((name.as_slice(), value.as_deref()?)));
        slots.chain(self.dynamic())
    }

    /// The variables whose names were made at run time.
    pub(super) fn dynamic(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.dynamic.values().map(|(name, value)| (name.as_slice(), value.as_slice()))
    }
}
