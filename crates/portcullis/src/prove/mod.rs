//! Tests of a configuration: those that stand beside it, and those that follow from it.
//!
//! A configuration is *rehearsed*: it is compiled a second time with doubles of the secrets of others (see
//! [`portcullis_checks::rehearsal`]), on a bench where nothing real is touched, and requests are judged by the same engine as in
//! a gateway. For every route, and every operation of its OpenAPI document, one request is found that passes. Then each attack
//! changes that request in one thing, so that a refusal can have no other reason than that thing. A request that goes upstream
//! although it was an attack is a *hole*. Where no request passes, nothing is proven, and the report says so with the reason.
//!
//! | module      | decides                                                     |
//! |-------------|-------------------------------------------------------------|
//! | `stand`     | how a configuration is rehearsed                            |
//! | `target`    | what there is to attack: routes and operations              |
//! | `people`    | who may, and who may not                                    |
//! | `attacks`   | what is tried at all, and what must pass                    |
//! | `sent`      | how a request to a target is made                           |
//! | `credentials` | what is tried on who somebody is                          |
//! | `rights`    | what is tried on what somebody may                          |
//! | `shared`    | what is tried whoever it is                                 |
//! | `tricks`    | other spellings of a path                                   |
//! | [`written`] | tests that stand in the document                            |
//! | [`probe`]   | the same attacks, over the network                          |
//! | [`report`]  | what is told: a matrix, JSON, JUnit                         |

mod attacks;
mod credentials;
mod people;
pub mod probe;
pub mod report;
mod rights;
mod sent;
mod shared;
mod stand;
mod target;
mod tricks;
pub mod written;

pub use attacks::Case;
pub use report::{Finding, Outcome, Report, Row, WrittenResult};
pub use stand::Rehearsal;

use crate::judge::{Decision, Upstream, Verdict};
use crate::load::Loaded;
use base64ct::{Base64UrlUnpadded, Encoding};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// How long the tests of a reload may take. What is left then was not tried, which the report says.
pub const RELOAD_PATIENCE: Duration = Duration::from_secs(10);

/// What a case must come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// It passes, and this is true of what goes upstream.
    Passed(Passage),
    /// It does not go upstream.
    Refused,
    /// It does not go upstream, since something does not answer that must be asked.
    Fault,
    /// If it goes upstream, then without this field in it.
    Without(String, String),
    /// The gateway answers it itself, with this code, these fields, and without those.
    Answered {
        /// The code.
        code: &'static str,
        /// Fields with their values.
        said: Vec<(String, String)>,
        /// Fields that are not there.
        unsaid: Vec<String>,
    },
    /// Whatever becomes of it, the answer has none of these fields, so that no page can read it.
    Unreadable(Vec<String>),
}

/// What is true of a request that passes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Passage {
    /// Who it is by. `None`: nobody, or nobody knows.
    pub by: Option<String>,
    /// Their roles and scopes.
    pub rights: Option<(Vec<String>, Vec<String>)>,
    /// Whether it is by nobody that a name is known of.
    pub by_nobody: bool,
    /// Fields that are there.
    pub fields: Vec<String>,
    /// Fields that are there with this value.
    pub fields_with: Vec<(String, String)>,
    /// Fields that are not there.
    pub fields_without: Vec<String>,
    /// Texts that stand nowhere in it: credentials that must not go on.
    pub without: Vec<String>,
    /// Fields of the answer, with their values.
    pub answer: Vec<(String, String)>,
    /// Fields of the answer that name this among others.
    pub answer_has: Vec<(String, String)>,
    /// Fields that the answer does not have.
    pub answer_without: Vec<String>,
}

impl Passage {
    /// What of it is not true.
    fn fault(&self, verdict: &Verdict, upstream: &Upstream) -> Option<String> {
        let by = verdict.principal.as_ref().map(|principal| &principal.name);
        if self.by.is_some() && self.by.as_ref() != by {
            return Some(format!("it is by {by:?}, and must be by {:?}", self.by));
        }
        if self.by_nobody && by.is_some() {
            return Some(format!("it is by {by:?}, and must be by nobody"));
        }
        let sorted = |list: &[String]| list.iter().cloned().collect::<BTreeSet<_>>();
        if let (Some((roles, scopes)), Some(principal)) = (&self.rights, &verdict.principal)
            && (sorted(roles) != sorted(&principal.roles) || sorted(scopes) != sorted(&principal.scopes))
        {
            return Some(format!("it has the rights {:?} and {:?}", principal.roles, principal.scopes));
        }
        let has =
            |wanted: &String| upstream.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
        if let Some(missing) = self.fields.iter().find(|wanted| !has(wanted)) {
            return Some(format!("it goes upstream without {missing}"));
        }
        let said = |(name, value): &&(String, String)| {
            let mut of_name = upstream
                .headers
                .iter()
                .filter(|(there, _)| there.eq_ignore_ascii_case(name))
                .map(|(_, said)| said);
            of_name.next() != Some(value) || of_name.next().is_some()
        };
        if let Some((name, value)) = self.fields_with.iter().find(said) {
            return Some(format!("it does not go upstream with `{name}: {value}` alone"));
        }
        if let Some(name) = self.fields_without.iter().find(|name| has(name)) {
            return Some(format!("it goes upstream with {name}"));
        }
        let holds = |text: &String| {
            upstream.path.contains(text.as_str())
                || upstream.headers.iter().any(|(_, value)| value.contains(text.as_str()))
        };
        if self.without.iter().any(holds) {
            return Some("its credential goes upstream".to_owned());
        }
        if let Some(name) = &self.by
            && let Some(other) = upstream.headers.iter().find_map(|(_, value)| names_another(value, name))
        {
            return Some(format!(
                "a token of the gateway says that it is by {other:?}, and must say {name:?}"
            ));
        }
        let lists = |(name, value): &(String, String)| {
            let of_name = verdict.answer_headers.iter().filter(|(there, _)| there == name);
            let mut items = of_name.flat_map(|(_, said)| said.split(','));
            items.any(|item| item.trim() == value)
        };
        if let Some((name, value)) = self.answer_has.iter().find(|wanted| !lists(wanted)) {
            return Some(format!("its answer does not say `{value}` in {name}"));
        }
        answer_fault(verdict, &self.answer, &self.answer_without)
    }
}

/// What is wrong with the fields of an answer.
fn answer_fault(verdict: &Verdict, said: &[(String, String)], unsaid: &[String]) -> Option<String> {
    let there = |name: &str| verdict.answer_headers.iter().find(|(known, _)| known == name);
    for (name, value) in said {
        match there(name) {
            Some((_, found)) if found == value => {}
            found => return Some(format!("its answer must say `{name}: {value}`, and says {found:?}")),
        }
    }
    unsaid.iter().find_map(|name| there(name)).map(|found| format!("its answer must not say {found:?}"))
}

/// Whom a signed token names that is not `name`; nobody where it is no token with a subject.
fn names_another(value: &str, name: &str) -> Option<String> {
    let mut parts = value.split('.');
    let (Some(_), Some(payload), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let payload = Base64UrlUnpadded::decode_vec(payload).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&payload).ok()?;
    let subject = claims.get("sub")?.as_str()?;
    (subject != name).then(|| subject.to_owned())
}

/// Runs the tests that stand in a configuration, and the generated ones, for at most so long. `None` for a configuration that
/// does not load, or that was made in code.
pub fn prove(loaded: &Loaded, patience: Duration) -> Option<Report> {
    let begun = Instant::now();
    let rehearsal = Rehearsal::of(loaded)?;
    let mut report = Report::default();
    written::run(&rehearsal, loaded, &mut report);
    for target in rehearsal.targets() {
        if begun.elapsed() > patience {
            report.untried += 1;
            continue;
        }
        report.rows.push(rehearsal.try_target(&target));
    }
    report.elapsed = begun.elapsed();
    Some(report)
}

/// What came of a case.
pub(crate) fn outcome(expected: &Expected, verdict: &Verdict) -> Outcome {
    match (expected, &verdict.decision) {
        (_, Decision::Unknown { because }) => Outcome::Unproven(format!("it depends on {because}")),
        (Expected::Passed(passage), Decision::Forwarded(upstream)) => {
            match passage.fault(verdict, upstream) {
                None => Outcome::Passed,
                Some(why) => Outcome::Unproven(why),
            }
        }
        (Expected::Passed(_), Decision::Refused(refusal)) => {
            Outcome::Unproven(format!("{}: {}", refusal.code, refusal.detail))
        }
        (Expected::Answered { code, said, unsaid }, Decision::Refused(refusal)) => {
            match answer_fault(verdict, said, unsaid) {
                None if refusal.code == *code => Outcome::Passed,
                None => Outcome::Unproven(format!("{}: {}", refusal.code, refusal.detail)),
                Some(why) => Outcome::Unproven(why),
            }
        }
        (Expected::Answered { .. }, Decision::Forwarded(_)) => {
            Outcome::Unproven("it goes upstream".to_owned())
        }
        (Expected::Unreadable(fields), Decision::Refused(_) | Decision::Forwarded(_)) => {
            match answer_fault(verdict, &[], fields) {
                None => Outcome::Refused("screen.cors"),
                Some(_) => Outcome::Hole,
            }
        }
        (Expected::Refused | Expected::Without(..), Decision::Refused(refusal))
            if refusal.code == "fault" =>
        {
            // A dependency that is down refuses everything, which shows nothing of the check.
            Outcome::Unproven(format!("refused by a fault: {}", refusal.detail))
        }
        (Expected::Refused | Expected::Fault | Expected::Without(..), Decision::Refused(refusal)) => {
            Outcome::Refused(refusal.check.unwrap_or(verdict.stage.as_str()))
        }
        (Expected::Refused | Expected::Fault, Decision::Forwarded(_)) => match verdict.observed.first() {
            Some(observed) => Outcome::Observed(observed.check.unwrap_or("the engine")),
            None => Outcome::Hole,
        },
        (Expected::Without(name, value), Decision::Forwarded(upstream)) => {
            let there = upstream.headers.iter().any(|(field, said)| {
                field.eq_ignore_ascii_case(name)
                    && said.to_ascii_lowercase().contains(&value.to_ascii_lowercase())
            });
            if there { Outcome::Hole } else { Outcome::Refused("shape") }
        }
    }
}
