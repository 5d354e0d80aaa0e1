//! Every value with its transformed forms, each computed at most once.
//!
//! A value is a node. What a transformation makes of it is another node, or the same one where it changes nothing,
//! which is the usual case and mostly known from the value's bytes; so the prefilter looks once at a value and not once
//! for each chain.

use crate::operator::spec::ByteSet;
use crate::plan::{ChainId, FilterBit, Plan, Precondition};
use crate::transform::Transformation;
use std::borrow::Cow;

/// A value's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NodeId(u32);

const NOT_YET: u32 = u32::MAX;

struct Node<'r> {
    bytes: Cow<'r, [u8]>,
    set: Option<ByteSet>,
    /// Where the results of transformations are, one for each; `NOT_YET` until one changes it.
    results: u32,
    /// Where the expressions that can match it are.
    candidates: u32,
    /// The value that differs from it only in the case of letters: the prefilter finds the same in both.
    same: u32,
}

/// The work is used up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OutOfWork;

/// All values of a transaction.
pub(crate) struct Values<'r> {
    plan: &'r Plan,
    nodes: Vec<Node<'r>>,
    /// The results of transformations: for each value that has some, as many places as there are transformations.
    results: Vec<u32>,
    /// Sets of expressions, one after the other.
    candidates: Vec<u64>,
    work: u64,
    allowed: u64,
}

impl<'r> Values<'r> {
    pub(super) fn new(plan: &'r Plan, allowed: u64) -> Self {
        let (results, candidates) = (Vec::new(), Vec::with_capacity(64 * plan.filter.words()));
        Self { plan, nodes: Vec::with_capacity(96), results, candidates, work: 0, allowed }
    }

    pub(super) fn set_work(&mut self, allowed: u64) {
        self.allowed = allowed;
    }

    pub(super) fn work_done(&self) -> u64 {
        self.work
    }

    /// Counts work.
    pub(super) fn spend(&mut self, units: usize) -> Result<(), OutOfWork> {
        self.work = self.work.saturating_add(units as u64);
        if self.work > self.allowed { Err(OutOfWork) } else { Ok(()) }
    }

    pub(super) fn add(&mut self, bytes: Cow<'r, [u8]>) -> NodeId {
        let id = NodeId(u32::try_from(self.nodes.len()).unwrap_or(NOT_YET));
        self.nodes.push(Node { bytes, set: None, results: NOT_YET, candidates: NOT_YET, same: NOT_YET });
        id
    }

    pub(super) fn borrowed(&mut self, bytes: &'r [u8]) -> NodeId {
        self.add(Cow::Borrowed(bytes))
    }

    pub(super) fn owned(&mut self, bytes: Vec<u8>) -> NodeId {
        self.add(Cow::Owned(bytes))
    }

    /// A number as text.
    pub(super) fn number(&mut self, number: i64) -> NodeId {
        const DIGITS: &[u8] = b"0123456789";
        let digit = usize::try_from(number).ok().and_then(|digit| DIGITS.get(digit..=digit));
        match digit {
            Some(digit) => self.borrowed(digit),
            None => self.owned(number.to_string().into_bytes()),
        }
    }

    pub(super) fn bytes(&self, node: NodeId) -> &[u8] {
        self.nodes.get(node.0 as usize).map_or(b"", |node| &node.bytes)
    }

    /// What a chain makes of a value.
    pub(super) fn apply(&mut self, node: NodeId, chain: ChainId) -> Result<NodeId, OutOfWork> {
        let (plan, mut node, mut chain) = (self.plan, node, chain);
        while let Some((_, next)) = plan.chains.reduced(chain, self.set(node)) {
            node = self.step(node, next.first)?;
            chain = next.rest;
        }
        Ok(node)
    }

    /// What one transformation makes of a value.
    fn step(&mut self, node: NodeId, step: Transformation) -> Result<NodeId, OutOfWork> {
        let Some(entry) = self.nodes.get_mut(node.0 as usize) else { return Ok(node) };
        if entry.results == NOT_YET {
            entry.results = u32::try_from(self.results.len()).unwrap_or(NOT_YET);
            self.results.resize(self.results.len() + Transformation::COUNT, NOT_YET);
        }
        let place = entry.results as usize + step as usize;
        if let Some(&known) = self.results.get(place)
            && known != NOT_YET
        {
            return Ok(NodeId(known));
        }
        let length = entry.bytes.len();
        let made = step.apply(&entry.bytes);
        let same = if entry.same == NOT_YET { node.0 } else { entry.same };
        self.spend(16 + length)?;
        let output = match made {
            None => node,
            Some(bytes) => {
                let output = self.owned(bytes);
                let only_case = matches!(step, Transformation::Lowercase | Transformation::Uppercase);
                if only_case && let Some(entry) = self.nodes.get_mut(output.0 as usize) {
                    entry.same = same;
                }
                output
            }
        };
        if let Some(place) = self.results.get_mut(place) {
            *place = output.0;
        }
        Ok(output)
    }

    /// The bytes that a value has; they are found once.
    pub(super) fn set(&mut self, node: NodeId) -> &ByteSet {
        const NONE: &ByteSet = &ByteSet::NONE;
        let Some(entry) = self.nodes.get_mut(node.0 as usize) else { return NONE };
        let bytes = &entry.bytes;
        entry.set.get_or_insert_with(|| ByteSet::of(bytes))
    }

    /// Whether a value can match at all.
    pub(super) fn can_match(&mut self, node: NodeId, precondition: &Precondition) -> Result<bool, OutOfWork> {
        if !self.plan.use_filter {
            return Ok(true);
        }
        if self.bytes(node).len() < precondition.length {
            return Ok(false);
        }
        if !precondition.sets.is_empty() {
            let set = self.set(node);
            if precondition.sets.iter().any(|wanted| !wanted.meets(set)) {
                return Ok(false);
            }
        }
        match precondition.bit {
            Some(bit) => {
                let candidates = self.candidates(node)?;
                Ok(self.has(candidates, bit))
            }
            None => Ok(true),
        }
    }

    /// Whether an expression is in the set at `candidates`.
    pub(super) fn has(&self, candidates: u32, bit: FilterBit) -> bool {
        let word = self.candidates.get(candidates as usize + bit.word());
        word.is_some_and(|word| word & bit.mask() != 0)
    }

    /// The place of the expressions that can match a value; they are found once.
    pub(super) fn candidates(&mut self, node: NodeId) -> Result<u32, OutOfWork> {
        let plan = self.plan;
        let Some(entry) = self.nodes.get(node.0 as usize) else { return Ok(NOT_YET) };
        if entry.candidates != NOT_YET {
            return Ok(entry.candidates);
        }
        let place = if entry.same == NOT_YET {
            let length = entry.bytes.len();
            let start = self.candidates.len();
            self.candidates.resize(start + plan.filter.words(), 0);
            if let (Some(entry), Some(words)) =
                (self.nodes.get(node.0 as usize), self.candidates.get_mut(start..))
            {
                plan.filter.candidates(&entry.bytes, words);
            }
            self.spend(16 + length)?;
            u32::try_from(start).unwrap_or(NOT_YET)
        } else {
            self.candidates(NodeId(entry.same))?
        };
        if let Some(entry) = self.nodes.get_mut(node.0 as usize) {
            entry.candidates = place;
        }
        Ok(place)
    }

    /// An empty set of expressions, for [`add_candidates`](Self::add_candidates).
    pub(super) fn no_candidates(&mut self) -> u32 {
        let start = self.candidates.len();
        self.candidates.resize(start + self.plan.filter.words(), 0);
        u32::try_from(start).unwrap_or(NOT_YET)
    }

    /// Adds one set of expressions to another.
    pub(super) fn add_candidates(&mut self, to: u32, more: u32) {
        for word in 0..self.plan.filter.words() {
            let more = self.candidates.get(more as usize + word).copied().unwrap_or(u64::MAX);
            if let Some(to) = self.candidates.get_mut(to as usize + word) {
                *to |= more;
            }
        }
    }
}
