//! All transformation chains, as a tree: chains that begin alike share their beginning's results.

use crate::transform::Transformation;
use std::collections::HashMap;

/// A chain's place in the tree. 0 is the empty chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ChainId(pub(crate) u16);

impl ChainId {
    pub(crate) const EMPTY: Self = Self(0);
}

/// The tree.
#[derive(Debug, Default)]
pub(crate) struct Chains {
    /// For each chain after the empty one, the chain before its last step, and that step.
    nodes: Vec<(ChainId, Transformation)>,
    children: HashMap<(ChainId, Transformation), ChainId>,
}

impl Chains {
    /// The chain of these steps, and all chains on the way to it, the empty one first. `None` if there are too many.
    pub(super) fn place(&mut self, steps: &[Transformation]) -> Option<(ChainId, Vec<ChainId>)> {
        let mut at = ChainId::EMPTY;
        let mut way = Vec::new();
        for step in steps {
            way.push(at);
            at = match self.children.get(&(at, *step)) {
                Some(known) => *known,
                None => {
                    self.nodes.push((at, *step));
                    let made = ChainId(u16::try_from(self.nodes.len()).ok()?);
                    self.children.insert((at, *step), made);
                    made
                }
            };
        }
        Some((at, way))
    }

    /// The chain before the last step, and that step; `None` for the empty chain.
    pub(crate) fn last_step(&self, chain: ChainId) -> Option<(ChainId, Transformation)> {
        usize::from(chain.0).checked_sub(1).and_then(|place| self.nodes.get(place)).copied()
    }

    /// How many chains there are, with the empty one.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len() + 1
    }
}
