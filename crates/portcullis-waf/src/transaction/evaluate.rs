//! Runs the rules of a phase, in file order.

use super::report::{Interruption, MatchedTarget, RuleMatch};
use super::state::Key;
use super::values::{NodeId, OutOfWork};
use super::variables::Subject;
use super::{Allowed, Transaction};
use crate::detect::{Detector, OfCommon};
use crate::operator::spec::{Captures, Operator, integer};
use crate::plan::{ChainId, ChangePlan, Check, Link, MacroPlan, NamePlan, PiecePlan, Step};
use crate::seclang::tree::{Control, Disruption, Engine, Phase};

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
        if phase != Phase::Logging {
            // Values were added.
            self.seen.clear(&self.plan.looks);
        }
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
        if let Some(look) = &link.look {
            return self.look(rule, link, check, look, plain, targets);
        }
        let mut any = false;
        let mut result = Ok(());
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

    pub(super) fn keep_target(&self, targets: Option<&mut Vec<MatchedTarget>>, subject: &Subject) {
        if let Some(targets) = targets
            && targets.len() < MOST_TARGETS
        {
            targets.push(self.reported(subject));
        }
    }

    /// Whether one value matches, in any of the forms that the rule looks at.
    pub(super) fn value(
        &mut self,
        link: &'r Link,
        check: &'r Check,
        subject: &Subject,
        plain: Option<&'r [u8]>,
    ) -> Result<bool, OutOfWork> {
        let mut any = false;
        let mut last = None;
        let chains = &self.plan.chains;
        if chains.effective(check.chain, self.values.set(subject.value)) == ChainId::EMPTY {
            // Then no beginning of the chain does either.
            let found = self.node(link, check, subject, subject.value, plain)?;
            if found {
                self.matches_on(subject, subject.value);
                self.act(link);
            }
            return Ok(found);
        }
        for chain in check.steps.iter().chain([&check.chain]) {
            let node = self.values.apply(subject.value, *chain)?;
            if last.replace(node) == Some(node) {
                continue;
            }
            if self.node(link, check, subject, node, plain)? {
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
        subject: &Subject,
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
        let of_common = OfCommon(self.detector);
        let remembers = matches!(check.operator, Operator::DetectSqli) && self.is_common(subject);
        let detector: &dyn Detector = if remembers { &of_common } else { self.detector };
        let found = check
            .operator
            .matches(argument, self.values.bytes(node), detector, wanted)
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
        for (control, removes) in link.control.iter().zip(&link.removes) {
            self.control(control, removes);
        }
    }

    fn control(&mut self, control: &'r Control, removes: &[usize]) {
        match control {
            Control::RemoveRules(_) => {
                self.removed.resize(self.plan.rules.len(), false);
                for rule in removes {
                    if let Some(removed) = self.removed.get_mut(*rule) {
                        *removed = true;
                    }
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
