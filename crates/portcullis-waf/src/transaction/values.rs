//! Every value with its transformed forms, each computed at most once.
//!
//! A value is a node. What a chain of transformations makes of it is another node, or the same one where the chain
//! changes nothing, which is the usual case; so the prefilter looks once at a value and not once for each chain.

use crate::operator::spec::ByteSet;
use crate::plan::Candidates;
use crate::plan::{ChainId, Plan, Precondition};
use std::borrow::Cow;

/// A value's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NodeId(u32);

const NOT_YET: u32 = u32::MAX;

struct Node<'r> {
    bytes: Cow<'r, [u8]>,
    /// For each chain the node of its result; empty until the first is asked for.
    chains: Box<[u32]>,
    set: Option<ByteSet>,
    candidates: Option<Candidates>,
}

/// The work is used up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OutOfWork;

/// All values of a transaction.
pub(crate) struct Values<'r> {
    plan: &'r Plan,
    nodes: Vec<Node<'r>>,
    work: u64,
    allowed: u64,
}

impl<'r> Values<'r> {
    pub(super) fn new(plan: &'r Plan, allowed: u64) -> Self {
        Self { plan, nodes: Vec::with_capacity(64), work: 0, allowed }
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
        self.nodes.push(Node { bytes, chains: Box::default(), set: None, candidates: None });
        id
    }

    pub(super) fn borrowed(&mut self, bytes: &'r [u8]) -> NodeId {
        self.add(Cow::Borrowed(bytes))
    }

    pub(super) fn owned(&mut self, bytes: Vec<u8>) -> NodeId {
        self.add(Cow::Owned(bytes))
    }

    pub(super) fn bytes(&self, node: NodeId) -> &[u8] {
        self.nodes.get(node.0 as usize).map_or(b"", |node| &node.bytes)
    }

    /// What a chain makes of a value.
    pub(super) fn apply(&mut self, node: NodeId, chain: ChainId) -> Result<NodeId, OutOfWork> {
        let Some((before, step)) = self.plan.chains.last_step(chain) else { return Ok(node) };
        let known = self.nodes.get(node.0 as usize).and_then(|node| node.chains.get(usize::from(chain.0)));
        if let Some(&known) = known
            && known != NOT_YET
        {
            return Ok(NodeId(known));
        }
        let input = self.apply(node, before)?;
        self.spend(16 + self.bytes(input).len())?;
        let output = match step.apply(self.bytes(input)) {
            None => input,
            Some(bytes) => self.owned(bytes),
        };
        let count = self.plan.chains.len();
        if let Some(node) = self.nodes.get_mut(node.0 as usize) {
            if node.chains.is_empty() {
                node.chains = vec![NOT_YET; count].into_boxed_slice();
            }
            if let Some(place) = node.chains.get_mut(usize::from(chain.0)) {
                *place = output.0;
            }
        }
        Ok(output)
    }

    /// The bytes that a value has; they are found once.
    pub(super) fn set(&mut self, node: NodeId) -> ByteSet {
        let Some(entry) = self.nodes.get_mut(node.0 as usize) else { return ByteSet::default() };
        let bytes = &entry.bytes;
        *entry.set.get_or_insert_with(|| ByteSet::of(bytes))
    }

    /// Whether a value can match at all.
    pub(super) fn can_match(&mut self, node: NodeId, precondition: &Precondition) -> Result<bool, OutOfWork> {
        let plan = self.plan;
        if !plan.use_filter {
            return Ok(true);
        }
        let Some(entry) = self.nodes.get_mut(node.0 as usize) else { return Ok(true) };
        if entry.bytes.len() < precondition.length {
            return Ok(false);
        }
        if !precondition.sets.is_empty() {
            let bytes = &entry.bytes;
            let set = entry.set.get_or_insert_with(|| ByteSet::of(bytes));
            if precondition.sets.iter().any(|wanted| !wanted.meets(set)) {
                return Ok(false);
            }
        }
        match precondition.bit {
            Some(bit) => self.with_candidates(node, |candidates| candidates.has(bit)),
            None => Ok(true),
        }
    }

    /// Asks for the expressions that can match a value; they are found once.
    pub(super) fn with_candidates<R: Default>(
        &mut self,
        node: NodeId,
        ask: impl FnOnce(&Candidates) -> R,
    ) -> Result<R, OutOfWork> {
        let plan = self.plan;
        let Some(entry) = self.nodes.get_mut(node.0 as usize) else { return Ok(R::default()) };
        if let Some(candidates) = &entry.candidates {
            return Ok(ask(candidates));
        }
        let candidates = plan.filter.candidates(&entry.bytes);
        let answer = ask(&candidates);
        let length = entry.bytes.len();
        entry.candidates = Some(candidates);
        self.spend(16 + length)?;
        Ok(answer)
    }
}
