//! `cargo xtask gen`: files that are written from the code, and the check that nobody forgot to.

use std::fs;

use crate::failure::{Context, Failure, Outcome};
use crate::workspace;

/// A file that the gateway's own command prints.
struct Generated {
    path: &'static str,
    /// What to ask the command for.
    arguments: &'static [&'static str],
    /// What a good answer begins with, so that a command that prints nothing cannot replace a good file.
    begins: &'static str,
}

const FILES: [Generated; 5] = [
    Generated { path: "docs/gateway.schema.json", arguments: &["schema"], begins: "{" },
    Generated { path: "docs/configuration.md", arguments: &["schema", "--markdown"], begins: "# " },
    Generated {
        path: "docs/security/request-headers.md",
        arguments: &["headers", "--markdown"],
        begins: "# ",
    },
    Generated { path: "docs/denials.md", arguments: &["denials", "--markdown"], begins: "# " },
    Generated { path: "docs/cli.md", arguments: &["manual", "--markdown"], begins: "# " },
];

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Write nothing; fail if a file is not what would be written.
    #[arg(long)]
    pub(crate) check: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Outcome<()> {
    let mut stale = Vec::new();
    for file in &FILES {
        let wanted = file.wanted()?;
        let path = workspace::root().join(file.path);
        if !arguments.check {
            crate::process::write(&path, &wanted)?;
            println!("Wrote {}.", file.path);
        } else if fs::read_to_string(&path).is_ok_and(|present| present == wanted) {
            println!("{} is up to date.", file.path);
        } else {
            // A file that is not there is out of date like any other.
            stale.push(file.path);
        }
    }
    if stale.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "out of date: {}; run `cargo xtask gen` and commit what it writes",
        stale.join(", ")
    )))
}

impl Generated {
    /// What the file should hold.
    fn wanted(&self) -> Outcome<String> {
        let name = || format!("`portcullis {}`", self.arguments.join(" "));
        let output = workspace::cargo()
            .args(["run", "--quiet", "--package", "portcullis-cli", "--"])
            .args(self.arguments)
            .stderr(std::process::Stdio::inherit())
            .output()
            .context(|| format!("running {}", name()))?;
        if !output.status.success() {
            return Err(Failure::new(format!("{}: {}", name(), output.status)));
        }
        let text = String::from_utf8(output.stdout).context(|| format!("{} does not print UTF-8", name()))?;
        if !text.starts_with(self.begins) {
            return Err(Failure::new(format!("{} does not print what it should", name())));
        }
        Ok(text)
    }
}
