//! `portcullis keys` and `portcullis consumers`: what is in the store that a configuration names.
//!
//! A change is made in the store itself, whether or not a gateway runs; those that do hear of it within a second. A key is
//! shown once, when it is made, and is never an argument.

pub(crate) mod consumers;
pub(crate) mod keys;

use crate::exit::Exit;
use crate::screen::{BAD, load, print, print_error};
use portcullis::compile::Blueprint;
use portcullis::desk::Terms;
use portcullis::keys::{ErrorKind, KeyStore, StoreError};
use serde_json::Value;
use std::path::PathBuf;

/// What every command needs.
#[derive(clap::Args)]
pub(crate) struct Place {
    /// The configuration file, which names the store.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Print JSON, for machines.
    #[arg(long)]
    json: bool,
}

/// A store that is open, and the configuration that names it.
pub(crate) struct Opened {
    pub(crate) store: KeyStore,
    /// What the configuration says of changes.
    pub(crate) terms: Terms,
    json: bool,
}

impl Place {
    pub(crate) fn open(&self) -> Result<Opened, Exit> {
        let loaded = load(&self.config)?;
        let cannot = |why: String| {
            print_error(format!("{BAD}error{BAD:#}: {why}\n"));
            Exit::Configuration
        };
        let Some(terms) = loaded.blueprint().map(Blueprint::terms) else {
            return Err(cannot(format!("{} cannot be used", self.config.display())));
        };
        let settings = loaded.key_store().ok_or_else(|| {
            cannot(format!(
                "{} names no store of keys\n  help: add `store: {{ keys: {{ sqlite: portcullis.db }} }}`",
                self.config.display()
            ))
        })?;
        let store = KeyStore::open(settings).map_err(told)?;
        Ok(Opened { store, terms, json: self.json })
    }
}

impl Opened {
    /// Prints what came of it.
    pub(crate) fn print(&self, json: &Value, text: impl FnOnce() -> String) {
        print(if self.json { format!("{json:#}\n") } else { text() });
    }

    pub(crate) fn is_json(&self) -> bool {
        self.json
    }
}

/// Says what is wrong. The exit code tells a mistake in the command line from a store that fails.
#[expect(clippy::needless_pass_by_value, reason = "taken by `map_err`")]
pub(crate) fn told(error: StoreError) -> Exit {
    print_error(format!("{BAD}error{BAD:#}: {}\n", portcullis::visible(&error.text)));
    match error.kind {
        ErrorKind::Invalid => Exit::Usage,
        ErrorKind::Unreachable
        | ErrorKind::Unusable
        | ErrorKind::NotFound
        | ErrorKind::Conflict
        | ErrorKind::Failed => Exit::Failed,
    }
}

/// A list of words that one text gives: `a,b`. An empty text is an empty list.
pub(crate) fn words(texts: &[String]) -> Vec<String> {
    let words = texts.iter().flat_map(|text| text.split(',')).map(str::trim);
    words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Lines with columns of one width.
pub(crate) fn columns(rows: &[Vec<String>]) -> String {
    let widths: Vec<usize> = rows.iter().fold(Vec::new(), |mut widths, row| {
        widths.resize(widths.len().max(row.len()), 0);
        widths.iter_mut().zip(row).for_each(|(width, cell)| *width = (*width).max(cell.chars().count()));
        widths
    });
    let line = |row: &Vec<String>| {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}
