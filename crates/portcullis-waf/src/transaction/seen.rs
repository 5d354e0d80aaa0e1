//! What the targets of rules have: their values, and what all values of one target have together.
//!
//! What none of a target's values has cannot make a rule match. Most rules end here, with one look at what they share
//! with all rules for the same target. Emptied where values are added.

use super::variables::Subject;
use crate::operator::spec::ByteSet;
use crate::plan::{FormId, GroupId, Looks, Precondition, TargetId};
use std::ops::Range;

const NOT_YET: u32 = u32::MAX;

/// What the values of a target have in one form, all together.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Summary {
    pub(super) bytes: ByteSet,
    pub(super) longest: usize,
    /// The place of the expressions that can match any of them, once a rule asks for one.
    pub(super) candidates: Option<u32>,
}

impl Summary {
    /// Whether one of the values could meet the precondition, but for its texts.
    pub(super) fn allows(&self, wanted: &Precondition) -> bool {
        self.longest >= wanted.length && wanted.sets.iter().all(|set| set.meets(&self.bytes))
    }

    pub(super) fn add(&mut self, length: usize, bytes: &ByteSet) {
        self.longest = self.longest.max(length);
        self.bytes = self.bytes.union(bytes);
    }
}

/// A target's values.
#[derive(Debug, Clone, Copy)]
struct Target {
    start: u32,
    end: u32,
    /// What they have as they are.
    plain: u32,
}

/// Everything that was found so far.
#[derive(Debug, Default)]
pub(super) struct Seen {
    targets: Vec<Target>,
    subjects: Vec<Subject>,
    /// For each form, the place of its summary.
    forms: Vec<u32>,
    /// For each group, the place of its summary.
    groups: Vec<u32>,
    summaries: Vec<Summary>,
}

impl Seen {
    pub(super) fn clear(&mut self, looks: &Looks) {
        let unknown = Target { start: NOT_YET, end: 0, plain: NOT_YET };
        self.targets.clear();
        self.targets.resize(looks.targets.len(), unknown);
        self.forms.clear();
        self.forms.resize(looks.forms.len(), NOT_YET);
        self.groups.clear();
        self.groups.resize(looks.groups.len(), NOT_YET);
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
            *known = Target { start, end, plain: NOT_YET };
        }
        start..end
    }

    pub(super) fn subject(&self, place: u32) -> Option<Subject> {
        self.subjects.get(place as usize).copied()
    }

    /// The summary of a target's values as they are.
    pub(super) fn plain(&self, target: TargetId) -> Option<u32> {
        self.targets.get(target.0).map(|known| known.plain).filter(|place| *place != NOT_YET)
    }

    pub(super) fn keep_plain(&mut self, target: TargetId, summary: Summary) -> u32 {
        let place = self.push(summary);
        if let Some(known) = self.targets.get_mut(target.0) {
            known.plain = place;
        }
        place
    }

    /// The place of a form's summary.
    pub(super) fn form(&self, form: FormId) -> Option<u32> {
        self.forms.get(form.0).copied().filter(|place| *place != NOT_YET)
    }

    pub(super) fn keep_form(&mut self, form: FormId, summary: Summary) -> u32 {
        let place = self.push(summary);
        self.alias(form, place);
        place
    }

    /// Says that a form has the same values as one whose summary is known.
    pub(super) fn alias(&mut self, form: FormId, place: u32) {
        if let Some(known) = self.forms.get_mut(form.0) {
            *known = place;
        }
    }

    /// The place of a group's summary.
    pub(super) fn group(&self, group: GroupId) -> Option<u32> {
        self.groups.get(group.0).copied().filter(|place| *place != NOT_YET)
    }

    pub(super) fn keep_group(&mut self, group: GroupId, summary: Summary) -> u32 {
        let place = self.push(summary);
        if let Some(known) = self.groups.get_mut(group.0) {
            *known = place;
        }
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

    fn push(&mut self, summary: Summary) -> u32 {
        self.summaries.push(summary);
        u32::try_from(self.summaries.len() - 1).unwrap_or(NOT_YET)
    }
}
