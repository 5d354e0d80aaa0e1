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

/// One chain.
#[derive(Debug, Default)]
struct Chain {
    steps: Vec<Transformation>,
    /// A value with none of these bytes stays as it is. `None`: nothing is known.
    triggers: Option<ByteSet>,
}

/// All chains.
#[derive(Debug)]
pub(crate) struct Chains {
    chains: Vec<Chain>,
    places: HashMap<Vec<Transformation>, ChainId>,
}

impl Default for Chains {
    fn default() -> Self {
        let empty = Chain { steps: Vec::new(), triggers: Some(ByteSet::default()) };
        Self { chains: vec![empty], places: HashMap::from([(Vec::new(), ChainId::EMPTY)]) }
    }
}

impl Chains {
    /// The chain of these steps. `None` if there are too many.
    pub(super) fn place(&mut self, steps: &[Transformation]) -> Option<ChainId> {
        if let Some(known) = self.places.get(steps) {
            return Some(*known);
        }
        let made = ChainId(u16::try_from(self.chains.len()).ok()?);
        let mut triggers = Some(ByteSet::default());
        for step in steps {
            triggers = triggers.zip(step.triggers()).map(|(all, more)| all.union(more));
        }
        self.chains.push(Chain { steps: steps.to_vec(), triggers });
        self.places.insert(steps.to_vec(), made);
        Some(made)
    }

    /// The steps of a chain, the first one first.
    pub(crate) fn steps(&self, chain: ChainId) -> &[Transformation] {
        self.chains.get(usize::from(chain.0)).map_or(&[], |chain| &chain.steps)
    }

    /// Whether a chain may change a value that has these bytes.
    pub(crate) fn may_change(&self, chain: ChainId, bytes: &ByteSet) -> bool {
        let chain = self.chains.get(usize::from(chain.0));
        chain.is_none_or(|chain| chain.triggers.is_none_or(|triggers| triggers.meets(bytes)))
    }
}
