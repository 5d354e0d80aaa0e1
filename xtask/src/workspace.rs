//! Where the workspace is, and how cargo is called in it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::{Context, Failure, Outcome};

/// The root of the workspace: the folder above this crate.
pub(crate) fn root() -> &'static Path {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest)
}

/// A cargo command at the root of the workspace, by the same cargo that runs this program.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Where cargo puts what it builds, whether by default, by environment or by its configuration.
pub(crate) fn target_directory() -> Outcome<PathBuf> {
    let output = cargo()
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .output()
        .context(|| "running cargo metadata".into())?;
    if !output.status.success() {
        return Err(Failure::new(String::from_utf8_lossy(&output.stderr)));
    }
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).context(|| "reading the output of cargo metadata".into())?;
    let directory = metadata.get("target_directory").and_then(serde_json::Value::as_str);
    directory.map(PathBuf::from).context(|| "cargo metadata names no target directory".into())
}

/// Builds with the profile of the release artefacts, and answers with the folder of that profile.
pub(crate) fn build_for_distribution(arguments: &[&str]) -> Outcome<PathBuf> {
    println!("Building: cargo build --profile dist {}", arguments.join(" "));
    let status = cargo()
        .args(["build", "--profile", "dist"])
        .args(arguments)
        .status()
        .context(|| "running cargo build".into())?;
    if !status.success() {
        return Err(Failure::new(format!("cargo build --profile dist {} failed", arguments.join(" "))));
    }
    Ok(target_directory()?.join("dist"))
}
