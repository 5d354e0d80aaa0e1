//! `cargo xtask ci`: what continuous integration runs, and nothing that a person cannot run by the same names.

use crate::bench::{self, instructions};
use crate::failure::{Failure, Outcome};
use crate::{conformance, deny, fuzz, generate, test};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Leave out `cargo xtask test`, for a caller that has just run it.
    #[arg(long)]
    no_test: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Outcome<()> {
    let mut problems = Vec::new();
    let mut step = |name: &str, outcome: &mut dyn FnMut() -> Outcome<()>| {
        println!("\n== cargo xtask {name}");
        if let Err(failure) = outcome() {
            eprintln!("error: {failure}");
            problems.push(format!("cargo xtask {name}"));
        }
    };
    if !arguments.no_test {
        step("test", &mut || test::run(&test::Arguments::full()));
    }
    step("gen --check", &mut || generate::run(&generate::Arguments { check: true }));
    step("deny", &mut || deny::run(&deny::Arguments::of_ci()));
    step("conformance --only git --only etcd", &mut || conformance::run(&conformance::Arguments::of_ci()));
    step("fuzz", &mut || fuzz::run(&fuzz::Arguments::four_minutes()));
    step("bench --instructions", &mut instructions::run);
    // Timings on a shared machine say little; the controls in the same run are what counts here.
    step("bench --quick", &mut || bench::run(&bench::Arguments::quick()));
    if problems.is_empty() {
        println!("\nAll of it passed.");
        Ok(())
    } else {
        Err(Failure::new(format!("failed: {}", problems.join(", "))))
    }
}
