//! `cargo xtask test`: everything that says whether the code is right, in one command.
//!
//! Every step runs even if an earlier one failed, so that one run shows all there is to repair.

mod slowest;

use std::time::{Duration, Instant};

use crate::failure::{Context, Failure, Outcome};
use crate::{canaries, counterparts, debian, workspace};

/// Commands that tests start, with the Debian packages they come from.
const COMMANDS: [(&str, &str); 10] = [
    ("curl", "curl"),
    ("faketime", "faketime"),
    ("pebble", "pebble"),
    ("redis-server", "redis-server"),
    ("pebble-challtestsrv", "pebble"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("chromium", "chromium"),
    ("chromedriver", "chromium-driver"),
    ("pg_createcluster", "postgresql"),
];

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Leave out integration tests, examples and documentation tests.
    #[arg(long)]
    quick: bool,
    /// Only what testssl.sh and sslyze say of the gateway's TLS.
    #[arg(long, conflicts_with = "quick")]
    tls: bool,
}

impl Arguments {
    /// What a plain `cargo xtask test` runs.
    pub(crate) fn full() -> Self {
        Self { quick: false, tls: false }
    }
}

struct Step {
    name: &'static str,
    cargo: &'static [&'static str],
    /// To which of the two kinds of run the step belongs.
    when: When,
    how: How,
}

enum How {
    Plain,
    /// As tests of which each is timed. Documentation tests are not: `rustdoc` runs them itself.
    Timed,
}

enum When {
    Always,
    Quick,
    Full,
}

const STEPS: [Step; 5] = [
    Step { name: "format", cargo: &["fmt", "--all", "--check"], when: When::Always, how: How::Plain },
    Step {
        name: "lints",
        cargo: &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"],
        when: When::Always,
        how: How::Plain,
    },
    Step {
        name: "unit tests",
        cargo: &["test", "--workspace", "--lib", "--bins"],
        when: When::Quick,
        how: How::Timed,
    },
    Step {
        name: "tests",
        cargo: &["test", "--workspace", "--all-targets", "--no-fail-fast"],
        when: When::Full,
        how: How::Timed,
    },
    Step {
        name: "documentation tests",
        cargo: &["test", "--workspace", "--doc", "--no-fail-fast"],
        when: When::Full,
        how: How::Plain,
    },
];

struct Done {
    name: &'static str,
    problem: Option<String>,
    took: Duration,
}

pub(crate) fn run(arguments: &Arguments) -> Outcome<()> {
    if arguments.tls {
        return crate::tls::run();
    }
    let steps: Vec<&Step> = STEPS.iter().filter(|step| step.belongs_to(arguments)).collect();
    let count = steps.len() + if arguments.quick { 2 } else { 3 };
    canaries::clear()?;
    let mut times = Vec::new();
    let mut done = vec![timed("needed commands", || {
        println!("[1/{count}] needed commands: {}", COMMANDS.map(|(command, _)| command).join(", "));
        COMMANDS.iter().try_for_each(|(command, package)| debian::require(command, package).map(drop))
    })];
    done.push(timed("counterparts", || {
        println!("[2/{count}] counterparts: {}", counterparts::FOLDERS.join(", "));
        counterparts::install()
    }));
    for (number, step) in steps.iter().enumerate() {
        done.push(timed(step.name, || {
            println!("[{}/{count}] {}: cargo {}", number + 3, step.name, step.cargo.join(" "));
            step.run(&mut times)
        }));
    }
    if !arguments.quick {
        done.push(timed("canaries", || {
            println!("[{count}/{count}] canaries: secrets of all tests in what gateways put out");
            canaries::search(&canaries::folder()).map(|found| print!("{found}"))
        }));
    }
    if !times.is_empty() {
        print!("\nSlowest tests\n{}", slowest::list(&mut times));
    }
    summarise(&done)
}

impl Step {
    fn belongs_to(&self, arguments: &Arguments) -> bool {
        match self.when {
            When::Always => true,
            When::Quick => arguments.quick,
            When::Full => !arguments.quick,
        }
    }

    /// Runs the step; the times of its tests are added to `times`.
    fn run(&self, times: &mut Vec<slowest::Timed>) -> Outcome<()> {
        let status = match self.how {
            How::Timed => {
                let (status, ran) = slowest::run(self.cargo)?;
                times.extend(ran);
                status
            }
            How::Plain => workspace::cargo().args(self.cargo).status().context(|| "starting cargo".into())?,
        };
        if status.success() {
            Ok(())
        } else {
            Err(Failure::new(format!("cargo {}: {status}", self.cargo.join(" "))))
        }
    }
}

fn timed(name: &'static str, step: impl FnOnce() -> Outcome<()>) -> Done {
    let start = Instant::now();
    let problem = step().err().map(|failure| failure.to_string());
    Done { name, problem, took: start.elapsed() }
}

fn summarise(done: &[Done]) -> Outcome<()> {
    println!("\nSummary");
    for step in done {
        let verdict = if step.problem.is_none() { "ok" } else { "FAILED" };
        println!("  {:<22} {verdict:<7} {:>7.1} s", step.name, step.took.as_secs_f64());
    }
    let problems: Vec<&str> = done.iter().filter_map(|step| step.problem.as_deref()).collect();
    if problems.is_empty() { Ok(()) } else { Err(Failure::new(problems.join("\n       "))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_fails_the_run_and_a_good_one_does_not() {
        let good = || timed("good", || Ok(()));
        let bad = timed("bad", || Err(Failure::new("broken")));
        assert!(summarise(&[good(), good()]).is_ok());
        assert_eq!(summarise(&[good(), bad, good()]).unwrap_err().to_string(), "broken");
    }

    #[test]
    fn format_and_lints_belong_to_every_run() {
        for quick in [true, false] {
            let names: Vec<_> = STEPS
                .iter()
                .filter(|step| step.belongs_to(&Arguments { quick, tls: false }))
                .map(|step| step.name)
                .collect();
            assert_eq!(names.get(..2), Some(&["format", "lints"][..]));
            assert_eq!(names.contains(&"documentation tests"), !quick);
        }
    }
}
