//! Installs schemathesis, which makes requests from an OpenAPI document, from the Python package index.
//!
//! It goes to an environment of its own in the build folder, where the tests of the gateway look for it.

use std::fs;
use std::process::Command;

use crate::failure::{Context, Failure, Outcome};
use crate::{debian, workspace};

const PACKAGE: &str = "schemathesis==4.32.5";

/// Installs it unless it is there.
pub(crate) fn install() -> Outcome<()> {
    let home = workspace::root().join("target/counterparts/schemathesis");
    if home.join("bin/schemathesis").is_file() {
        return Ok(());
    }
    println!("`{PACKAGE}` is not here: installing it.");
    fs::create_dir_all(&home).context(|| format!("making {}", home.display()))?;
    let python = debian::require("python3", "python3")?;
    run(Command::new(python).args(["-m", "venv", "."]).current_dir(&home), "python3 -m venv (python3-venv)")?;
    run(Command::new(home.join("bin/pip")).args(["install", "--quiet", PACKAGE]), "pip install")
}

fn run(command: &mut Command, about: &str) -> Outcome<()> {
    let status = command.status().context(|| format!("running {about}"))?;
    if status.success() { Ok(()) } else { Err(Failure::new(format!("{about}: {status}"))) }
}
