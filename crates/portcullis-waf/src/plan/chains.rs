//! All transformation chains, each once, and which bytes a value must have for a chain to change it.

use crate::operator::spec::ByteSet;
use crate::transform::Transformation;
use std::collections::HashMap;

/// A chain's place. 0 is the empty chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ChainId(u16);

impl ChainId {
    pub(crate) const EMPTY: Self = Self(0);
}

/// A chain that is not empty.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chain {
    pub(crate) first: Transformation,
    /// What follows the first step.
    pub(crate) rest: ChainId,
    /// A value with none of these bytes is not changed by the first step. `None`: nothing is known.
    triggers: Option<&'static ByteSet>,
}

/// All chains.
#[derive(Debug, Default)]
pub(crate) struct Chains {
    /// Those after the empty one.
    chains: Vec<Chain>,
    places: HashMap<Vec<Transformation>, ChainId>,
}

impl Chains {
    /// The chain of these steps. `None` if there are too many.
    pub(super) fn place(&mut self, steps: &[Transformation]) -> Option<ChainId> {
        let Some((first, others)) = steps.split_first() else { return Some(ChainId::EMPTY) };
        if let Some(known) = self.places.get(steps) {
            return Some(*known);
        }
        let rest = self.place(others)?;
        self.chains.push(Chain { first: *first, rest, triggers: first.triggers() });
        let made = ChainId(u16::try_from(self.chains.len()).ok()?);
        self.places.insert(steps.to_vec(), made);
        Some(made)
    }

    /// The chain without its first steps that cannot change a value of these bytes.
    pub(crate) fn reduced(&self, chain: ChainId, bytes: &ByteSet) -> Option<(ChainId, Chain)> {
        let mut id = chain;
        loop {
            let chain = *usize::from(id.0).checked_sub(1).and_then(|place| self.chains.get(place))?;
            if chain.triggers.is_none_or(|triggers| triggers.meets(bytes)) {
                return Some((id, chain));
            }
            id = chain.rest;
        }
    }

    /// The same, and the empty chain where none of its steps can.
    pub(crate) fn effective(&self, chain: ChainId, bytes: &ByteSet) -> ChainId {
        self.reduced(chain, bytes).map_or(ChainId::EMPTY, |(id, _)| id)
    }
}
