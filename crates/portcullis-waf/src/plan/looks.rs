//! What rules look at: each target once, and each target in each form once.
//!
//! Rules share both, so that a request finds a target's values once, and what all of them together have once for each
//! form.

use super::{ChainId, TargetPlan};
use std::collections::HashMap;

/// A target's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TargetId(pub(crate) usize);

/// The place of several targets, each in a form or more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GroupId(pub(crate) usize);

/// The place of a target in one form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct FormId(pub(crate) usize);

/// A target that a rule looks at.
#[derive(Debug)]
pub(crate) struct Look {
    pub(crate) target: TargetId,
    /// The forms in which the rule looks at it; several only with `multiMatch`.
    pub(crate) forms: Vec<FormId>,
}

/// All targets whose values stay the same while the rules of a phase run.
#[derive(Debug, Default)]
pub(crate) struct Looks {
    pub(crate) targets: Vec<TargetPlan>,
    pub(crate) forms: Vec<(TargetId, ChainId)>,
    /// What each rule looks at; rules that look at the same share it.
    pub(crate) groups: Vec<Vec<Look>>,
    known_groups: HashMap<Vec<FormId>, GroupId>,
    known_targets: HashMap<String, TargetId>,
    known_forms: HashMap<(TargetId, ChainId), FormId>,
}

impl Looks {
    /// How a rule with these targets looks at them. `None` if what it looks at may change while rules run.
    pub(super) fn place(&mut self, targets: &[TargetPlan], chains: &[ChainId]) -> Option<GroupId> {
        let stable = |target: &TargetPlan| !target.count && !target.variable.changes_while_rules_run();
        if !targets.iter().all(stable) {
            return None;
        }
        let looks: Vec<Look> = targets.iter().map(|target| self.look(target, chains)).collect();
        let key = looks.iter().flat_map(|look| look.forms.iter().copied()).collect();
        Some(*self.known_groups.entry(key).or_insert_with(|| {
            self.groups.push(looks);
            GroupId(self.groups.len() - 1)
        }))
    }

    fn look(&mut self, target: &TargetPlan, chains: &[ChainId]) -> Look {
        let key = format!("{:?}:{:?}!{:?}", target.variable, target.selector, target.excluded);
        let id = *self.known_targets.entry(key).or_insert_with(|| {
            self.targets.push(target.clone());
            TargetId(self.targets.len() - 1)
        });
        let forms = chains.iter().map(|chain| {
            *self.known_forms.entry((id, *chain)).or_insert_with(|| {
                self.forms.push((id, *chain));
                FormId(self.forms.len() - 1)
            })
        });
        Look { target: id, forms: forms.collect() }
    }
}
