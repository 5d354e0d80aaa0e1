//! Whether the tests notice a mutant: those that reach it run with it, the quickest and narrowest first, until one fails.
//!
//! A failure counts when the test fails again by itself, so that an unsteady test notices nothing. One that comes to no end counts.
//! At most [`TESTS`] tests or [`TIME`] of them are tried for a mutant, so the score is a lower bound.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::binary::{Binary, Ended};
use super::reach::{Reach, Test};
use super::rewrite::TRIED;
use crate::failure::Outcome;

/// The most tests for one mutant.
const TESTS: usize = 25;
/// The most time of tests for one mutant, as they took without it.
const TIME: Duration = Duration::from_secs(20);
/// How many tests run before a failure is looked for; what remains is the last group.
const GROUPS: [usize; 4] = [2, 4, 8, TESTS];
/// How long tests may take beyond a few times what they took without a mutant.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Noticed,
    /// So many tests reached it, and none failed.
    Survived(usize),
}

pub(super) fn tried(mutant: usize, reach: &Reach<'_>, work: &Path) -> Outcome<Verdict> {
    let tests = chosen(reach.tests_of(mutant).collect());
    let mut rest = tests.as_slice();
    for size in GROUPS {
        let (group, others) = rest.split_at(size.min(rest.len()));
        rest = others;
        // Tests of one program run in one process.
        let mut programs: BTreeMap<&Path, Vec<&Test<'_>>> = BTreeMap::new();
        for test in group {
            programs.entry(&test.binary.program).or_default().push(test);
        }
        for tests in programs.values() {
            if notice(mutant, tests, work)? {
                return Ok(Verdict::Noticed);
            }
        }
    }
    Ok(Verdict::Survived(tests.len()))
}

/// The tests in the order of their promise, as many as there is time for.
fn chosen<'a>(mut tests: Vec<&'a Test<'a>>) -> Vec<&'a Test<'a>> {
    // What a process costs by itself, in the time of tests.
    const START: Duration = Duration::from_millis(300);
    tests.sort_by_key(|test| (START + test.took).as_millis() * (30 + test.breadth as u128));
    let mut time = Duration::ZERO;
    let within = |test: &&Test<'_>| {
        let first = time.is_zero();
        time += test.took;
        first || time <= TIME
    };
    tests.into_iter().take_while(within).take(TESTS).collect()
}

fn notice(mutant: usize, tests: &[&Test<'_>], work: &Path) -> Outcome<bool> {
    let Some(binary) = tests.first().map(|test| test.binary) else { return Ok(false) };
    let names: Vec<&str> = tests.iter().map(|test| test.name.as_str()).collect();
    let took: Duration = tests.iter().map(|test| test.took).sum();
    match run(binary, &names, mutant, work, took)? {
        Ended::Passed(_) => Ok(false),
        Ended::Broken => Ok(true),
        Ended::Failed(failed) => {
            for test in failed.iter().filter(|test| names.contains(&test.as_str())) {
                if !matches!(run(binary, &[test], mutant, work, took)?, Ended::Passed(_)) {
                    return Ok(true);
                }
            }
            Ok(false)
        }
    }
}

fn run(binary: &Binary, tests: &[&str], mutant: usize, work: &Path, took: Duration) -> Outcome<Ended> {
    let number = mutant.to_string();
    let said = work.join(format!("said-{number}"));
    binary.run(tests, (TRIED, Path::new(&number)), &said, PATIENCE + 5 * took)
}
