//! What rules look at: each target once, each list of targets once, and each list in each form once.
//!
//! Rules share all of them, so that a request finds a target's values once, and what all of them together have once for
//! each form.

use super::{ChainId, TargetPlan};
use std::collections::HashMap;

/// A target's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TargetId(pub(crate) usize);

/// The place of a list of targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ListId(pub(crate) usize);

/// The place of a list of targets in one form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FormId(pub(crate) usize);

/// What a rule looks at.
#[derive(Debug)]
pub(crate) struct Look {
    pub(crate) list: ListId,
    /// The forms in which it looks at the list; several only with `multiMatch`.
    pub(crate) forms: Vec<FormId>,
}

/// All targets whose values stay the same while the rules of a phase run.
#[derive(Debug, Default)]
pub(crate) struct Looks {
    pub(crate) targets: Vec<TargetPlan>,
    pub(crate) lists: Vec<Vec<TargetId>>,
    pub(crate) forms: Vec<(ListId, ChainId)>,
    known_targets: HashMap<String, TargetId>,
    known_lists: HashMap<Vec<TargetId>, ListId>,
    known_forms: HashMap<(ListId, ChainId), FormId>,
}

impl Looks {
    /// How a rule with these targets looks at them. `None` if what it looks at may change while rules run.
    pub(super) fn place(&mut self, targets: &[TargetPlan], chains: &[ChainId]) -> Option<Look> {
        let stable = |target: &TargetPlan| !target.count && !target.variable.changes_while_rules_run();
        if !targets.iter().all(stable) {
            return None;
        }
        let list: Vec<TargetId> = targets.iter().map(|target| self.target(target)).collect();
        let list = *self.known_lists.entry(list).or_insert_with_key(|list| {
            self.lists.push(list.clone());
            ListId(self.lists.len() - 1)
        });
        let forms = chains.iter().map(|chain| {
            *self.known_forms.entry((list, *chain)).or_insert_with(|| {
                self.forms.push((list, *chain));
                FormId(self.forms.len() - 1)
            })
        });
        Some(Look { list, forms: forms.collect() })
    }

    fn target(&mut self, target: &TargetPlan) -> TargetId {
        let key = format!("{:?}:{:?}!{:?}", target.variable, target.selector, target.excluded);
        *self.known_targets.entry(key).or_insert_with(|| {
            self.targets.push(target.clone());
            TargetId(self.targets.len() - 1)
        })
    }
}
