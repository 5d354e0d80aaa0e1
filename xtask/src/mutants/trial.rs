//! Whether the tests notice a mutant: those that reach it run with it, until one fails.
//!
//! The quickest and narrowest come first, since they are most likely about it, then the broadest, such as one that goes through all
//! mistakes in a document. A failure counts when the test fails again by itself, so that an unsteady test notices nothing. A test
//! that does not end counts. For one mutant no more than [`TIME`] of tests is tried, so the score is a lower bound.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::binary::{Binary, Ended};
use super::reach::{Reach, Test};
use super::rewrite::TRIED;
use crate::failure::Outcome;

/// The most time of tests for one mutant, as they took without it.
const TIME: Duration = Duration::from_secs(20);
/// How many tests run before a failure is looked for. More follow in groups of the last size.
const GROUPS: [usize; 3] = [2, 6, 16];
/// How many of the narrowest and of the broadest tests come before all others.
const FIRST: usize = 4;
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
    let [.., last] = GROUPS;
    let mut sizes = GROUPS.into_iter().chain(std::iter::repeat(last));
    while !rest.is_empty() {
        let (group, others) = rest.split_at(sizes.next().unwrap_or(last).min(rest.len()));
        rest = others;
        for tests in by_program(group) {
            if notice(mutant, &tests, work)? {
                return Ok(Verdict::Noticed);
            }
        }
    }
    Ok(Verdict::Survived(tests.len()))
}

/// Tests of one program, which run in one process. The quickest program comes first.
fn by_program<'a>(tests: &[&'a Test<'a>]) -> Vec<Vec<&'a Test<'a>>> {
    let mut programs: BTreeMap<&Path, Vec<&Test<'_>>> = BTreeMap::new();
    for test in tests {
        programs.entry(&test.binary.program).or_default().push(test);
    }
    let mut programs: Vec<_> = programs.into_values().collect();
    programs.sort_by_key(|tests| tests.iter().map(|test| test.took).sum::<Duration>());
    programs
}

/// The tests in the order of their promise, as many as there is time for.
fn chosen<'a>(mut tests: Vec<&'a Test<'a>>) -> Vec<&'a Test<'a>> {
    // What a process costs by itself, in the time of tests.
    const START: Duration = Duration::from_millis(300);
    // However long they took once, on a machine with other work.
    tests.sort_by_key(|test| test.breadth);
    let mut chosen: Vec<_> = tests.drain(..FIRST.min(tests.len())).collect();
    tests.sort_by_key(|test| (START + test.took).as_millis() * (30 + test.breadth as u128));
    let narrow = within(tests.iter().copied());
    let mut others = tests.split_off(narrow.len());
    others.sort_by_key(|test| std::cmp::Reverse(test.breadth));
    let mut broad = within(others.into_iter());
    chosen.extend(broad.drain(..FIRST.min(broad.len())));
    chosen.extend(narrow);
    chosen.extend(broad);
    chosen
}

/// The first of these tests, at least one, that take half of the time.
fn within<'a>(tests: impl Iterator<Item = &'a Test<'a>>) -> Vec<&'a Test<'a>> {
    let mut time = Duration::ZERO;
    let fits = |test: &&Test<'_>| {
        let first = time.is_zero();
        time += test.took;
        first || time <= TIME / 2
    };
    tests.take_while(fits).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn binary(name: &str) -> Binary {
        let message = serde_json::json!({
            "executable": format!("/{name}"), "manifest_path": "/p/Cargo.toml", "target": { "name": name },
            "profile": { "test": true },
        });
        Binary::of_message(&message).unwrap()
    }

    fn test(binary: &Binary, number: u64, seconds: u64) -> Test<'_> {
        let took = Duration::from_secs(seconds);
        Test { binary, name: number.to_string(), took, breadth: usize::try_from(number).unwrap() }
    }

    fn numbers(tests: &[&Test<'_>]) -> Vec<usize> {
        tests.iter().map(|test| test.breadth).collect()
    }

    #[test]
    fn narrow_tests_come_first_and_broad_ones_are_not_forgotten() {
        let binary = binary("t");
        let all: Vec<Test<'_>> = (0..100).map(|number| test(&binary, number, 2)).collect();
        let order = |tests: &[Test<'_>]| numbers(&chosen(tests.iter().collect()));
        let expected = [0, 1, 2, 3, 99, 98, 97, 96, 4, 5, 6, 7, 8, 95];
        assert_eq!(order(&all), expected, "twenty seconds of tests after the narrowest");
        assert_eq!(order(&all[7..10]), [7, 8, 9]);
        assert_eq!(order(&[test(&binary, 1, 60)]), [1], "one runs in any case");
        assert!(order(&[]).is_empty());
    }

    #[test]
    fn tests_of_one_program_run_together_and_quick_programs_first() {
        let (slow, quick) = (binary("a"), binary("b"));
        let tests = [test(&slow, 1, 3), test(&quick, 2, 1), test(&slow, 3, 3), test(&quick, 4, 1)];
        let programs = by_program(&tests.iter().collect::<Vec<_>>());
        let programs: Vec<_> = programs.iter().map(|tests| numbers(tests)).collect();
        assert_eq!(programs, [[2, 4], [1, 3]]);
    }
}
