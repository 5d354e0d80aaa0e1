//! What happened to a request.

use crate::seclang::tree::{Phase, Variable};

/// A target that matched. Its value is never kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MatchedTarget {
    /// Which variable.
    pub variable: Variable,
    /// The name of its entry, if it has entries; at most 100 bytes of it.
    pub name: String,
}

/// A rule that matched and says that it is to be reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleMatch {
    /// The rule's place in [`Plan::rules`](crate::Plan::rules).
    pub rule: usize,
    /// Its id.
    pub id: u64,
    /// What it matched on: at most 16 targets of the chain's first rule.
    pub targets: Vec<MatchedTarget>,
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interruption {
    /// The id of the rule that refused; 0 where the work ran out.
    pub id: u64,
    /// When.
    pub phase: Phase,
    /// The status that the rule asks for.
    pub status: u16,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The rules that matched, in the order in which they did.
    pub matches: Vec<RuleMatch>,
    /// Why the request is to be refused. When observing, the first reason.
    pub interruption: Option<Interruption>,
    /// The anomaly score of the request.
    pub inbound_score: i64,
    /// The anomaly score of the response.
    pub outbound_score: i64,
    /// Whether the request needed more work than it may. It is refused then.
    pub exhausted: bool,
    /// How many searches were saved because a value was proved harmless.
    pub values_not_searched: u64,
    /// How much work it took.
    pub work: u64,
}

impl Report {
    /// The ids of the rules that matched.
    pub fn ids(&self) -> impl Iterator<Item = u64> + '_ {
        self.matches.iter().map(|found| found.id)
    }
}
