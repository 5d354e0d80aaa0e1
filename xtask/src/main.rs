//! `cargo xtask`: the one door to everything a contributor or the continuous integration runs.
//!
//! `test` checks the code, `gen` writes generated files, `bench` measures, `ci` does all of it. A command exits with
//! 1 when anything it checks is not so, and says what.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool talks on the terminal")]

mod bench;
mod book;
mod canaries;
mod ci;
mod conformance;
mod counterparts;
mod debian;
mod deny;
mod failure;
mod fuzz;
mod generate;
mod mutants;
mod package;
mod parallel;
mod process;
mod python;
mod record;
mod schema_suite;
mod simulate;
mod test;
mod tls;
mod tools;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use failure::Outcome;

/// The project's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check format, lints, tests and documentation examples.
    Test(test::Arguments),
    /// Run what continuous integration runs: test, generated files, fuzzing, instruction counts, a short benchmark.
    Ci(ci::Arguments),
    /// Measure CPU time per request next to nginx and HAProxy, or instructions per decision.
    Bench(bench::Arguments),
    /// Relay bytes between two ports, as the floor of a benchmark.
    #[command(hide = true)]
    Relay(bench::relay::Arguments),
    /// Run the clients that people use through a gateway: git, etcd, curl, Python, Node, WebSockets.
    Conformance(conformance::Arguments),
    /// Record anew what real clients send, for the test `recorded`, with the clients that are installed.
    Record(record::Arguments),
    /// Measure the memory of idle connections, in the clear and under TLS, with HTTP/1.1 and HTTP/2.
    Idle(conformance::IdleArguments),
    /// Run mixed traffic for a while, and compare what the gateway holds at the end with the start.
    Soak(conformance::SoakArguments),
    /// Install what tests run against and nobody here wrote, as `test` does first.
    Counterparts,
    /// Run the fuzz targets, guided by coverage.
    Fuzz(fuzz::Arguments),
    /// Change the code in small ways, and count which changes its tests notice. Takes up to an hour.
    Mutants(mutants::Arguments),
    /// Play simulated traffic with attacks in it to the detectors of suspicious activity, and print what they find.
    Simulate(simulate::Arguments),
    /// Check licences and sources of all dependencies, and with `--advisories` known vulnerabilities.
    Deny(deny::Arguments),
    /// Build the documentation as a book, into `target/book`.
    Docs,
    /// Write the generated files, or check that they are up to date.
    Gen(generate::Arguments),
    /// Build the Debian package, and check everything under `packaging/`.
    Package(package::Arguments),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Test(arguments) => test::run(&arguments),
        Command::Ci(arguments) => ci::run(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Relay(arguments) => bench::relay::run(&arguments),
        Command::Conformance(arguments) => conformance::run(&arguments),
        Command::Record(arguments) => record::run(&arguments),
        Command::Idle(arguments) => conformance::idle(&arguments),
        Command::Soak(arguments) => conformance::soak(&arguments),
        Command::Counterparts => counterparts::install(),
        Command::Fuzz(arguments) => fuzz::run(&arguments),
        Command::Mutants(arguments) => mutants::run(&arguments),
        Command::Simulate(arguments) => simulate::run(&arguments),
        Command::Deny(arguments) => deny::run(&arguments),
        Command::Docs => book::run(),
        Command::Gen(arguments) => generate::run(&arguments),
        Command::Package(arguments) => package::run(&arguments),
    };
    finish(outcome)
}

fn finish(outcome: Outcome<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}
