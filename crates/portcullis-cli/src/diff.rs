//! `portcullis diff`: what a change of a configuration means for security.

use crate::Outcome;
use crate::exit::Exit;
use crate::screen::{load, print};
use clap::ValueEnum;
use portcullis::Loaded;
use portcullis::difference::{Direction, json, markdown, text};
use std::path::Path;

/// How a difference is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For a pull request.
    Markdown,
    /// For programs.
    Json,
}

/// What makes the command fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    /// Something is looser.
    Loosened,
    /// Something is looser, or nobody can tell.
    Changed,
}

pub(crate) fn run(old: &Path, new: &Path, format: Format, fail_on: Option<FailOn>) -> Outcome {
    let (old, new) = (usable(old)?, usable(new)?);
    let changes = new.changes_from(&old);
    print(match format {
        Format::Text => text(&changes),
        Format::Markdown => markdown(&changes),
        Format::Json => format!("{:#}\n", json(&changes)),
    });
    let worst = changes.iter().map(|change| change.direction).min();
    Ok(match (fail_on, worst) {
        (Some(_), Some(Direction::Loosened)) | (Some(FailOn::Changed), Some(Direction::Changed)) => {
            Exit::Findings
        }
        (Some(_) | None, _) => Exit::Well,
    })
}

/// A configuration that can be used: nobody can say what one means that cannot.
fn usable(file: &Path) -> Result<Loaded, Exit> {
    let loaded = load(file)?;
    match loaded.blueprint() {
        Some(_) => Ok(loaded),
        None => {
            anstream::eprintln!("{} cannot be used, so nothing can be said of it", file.display());
            Err(Exit::Configuration)
        }
    }
}
