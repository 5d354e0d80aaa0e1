//! `cargo xtask fuzz`: each fuzz target for a stated time, guided by coverage, with the compiler that builds everything else.
//!
//! The targets are those of `cargo fuzz`. They are built with the same instrumentation, which needs no nightly compiler.
//! A run fails on a crash, on an input that takes too long or too much memory, and when a target was not instrumented or hardly
//! ran, since that would find nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::failure::{Context, Failure, Outcome};
use crate::process::supervised;
use crate::{parallel, workspace};

/// What `cargo fuzz` passes to the compiler: coverage of each edge, counters and comparisons for libFuzzer.
const FLAGS: &str = "--cfg fuzzing -Cdebug-assertions -Coverflow-checks -Ccodegen-units=1 -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares";
/// The fewest inputs in a second for which a run counts as one.
const LEAST_PER_SECOND: u64 = 20;
/// What one input may take.
const LIMITS: [&str; 3] = ["-timeout=10", "-rss_limit_mb=1024", "-max_len=65536"];

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// How long each target runs, in seconds.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// How long all of them run together, in seconds; then each runs for its share.
    #[arg(long, conflicts_with = "seconds", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    in_all: Option<u64>,
    /// Only check that the targets compile, without coverage: what a changed signature needs. Takes three minutes of one core at first.
    #[arg(long)]
    check: bool,
    /// The targets. Default: all but those that end in `_oracle`, which compare with another program and its bugs, so
    /// that a person must judge what they find.
    targets: Vec<String>,
}

impl Arguments {
    /// What continuous integration runs: four minutes in all, however many targets there are.
    pub(crate) fn four_minutes() -> Self {
        Self { seconds: 60, in_all: Some(240), check: false, targets: Vec::new() }
    }
}

pub(crate) fn run(arguments: &Arguments) -> Outcome<()> {
    let folder = workspace::root().join("fuzz");
    if arguments.check {
        return check(&folder);
    }
    let known = targets(&folder)?;
    if let Some(unknown) = arguments.targets.iter().find(|target| !known.contains(target)) {
        return Err(Failure::new(format!("no target `{unknown}`; there are {}", known.join(", "))));
    }
    let wanted: Vec<String> = if arguments.targets.is_empty() {
        known.into_iter().filter(|target| !target.ends_with("_oracle")).collect()
    } else {
        arguments.targets.clone()
    };
    let built = build(&folder)?;
    let seconds = match arguments.in_all {
        None => arguments.seconds,
        // Targets run side by side, so what they have together is the time of every core.
        Some(all) => (all * parallel::cores() as u64 / wanted.len().max(1) as u64).max(5),
    };
    println!("{} targets for {seconds} s each, as many at once as there are cores", wanted.len());

    let outcomes = parallel::each(&wanted, |target| match fuzz(&folder, &built, target, seconds) {
        Ok(runs) => {
            println!("  {target:<22} {runs:>10} inputs, no finding");
            None
        }
        Err(failure) => {
            println!("  {target:<22} FAILED");
            Some(format!("{target}: {failure}"))
        }
    });
    let problems: Vec<String> = outcomes.into_iter().flatten().collect();
    if problems.is_empty() { Ok(()) } else { Err(Failure::new(problems.join("\n"))) }
}

/// The names of all targets, which are those of their files.
fn targets(folder: &Path) -> Outcome<Vec<String>> {
    let entries = fs::read_dir(folder.join("fuzz_targets")).context(|| "listing the fuzz targets".into())?;
    let mut names: Vec<String> =
        entries.filter_map(|entry| Some(entry.ok()?.path().file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    Ok(names)
}

/// Checks that all targets compile. They are no part of the workspace, so no other command notices.
fn check(folder: &Path) -> Outcome<()> {
    let status = workspace::cargo()
        .args(["check", "--bins"])
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", workspace::target_directory()?.join("fuzz-check"))
        .status()
        .context(|| "running cargo check in fuzz/".into())?;
    if status.success() { Ok(()) } else { Err(Failure::new("the fuzz targets do not compile")) }
}

/// Builds all targets, and answers with the folder that they are in.
fn build(folder: &Path) -> Outcome<PathBuf> {
    let host = host()?;
    let target = workspace::target_directory()?.join("fuzz");
    println!("Building the fuzz targets with coverage.");
    // Naming the machine keeps the flags away from build scripts and macros, which run in the compiler.
    let status = workspace::cargo()
        .args(["build", "--release", "--bins", "--target", &host])
        .current_dir(folder)
        .env("RUSTFLAGS", FLAGS)
        .env("CARGO_TARGET_DIR", &target)
        .status()
        .context(|| "running cargo build in fuzz/".into())?;
    if !status.success() {
        return Err(Failure::new("the fuzz targets do not build"));
    }
    Ok(target.join(host).join("release"))
}

/// The machine that the compiler builds for by default.
fn host() -> Outcome<String> {
    let output = Command::new("rustc").arg("-vV").output().context(|| "running rustc".into())?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("host: "));
    line.map(str::to_owned).context(|| "rustc names no host".into())
}

/// Runs one target, and answers with how many inputs it tried.
fn fuzz(folder: &Path, built: &Path, target: &str, seconds: u64) -> Outcome<u64> {
    let work = workspace::target_directory()?.join("fuzz").join("work").join(target);
    let corpus = work.join("corpus");
    fs::create_dir_all(&corpus).context(|| format!("making {}", corpus.display()))?;
    let mut command = supervised(&built.join(target));
    command
        .arg(format!("-max_total_time={seconds}"))
        .args(LIMITS)
        .arg(format!("-artifact_prefix={}/", work.display()))
        .arg(&corpus);
    let seeds = folder.join("seeds").join(target);
    if seeds.is_dir() {
        command.arg(seeds);
    }
    let output = command.stdin(Stdio::null()).output().context(|| format!("running {target}"))?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    if !output.status.success() {
        let last: Vec<&str> = text.lines().rev().take(40).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        return Err(Failure::new(format!(
            "{}, the input is in {}\n{}",
            output.status,
            work.display(),
            last.join("\n")
        )));
    }
    judge(&text, seconds)
}

/// How many inputs a run that ended well tried.
fn judge(text: &str, seconds: u64) -> Outcome<u64> {
    if !text.contains("inline 8-bit counters") {
        return Err(Failure::new("it was built without coverage, so it only guesses"));
    }
    let runs =
        text.lines().find_map(|line| line.strip_prefix("Done ")?.split(' ').next()?.parse::<u64>().ok());
    let runs = runs.context(|| "it does not say how many inputs it tried".into())?;
    if runs < LEAST_PER_SECOND * seconds {
        return Err(Failure::new(format!("it tried no more than {runs} inputs")));
    }
    Ok(runs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_did_not_fuzz_is_no_success() {
        let good =
            "INFO: Loaded 1 modules   (10 inline 8-bit counters): 10\nDone 123456 runs in 61 second(s)\n";
        assert_eq!(judge(good, 60).ok(), Some(123_456));
        assert!(judge("Done 123456 runs in 61 second(s)\n", 60).is_err());
        assert!(judge("INFO: Loaded 1 modules   (10 inline 8-bit counters): 10\n", 60).is_err());
        assert!(judge(&good.replace("123456", "11"), 60).is_err());
    }

    #[test]
    fn every_target_is_a_program_of_the_folder() {
        let folder = workspace::root().join("fuzz");
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        let targets = targets(&folder).unwrap();
        assert!(targets.len() >= 9, "{targets:?}");
        for target in &targets {
            assert!(manifest.contains(&format!("path = \"fuzz_targets/{target}.rs\"")), "{target}");
        }
    }
}
