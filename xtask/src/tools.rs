//! Programs from the crate registry, each of one version, in `target/tools`. They are compiled when first needed, which takes some minutes.

use std::path::PathBuf;

use crate::failure::{Context, Failure, Outcome};
use crate::workspace;

/// A program that `cargo install` builds.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    /// Which of its features, in the words of `cargo install`.
    pub(crate) features: &'static [&'static str],
}

impl Tool {
    /// The path of the program, after installing it unless this version is there.
    pub(crate) fn require(&self) -> Outcome<PathBuf> {
        let Tool { name, version, features } = self;
        let root = workspace::target_directory()?.join("tools").join(format!("{name}-{version}"));
        let program = root.join("bin").join(name);
        if program.is_file() {
            return Ok(program);
        }
        println!("`{name}` {version} is not here: installing it, which takes some minutes.");
        let status = workspace::cargo()
            .args(["install", name, "--locked", "--version", version])
            .args(*features)
            .arg("--root")
            .arg(&root)
            .status()
            .context(|| "running cargo install".into())?;
        if status.success() {
            Ok(program)
        } else {
            Err(Failure::new(format!("cargo install {name}: {status}")))
        }
    }
}
