//! The measurement of one list of mutants: copy, one build, one run of each test, and a trial of each mutant.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::build::Plan;
use super::list::Mutant;
use super::trial::{self, Verdict};
use super::{reach, sources};
use crate::failure::{Context, Failure, Outcome};
use crate::parallel;

/// What is measured, and where.
pub(super) struct Subject<'a> {
    pub(super) root: &'a Path,
    /// The files of the workspace.
    pub(super) files: &'a [String],
    /// The folder for the copy and for what is kept.
    pub(super) work: &'a Path,
    /// Where cargo builds.
    pub(super) target: &'a Path,
    /// The root of the crate that is mutated.
    pub(super) library: &'a str,
    /// The packages with tests, and the programs of theirs that take no part.
    pub(super) packages: &'a [&'a str],
    pub(super) without: &'a [&'a str],
}

/// What came of the mutants, each by its number.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Measured {
    pub(super) noticed: Vec<usize>,
    /// With the number of tests that ran.
    pub(super) survived: Vec<(usize, usize)>,
    pub(super) not_tried: usize,
}

impl Subject<'_> {
    pub(super) fn measure(&self, mutants: &[Mutant]) -> Outcome<Measured> {
        let copy = self.work.join("sources");
        let later = mutants.iter().map(|mutant| mutant.file.clone()).chain([self.library.to_owned()]);
        fs::create_dir_all(&copy).context(|| format!("making {}", copy.display()))?;
        sources::copy(self.root, self.files, &later.collect::<BTreeSet<_>>(), &copy)?;

        println!("Building {} mutants at once.", mutants.len());
        let memory = self.work.join("does-not-compile.json");
        let plan = Plan {
            root: self.root,
            sources: &copy,
            target: self.target,
            memory: &memory,
            library: self.library,
            packages: self.packages,
            mutants,
        };
        let mut built = plan.build()?;
        built.binaries.retain(|binary| !self.without.contains(&binary.name.as_str()));

        println!("Running each test of {} programs by itself.", built.binaries.len());
        let reach = reach::record(&built.binaries, self.work)?;
        if reach.tests.is_empty() {
            return Err(Failure::new("no test takes part"));
        }
        println!("{} tests take part, {} do not:", reach.tests.len(), reach.left_out.len());
        for test in &reach.left_out {
            println!("  {test}");
        }

        let placed: Vec<usize> = built.placed.into_iter().collect();
        let done = AtomicUsize::new(0);
        let verdicts = parallel::each(&placed, |mutant| {
            let verdict = trial::tried(*mutant, &reach, self.work);
            if let (Ok(Verdict::Survived(tests)), Some(mutant)) = (&verdict, mutants.get(*mutant)) {
                println!("  survives {tests} tests: {}", mutant.place());
            }
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            if done.is_multiple_of(100) {
                println!("{done} of {} mutants tried", placed.len());
            }
            verdict
        });
        let mut measured = Measured { not_tried: mutants.len() - placed.len(), ..Measured::default() };
        for (mutant, verdict) in placed.into_iter().zip(verdicts) {
            match verdict? {
                Verdict::Noticed => measured.noticed.push(mutant),
                Verdict::Survived(tests) => measured.survived.push((mutant, tests)),
            }
        }
        Ok(measured)
    }
}
