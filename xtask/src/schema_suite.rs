//! Fetches the JSON-Schema-Test-Suite, which the Python package `jsonschema` carries in its source distribution.
//!
//! The version and the digest are fixed here; another file is an error. It goes to the build folder, where the tests of
//! portcullis-openapi look for it.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::failure::{Context, Failure, Outcome};
use crate::{debian, workspace};

const PACKAGE: &str = "jsonschema==4.26.0";
const ARCHIVE: &str = "jsonschema-4.26.0.tar.gz";
const FOLDER: &str = "jsonschema-4.26.0/json";
const SHA256: &str = "0c26707e2efad8aa1bfc5b7ce170f3fccc2e4918ff85989ba9ffa9facb2be326";

/// Fetches the suite unless it is there.
pub(crate) fn install() -> Outcome<()> {
    let home = workspace::root().join("target/counterparts/openapi");
    let suite = home.join("json-schema-test-suite");
    if suite.join("tests").is_dir() {
        return Ok(());
    }
    println!("the JSON-Schema-Test-Suite is not here: fetching the source of `{PACKAGE}`.");
    fs::create_dir_all(&home).context(|| format!("making {}", home.display()))?;
    let python = debian::require("python3", "python3")?;
    // An environment of its own: the system's Python may not be changed.
    run(
        Command::new(python).args(["-m", "venv", "python"]).current_dir(&home),
        "python3 -m venv (python3-venv)",
    )?;
    let mut fetch = Command::new(home.join("python/bin/pip"));
    fetch.args(["download", "--quiet", "--no-deps", "--no-binary", "jsonschema", PACKAGE]);
    run(fetch.current_dir(&home), "pip download")?;
    let digest =
        Command::new("sha256sum").arg(ARCHIVE).current_dir(&home).output().context(|| "sha256sum".into())?;
    if !String::from_utf8_lossy(&digest.stdout).starts_with(SHA256) {
        return Err(Failure::new(format!("{ARCHIVE} is not the file that was expected")));
    }
    run(Command::new("tar").args(["xzf", ARCHIVE]).current_dir(&home), "tar")?;
    rename(&home.join(FOLDER), &suite)
}

fn rename(from: &Path, to: &Path) -> Outcome<()> {
    fs::rename(from, to).context(|| format!("moving {} to {}", from.display(), to.display()))
}

fn run(command: &mut Command, about: &str) -> Outcome<()> {
    let status = command.status().context(|| format!("running {about}"))?;
    if status.success() { Ok(()) } else { Err(Failure::new(format!("{about}: {status}"))) }
}
