//! Counters that are found by number: no hashing, no lock, nothing that another key could push out.
//!
//! Numbers grow as plans come and go, so slots are made in chunks when they are first used, in levels that are each sixteen
//! times as large as the one before: what exists never moves.

use super::Rate;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Slots in a chunk.
const CHUNK: usize = 1024;
/// Enough for every `u32`.
const LEVELS: usize = 7;

type Chunk<S> = OnceLock<Box<[S]>>;

/// Numbered slots.
pub(super) struct Slots<S>([OnceLock<Box<[Chunk<S>]>>; LEVELS]);

impl<S> Default for Slots<S> {
    fn default() -> Slots<S> {
        Slots(std::array::from_fn(|_| OnceLock::new()))
    }
}

impl<S: Default> Slots<S> {
    pub(super) fn slot(&self, number: u32) -> Option<&S> {
        let number = number as usize;
        let chunk = number / CHUNK;
        // The levels before this one have (16^level - 1) / 15 chunks together.
        let level = ((15 * chunk + 1).ilog2() / 4) as usize;
        let before = ((1_usize << (4 * level)) - 1) / 15;
        let chunks =
            self.0.get(level)?.get_or_init(|| (0..1_usize << (4 * level)).map(|_| Chunk::new()).collect());
        let slots = chunks.get(chunk - before)?.get_or_init(|| (0..CHUNK).map(|_| S::default()).collect());
        slots.get(number % CHUNK)
    }
}

impl Slots<AtomicU64> {
    /// Puts every slot that is in use from one rate to another.
    pub(super) fn convert(&self, now: u64, from: Rate, to: Rate) {
        let chunks = self.0.iter().filter_map(OnceLock::get).flat_map(|level| level.iter());
        chunks
            .filter_map(OnceLock::get)
            .flat_map(|slots| slots.iter())
            .for_each(|slot| convert(slot, now, from, to));
    }
}

/// Puts one slot from one rate to another.
pub(super) fn convert(slot: &AtomicU64, now: u64, from: Rate, to: Rate) {
    let _ = slot.try_update(Ordering::AcqRel, Ordering::Acquire, |arrival| {
        (arrival > now).then(|| to.arrival_of(from, now, arrival))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_has_a_slot_of_its_own() {
        let slots = Slots::<AtomicU64>::default();
        let edges = [0, 1, 1023, 1024, 2047, 17_407, 17_408, 17_409, 279_551, 279_552, 5_000_000];
        for (value, number) in (1..).zip(edges) {
            slots.slot(number).unwrap().store(value, Ordering::Relaxed);
        }
        for (value, number) in (1..).zip(edges) {
            assert_eq!(slots.slot(number).unwrap().load(Ordering::Relaxed), value, "{number}");
        }
        assert!(slots.slot(u32::MAX).is_some());
    }
}
