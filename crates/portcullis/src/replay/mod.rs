//! What a configuration would have decided on the requests of an access log.
//!
//! [`portcullis_core::judge`] decides, on what a line says: method, host, path, address, consumer, and how many bytes
//! came. A line holds no credential, header, query or body. So the answer is often [`Decision::Unknown`], with the reason:
//! where it says that a request is allowed or refused, the gateway would have done the same.
//!
//! Two things are taken for granted, and said in the report: a consumer's credential is as good as it was, and the log has
//! every request since its first line. Limits are followed from the worst case, in which they were used up at the first line.

mod controls;
mod counts;
mod decide;
mod line;

#[cfg(test)]
mod tests;

pub use decide::Replay;
pub use line::Line;

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It passes every control.
    Allowed,
    /// A control refuses it, with this code.
    Refused(&'static str),
    /// The log does not tell, for this reason.
    Unknown(&'static str),
}

/// What a request came to, then and now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It was allowed, and is refused.
    NewlyRefused,
    /// It was refused, and is allowed.
    NewlyAllowed,
    /// It was allowed, and still is.
    StillAllowed,
    /// It was refused, and still is.
    StillRefused,
    /// The log does not tell.
    Unknown,
}

/// Why a limit does not tell.
const USED_UP: &str = "a limit might be used up";
/// How many examples of a group are kept.
const EXAMPLES: usize = 3;
/// How many groups are printed.
const PRINTED: usize = 20;
/// The most groups that are kept; what comes beyond them is counted together.
const GROUPS: usize = 10_000;

/// A group of requests that came to the same.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// How many.
    pub count: u64,
    /// The ids of a few.
    pub examples: Vec<String>,
}

/// Outcome, route, consumer and reason.
type Key = (Outcome, String, String, String);

/// What a whole log came to.
#[derive(Debug, Default)]
pub struct Report {
    /// Lines with a request.
    pub requests: u64,
    /// Lines without one: notices, and what cannot be read.
    pub skipped: u64,
    totals: BTreeMap<Outcome, u64>,
    groups: BTreeMap<Key, Group>,
}

impl Report {
    /// Counts one request.
    pub fn add(&mut self, line: &Line<'_>, decision: &Decision) {
        self.requests += 1;
        let (outcome, reason) = match (line.was_allowed(), decision) {
            (_, Decision::Unknown(why)) => (Outcome::Unknown, *why),
            (true, Decision::Refused(code)) => (Outcome::NewlyRefused, *code),
            (false, Decision::Allowed) => (Outcome::NewlyAllowed, line.code()),
            (true, Decision::Allowed) => (Outcome::StillAllowed, ""),
            (false, Decision::Refused(code)) => (Outcome::StillRefused, *code),
        };
        *self.totals.entry(outcome).or_default() += 1;
        if matches!(outcome, Outcome::StillAllowed | Outcome::StillRefused) {
            return;
        }
        let route = format!(
            "{} {}",
            line.method.as_deref().unwrap_or("?"),
            line.route.as_deref().unwrap_or("(no route)")
        );
        let mut key = (outcome, route, line.who().to_owned(), reason.to_owned());
        if self.groups.len() >= GROUPS && !self.groups.contains_key(&key) {
            key = (outcome, "(other routes)".to_owned(), "(others)".to_owned(), reason.to_owned());
        }
        let group = self.groups.entry(key).or_default();
        group.count += 1;
        if group.examples.len() < EXAMPLES
            && let Some(id) = &line.request_id
        {
            group.examples.push(id.to_string());
        }
    }

    /// How many requests came to this.
    pub fn count(&self, outcome: Outcome) -> u64 {
        self.totals.get(&outcome).copied().unwrap_or_default()
    }

    fn sorted(&self, wanted: Outcome) -> Vec<(&Key, &Group)> {
        let mut groups: Vec<_> = self.groups.iter().filter(|((outcome, ..), _)| *outcome == wanted).collect();
        groups.sort_by_key(|(_, group)| std::cmp::Reverse(group.count));
        groups
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (outcome, title) in [
            (Outcome::NewlyRefused, "newly refused"),
            (Outcome::NewlyAllowed, "newly allowed"),
            (Outcome::Unknown, "unknown: the log does not tell"),
        ] {
            let groups = self.sorted(outcome);
            if groups.is_empty() {
                continue;
            }
            let _ = writeln!(text, "{title}");
            let left = groups.len().saturating_sub(PRINTED);
            for ((_, route, who, reason), group) in groups.into_iter().take(PRINTED) {
                let (route, who) = (crate::visible(route), crate::visible(who));
                let example = group
                    .examples
                    .first()
                    .map_or(String::new(), |id| format!("  such as {}", crate::visible(id)));
                let _ = writeln!(
                    text,
                    "  {:>9}  {route}  {who}  {}{example}",
                    group.count,
                    crate::visible(reason)
                );
            }
            if left > 0 {
                let _ = writeln!(text, "             and {left} more groups");
            }
            text.push('\n');
        }
        let _ = writeln!(
            text,
            "{} requests: {} newly refused, {} newly allowed, {} as before, {} unknown; {} lines without a request",
            self.requests,
            self.count(Outcome::NewlyRefused),
            self.count(Outcome::NewlyAllowed),
            self.count(Outcome::StillAllowed) + self.count(Outcome::StillRefused),
            self.count(Outcome::Unknown),
            self.skipped,
        );
        text.push_str(ASSUMED);
        text
    }

    /// For programs.
    pub fn json(&self) -> Value {
        let list = |outcome: Outcome| -> Vec<Value> {
            let groups = self.sorted(outcome).into_iter();
            groups
                .map(|((_, route, who, reason), group)| {
                    json!({ "route": route, "who": who, "reason": reason, "count": group.count, "examples": group.examples })
                })
                .collect()
        };
        json!({
            "requests": self.requests,
            "skipped": self.skipped,
            "as_before": self.count(Outcome::StillAllowed) + self.count(Outcome::StillRefused),
            "newly_refused": { "count": self.count(Outcome::NewlyRefused), "groups": list(Outcome::NewlyRefused) },
            "newly_allowed": { "count": self.count(Outcome::NewlyAllowed), "groups": list(Outcome::NewlyAllowed) },
            "unknown": { "count": self.count(Outcome::Unknown), "groups": list(Outcome::Unknown) },
        })
    }
}

const ASSUMED: &str = "This assumes that credentials are as good as they were, and that the log has every request since its first line.\n";
