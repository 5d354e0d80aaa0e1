//! What is tried on each of the configurations in `documents`, and which check refuses it: `tried.txt`. And what each of their
//! checks says of itself: `described.txt`.
//!
//! An attack that is no longer made, or that another check refuses, shows here within seconds. Where a change is meant, the new
//! text is in the failure.

use super::{documents, files};
use portcullis::prove::{Outcome, Rehearsal, Row};
use portcullis_checks::rehearsal::Attack;
use portcullis_core::{Check, Controls};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

const TRIED: &str = include_str!("tried.txt");
const DESCRIBED: &str = include_str!("described.txt");

/// A line for each target: each attack with what became of it and how often.
fn line(row: &Row) -> String {
    let mut outcomes: BTreeMap<String, u32> = BTreeMap::new();
    // Spellings of paths are none of the checks' business.
    let findings = row.findings.iter().filter(|finding| finding.attack != Some(Attack::PathTrick));
    for finding in findings {
        let attack = finding.attack.map_or_else(|| "passes".to_owned(), |attack| format!("{attack:?}"));
        let outcome = match &finding.outcome {
            Outcome::Passed => String::new(),
            Outcome::Refused(check) => format!(" {check}"),
            other @ (Outcome::TooLate(_) | Outcome::Observed(_) | Outcome::Unproven(_) | Outcome::Hole) => {
                format!(" {other:?}")
            }
        };
        *outcomes.entry(format!("{attack}{outcome}")).or_default() += 1;
    }
    let told: Vec<_> = outcomes.iter().map(|(what, times)| format!("{what} {times}")).collect();
    format!("{}: {}", row.target, told.join(", "))
}

#[test]
fn the_same_attacks_are_tried_and_refused_by_the_same_checks() {
    let mut text = String::new();
    for (name, document) in documents::all() {
        let rehearsal = Rehearsal::of(&files::load(&document)).unwrap();
        writeln!(text, "# {name}").unwrap();
        for target in rehearsal.targets() {
            writeln!(text, "{}", line(&rehearsal.try_target(&target))).unwrap();
        }
    }
    compare("tried.txt", TRIED, &text);
}

/// What the checks of a route say of themselves.
fn described(controls: &Controls) -> Vec<String> {
    let mut told = Vec::new();
    let mut add = |check: &dyn Check| told.push(format!("{}: {}", check.id().as_str(), check.describe()));
    controls.screen.iter().for_each(|guarded| add(guarded.check.as_ref()));
    controls.authentication.methods().iter().for_each(|method| add(method.as_ref()));
    controls.authorize.iter().for_each(|guarded| add(guarded.check.as_ref()));
    controls.quotas.iter().for_each(|guarded| add(guarded.check.as_ref()));
    controls.inspection.requests.iter().for_each(|guarded| add(guarded.check.as_ref()));
    controls.inspection.answers.iter().for_each(|guarded| add(guarded.check.as_ref()));
    controls.in_flight.iter().for_each(|guarded| add(guarded.check.as_ref()));
    controls.cross_origin.iter().for_each(|check| add(check.as_ref()));
    controls.shape.iter().for_each(|shape| add(shape.as_ref()));
    told
}

#[test]
fn checks_say_the_same_of_themselves() {
    let mut text = String::new();
    for (name, document) in documents::all() {
        let rehearsal = Rehearsal::of(&files::load(&document)).unwrap();
        writeln!(text, "# {name}").unwrap();
        let all: BTreeSet<String> =
            rehearsal.plan().routes.iter().flat_map(|route| described(&route.controls)).collect();
        all.iter().for_each(|line| writeln!(text, "{line}").unwrap());
    }
    compare("described.txt", DESCRIBED, &text);
}

fn compare(file: &str, old: &str, new: &str) {
    let without = |all: &str, other: &str| {
        let other: Vec<&str> = other.lines().collect();
        all.lines().filter(|line| !other.contains(line)).map(str::to_owned).collect::<Vec<_>>()
    };
    let (gone, added) = (without(old, new), without(new, old));
    assert!(old == new, "no longer so: {gone:#?}\nnow: {added:#?}\nthe whole of {file}:\n{new}");
}
