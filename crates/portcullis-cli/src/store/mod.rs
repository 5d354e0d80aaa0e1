//! `portcullis keys` and `portcullis consumers`: what is in the store that a configuration names.
//!
//! A change is made in the store itself, whether or not a gateway runs; those that do hear of it within a second. A key is
//! shown once, when it is made, and is never an argument.

pub(crate) mod consumers;
pub(crate) mod keys;

use crate::exit::Exit;
use crate::screen::{BAD, load, print, print_error};
use portcullis::Loaded;
use portcullis::compile::Blueprint;
use portcullis::keys::{ErrorKind, KeyStore, Owner, StoreError, import, model};
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

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
    loaded: Loaded,
    json: bool,
}

impl Place {
    pub(crate) fn open(&self) -> Result<Opened, Exit> {
        let loaded = load(&self.config)?;
        let cannot = |why: String| {
            print_error(format!("{BAD}error{BAD:#}: {why}\n"));
            Exit::Configuration
        };
        if loaded.blueprint().is_none() {
            return Err(cannot(format!("{} cannot be used", self.config.display())));
        }
        let settings = loaded.key_store().ok_or_else(|| {
            cannot(format!(
                "{} names no store of keys\n  help: add `store: {{ keys: {{ sqlite: portcullis.db }} }}`",
                self.config.display()
            ))
        })?;
        let store = KeyStore::open(settings).map_err(told)?;
        Ok(Opened { store, loaded, json: self.json })
    }
}

impl Opened {
    pub(crate) fn blueprint(&self) -> Option<&Blueprint> {
        self.loaded.blueprint()
    }

    /// Whose consumer this is.
    pub(crate) fn owner(&self, name: &str) -> Owner {
        let configured =
            self.blueprint().is_some_and(|blueprint| blueprint.plan.consumers.named(name).is_some());
        if configured { Owner::Configured } else { Owner::Stored }
    }

    /// That the configuration has this plan.
    pub(crate) fn check_plan(&self, plan: Option<&String>) -> Result<(), StoreError> {
        match plan.filter(|plan| !plan.is_empty() && !self.loaded.has_plan(plan)) {
            None => Ok(()),
            Some(plan) => Err(StoreError::invalid(format!(
                "the configuration has no plan `{plan}`; define it under `plans`"
            ))),
        }
    }

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

/// `90d`, `12h`, `30m`, `10s` or `2w`.
pub(crate) fn span(text: &str) -> Result<Duration, String> {
    let wrong = || "write a number and a unit, such as `90d`, `12h` or `30m`".to_owned();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..).unwrap_or_default() {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 604_800,
        "" if text == "0" => 1,
        _ => return Err(wrong()),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    // A thousand years, which every date can say.
    let most = 1000 * 366 * 86_400;
    number
        .checked_mul(unit)
        .filter(|seconds| *seconds <= most)
        .map(Duration::from_secs)
        .ok_or_else(|| "this is more than a thousand years".to_owned())
}

/// The same, and longer than nothing.
pub(crate) fn lasting(text: &str) -> Result<Duration, String> {
    match span(text) {
        Ok(time) if time.is_zero() => Err("a key that ends at once is of no use".to_owned()),
        other => other,
    }
}

/// When something ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Never,
    /// After this time.
    After(Duration),
    /// Then, in seconds since 1970.
    At(u64),
}

impl End {
    pub(crate) fn parse(text: &str) -> Result<End, String> {
        if text == "never" {
            return Ok(End::Never);
        }
        let date = || import::moment(text).or_else(|| import::moment(&format!("{text}T00:00:00Z")));
        if let Some(at) = date() {
            let ahead = at > model::now();
            return ahead.then_some(End::At(at)).ok_or_else(|| "this moment has passed".to_owned());
        }
        match span(text) {
            Ok(_) => lasting(text).map(End::After),
            Err(_) => Err("write a time such as `90d`, a day such as `2027-06-30`, or `never`".to_owned()),
        }
    }

    /// In seconds since 1970.
    pub(crate) fn moment(self) -> Option<u64> {
        match self {
            End::Never => None,
            End::After(time) => Some(model::now().saturating_add(time.as_secs())),
            End::At(at) => Some(at),
        }
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
