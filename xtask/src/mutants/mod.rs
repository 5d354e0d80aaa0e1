//! `cargo xtask mutants`: how many small faults in the code the tests notice. cargo-mutants names the faults.
//!
//! A mutant is the code with one function or operator replaced. What no test notices is a *survivor*. Each survivor must be
//! explained in `xtask/mutants.txt`, and each explanation must be of one that survives. The command fails below the wanted
//! share, or where the explanations do not fit.
//!
//! Which tests count is part of the area. The engine is tried by its own tests alone: they are fast and in its terms. The checks are
//! tried by their own and by those of `portcullis`, which load them from documents and send requests through them: what a check does
//! shows there, and saying it all a second time in unit tests would only fix how it does it.
//!
//! cargo-mutants builds and tests once for each mutant, which takes days for the checks. Here all mutants stand in one build of a
//! copy of the sources in `target/mutants`, each behind a number, and only tests that reach a mutant run with it. So a mutant that
//! cannot stand in the code beside the original, such as a constant, is not tried. How many are not is printed with the score.
//! The working tree is never changed. A copy that does not build without mutants is an error.

mod binary;
mod build;
mod list;
mod measure;
mod reach;
mod rewrite;
mod sources;
#[cfg(test)]
mod tests;
mod trial;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::failure::{Context, Failure, Outcome};
use crate::workspace;
use list::Mutant;
use measure::{Measured, Subject};

/// The share of mutants that tests must notice, in percent.
const WANTED: f64 = 95.0;
/// The explanations: a line `FILE: MUTATION | REASON` each.
const EXPLAINED: &str = include_str!("../../mutants.txt");

/// Code whose tests are tried: a crate, and folders or files of its `src`.
const AREAS: [Area; 2] = [
    Area {
        name: "core",
        package: "portcullis-core",
        parts: &["stage", "stage.rs", "head", "route", "route.rs", "permit.rs"],
        tests: &["portcullis-core"],
        without: &[],
    },
    Area {
        name: "checks",
        package: "portcullis-checks",
        parts: &["authn", "authz", "token", "quota"],
        tests: &["portcullis-checks", "portcullis"],
        // Their tests take minutes, or need a browser.
        without: &["same", "reloads", "dashboard"],
    },
];

struct Area {
    name: &'static str,
    package: &'static str,
    parts: &'static [&'static str],
    /// The packages whose tests count.
    tests: &'static [&'static str],
    /// The programs of tests that take no part.
    without: &'static [&'static str],
}

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What is mutated: `core` or `checks`. Default: both.
    areas: Vec<String>,
    /// Only these files of the area, as patterns such as `authz/*.rs`. Then nothing is said of explanations that were not needed.
    #[arg(long)]
    file: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Outcome<()> {
    if let Some(unknown) = arguments.areas.iter().find(|name| !AREAS.iter().any(|area| area.name == **name)) {
        return Err(Failure::new(format!("no area `{unknown}`; there are `core` and `checks`")));
    }
    let wanted =
        |area: &&Area| arguments.areas.is_empty() || arguments.areas.iter().any(|name| name == area.name);
    let mut problems = Vec::new();
    for area in AREAS.iter().filter(wanted) {
        problems.extend(judge(area, &tried(area, arguments)?, arguments.file.is_empty()));
    }
    if problems.is_empty() { Ok(()) } else { Err(Failure::new(problems.join("\n"))) }
}

/// What came of the mutants of an area, with survivors as `FILE: MUTATION`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tried {
    noticed: usize,
    survivors: BTreeSet<String>,
    /// How many survive; two of one name in one file are told once.
    survived: usize,
    not_tried: usize,
}

impl Tried {
    fn of(measured: &Measured, mutants: &[Mutant]) -> Self {
        let name = |(number, _): &(usize, usize)| mutants.get(*number).map(|mutant| mutant.name.clone());
        Self {
            noticed: measured.noticed.len(),
            survivors: measured.survived.iter().filter_map(name).collect(),
            survived: measured.survived.len(),
            not_tried: measured.not_tried,
        }
    }

    fn score(&self) -> f64 {
        let all = self.noticed + self.survived;
        // A share, not a sum of money.
        #[expect(clippy::cast_precision_loss, reason = "some thousand mutants")]
        let share = if all == 0 { 1.0 } else { self.noticed as f64 / all as f64 };
        share * 100.0
    }
}

fn tried(area: &Area, arguments: &Arguments) -> Outcome<Tried> {
    let (root, target) = (workspace::root(), workspace::target_directory()?);
    let work = target.join("mutants").join(area.name);
    let mutants = list::mutants(area.package, &files(area, &arguments.file))?;
    sources::link_counterparts(root, &target, &work.join("sources"))?;
    let subject = Subject {
        root,
        files: &sources::tracked(root)?,
        work: &work,
        target: &target.join("mutants/build"),
        library: &format!("crates/{}/src/lib.rs", area.package),
        packages: area.tests,
        without: area.without,
    };
    let measured = subject.measure(&mutants)?;
    let places = work.join("survivors.txt");
    fs::write(&places, survivors(&measured, &mutants)).context(|| format!("writing {}", places.display()))?;
    println!("Where survivors stand: {}", places.display());
    Ok(Tried::of(&measured, &mutants))
}

/// The survivors with their lines, and how many tests did not notice them.
fn survivors(measured: &Measured, mutants: &[Mutant]) -> String {
    let mut text = String::new();
    for (number, tests) in &measured.survived {
        if let Some(mutant) = mutants.get(*number) {
            let _ = writeln!(text, "{} [{tests} tests]", mutant.place());
        }
    }
    text
}

/// Patterns for the files of an area.
fn files(area: &Area, only: &[String]) -> Vec<String> {
    let folder = format!("crates/{}/src", area.package);
    if !only.is_empty() {
        return only.iter().map(|pattern| format!("{folder}/{pattern}")).collect();
    }
    let pattern = |part: &&str| match Path::new(part).extension() {
        Some(_) => format!("{folder}/{part}"),
        None => format!("{folder}/{part}/**/*.rs"),
    };
    area.parts.iter().map(pattern).collect()
}

/// The explained survivors, with their reasons. A mutation may have the mark that separates them; a reason has not.
fn explained(text: &str) -> Vec<(&str, &str)> {
    let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    lines.filter_map(|line| line.rsplit_once(" | ")).map(|(name, why)| (name.trim(), why.trim())).collect()
}

/// What is wrong with what came of an area, or with a part of it.
fn judge(area: &Area, tried: &Tried, whole: bool) -> Vec<String> {
    let Tried { noticed, survived, not_tried, .. } = tried;
    println!(
        "{}: {noticed} of {} mutants noticed, {:.1} %; {not_tried} could not be tried",
        area.package,
        noticed + survived,
        tried.score()
    );
    let explained = explained(EXPLAINED);
    let mut problems = Vec::new();
    for survivor in &tried.survivors {
        match explained.iter().find(|(name, _)| name == survivor) {
            Some((_, why)) => println!("  survives: {survivor}\n    {why}"),
            None => problems.push(format!("survives without an explanation: {survivor}")),
        }
    }
    let of_area = |name: &str| name.starts_with(&format!("crates/{}/", area.package));
    if whole {
        let gone = explained.iter().filter(|(name, _)| of_area(name) && !tried.survivors.contains(*name));
        problems.extend(gone.map(|(name, _)| format!("is explained and does not survive: {name}")));
    }
    if tried.score() < WANTED {
        problems.push(format!("{}: {:.1} % is less than {WANTED} %", area.package, tried.score()));
    }
    problems
}
