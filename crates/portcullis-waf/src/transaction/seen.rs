//! What the targets of rules have: their values, and what all values of a target, or of a list of targets, have together.
//!
//! What none of the values has cannot make a rule match. Most rules end here, with one look at what they share with all
//! rules for the same targets. Emptied where values are added.

use super::variables::Subject;
use crate::operator::spec::ByteSet;
use crate::plan::{ChainId, FormId, ListId, Looks, Precondition, TargetId};
use std::ops::Range;

const NOT_YET: u32 = u32::MAX;

/// Whose values they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    Target(TargetId),
    List(ListId),
}

/// What several values have in one form, all together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Summary {
    pub(super) owner: Owner,
    pub(super) chain: ChainId,
    pub(super) bytes: ByteSet,
    pub(super) longest: usize,
    /// The place of the expressions that can match any of them, once a rule asks for one.
    pub(super) candidates: Option<u32>,
    /// The owner's next summary.
    next: u32,
}

impl Summary {
    pub(super) fn new(owner: Owner, chain: ChainId) -> Self {
        Self { owner, chain, bytes: ByteSet::NONE, longest: 0, candidates: None, next: NOT_YET }
    }

    /// Whether one of the values could meet the precondition, but for its texts.
    pub(super) fn allows(&self, wanted: &Precondition) -> bool {
        self.longest >= wanted.length && wanted.sets.iter().all(|set| set.meets(&self.bytes))
    }

    pub(super) fn add(&mut self, length: usize, bytes: &ByteSet) {
        self.longest = self.longest.max(length);
        self.bytes = self.bytes.union(bytes);
    }
}

/// A target's values, and its summaries: that of the values as they are comes last.
#[derive(Debug, Clone, Copy)]
struct Target {
    start: u32,
    end: u32,
    summaries: u32,
}

/// Everything that was found so far.
#[derive(Debug, Default)]
pub(super) struct Seen {
    targets: Vec<Target>,
    subjects: Vec<Subject>,
    /// For each list, the place of its first summary.
    lists: Vec<u32>,
    /// For each form of a list, the place of its summary.
    forms: Vec<u32>,
    summaries: Vec<Summary>,
}

impl Seen {
    pub(super) fn clear(&mut self, looks: &Looks) {
        let unknown = Target { start: NOT_YET, end: 0, summaries: NOT_YET };
        self.targets.clear();
        self.targets.resize(looks.targets.len(), unknown);
        self.lists.clear();
        self.lists.resize(looks.lists.len(), NOT_YET);
        self.forms.clear();
        self.forms.resize(looks.forms.len(), NOT_YET);
        self.subjects.clear();
        self.summaries.clear();
    }

    /// The places of a target's values, if they were found.
    pub(super) fn places(&self, target: TargetId) -> Option<Range<u32>> {
        let known = self.targets.get(target.0).filter(|known| known.start != NOT_YET)?;
        Some(known.start..known.end)
    }

    /// Keeps a target's values.
    pub(super) fn keep(&mut self, target: TargetId, found: &[Subject]) -> Range<u32> {
        let place = |length: usize| u32::try_from(length).unwrap_or(NOT_YET - 1);
        let start = place(self.subjects.len());
        self.subjects.extend_from_slice(found);
        let end = place(self.subjects.len());
        if let Some(known) = self.targets.get_mut(target.0) {
            *known = Target { start, end, summaries: NOT_YET };
        }
        start..end
    }

    pub(super) fn subject(&self, place: u32) -> Option<Subject> {
        self.subjects.get(place as usize).copied()
    }

    /// The place of a form's summary.
    pub(super) fn form(&self, form: FormId) -> Option<u32> {
        self.forms.get(form.0).copied().filter(|place| *place != NOT_YET)
    }

    pub(super) fn keep_form(&mut self, form: FormId, summary: u32) {
        if let Some(known) = self.forms.get_mut(form.0) {
            *known = summary;
        }
    }

    /// The place of a summary, if it is known.
    pub(super) fn find(&self, owner: Owner, chain: ChainId) -> Option<u32> {
        let first = match owner {
            Owner::Target(target) => self.targets.get(target.0).map(|known| known.summaries),
            Owner::List(list) => self.lists.get(list.0).copied(),
        };
        let mut place = first?;
        while let Some(summary) = self.summary(place) {
            if summary.chain == chain {
                return Some(place);
            }
            place = summary.next;
        }
        None
    }

    pub(super) fn add(&mut self, mut summary: Summary) -> u32 {
        let place = u32::try_from(self.summaries.len()).unwrap_or(NOT_YET);
        let first = match summary.owner {
            Owner::Target(target) => self.targets.get_mut(target.0).map(|known| &mut known.summaries),
            Owner::List(list) => self.lists.get_mut(list.0),
        };
        if let Some(first) = first {
            summary.next = *first;
            *first = place;
        }
        self.summaries.push(summary);
        place
    }

    pub(super) fn summary(&self, place: u32) -> Option<&Summary> {
        self.summaries.get(place as usize)
    }

    pub(super) fn keep_candidates(&mut self, place: u32, candidates: u32) {
        if let Some(summary) = self.summaries.get_mut(place as usize) {
            summary.candidates = Some(candidates);
        }
    }
}
