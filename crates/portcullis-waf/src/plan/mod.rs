//! The plan: what runs, made once from the rules.
//!
//! `fold` takes out what is decided already when the rules are loaded, `compile` turns the rest into steps, `slots`
//! numbers the names of TX, `chains` keeps each chain of transformations once, `looks` each target once, and `filter`
//! finds with one pass over a value which expressions can match it at all. The order of the rules stays as it is in the files.

mod chains;
mod compile;
mod filter;
mod fold;
mod looks;
mod slots;

use crate::error::{LoadError, LoadErrors, Location};
use crate::operator::spec::Operator;
use crate::seclang::Loader;
use crate::seclang::tree::{Control, Disruption, Phase, RuleSelector, Selector, Variable};
pub(crate) use chains::{ChainId, Chains};
pub(crate) use filter::{Filter, FilterBit, Precondition};
pub(crate) use looks::{FormId, ListId, Look, Looks, TargetId};
pub(crate) use slots::{CAPTURES, Slot, Slots};

/// What is set before the first rule runs.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// `tx` variables, as `setvar` would set them: names in lower case.
    pub variables: Vec<(String, String)>,
}

impl Settings {
    /// The paranoia level that the Core Rule Set and the builtin rules run at, from 1 to 4.
    #[must_use]
    pub fn paranoia(self, level: u8) -> Self {
        self.with("blocking_paranoia_level", &level.to_string())
    }

    /// The anomaly score from which a request is refused.
    #[must_use]
    pub fn threshold(self, score: u32) -> Self {
        self.with("inbound_anomaly_score_threshold", &score.to_string())
    }

    /// One more variable.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_ascii_lowercase(), value.to_owned()));
        self
    }
}

/// What is known of a rule without running it.
#[derive(Debug, Clone)]
pub struct RuleInfo {
    /// The rule's number.
    pub id: u64,
    /// Where it is written.
    pub location: Location,
    /// Its message as written, with macros unexpanded.
    pub message: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// From 0 (emergency) to 7 (debug).
    pub severity: Option<u8>,
    /// When it runs.
    pub phase: Phase,
    /// Whether a match is reported.
    pub log: bool,
}

impl RuleInfo {
    /// Whether a `ctl` means this rule.
    pub(crate) fn is_selected(&self, which: &RuleSelector) -> bool {
        match which {
            RuleSelector::Ids(ranges) => ranges.iter().any(|range| range.contains(&self.id)),
            RuleSelector::Tag(pattern) => self.tags.iter().any(|tag| pattern.is_match(tag.as_bytes())),
            RuleSelector::Message(pattern) => pattern.is_match(self.message.as_bytes()),
        }
    }
}

/// A rule set that runs. It never changes, and requests share it.
#[derive(Debug)]
pub struct Plan {
    pub(crate) rules: Vec<RuleInfo>,
    pub(crate) phases: [Vec<Step>; 5],
    pub(crate) slots: Slots,
    /// The slots of the anomaly scores of the request and of the answer.
    pub(crate) scores: [Option<Slot>; 2],
    pub(crate) initial: Vec<Option<Vec<u8>>>,
    pub(crate) chains: Chains,
    pub(crate) filter: Filter,
    pub(crate) use_filter: bool,
    pub(crate) looks: Looks,
    left_out: Vec<LoadError>,
    folded: usize,
}

/// One rule, compiled.
#[derive(Debug)]
pub(crate) struct Step {
    /// Its place in [`Plan::rules`].
    pub(crate) rule: usize,
    pub(crate) links: Vec<Link>,
    pub(crate) disruption: Disruption,
    pub(crate) status: Option<u16>,
    /// Where to go on after a match; the next step if it does not say.
    pub(crate) jump: Option<usize>,
}

/// One rule of a chain; a rule without a chain has one link.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) targets: Vec<TargetPlan>,
    /// The same as a request finds it for all rules. `None` where what it looks at may change while rules run.
    pub(crate) look: Option<Look>,
    /// `None`: it always matches.
    pub(crate) check: Option<Check>,
    pub(crate) capture: bool,
    pub(crate) set: Vec<SetPlan>,
    pub(crate) control: Vec<Control>,
    /// For each control, the places of the rules that it removes.
    pub(crate) removes: Vec<Vec<usize>>,
}

/// What is asked of each value.
#[derive(Debug)]
pub(crate) struct Check {
    pub(crate) operator: Operator,
    pub(crate) negated: bool,
    pub(crate) argument: Option<MacroPlan>,
    pub(crate) chain: ChainId,
    /// With `multiMatch`: the shorter chains that are tried first.
    pub(crate) steps: Vec<ChainId>,
    pub(crate) precondition: Precondition,
}

/// Where values come from.
#[derive(Debug, Clone)]
pub(crate) struct TargetPlan {
    pub(crate) variable: Variable,
    pub(crate) selector: Selector,
    /// For TX with a name.
    pub(crate) slot: Option<Slot>,
    /// For TX without one: the slots that the selector selects.
    pub(crate) slots: Vec<Slot>,
    pub(crate) excluded: Vec<Selector>,
    pub(crate) count: bool,
}

/// A text with macros, resolved.
#[derive(Debug, Clone)]
pub(crate) struct MacroPlan(pub(crate) Vec<PiecePlan>);

#[derive(Debug, Clone)]
pub(crate) enum PiecePlan {
    Text(Vec<u8>),
    Slot(Slot),
    Variable(Variable, Selector),
}

#[derive(Debug)]
pub(crate) struct SetPlan {
    pub(crate) name: NamePlan,
    pub(crate) change: ChangePlan,
}

#[derive(Debug)]
pub(crate) enum NamePlan {
    Slot(Slot),
    Dynamic(MacroPlan),
}

#[derive(Debug)]
pub(crate) enum ChangePlan {
    Set(MacroPlan),
    Add(MacroPlan),
    Subtract(MacroPlan),
    Remove,
}

impl Plan {
    /// Makes a plan of the rules.
    ///
    /// # Errors
    ///
    /// Every fault of the rules, with its file and line.
    pub fn new(loader: Loader, settings: &Settings) -> Result<Self, LoadErrors> {
        compile::compile(loader.finish()?, settings)
    }

    /// Whether any rule looks into answers.
    #[must_use]
    pub fn judges_answers(&self) -> bool {
        let answers = [Phase::ResponseHeaders, Phase::ResponseBody];
        let steps = |phase: Phase| self.phases.get(phase.index()).into_iter().flatten();
        let mut links = answers.into_iter().flat_map(steps).flat_map(|step| &step.links);
        links.any(|link| link.targets.iter().any(|target| target.variable.is_of_answers()))
    }

    /// The same plan without its prefilter, to compare verdicts.
    #[must_use]
    pub fn without_filter(mut self) -> Self {
        self.use_filter = false;
        self
    }

    /// All rules that can run, in file order.
    #[must_use]
    pub fn rules(&self) -> &[RuleInfo] {
        &self.rules
    }

    /// The rules that were left out, if the loader was told to, and why.
    #[must_use]
    pub fn left_out(&self) -> &[LoadError] {
        &self.left_out
    }

    /// How many rules were decided when the plan was made, such as those of higher paranoia levels.
    #[must_use]
    pub fn folded(&self) -> usize {
        self.folded
    }

    /// How many expressions are run only on values that have one of their necessary texts, and how many there are.
    #[must_use]
    pub fn filtered(&self) -> (usize, usize) {
        let checks = || {
            self.phases.iter().flatten().flat_map(|step| &step.links).filter_map(|link| link.check.as_ref())
        };
        let searches = checks().filter(|check| check.operator.is_search()).count();
        (checks().filter(|check| check.precondition.bit.is_some()).count(), searches)
    }
}
