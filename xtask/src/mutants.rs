//! `cargo xtask mutants`: how many small faults in the code the crate's own tests notice, by cargo-mutants.
//!
//! A mutant is the code with one function or operator replaced. What no test notices is a *survivor*. Each survivor must be
//! explained in `xtask/mutants.txt`, and each explanation must be of one that survives. The command fails below the wanted
//! share, or where the explanations do not fit. It takes hours, so continuous integration does not run it.
//!
//! The checks are tried by tests of `portcullis`, with documents and over sockets, far more than by their own: those alone notice a
//! third, and would have to be joined by many for the area `checks` to pass.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::failure::{Context, Failure, Outcome};
use crate::workspace;

/// The share of mutants that tests must notice, in percent.
const WANTED: f64 = 95.0;
/// The explanations: a line `FILE: MUTATION | REASON` each.
const EXPLAINED: &str = include_str!("../mutants.txt");
/// No test of these crates takes so long, on a slow machine with other work.
const TIMEOUT: &str = "120";

/// Code whose tests are tried: a crate, and folders or files of its `src`.
const AREAS: [Area; 2] = [
    Area {
        name: "core",
        package: "portcullis-core",
        parts: &["stage", "stage.rs", "head", "route", "route.rs", "permit.rs"],
    },
    Area { name: "checks", package: "portcullis-checks", parts: &["authn", "authz", "token", "quota"] },
];

struct Area {
    name: &'static str,
    package: &'static str,
    parts: &'static [&'static str],
}

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What is mutated: `core` or `checks`. Default: both.
    areas: Vec<String>,
    /// Only this part of the mutants, such as `0/8`; then nothing is said of explanations that were not needed.
    #[arg(long)]
    shard: Option<String>,
    /// Only these files of the area, as patterns such as `authz/*.rs`.
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
        let tried = tried(area, arguments)?;
        problems.extend(judge(area, &tried, arguments));
    }
    if problems.is_empty() { Ok(()) } else { Err(Failure::new(problems.join("\n"))) }
}

/// Mutants by what came of them, each as `FILE: MUTATION`, without its line.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tried {
    noticed: usize,
    survivors: BTreeSet<String>,
    /// How many survive; two of one name in one file are told once.
    survived: usize,
}

impl Tried {
    fn score(&self) -> f64 {
        let all = self.noticed + self.survived;
        // A share, not a sum of money.
        #[expect(clippy::cast_precision_loss, reason = "some thousand mutants")]
        let share = if all == 0 { 1.0 } else { self.noticed as f64 / all as f64 };
        share * 100.0
    }
}

fn tried(area: &Area, arguments: &Arguments) -> Outcome<Tried> {
    let output = workspace::target_directory()?.join("mutants").join(area.name);
    fs::create_dir_all(&output).context(|| format!("making {}", output.display()))?;
    let mut command = workspace::cargo();
    command.arg("mutants").args([
        "--package",
        area.package,
        "--no-shuffle",
        "--copy-vcs=false",
        "--colors=never",
    ]);
    command.args(["--jobs", "1", "--timeout", TIMEOUT, "--output"]).arg(&output);
    for file in files(area, &arguments.file) {
        command.args(["--file", &file]);
    }
    if let Some(shard) = &arguments.shard {
        command.args(["--shard", shard]);
    }
    // Examples in comments show how a thing is used; they are not there to notice faults.
    command.args(["--", "--lib", "--tests"]);
    // The copy of the sources that is mutated lies where what is built lies.
    command.env("TMPDIR", &output).env("CARGO_PROFILE_DEV_DEBUG", "0");
    ran(&mut command)?;
    let file = output.join("mutants.out/outcomes.json");
    let text = fs::read_to_string(&file).context(|| format!("reading {}", file.display()))?;
    read(&text)
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

/// Survivors are no failure of the command itself: it ends with 2, or with 3 where some take too long.
fn ran(command: &mut Command) -> Outcome<()> {
    let status = command
        .status()
        .context(|| "running cargo mutants; `cargo install cargo-mutants --locked` installs it".into())?;
    match status.code() {
        Some(0 | 2 | 3) => Ok(()),
        _ => Err(Failure::new(format!("cargo mutants failed: {status}"))),
    }
}

fn read(text: &str) -> Outcome<Tried> {
    let outcomes: serde_json::Value =
        serde_json::from_str(text).context(|| "reading what cargo mutants has written".into())?;
    let list = outcomes.get("outcomes").and_then(serde_json::Value::as_array);
    let mut tried = Tried::default();
    for outcome in list.context(|| "cargo mutants has written no outcomes".into())? {
        let Some(mutant) = outcome.get("scenario").and_then(|scenario| scenario.get("Mutant")) else {
            continue;
        };
        let text = |of: &serde_json::Value, key: &str| {
            of.get(key).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned()
        };
        match text(outcome, "summary").as_str() {
            // One that does not end is noticed: the tests do not end either.
            "CaughtMutant" | "Timeout" => tried.noticed += 1,
            "MissedMutant" => {
                tried.survived += 1;
                tried.survivors.insert(named(&text(mutant, "name"), &text(mutant, "file")));
            }
            // It does not compile.
            _ => {}
        }
    }
    Ok(tried)
}

/// `FILE: MUTATION` of `FILE:LINE:COLUMN: MUTATION`.
fn named(name: &str, file: &str) -> String {
    let mutation = name.strip_prefix(file).unwrap_or(name);
    let mutation = mutation.trim_start_matches(|char: char| char == ':' || char.is_ascii_digit());
    format!("{file}: {}", mutation.trim())
}

/// The explained survivors, with their reasons. A mutation may have the mark that separates them; a reason has not.
fn explained(text: &str) -> Vec<(&str, &str)> {
    let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    lines.filter_map(|line| line.rsplit_once(" | ")).map(|(name, why)| (name.trim(), why.trim())).collect()
}

fn judge(area: &Area, tried: &Tried, arguments: &Arguments) -> Vec<String> {
    let all = tried.noticed + tried.survived;
    println!("{}: {} of {all} mutants noticed, {:.1} %", area.package, tried.noticed, tried.score());
    let explained = explained(EXPLAINED);
    let mut problems = Vec::new();
    for survivor in &tried.survivors {
        match explained.iter().find(|(name, _)| name == survivor) {
            Some((_, why)) => println!("  survives: {survivor}\n    {why}"),
            None => problems.push(format!("survives without an explanation: {survivor}")),
        }
    }
    let whole = arguments.shard.is_none() && arguments.file.is_empty();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_read_as_cargo_mutants_writes_them() {
        let mutant = |line: u32, summary: &str| {
            format!(
                r#"{{"scenario":{{"Mutant":{{"name":"crates/a/src/b.rs:{line}:9: replace f -> bool with true","file":"crates/a/src/b.rs"}}}},"summary":"{summary}"}}"#
            )
        };
        let text = format!(
            r#"{{"outcomes":[{{"scenario":"Baseline","summary":"Success"}},{},{},{},{},{}]}}"#,
            mutant(1, "CaughtMutant"),
            mutant(2, "Timeout"),
            mutant(3, "MissedMutant"),
            mutant(33, "MissedMutant"),
            mutant(4, "Unviable"),
        );
        let tried = read(&text).expect("it is as it is written");
        assert_eq!((tried.noticed, tried.survived), (2, 2));
        let survivors: Vec<_> = tried.survivors.iter().map(String::as_str).collect();
        assert_eq!(survivors, ["crates/a/src/b.rs: replace f -> bool with true"]);
        assert!((tried.score() - 50.0).abs() < f64::EPSILON);
    }

    #[test]
    fn each_explanation_is_of_a_file_that_is_there_and_says_something() {
        let explained = explained(EXPLAINED);
        let lines = EXPLAINED.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
        assert_eq!(explained.len(), lines.count(), "a line is not `FILE: MUTATION | REASON`");
        for (name, why) in explained {
            let file = name.split(": ").next().unwrap_or_default();
            assert!(workspace::root().join(file).is_file(), "{file}");
            assert!(why.len() > 10, "{name}");
        }
    }
}
