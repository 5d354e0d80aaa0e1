//! Runs the rules of a phase, in file order.

use super::report::{Interruption, MatchedTarget, RuleMatch};
use super::state::Key;
use super::values::{NodeId, OutOfWork};
use super::variables::{Form, Subject};
use super::{Allowed, Transaction, Union};
use crate::operator::spec::{Captures, integer};
use crate::plan::{Candidates, ChangePlan, Check, Link, MacroPlan, NamePlan, PiecePlan, Step};
use crate::seclang::tree::{Control, Disruption, Engine, Phase, RuleSelector, Selector};

/// The most targets that a match reports.
const MOST_TARGETS: usize = 16;
/// The most bytes of a target's name that a match reports.
const MOST_NAME: usize = 100;
/// The most names and values of one chain's matches that `MATCHED_VARS` keeps.
const MOST_MATCHED: usize = 2_000;
/// What running an operator costs besides the bytes.
const OPERATOR: usize = 32;

impl<'r> Transaction<'r> {
    /// Runs a phase, unless the request is refused or let off already.
    pub(super) fn run(&mut self, phase: Phase) {
        let refused = self.interruption.is_some() && !self.observing;
        let response = matches!(phase, Phase::ResponseHeaders | Phase::ResponseBody);
        let allowed = match self.allowed {
            None => false,
            Some(Allowed::Request) => phase == Phase::RequestBody,
            Some(Allowed::Everything) => phase == Phase::RequestBody || response,
        };
        if phase != Phase::Logging && (refused || allowed) || self.exhausted {
            return;
        }
        if self.steps(phase).is_err() {
            self.exhausted = true;
            let spent = Interruption { id: 0, phase, status: 403 };
            // SECURITY: what could not be judged is refused, also where an earlier rule would only be observed
            // (`work_that_runs_out_refuses`).
            self.interruption.get_or_insert(spent);
        }
    }

    fn steps(&mut self, phase: Phase) -> Result<(), OutOfWork> {
        let plan = self.plan;
        let Some(steps) = plan.phases.get(phase.index()) else { return Ok(()) };
        self.unions.clear();
        let mut at = 0;
        while let Some(step) = steps.get(at) {
            at += 1;
            if self.engine == Engine::Off {
                return Ok(());
            }
            if self.removed.get(step.rule).copied().unwrap_or(false) {
                continue;
            }
            if !self.chain(step)? {
                continue;
            }
            if let Some(jump) = step.jump {
                at = jump;
            }
            match step.disruption {
                Disruption::Pass | Disruption::Block => {}
                Disruption::Deny => {
                    if self.engine == Engine::On {
                        let id = plan.rules.get(step.rule).map_or(0, |rule| rule.id);
                        let status = step.status.unwrap_or(403);
                        self.interruption.get_or_insert(Interruption { id, phase, status });
                        if !self.observing && phase != Phase::Logging {
                            return Ok(());
                        }
                    }
                }
                Disruption::AllowPhase => return Ok(()),
                Disruption::AllowRequest => {
                    self.allowed = Some(Allowed::Request);
                    return Ok(());
                }
                Disruption::Allow => {
                    self.allowed = Some(Allowed::Everything);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Whether all rules of a chain match. What each does besides refusing happens as it matches.
    fn chain(&mut self, step: &'r Step) -> Result<bool, OutOfWork> {
        self.matched.all.clear();
        let mut targets: Vec<MatchedTarget> = Vec::new();
        for (place, link) in step.links.iter().enumerate() {
            let keep = if place == 0 { Some(&mut targets) } else { None };
            if !self.link(step.rule, link, keep)? {
                return Ok(false);
            }
        }
        if let Some(info) = self.plan.rules.get(step.rule) {
            if let Some(severity) = info.severity {
                let highest = self.matched.highest_severity.get_or_insert(severity);
                *highest = severity.min(*highest);
            }
            if info.log {
                self.matches.push(RuleMatch { rule: step.rule, id: info.id, targets });
            }
        }
        Ok(true)
    }

    fn link(
        &mut self,
        rule: usize,
        link: &'r Link,
        mut targets: Option<&mut Vec<MatchedTarget>>,
    ) -> Result<bool, OutOfWork> {
        let Some(check) = &link.check else {
            self.act(link);
            return Ok(true);
        };
        let plain = check.argument.as_ref().and_then(MacroPlan::as_text);
        let mut any = false;
        let mut result = Ok(());
        if let Some(group) = link.group {
            self.unite(group, link, check)?;
            if self.is_passed_over(group, check) {
                return Ok(false);
            }
            // What the group looks at is found once for all of its links, and is not changed while they run.
            let forms =
                self.unions.get_mut(group).map(|union| std::mem::take(&mut union.forms)).unwrap_or_default();
            let removed = self.removed_selectors(link, rule);
            result = self.values.spend(forms.len());
            for form in &forms {
                let Form { subject, node, .. } = form;
                if result.is_err() {
                    break;
                }
                if !removed.is_empty() && self.is_removed(form, link, &removed) {
                    continue;
                }
                if subject.proved && check.operator.is_search() && !check.negated {
                    self.skipped += 1;
                    continue;
                }
                result = self.node(link, check, *node, plain).map(|found| {
                    if found {
                        any = true;
                        self.matches_on(subject, *node);
                        self.act(link);
                        self.keep_target(targets.as_deref_mut(), subject);
                    }
                });
            }
            if let Some(union) = self.unions.get_mut(group) {
                union.forms = forms;
            }
            return result.map(|()| any);
        }
        let mut subjects = std::mem::take(&mut self.scratch);
        subjects.clear();
        for target in &link.targets {
            self.subjects(target, rule, &mut subjects);
        }
        self.values.spend(subjects.len())?;
        for subject in &subjects {
            if subject.proved && check.operator.is_search() && !check.negated {
                self.skipped += 1;
                continue;
            }
            match self.value(link, check, subject, plain) {
                Ok(false) => {}
                Ok(true) => {
                    any = true;
                    self.keep_target(targets.as_deref_mut(), subject);
                }
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        self.scratch = subjects;
        result.map(|()| any)
    }

    /// What rules have removed from the targets of a rule: the places of the targets, and which of their entries.
    fn removed_selectors(&self, link: &Link, rule: usize) -> Vec<(usize, &'r Selector)> {
        let mut removed = Vec::new();
        for (which, what) in &self.removed_targets {
            let mut of =
                link.targets.iter().enumerate().filter(|(_, target)| target.variable == what.variable);
            if of.clone().next().is_some() && self.is_selected(which, rule) {
                removed.extend(of.by_ref().map(|(place, _)| (place, &what.selector)));
            }
        }
        removed
    }

    fn keep_target(&self, targets: Option<&mut Vec<MatchedTarget>>, subject: &Subject) {
        if let Some(targets) = targets
            && targets.len() < MOST_TARGETS
        {
            targets.push(self.reported(subject));
        }
    }

    /// Whether no value that the link looks at can match. Most rules end here, with one look at what they share with all
    /// rules for the same targets.
    fn is_passed_over(&self, group: usize, check: &Check) -> bool {
        let wanted = &check.precondition;
        let decides = !check.negated && self.plan.use_filter && !wanted.is_empty();
        decides && self.unions.get(group).is_some_and(|union| !union.allows(wanted))
    }

    /// Finds what a link looks at, in the form in which it does, and what all of it together has, unless that is known.
    fn unite(&mut self, group: usize, link: &'r Link, check: &'r Check) -> Result<(), OutOfWork> {
        if self.unions.is_empty() {
            self.unions.resize_with(self.plan.groups, Union::default);
        }
        let wants_candidates = check.precondition.bit.is_some() && self.plan.use_filter && !check.negated;
        let (is_known, has_candidates) = match self.unions.get(group) {
            Some(union) => (union.is_known, union.candidates.is_some()),
            None => return Ok(()),
        };
        if is_known && (has_candidates || !wants_candidates) {
            return Ok(());
        }
        let mut union = self.unions.get_mut(group).map(std::mem::take).unwrap_or_default();
        if !is_known {
            let mut subjects = std::mem::take(&mut self.scratch);
            let mut result = Ok(());
            for (target, plan) in link.targets.iter().enumerate() {
                subjects.clear();
                self.subjects_of_all(plan, &mut subjects);
                union.forms.reserve(subjects.len());
                for subject in &subjects {
                    match self.values.apply(subject.value, check.chain) {
                        Ok(node) => {
                            union.add(self.values.bytes(node).len(), self.values.set(node));
                            union.forms.push(Form { subject: *subject, node, target });
                        }
                        Err(error) => result = Err(error),
                    }
                }
            }
            self.scratch = subjects;
            result?;
            union.is_known = true;
        }
        if wants_candidates {
            let mut all = Candidates::default();
            for form in &union.forms {
                self.values.with_candidates(form.node, |candidates| all.add(candidates))?;
            }
            union.candidates = Some(all);
        }
        if let Some(slot) = self.unions.get_mut(group) {
            *slot = union;
        }
        Ok(())
    }

    /// Whether one value matches, in any of the forms that the rule looks at.
    fn value(
        &mut self,
        link: &'r Link,
        check: &'r Check,
        subject: &Subject,
        plain: Option<&'r [u8]>,
    ) -> Result<bool, OutOfWork> {
        let mut any = false;
        let mut last = None;
        for chain in check.steps.iter().chain([&check.chain]) {
            let node = self.values.apply(subject.value, *chain)?;
            if last.replace(node) == Some(node) {
                continue;
            }
            if self.node(link, check, node, plain)? {
                any = true;
                self.matches_on(subject, node);
                self.act(link);
            }
        }
        Ok(any)
    }

    fn node(
        &mut self,
        link: &Link,
        check: &Check,
        node: NodeId,
        plain: Option<&[u8]>,
    ) -> Result<bool, OutOfWork> {
        if !self.values.can_match(node, &check.precondition)? {
            return Ok(check.negated);
        }
        let made;
        let argument = match (plain, &check.argument) {
            (Some(plain), _) => plain,
            (None, Some(text)) => {
                made = self.text(text);
                &made
            }
            (None, None) => b"",
        };
        let length = self.values.bytes(node).len() + argument.len();
        self.values.spend(OPERATOR + length)?;
        let mut captures = Captures::default();
        let wanted = (link.capture && !check.negated).then_some(&mut captures);
        let found = check
            .operator
            .matches(argument, self.values.bytes(node), self.detector, wanted)
            .map_err(|_| OutOfWork)?;
        if found && !captures.0.is_empty() {
            self.state.capture(captures.0);
        }
        Ok(found != check.negated)
    }

    fn matches_on(&mut self, subject: &Subject, node: NodeId) {
        let mut name = subject.variable.name().as_bytes().to_vec();
        if let Some(entry) = subject.name {
            name.push(b':');
            name.extend(self.values.bytes(entry));
        }
        if self.matched.all.len() < MOST_MATCHED {
            self.matched.all.push((name.clone(), node));
        }
        self.matched.name = name;
        self.matched.value = Some(node);
    }

    fn reported(&self, subject: &Subject) -> MatchedTarget {
        let name = subject.name.map(|name| self.values.bytes(name)).unwrap_or_default();
        let name = name.get(..MOST_NAME).unwrap_or(name);
        MatchedTarget { variable: subject.variable, name: String::from_utf8_lossy(name).into_owned() }
    }

    /// What a match does besides refusing.
    fn act(&mut self, link: &'r Link) {
        for set in &link.set {
            let key = match &set.name {
                NamePlan::Slot(slot) => Key::Slot(*slot),
                NamePlan::Dynamic(name) => {
                    let name = self.text(name);
                    match self.plan.slots.find(&name) {
                        Some(slot) => Key::Slot(slot),
                        None => Key::Dynamic(name),
                    }
                }
            };
            let value = match &set.change {
                ChangePlan::Set(text) => Some(self.text(text)),
                ChangePlan::Add(text) => {
                    let more = integer(&self.text(text));
                    Some(self.state.current(&key).saturating_add(more).to_string().into_bytes())
                }
                ChangePlan::Subtract(text) => {
                    let less = integer(&self.text(text));
                    Some(self.state.current(&key).saturating_sub(less).to_string().into_bytes())
                }
                ChangePlan::Remove => None,
            };
            self.state.set(key, value);
        }
        for control in &link.control {
            self.control(control);
        }
    }

    fn control(&mut self, control: &'r Control) {
        match control {
            Control::RemoveRules(which) => {
                self.removed.resize(self.plan.rules.len(), false);
                let selected: Vec<bool> =
                    (0..self.plan.rules.len()).map(|rule| self.is_selected(which, rule)).collect();
                for (removed, selected) in self.removed.iter_mut().zip(selected) {
                    *removed |= selected;
                }
            }
            Control::RemoveTarget(which, target) => {
                let known = self.removed_targets.iter().any(|(other, _)| std::ptr::eq(*other, which));
                if !known {
                    self.removed_targets.push((which, target));
                }
            }
            Control::Engine(engine) => self.engine = *engine,
            Control::RequestBodyProcessor(processor) => self.collections.processor = Some(*processor),
            Control::ForceRequestBodyVariable(force) => self.collections.force_body = *force,
            Control::RequestBodyAccess(access) => self.collections.body_access = *access,
            Control::ResponseBodyAccess(_) => {}
        }
    }

    /// Whether a rule is meant.
    pub(super) fn is_selected(&self, which: &RuleSelector, rule: usize) -> bool {
        let Some(info) = self.plan.rules.get(rule) else { return false };
        match which {
            RuleSelector::Ids(ranges) => ranges.iter().any(|range| range.contains(&info.id)),
            RuleSelector::Tag(pattern) => info.tags.iter().any(|tag| pattern.is_match(tag.as_bytes())),
            RuleSelector::Message(pattern) => pattern.is_match(info.message.as_bytes()),
        }
    }

    /// A text with its macros expanded.
    fn text(&mut self, text: &MacroPlan) -> Vec<u8> {
        let mut out = Vec::new();
        for piece in &text.0 {
            match piece {
                PiecePlan::Text(text) => out.extend(text),
                PiecePlan::Slot(slot) => out.extend(self.state.slot(*slot).unwrap_or_default()),
                PiecePlan::Variable(variable, selector) => {
                    let value = self.first(*variable, selector);
                    out.extend(value);
                }
            }
        }
        out
    }
}

impl MacroPlan {
    fn as_text(&self) -> Option<&[u8]> {
        match self.0.as_slice() {
            [] => Some(b""),
            [PiecePlan::Text(text)] => Some(text),
            _ => None,
        }
    }
}
