//! The names of TX, as numbers.

use std::collections::HashMap;

/// The place of a TX name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Slot(pub(crate) usize);

/// All TX names that rules write literally. The first ten are the captures.
#[derive(Debug)]
pub(crate) struct Slots {
    names: Vec<Vec<u8>>,
    places: HashMap<Vec<u8>, Slot>,
}

/// How many slots are captures: `TX:0` to `TX:9`.
pub(crate) const CAPTURES: usize = 10;

impl Slots {
    pub(super) fn new() -> Self {
        let mut slots = Self { names: Vec::new(), places: HashMap::new() };
        for capture in 0..CAPTURES {
            slots.place(capture.to_string().as_bytes());
        }
        slots
    }

    /// The slot of a name, made if it is new.
    pub(super) fn place(&mut self, name: &[u8]) -> Slot {
        let name = name.to_ascii_lowercase();
        if let Some(slot) = self.places.get(&name) {
            return *slot;
        }
        let slot = Slot(self.names.len());
        self.names.push(name.clone());
        self.places.insert(name, slot);
        slot
    }

    /// The slot of a name, if it has one.
    pub(crate) fn find(&self, name: &[u8]) -> Option<Slot> {
        self.places.get(&name.to_ascii_lowercase()).copied()
    }

    /// All names, in the order of their slots.
    pub(crate) fn names(&self) -> &[Vec<u8>] {
        &self.names
    }
}
