//! The tree to steps.

use super::filter::Builder;
use super::fold::{Folded, State, fold};
use super::{
    ChainId, Chains, ChangePlan, Check, Link, Looks, MacroPlan, NamePlan, PiecePlan, Plan, RuleInfo, SetPlan,
    Settings, Slot, Slots, Step, TargetPlan,
};
use crate::error::{LoadError, LoadErrors};
use crate::seclang::Parsed;
use crate::seclang::tree::{
    Actions, Change, Control, Disruption, Item, Macro, Phase, Piece, Rule, RuleField, Selector, SetVariable,
    TargetUse, Variable,
};
use crate::transform::Transformation;
use std::collections::HashMap;

pub(super) fn compile(parsed: Parsed, settings: &Settings) -> Result<Plan, LoadErrors> {
    let mut state = State::new();
    for (name, value) in &settings.variables {
        state.insert(name.clone().into_bytes(), value.clone().into_bytes());
    }
    let Parsed { items, left_out, leave_out, .. } = parsed;
    let Folded { items, state, count } = fold(items, &state);
    let mut this = Compiler { left_out, ..Compiler::default() };
    let items = this.supported(items, leave_out);
    for item in &items {
        if let Item::Rule(rule) = item {
            this.rule(rule);
        }
    }
    this.jumps(&items);
    let mut initial = vec![None; this.slots.names().len()];
    for (name, value) in state {
        let slot = this.slots.place(&name);
        if initial.len() <= slot.0 {
            initial.resize(slot.0 + 1, None);
        }
        if let Some(place) = initial.get_mut(slot.0) {
            *place = Some(value);
        }
    }
    this.resolve();
    let filter = std::mem::take(&mut this.filter).build();
    match filter {
        Ok(filter) if this.errors.is_empty() => Ok(Plan {
            rules: this.rules,
            phases: this.phases,
            scores: ["blocking_inbound_anomaly_score", "blocking_outbound_anomaly_score"]
                .map(|name| this.slots.find(name.as_bytes())),
            slots: this.slots,
            initial,
            chains: this.chains,
            filter,
            use_filter: true,
            looks: this.looks,
            left_out: this.left_out,
            folded: count,
        }),
        Ok(_) => Err(LoadErrors(this.errors)),
        Err(message) => {
            let at = crate::error::Location { file: "rules".into(), line: 0 };
            this.errors.push(LoadError::new(&at, format!("the prefilter: {message}")));
            Err(LoadErrors(this.errors))
        }
    }
}

struct Compiler {
    rules: Vec<RuleInfo>,
    phases: [Vec<Step>; 5],
    slots: Slots,
    chains: Chains,
    filter: Builder,
    looks: Looks,
    errors: Vec<LoadError>,
    left_out: Vec<LoadError>,
}

impl Default for Compiler {
    fn default() -> Self {
        Self {
            rules: Vec::new(),
            phases: Default::default(),
            slots: Slots::new(),
            chains: Chains::default(),
            filter: Builder::default(),
            looks: Looks::default(),
            errors: Vec::new(),
            left_out: Vec::new(),
        }
    }
}

impl Compiler {
    /// The rules without those that cannot be carried out, which are errors or left out.
    fn supported(&mut self, items: Vec<Item>, leave_out: bool) -> Vec<Item> {
        let mut kept = Vec::with_capacity(items.len());
        for item in items {
            let fault = match &item {
                Item::Marker(_) => None,
                Item::Rule(rule) => std::iter::once(&**rule).chain(&rule.links).find_map(|link| {
                    let what = link.actions.unsupported.first()?;
                    Some(LoadError::unsupported(&link.location, format!("{what} is not supported")).help(
                        "a rule with it loads only where it can never match; persistent collections are left to the gateway's limits",
                    ))
                }),
            };
            match fault {
                None => kept.push(item),
                Some(fault) if leave_out => self.left_out.push(fault),
                Some(fault) => self.errors.push(fault),
            }
        }
        kept
    }

    fn rule(&mut self, rule: &Rule) {
        let actions = &rule.actions;
        let phase = actions.phase.unwrap_or(Phase::RequestBody);
        let id = actions.id.unwrap_or(0);
        let links = std::iter::once(rule).chain(&rule.links).map(|link| self.link(link, actions)).collect();
        let place = self.rules.len();
        self.rules.push(RuleInfo {
            id,
            location: rule.location.clone(),
            message: actions.message_text.clone().unwrap_or_default(),
            tags: actions.tags.clone(),
            severity: actions.severity,
            phase,
            log: actions.log.unwrap_or(true),
        });
        let step = Step {
            rule: place,
            links,
            disruption: actions.disruption.unwrap_or(Disruption::Pass),
            status: actions.status,
            jump: None,
        };
        if let Some(steps) = self.phases.get_mut(phase.index()) {
            steps.push(step);
        }
    }

    fn link(&mut self, rule: &Rule, head: &Actions) -> Link {
        let check = rule.operator.as_ref().map(|used| {
            let all = &rule.actions.transformations;
            let chain = self.chain(all, rule);
            let on_the_way = if rule.actions.multi_match { all.len() } else { 0 };
            let steps: Vec<ChainId> =
                (0..on_the_way).map(|count| self.chain(all.get(..count).unwrap_or(all), rule)).collect();
            Check {
                operator: used.operator.clone(),
                negated: used.negated,
                argument: used.operator.argument().map(|text| self.text(text, head)),
                chain,
                steps,
                precondition: self.filter.precondition(&used.operator),
            }
        });
        let targets = self.targets(rule);
        Link {
            look: check.as_ref().and_then(|check| {
                let chains: Vec<ChainId> = check.steps.iter().copied().chain([check.chain]).collect();
                self.looks.place(&targets, &chains)
            }),
            targets,
            check,
            capture: rule.actions.capture,
            set: rule.actions.set.iter().map(|set| self.set(set, head)).collect(),
            control: rule.actions.control.clone(),
            removes: Vec::new(),
        }
    }

    fn targets(&mut self, rule: &Rule) -> Vec<TargetPlan> {
        let mut targets: Vec<TargetPlan> = Vec::new();
        for (used, target) in &rule.targets {
            if *used == TargetUse::Exclude {
                continue;
            }
            let slot = match (&target.selector, target.variable) {
                (Selector::Name(name), Variable::Tx) => Some(self.slots.place(name)),
                _ => None,
            };
            let excluded = rule
                .targets
                .iter()
                .filter(|(used, other)| *used == TargetUse::Exclude && other.variable == target.variable)
                .map(|(_, other)| other.selector.clone())
                .collect();
            targets.push(TargetPlan {
                variable: target.variable,
                selector: target.selector.clone(),
                slot,
                slots: Vec::new(),
                excluded,
                count: *used == TargetUse::Count,
            });
        }
        targets
    }

    fn chain(&mut self, steps: &[Transformation], rule: &Rule) -> ChainId {
        self.chains.place(steps).unwrap_or_else(|| {
            self.errors.push(LoadError::new(&rule.location, "there are too many transformation chains"));
            ChainId::EMPTY
        })
    }

    fn set(&mut self, set: &SetVariable, head: &Actions) -> SetPlan {
        SetPlan {
            name: match set.name.as_text() {
                Some(name) => NamePlan::Slot(self.slots.place(name)),
                None => NamePlan::Dynamic(self.text(&set.name, head)),
            },
            change: match &set.change {
                Change::Set(text) => ChangePlan::Set(self.text(text, head)),
                Change::Add(text) => ChangePlan::Add(self.text(text, head)),
                Change::Subtract(text) => ChangePlan::Subtract(self.text(text, head)),
                Change::Remove => ChangePlan::Remove,
            },
        }
    }

    fn text(&mut self, text: &Macro, head: &Actions) -> MacroPlan {
        let pieces = text.0.iter().map(|piece| match piece {
            Piece::Text(text) => PiecePlan::Text(text.clone()),
            Piece::Tx(name) => PiecePlan::Slot(self.slots.place(name)),
            Piece::Variable(target) => PiecePlan::Variable(target.variable, target.selector.clone()),
            Piece::Rule(field) => PiecePlan::Text(match field {
                RuleField::Id => head.id.unwrap_or(0).to_string().into_bytes(),
                RuleField::Message => head.message_text.clone().unwrap_or_default().into_bytes(),
                RuleField::Severity => head.severity.map(|s| s.to_string()).unwrap_or_default().into_bytes(),
            }),
        });
        MacroPlan(pieces.collect())
    }

    /// Finds what needs all rules: which of them each `ctl` removes, and which TX variables each selector selects.
    fn resolve(&mut self) {
        for link in self.phases.iter_mut().flatten().flat_map(|step| &mut step.links) {
            let removed = link.control.iter().map(|control| match control {
                Control::RemoveRules(which) => self
                    .rules
                    .iter()
                    .enumerate()
                    .filter(|(_, rule)| rule.is_selected(which))
                    .map(|(place, _)| place)
                    .collect(),
                Control::RemoveTarget(..)
                | Control::Engine(_)
                | Control::RequestBodyProcessor(_)
                | Control::ForceRequestBodyVariable(_)
                | Control::RequestBodyAccess(_)
                | Control::ResponseBodyAccess(_) => Vec::new(),
            });
            link.removes = removed.collect();
            for target in link.targets.iter_mut().filter(|target| target.variable == Variable::Tx) {
                let names = self.slots.names().iter().enumerate();
                let selected = names.filter(|(_, name)| target.selector.selects(name));
                target.slots = selected.map(|(place, _)| Slot(place)).collect();
            }
        }
    }

    /// Finds where each `skipAfter` and `skip` goes on: after the marker, or at the phase's end if there is none.
    fn jumps(&mut self, items: &[Item]) {
        // For each item, how many steps of each phase stand before it.
        let mut counts = [0_usize; 5];
        let mut markers: HashMap<&str, Vec<(usize, [usize; 5])>> = HashMap::new();
        for (place, item) in items.iter().enumerate() {
            match item {
                Item::Marker(name) => markers.entry(name).or_default().push((place, counts)),
                Item::Rule(rule) => {
                    let phase = rule.actions.phase.unwrap_or(Phase::RequestBody).index();
                    if let Some(count) = counts.get_mut(phase) {
                        *count += 1;
                    }
                }
            }
        }
        let mut at = [0_usize; 5];
        for (place, item) in items.iter().enumerate() {
            let Item::Rule(rule) = item else { continue };
            let phase = rule.actions.phase.unwrap_or(Phase::RequestBody).index();
            let (Some(steps), Some(step)) = (self.phases.get_mut(phase), at.get_mut(phase)) else { continue };
            let end = steps.len();
            let jump = match (&rule.actions.skip_after, rule.actions.skip) {
                (Some(name), _) => {
                    let after =
                        markers.get(name.as_str()).into_iter().flatten().find(|(marker, _)| *marker > place);
                    Some(after.and_then(|(_, counts)| counts.get(phase)).copied().unwrap_or(end))
                }
                (None, Some(count)) => Some((*step + 1).saturating_add(count as usize).min(end)),
                (None, None) => None,
            };
            if let Some(compiled) = steps.get_mut(*step) {
                compiled.jump = jump;
            }
            *step += 1;
        }
    }
}
