//! Takes out what is decided when the rules are loaded.
//!
//! Most of a rule set's first rules give defaults to TX variables, and its paranoia levels are rules that skip others.
//! Both depend on nothing but TX variables that no request can change. They are run here, once: their effect becomes
//! the state in which each request begins, and what they skip is left out.
//!
//! A rule stays where anything could make its result differ at run time: a target other than TX, a variable that a
//! rule that stays may have changed by then, a rule before it that may jump over it, or one that may remove it and
//! not also all that it guards. A variable is not set beforehand if a rule that stays reads it before.

use crate::detect::LibInjection;
use crate::seclang::tree::{
    Actions, Change, Control, Disruption, Item, Macro, Phase, Piece, Rule, RuleSelector, Selector, Target,
    TargetUse, Variable,
};
use std::collections::{HashMap, HashSet};

/// TX variables and their values.
pub(super) type State = HashMap<Vec<u8>, Vec<u8>>;

/// What is left.
pub(super) struct Folded {
    pub(super) items: Vec<Item>,
    pub(super) state: State,
    pub(super) count: usize,
}

/// Names that a request may change.
#[derive(Default, Clone, PartialEq)]
struct Changing {
    names: HashSet<Vec<u8>>,
    /// Beginnings of names that are made at run time.
    prefixes: HashSet<Vec<u8>>,
}

impl Changing {
    fn has(&self, name: &[u8]) -> bool {
        let capture = matches!(name, [digit] if digit.is_ascii_digit());
        capture || self.names.contains(name) || self.prefixes.iter().any(|prefix| name.starts_with(prefix))
    }

    fn add(&mut self, actions: &Actions) {
        for set in &actions.set {
            match set.name.as_text() {
                Some(name) => drop(self.names.insert(name.to_vec())),
                None => {
                    let prefix = match set.name.0.first() {
                        Some(Piece::Text(text)) => text.clone(),
                        _ => Vec::new(),
                    };
                    self.prefixes.insert(prefix);
                }
            }
        }
    }
}

impl Changing {
    /// Adds the names that a rule reads.
    fn add_reads(&mut self, rule: &Rule) {
        for (_, target) in &rule.targets {
            match (&target.selector, target.variable) {
                (Selector::Name(name), Variable::Tx) => drop(self.names.insert(name.to_ascii_lowercase())),
                (_, Variable::Tx) => drop(self.prefixes.insert(Vec::new())),
                _ => {}
            }
        }
        let argument = rule.operator.as_ref().and_then(|used| used.operator.argument());
        let sets = rule.actions.set.iter().flat_map(|set| {
            let value = match &set.change {
                Change::Set(text) | Change::Add(text) | Change::Subtract(text) => Some(text),
                Change::Remove => None,
            };
            // Adding to a variable reads it.
            if let Some(name) = set.name.as_text() {
                self.names.insert(name.to_vec());
            }
            value.into_iter().chain([&set.name])
        });
        let texts: Vec<&Macro> = argument.into_iter().chain(sets).collect();
        for piece in texts.iter().flat_map(|text| &text.0) {
            if let Piece::Tx(name) = piece {
                self.names.insert(name.clone());
            }
        }
    }
}

/// Folds the rules, beginning with `state`.
pub(super) fn fold(items: Vec<Item>, state: &State) -> Folded {
    let mut changing = Changing::default();
    loop {
        let Pass { changing: found, gone, state: folded, .. } = Pass::run(&items, state.clone(), &changing);
        if found == changing {
            let before = items.len();
            let mut gone = gone.into_iter();
            let items: Vec<Item> = items.into_iter().filter(|_| !gone.next().unwrap_or(false)).collect();
            return Folded { count: before - items.len(), items, state: folded };
        }
        changing = found;
    }
}

struct Pass<'i> {
    items: &'i [Item],
    state: State,
    /// All names that rules which stay may change.
    changing: Changing,
    /// Those which rules that stay may have changed before the place that is looked at.
    changed: Changing,
    /// Those which such rules may have read.
    read: Changing,
    gone: Vec<bool>,
}

impl<'i> Pass<'i> {
    fn run(items: &'i [Item], state: State, changing: &Changing) -> Self {
        let gone = vec![false; items.len()];
        let (changed, read) = (Changing::default(), Changing::default());
        let mut pass = Self { items, state, changing: changing.clone(), changed, read, gone };
        for phase in Phase::ALL {
            if phase != Phase::RequestHeaders {
                // Rules of all phases may have run by then.
                pass.changed = pass.changing.clone();
            }
            pass.phase(phase);
        }
        pass
    }

    fn phase(&mut self, phase: Phase) {
        let mut skipping: Option<&str> = None; // decided here
        let mut may_skip: HashSet<&str> = HashSet::new(); // decided at run time
        let mut may_skip_all = false;
        let mut removals: Vec<&RuleSelector> = Vec::new();
        for (place, item) in self.items.iter().enumerate() {
            let rule = match item {
                Item::Marker(name) => {
                    may_skip.remove(name.as_str());
                    if skipping == Some(name.as_str()) {
                        skipping = None;
                    }
                    continue;
                }
                Item::Rule(rule) if rule.actions.phase == Some(phase) => rule,
                Item::Rule(_) => continue,
            };
            if skipping.is_some() {
                self.mark(place);
                continue;
            }
            let certain = may_skip.is_empty() && !may_skip_all;
            let decided = if certain { self.decide(rule, phase, place, &removals) } else { None };
            match decided {
                Some(Decision::Never) => self.mark(place),
                Some(Decision::Always) => {
                    self.mark(place);
                    self.apply(&rule.actions);
                    skipping = rule.actions.skip_after.as_deref();
                }
                None => {
                    for link in std::iter::once(&**rule).chain(&rule.links) {
                        self.changing.add(&link.actions);
                        self.changed.add(&link.actions);
                        self.read.add_reads(link);
                        removals.extend(link.actions.control.iter().filter_map(|control| match control {
                            Control::RemoveRules(which) => Some(which),
                            Control::RemoveTarget(..)
                            | Control::Engine(_)
                            | Control::RequestBodyProcessor(_)
                            | Control::ForceRequestBodyVariable(_)
                            | Control::RequestBodyAccess(_)
                            | Control::ResponseBodyAccess(_) => None,
                        }));
                    }
                    may_skip.extend(rule.actions.skip_after.as_deref());
                    may_skip_all |= rule.actions.skip.is_some()
                        || matches!(
                            rule.actions.disruption,
                            Some(Disruption::Allow | Disruption::AllowPhase | Disruption::AllowRequest)
                        );
                }
            }
        }
    }

    fn mark(&mut self, place: usize) {
        if let Some(gone) = self.gone.get_mut(place) {
            *gone = true;
        }
    }

    /// What the rule will always do, if that is known.
    fn decide(
        &self,
        rule: &Rule,
        phase: Phase,
        place: usize,
        removals: &[&RuleSelector],
    ) -> Option<Decision> {
        if self.matches(rule)? {
            let actions = &rule.actions;
            let quiet = actions.log == Some(false)
                && actions.disruption == Some(Disruption::Pass)
                && actions.control.is_empty()
                && actions.unsupported.is_empty()
                && actions.skip.is_none()
                && !actions.capture
                && rule.links.is_empty();
            // After the first phase, a variable that is set would have to count as set from there on.
            let settled = actions.set.is_empty() || phase == Phase::RequestHeaders;
            let known = actions.set.iter().all(|set| {
                set.name.as_text().is_some_and(|name| !self.changed.has(name) && !self.read.has(name))
                    && match &set.change {
                        Change::Set(text) | Change::Add(text) | Change::Subtract(text) => {
                            self.text(text).is_some()
                        }
                        Change::Remove => true,
                    }
            });
            let stays = removals.iter().all(|which| {
                !which.selects(actions)
                    || (actions.set.is_empty() && self.removes_guarded(which, rule, place))
            });
            return (quiet && settled && known && stays).then_some(Decision::Always);
        }
        // A rule that never matches is not missed, whoever removes it.
        Some(Decision::Never)
    }

    /// Whether `which` removes everything that `rule` jumps over.
    fn removes_guarded(&self, which: &RuleSelector, rule: &Rule, place: usize) -> bool {
        let Some(end) = rule.actions.skip_after.as_deref() else { return true };
        self.items
            .iter()
            .skip(place + 1)
            .take_while(|item| !matches!(item, Item::Marker(name) if name == end))
            .all(|item| match item {
                Item::Rule(guarded) => {
                    guarded.actions.phase != rule.actions.phase || which.selects(&guarded.actions)
                }
                Item::Marker(_) => true,
            })
    }

    /// Whether the rule's first link matches, if TX variables that do not change say so.
    fn matches(&self, rule: &Rule) -> Option<bool> {
        let Some(used) = &rule.operator else { return Some(true) };
        let argument = match used.operator.argument() {
            Some(argument) => self.text(argument)?,
            None => Vec::new(),
        };
        let mut any = false;
        for (kind, target) in &rule.targets {
            let Target { variable: Variable::Tx, selector: Selector::Name(name) } = target else {
                return None;
            };
            let name = name.to_ascii_lowercase();
            if self.changed.has(&name) {
                return None;
            }
            let value = match (kind, self.state.get(&name)) {
                (TargetUse::Exclude, _) => return None,
                (TargetUse::Count, value) => usize::from(value.is_some()).to_string().into_bytes(),
                (TargetUse::Value, Some(value)) => value.clone(),
                (TargetUse::Value, None) => continue,
            };
            let value = rule
                .actions
                .transformations
                .iter()
                .fold(value, |value, step| step.apply(&value).unwrap_or(value));
            let found = used.operator.matches(&argument, &value, &LibInjection, None).ok()?;
            any |= found != used.negated;
        }
        Some(any)
    }

    fn text(&self, text: &Macro) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        for piece in &text.0 {
            match piece {
                Piece::Text(text) => out.extend(text),
                Piece::Tx(name) if !self.changed.has(name) => {
                    out.extend(self.state.get(name).into_iter().flatten());
                }
                Piece::Tx(_) | Piece::Variable(_) | Piece::Rule(_) => return None,
            }
        }
        Some(out)
    }

    fn apply(&mut self, actions: &Actions) {
        for set in &actions.set {
            let Some(name) = set.name.as_text().map(<[u8]>::to_vec) else { continue };
            let number =
                |state: &State| state.get(&name).map_or(0, |value| crate::operator::spec::integer(value));
            let value = match &set.change {
                Change::Set(text) => self.text(text),
                Change::Add(text) => self.text(text).map(|text| {
                    number(&self.state)
                        .saturating_add(crate::operator::spec::integer(&text))
                        .to_string()
                        .into_bytes()
                }),
                Change::Subtract(text) => self.text(text).map(|text| {
                    number(&self.state)
                        .saturating_sub(crate::operator::spec::integer(&text))
                        .to_string()
                        .into_bytes()
                }),
                Change::Remove => None,
            };
            match value {
                Some(value) => drop(self.state.insert(name, value)),
                None => drop(self.state.remove(&name)),
            }
        }
    }
}

enum Decision {
    Never,
    Always,
}
