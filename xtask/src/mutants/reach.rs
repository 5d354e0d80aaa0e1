//! Which test reaches which mutant: each test runs once, by itself, with no mutant, and writes down the numbers that it passes.
//!
//! A test that fails here, or that takes long, takes no part in the trial and is named.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use super::binary::{Binary, Ended};
use super::rewrite::REACHED;
use crate::failure::{Context, Outcome};
use crate::parallel;

/// After this it is ended.
const PATIENCE: Duration = Duration::from_secs(20);
/// Longer tests would make hours of it.
const LONGEST: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Test<'a> {
    pub(super) binary: &'a Binary,
    pub(super) name: String,
    pub(super) took: Duration,
    /// How many mutants it reaches: the fewer, the more likely it is about the one that is tried.
    pub(super) breadth: usize,
}

#[derive(Debug)]
pub(super) struct Reach<'a> {
    pub(super) tests: Vec<Test<'a>>,
    /// The tests that reach a mutant, by their places in `tests`.
    of: BTreeMap<usize, Vec<usize>>,
    /// The tests that take no part.
    pub(super) left_out: Vec<String>,
}

impl Reach<'_> {
    /// The tests that reach a mutant.
    pub(super) fn tests_of(&self, mutant: usize) -> impl Iterator<Item = &Test<'_>> {
        let places = self.of.get(&mutant).map(Vec::as_slice).unwrap_or_default();
        places.iter().filter_map(|place| self.tests.get(*place))
    }
}

/// Runs every test of the binaries once. `work` is a folder for what they write.
pub(super) fn record<'a>(binaries: &'a [Binary], work: &Path) -> Outcome<Reach<'a>> {
    let mut all = Vec::new();
    for binary in binaries {
        all.extend(binary.tests()?.into_iter().map(|name| (binary, name)));
    }
    let numbered: Vec<(usize, &(&Binary, String))> = all.iter().enumerate().collect();
    let ran = parallel::each(&numbered, |(number, (binary, name))| {
        let (reached, said) = (work.join(format!("reached-{number}")), work.join(format!("said-{number}")));
        fs::write(&reached, "").context(|| format!("making {}", reached.display()))?;
        let ended = binary.run(&[name], (REACHED, &reached), &said, PATIENCE)?;
        let text = fs::read_to_string(&reached).context(|| format!("reading {}", reached.display()))?;
        let _ = fs::remove_file(&reached);
        Ok((ended, text.lines().filter_map(|line| line.parse().ok()).collect::<BTreeSet<usize>>()))
    });
    let mut reach = Reach { tests: Vec::new(), of: BTreeMap::new(), left_out: Vec::new() };
    for ((binary, name), ran) in all.into_iter().zip(ran) {
        let (ended, reached) = ran?;
        match ended {
            Ended::Passed(took) if took <= LONGEST => {
                for mutant in &reached {
                    reach.of.entry(*mutant).or_default().push(reach.tests.len());
                }
                reach.tests.push(Test { binary, name, took, breadth: reached.len() });
            }
            Ended::Passed(took) => {
                reach.left_out.push(format!("{} {name}: takes {} s", binary.name, took.as_secs()));
            }
            Ended::Failed(_) => {
                reach.left_out.push(format!("{} {name}: fails without a mutant", binary.name));
            }
            Ended::Broken => {
                let name = format!("{} {name}", binary.name);
                reach.left_out.push(format!("{name}: does not end in {} s", PATIENCE.as_secs()));
            }
        }
    }
    Ok(reach)
}
