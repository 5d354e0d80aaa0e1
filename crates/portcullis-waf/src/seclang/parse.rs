//! Directives to a tree: rules, chains, defaults, updates and removals.

use super::lexer::{self, Words};
use super::operator::ReadFile;
use super::tree::{
    Actions, Disruption, Ids, Item, Operator, OperatorUse, Phase, Rule, RuleSelector, Target, TargetUse,
};
use super::{actions, operator, targets};
use crate::error::{LoadError, Location};
use crate::transform::Transformation;
use std::collections::HashMap;
use std::sync::Arc;

/// `SecDefaultAction` for one phase.
#[derive(Debug, Clone)]
pub(crate) struct Defaults {
    pub(crate) disruption: Disruption,
    pub(crate) status: Option<u16>,
    pub(crate) log: bool,
    transformations: Vec<Transformation>,
}

impl Default for Defaults {
    fn default() -> Self {
        Self { disruption: Disruption::Pass, status: None, log: true, transformations: Vec::new() }
    }
}

/// A change to rules that stand before it.
#[derive(Debug)]
enum Update {
    Targets(RuleSelector, Vec<(TargetUse, Target)>),
    Remove(RuleSelector),
}

/// What the files of a rule set say so far.
#[derive(Debug, Default)]
pub(crate) struct Parsed {
    /// Rules and markers in file order.
    pub(crate) items: Vec<Item>,
    /// Rules that were left out because of what is not supported in them.
    pub(crate) left_out: Vec<LoadError>,
    /// Whether rules with something unsupported are left out rather than refused.
    pub(crate) leave_out: bool,
    defaults: HashMap<Phase, Defaults>,
    ids: HashMap<u64, Location>,
    /// Whether the last rule expects a link.
    open_chain: bool,
    /// Whether the open chain is being left out.
    skipping: bool,
}

/// Adds the files that an `Include` names.
pub(super) type IncludeFiles<'r> = dyn FnMut(&Location, &str, &mut Parsed, &mut Vec<LoadError>) + 'r;

/// What to do with a file's directives.
pub(crate) struct Reader<'r> {
    pub(super) read: ReadFile<'r>,
    pub(super) include: &'r mut IncludeFiles<'r>,
}

/// Adds a file's directives to what was parsed before.
pub(crate) fn parse(
    parsed: &mut Parsed,
    file: &Arc<str>,
    text: &[u8],
    reader: &mut Reader<'_>,
    errors: &mut Vec<LoadError>,
) {
    let mut last = Location { file: Arc::clone(file), line: 1 };
    for directive in lexer::directives(file, text) {
        let result = directive.and_then(|words| {
            last = words.location.clone();
            parsed.directive(&words, reader, errors)
        });
        if let Err(error) = result {
            // Without the rule, its links would hang on the rule before it.
            parsed.skipping = parsed.open_chain;
            errors.push(error);
        }
    }
    if parsed.open_chain {
        errors.push(LoadError::new(&last, "the file ends inside a chain").help("the last rule says `chain`"));
        parsed.open_chain = false;
        parsed.skipping = false;
    }
}

impl Parsed {
    fn directive(
        &mut self,
        words: &Words,
        reader: &mut Reader<'_>,
        errors: &mut Vec<LoadError>,
    ) -> Result<(), LoadError> {
        let at = &words.location;
        let Some((name, arguments)) = words.words.split_first() else { return Ok(()) };
        let name = String::from_utf8_lossy(name).into_owned();
        let text = |place: usize| -> Result<String, LoadError> {
            arguments
                .get(place)
                .map(|word| String::from_utf8_lossy(word).into_owned())
                .ok_or_else(|| LoadError::new(at, format!("{name} needs {} arguments", place + 1)))
        };
        match name.to_ascii_lowercase().as_str() {
            "secrule" => {
                let chained = arguments.get(2).is_some_and(|actions| says_chain(actions));
                let was_open = self.open_chain;
                self.open_chain = chained;
                let rule = secrule(at, arguments, reader.read);
                self.rule(rule, was_open)
            }
            "secaction" => {
                let actions = actions::parse(at, text(0)?.as_bytes());
                let was_open = self.open_chain;
                self.open_chain = actions.as_ref().is_ok_and(|actions| actions.chain);
                let rule = actions.map(|actions| Rule {
                    location: at.clone(),
                    targets: Vec::new(),
                    operator: None,
                    actions,
                    links: Vec::new(),
                });
                self.rule(rule, was_open)
            }
            "secmarker" => {
                self.items.push(Item::Marker(text(0)?));
                Ok(())
            }
            "secdefaultaction" => self.default_action(at, &text(0)?),
            "secruleupdatetargetbyid" => {
                let update = targets::parse(at, text(1)?.as_bytes())?;
                self.update(at, Update::Targets(RuleSelector::Ids(actions::ids(at, &text(0)?)?), update))
            }
            "secruleupdatetargetbytag" => {
                let update = targets::parse(at, text(1)?.as_bytes())?;
                self.update(at, Update::Targets(RuleSelector::Tag(actions::found_in(at, &text(0)?)?), update))
            }
            "secruleupdatetargetbymsg" => {
                let update = targets::parse(at, text(1)?.as_bytes())?;
                self.update(
                    at,
                    Update::Targets(RuleSelector::Message(actions::found_in(at, &text(0)?)?), update),
                )
            }
            "secruleremovebyid" => {
                let all: Vec<String> =
                    arguments.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect();
                self.update(at, Update::Remove(RuleSelector::Ids(actions::ids(at, &all.join(" "))?)))
            }
            "secruleremovebytag" => {
                self.update(at, Update::Remove(RuleSelector::Tag(actions::found_in(at, &text(0)?)?)))
            }
            "secruleremovebymsg" => {
                self.update(at, Update::Remove(RuleSelector::Message(actions::found_in(at, &text(0)?)?)))
            }
            "include" => {
                (reader.include)(at, &text(0)?, self, errors);
                Ok(())
            }
            // They say who made the rules, and how long what does not exist is kept.
            "seccomponentsignature" | "seccollectiontimeout" => Ok(()),
            _ if name.to_ascii_lowercase().starts_with("sec") => {
                Err(LoadError::unsupported(at, format!("the directive {name} is not supported"))
                    .help("engine, limits and logs are set in the gateway's own file"))
            }
            _ => Err(LoadError::new(at, format!("there is no directive {name}"))),
        }
    }

    fn rule(&mut self, rule: Result<Rule, LoadError>, was_open: bool) -> Result<(), LoadError> {
        if was_open && self.skipping {
            self.skipping = self.open_chain;
            return Ok(());
        }
        let mut rule = match rule {
            Err(error) if error.unsupported && self.leave_out => {
                if was_open {
                    // The chain cannot be judged without this link.
                    self.items.pop();
                }
                self.left_out.push(error);
                self.skipping = self.open_chain;
                return Ok(());
            }
            Err(error) => {
                if was_open {
                    self.items.pop();
                }
                return Err(error);
            }
            Ok(rule) => rule,
        };
        if was_open {
            return self.link(rule);
        }
        let at = rule.location.clone();
        let Some(id) = rule.actions.id else {
            return Err(LoadError::new(&at, "a rule needs an id").help("write id:NUMBER in its actions"));
        };
        if let Some(other) = self.ids.insert(id, at.clone()) {
            return Err(LoadError::new(&at, format!("the id {id} is taken by the rule at {other}")));
        }
        let phase = *rule.actions.phase.get_or_insert(Phase::RequestBody);
        let defaults = self.defaults.get(&phase).cloned().unwrap_or_default();
        inherit(&mut rule.actions, &defaults);
        if rule.actions.disruption.is_none_or(|action| action == Disruption::Block) {
            rule.actions.status = rule.actions.status.or(defaults.status);
            rule.actions.disruption = Some(defaults.disruption);
        }
        rule.actions.log = Some(rule.actions.log.unwrap_or(defaults.log));
        self.items.push(Item::Rule(Box::new(rule)));
        Ok(())
    }

    fn link(&mut self, mut rule: Rule) -> Result<(), LoadError> {
        let Some(Item::Rule(head)) = self.items.last_mut() else {
            return Err(LoadError::new(&rule.location, "a chain has no first rule"));
        };
        if rule.actions.disruption.is_some() || rule.actions.id.is_some() || rule.actions.phase.is_some() {
            return Err(LoadError::new(
                &rule.location,
                "only a chain's first rule says id, phase and what happens to the request",
            ));
        }
        if let Some(defaults) = head.actions.phase.and_then(|phase| self.defaults.get(&phase)) {
            inherit(&mut rule.actions, defaults);
        }
        head.links.push(rule);
        Ok(())
    }

    fn default_action(&mut self, at: &Location, text: &str) -> Result<(), LoadError> {
        let actions = actions::parse(at, text.as_bytes())?;
        let phase = actions.phase.unwrap_or(Phase::RequestBody);
        let disruption = match actions.disruption {
            Some(Disruption::Block) => {
                return Err(LoadError::new(at, "the default action cannot be block").help("use pass or deny"));
            }
            Some(other) => other,
            None => return Err(LoadError::new(at, "the default action says pass or deny")),
        };
        let log = actions.log.unwrap_or(true);
        let transformations = actions.transformations;
        self.defaults.insert(phase, Defaults { disruption, status: actions.status, log, transformations });
        Ok(())
    }

    fn update(&mut self, at: &Location, update: Update) -> Result<(), LoadError> {
        match update {
            Update::Remove(which) => {
                self.items.retain(|item| match item {
                    Item::Rule(rule) => !which.selects(&rule.actions),
                    Item::Marker(_) => true,
                });
            }
            Update::Targets(which, targets) => {
                if targets.iter().any(|(used, _)| *used == TargetUse::Count) {
                    return Err(LoadError::unsupported(at, "a count cannot be added to a rule's targets"));
                }
                for item in &mut self.items {
                    if let Item::Rule(rule) = item
                        && which.selects(&rule.actions)
                    {
                        rule.targets.extend(targets.iter().cloned());
                    }
                }
            }
        }
        Ok(())
    }
}

impl RuleSelector {
    /// Whether a rule with these actions is meant.
    #[must_use]
    pub fn selects(&self, actions: &Actions) -> bool {
        match self {
            Self::Ids(ranges) => {
                actions.id.is_some_and(|id| ranges.iter().any(|range: &Ids| range.contains(&id)))
            }
            Self::Tag(pattern) => actions.tags.iter().any(|tag| pattern.is_match(tag.as_bytes())),
            Self::Message(pattern) => {
                actions.message_text.as_ref().is_some_and(|text| pattern.is_match(text.as_bytes()))
            }
        }
    }
}

fn inherit(actions: &mut Actions, defaults: &Defaults) {
    if !actions.no_default_transformations && !defaults.transformations.is_empty() {
        actions.transformations.splice(0..0, defaults.transformations.iter().copied());
    }
}

fn says_chain(actions: &[u8]) -> bool {
    actions.split(|byte| *byte == b',').any(|action| action.trim_ascii().eq_ignore_ascii_case(b"chain"))
}

fn secrule(at: &Location, arguments: &[Vec<u8>], read: ReadFile<'_>) -> Result<Rule, LoadError> {
    let (variables, operator, actions) = match arguments {
        [variables, operator] => (variables, operator, b"".as_slice()),
        [variables, operator, actions] => (variables, operator, actions.as_slice()),
        _ => {
            return Err(LoadError::new(at, "SecRule takes variables, an operator and actions")
                .help("put each of them in quotes"));
        }
    };
    let targets = targets::parse(at, variables)?;
    if !targets.iter().any(|(used, _)| *used != TargetUse::Exclude) {
        return Err(LoadError::new(at, "the rule looks at nothing"));
    }
    let operator: OperatorUse = operator::parse(at, operator, read)?;
    let actions = actions::parse(at, actions)?;
    if matches!(operator.operator, Operator::ValidateByteRange(ref set) if set.is_empty()) {
        return Err(LoadError::new(at, "the range of bytes is empty"));
    }
    Ok(Rule { location: at.clone(), targets, operator: Some(operator), actions, links: Vec::new() })
}
