//! Installs a Debian package when a command of it is missing.
//!
//! Says what it does before it does it. Without apt, or when the installation fails, the answer is an error that
//! names the package; nothing is skipped in silence.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::failure::{Context, Failure, Outcome};
use crate::process::find_command;

/// Package lists are fetched at most once in a run.
static LISTS_FETCHED: OnceLock<()> = OnceLock::new();

/// Some packages start a service when installed, and that of nginx listens on port 80 of every address. Only the
/// programs are wanted, so services stay off while the package is set up, unless the machine has a policy already.
const INSTALL: &str = r#"
set -e
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' > "$policy"
    chmod 755 "$policy"
fi
DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$1"
"#;

/// The path of `command`, after installing `package` if it was missing.
pub(crate) fn require(command: &str, package: &str) -> Outcome<PathBuf> {
    if let Some(path) = find_command(command) {
        return Ok(path);
    }
    if find_command("apt-get").is_none() {
        return Err(Failure::new(format!(
            "`{command}` is missing and there is no apt-get here to install it with; \
             install it by hand (the Debian package is `{package}`) and run this again"
        )));
    }
    println!("`{command}` is missing: installing the Debian package `{package}`.");
    if LISTS_FETCHED.set(()).is_ok() {
        as_root(&["apt-get", "update", "-q"], package)?;
    }
    as_root(&["sh", "-c", INSTALL, "install", package], package)?;
    find_command(command).context(|| format!("`{package}` is installed but has no `{command}`"))
}

fn as_root(words: &[&str], package: &str) -> Outcome<()> {
    let mut words = words.to_vec();
    if !is_root() {
        if find_command("sudo").is_none() {
            return Err(Failure::new(format!(
                "installing `{package}` needs root, and sudo is missing; run `apt-get install {package}` as root"
            )));
        }
        words.insert(0, "sudo");
    }
    let (program, arguments) = words.split_first().context(|| "an empty command".into())?;
    let shown =
        words.iter().map(|word| if word.contains('\n') { "…" } else { word }).collect::<Vec<_>>().join(" ");
    println!("  {shown}");
    let status = Command::new(program).args(arguments).status().context(|| format!("running {shown}"))?;
    if status.success() { Ok(()) } else { Err(Failure::new(format!("{shown}: {status}"))) }
}

/// Whether this process runs as root: the owner of its own entry in /proc says so without a system call binding.
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(Path::new("/proc/self")).is_ok_and(|entry| entry.uid() == 0)
}
