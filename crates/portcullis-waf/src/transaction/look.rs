//! Looks at what rules share: the values of their targets, and what all of these have together.
//!
//! What is decided here is only that a rule cannot match; whether it does, `evaluate` decides. Where work runs out, the request
//! is refused.

use super::Transaction;
use super::report::MatchedTarget;
use super::seen::{Owner, Summary};
use super::values::OutOfWork;
use crate::operator::spec::ByteSet;
use crate::plan::{ChainId, Check, FormId, Link, ListId, Look, Precondition, TargetId};
use std::ops::Range;

impl<'r> Transaction<'r> {
    /// Whether a rule of a chain matches whose targets have the same values while rules run.
    pub(super) fn look(
        &mut self,
        rule: usize,
        link: &'r Link,
        check: &'r Check,
        look: &'r Look,
        plain: Option<&'r [u8]>,
        mut targets: Option<&mut Vec<MatchedTarget>>,
    ) -> Result<bool, OutOfWork> {
        let decides = !check.negated && self.plan.use_filter && !check.precondition.is_empty();
        if decides && !self.list_may_match(look, &check.precondition)? {
            return Ok(false);
        }
        let mut any = false;
        let list = self.plan.looks.lists.get(look.list.0).map_or(&[][..], Vec::as_slice);
        for (id, target) in list.iter().zip(&link.targets) {
            let places = self.places(*id);
            if places.is_empty() || decides && !self.target_may_match(*id, look, &check.precondition)? {
                continue;
            }
            let removed =
                if self.removed_targets.is_empty() { Vec::new() } else { self.removed(target, rule) };
            self.values.spend(places.len())?;
            for place in places {
                let Some(subject) = self.seen.subject(place) else { continue };
                if !removed.is_empty() && self.is_removed(&subject, target, &removed) {
                    continue;
                }
                if subject.proved && check.operator.is_search() && !check.negated {
                    self.skipped += 1;
                    continue;
                }
                if self.value(link, check, &subject, plain)? {
                    any = true;
                    self.keep_target(targets.as_deref_mut(), &subject);
                }
            }
        }
        Ok(any)
    }

    /// Where the values of a target are.
    fn places(&mut self, target: TargetId) -> Range<u32> {
        match self.seen.places(target) {
            Some(places) => places,
            None => self.find_target(target),
        }
    }

    /// Finds the values of a target.
    fn find_target(&mut self, target: TargetId) -> Range<u32> {
        let mut subjects = std::mem::take(&mut self.scratch);
        subjects.clear();
        if let Some(plan) = self.plan.looks.targets.get(target.0) {
            self.subjects_of_all(plan, &mut subjects);
        }
        let places = self.seen.keep(target, &subjects);
        self.scratch = subjects;
        places
    }

    /// Whether any value that a rule looks at could meet the precondition. Most rules end here, with one look at what they
    /// share with all rules that look at the same.
    fn list_may_match(&mut self, look: &Look, wanted: &Precondition) -> Result<bool, OutOfWork> {
        for form in &look.forms {
            let place = match self.seen.form(*form) {
                Some(place) => place,
                None => self.form(*form)?,
            };
            if self.may_meet(place, wanted)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The same for one of the targets.
    fn target_may_match(
        &mut self,
        target: TargetId,
        look: &Look,
        wanted: &Precondition,
    ) -> Result<bool, OutOfWork> {
        for form in &look.forms {
            let chain = self.plan.looks.forms.get(form.0).map_or(ChainId::EMPTY, |(_, chain)| *chain);
            let place = self.summary_of_target(target, chain)?;
            if self.may_meet(place, wanted)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether one of the values of a summary could meet the precondition.
    fn may_meet(&mut self, place: u32, wanted: &Precondition) -> Result<bool, OutOfWork> {
        let Some(summary) = self.seen.summary(place) else { return Ok(true) };
        if !summary.allows(wanted) {
            return Ok(false);
        }
        let Some(bit) = wanted.bit else { return Ok(true) };
        let candidates = match summary.candidates {
            Some(candidates) => candidates,
            None => self.candidates_of(place)?,
        };
        Ok(self.values.has(candidates, bit))
    }

    /// What the values of a list have in one form. Where no transformation can change any of them, it is what they have as
    /// they are.
    fn form(&mut self, form: FormId) -> Result<u32, OutOfWork> {
        let Some((list, chain)) = self.plan.looks.forms.get(form.0) else { return Ok(0) };
        let plain = self.summary_of_list(*list, ChainId::EMPTY)?;
        let bytes = self.seen.summary(plain).map_or(ByteSet::NONE, |summary| summary.bytes);
        let place = self.summary_of_list(*list, self.plan.chains.effective(*chain, &bytes))?;
        self.seen.keep_form(form, place);
        Ok(place)
    }

    fn summary_of_list(&mut self, list: ListId, chain: ChainId) -> Result<u32, OutOfWork> {
        let owner = Owner::List(list);
        if let Some(place) = self.seen.find(owner, chain) {
            return Ok(place);
        }
        let mut all = Summary::new(owner, chain);
        for target in self.plan.looks.lists.get(list.0).into_iter().flatten() {
            if self.places(*target).is_empty() {
                continue;
            }
            let place = self.summary_of_target(*target, chain)?;
            if let Some(summary) = self.seen.summary(place) {
                all.add(summary.longest, &summary.bytes);
            }
        }
        Ok(self.seen.add(all))
    }

    fn summary_of_target(&mut self, target: TargetId, chain: ChainId) -> Result<u32, OutOfWork> {
        let owner = Owner::Target(target);
        let plain = match self.seen.find(owner, ChainId::EMPTY) {
            Some(plain) => plain,
            None => {
                let mut all = Summary::new(owner, ChainId::EMPTY);
                for place in self.places(target) {
                    let Some(subject) = self.seen.subject(place) else { continue };
                    all.add(self.values.bytes(subject.value).len(), self.values.set(subject.value));
                }
                self.seen.add(all)
            }
        };
        let bytes = self.seen.summary(plain).map_or(ByteSet::NONE, |summary| summary.bytes);
        let chain = self.plan.chains.effective(chain, &bytes);
        if chain == ChainId::EMPTY {
            return Ok(plain);
        }
        if let Some(place) = self.seen.find(owner, chain) {
            return Ok(place);
        }
        let mut all = Summary::new(owner, chain);
        for place in self.places(target) {
            let Some(subject) = self.seen.subject(place) else { continue };
            let node = self.values.apply(subject.value, chain)?;
            all.add(self.values.bytes(node).len(), self.values.set(node));
        }
        Ok(self.seen.add(all))
    }

    /// The expressions that can match any value of a summary.
    fn candidates_of(&mut self, place: u32) -> Result<u32, OutOfWork> {
        let Some(&Summary { owner, chain, .. }) = self.seen.summary(place) else {
            return Ok(self.values.no_candidates());
        };
        let all = self.values.no_candidates();
        match owner {
            Owner::List(list) => {
                for target in self.plan.looks.lists.get(list.0).into_iter().flatten() {
                    if self.places(*target).is_empty() {
                        continue;
                    }
                    let summary = self.summary_of_target(*target, chain)?;
                    let candidates = match self.seen.summary(summary).and_then(|summary| summary.candidates) {
                        Some(candidates) => candidates,
                        None => self.candidates_of(summary)?,
                    };
                    self.values.add_candidates(all, candidates);
                }
            }
            Owner::Target(target) => {
                for place in self.places(target) {
                    let Some(subject) = self.seen.subject(place) else { continue };
                    let node = self.values.apply(subject.value, chain)?;
                    let candidates = self.values.candidates(node)?;
                    self.values.add_candidates(all, candidates);
                }
            }
        }
        self.seen.keep_candidates(place, all);
        Ok(all)
    }
}
