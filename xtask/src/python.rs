//! Installs programs that nobody here wrote and that tests run, from the Python package index.
//!
//! Each goes to an environment of its own in the build folder, where the tests look for it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::failure::{Context, Failure, Outcome};
use crate::{debian, workspace};

/// Makes requests from an OpenAPI document.
pub(crate) const SCHEMATHESIS: Package = Package { name: "schemathesis", version: "4.32.5" };
/// Looks at a server's TLS.
pub(crate) const SSLYZE: Package = Package { name: "sslyze", version: "6.3.1" };

/// A package with a program of the same name.
pub(crate) struct Package {
    name: &'static str,
    version: &'static str,
}

/// The path of the package's program, after installing it unless it is there.
pub(crate) fn require(package: &Package) -> Outcome<PathBuf> {
    let Package { name, version } = package;
    let home = workspace::root().join("target/counterparts").join(name);
    let program = home.join("bin").join(name);
    if program.is_file() {
        return Ok(program);
    }
    let wanted = format!("{name}=={version}");
    println!("`{wanted}` is not here: installing it.");
    fs::create_dir_all(&home).context(|| format!("making {}", home.display()))?;
    let python = debian::require("python3", "python3")?;
    run(Command::new(python).args(["-m", "venv", "."]).current_dir(&home), "python3 -m venv (python3-venv)")?;
    run(Command::new(home.join("bin/pip")).args(["install", "--quiet", &wanted]), "pip install")?;
    Ok(program)
}

fn run(command: &mut Command, about: &str) -> Outcome<()> {
    let status = command.status().context(|| format!("running {about}"))?;
    if status.success() { Ok(()) } else { Err(Failure::new(format!("{about}: {status}"))) }
}
