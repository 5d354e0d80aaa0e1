//! What a change of a configuration means for security, in words.
//!
//! Both configurations are brought into one form by the JSON Schema: other spellings, defaults and inherited sections make no
//! difference. Routes are compared by host, path and method, with everything that judges their requests; consumers, keys,
//! limits and listeners by name. Each key of the schema has one entry in [`rules`] that says which way is looser. What nobody
//! can judge is shown as changed: nothing that differs is left out. Secrets are never shown.

mod items;
mod openapi;
mod print;
mod routes;
mod rules;
mod shape;
mod values;
mod walk;

#[cfg(test)]
mod tests;

use serde_json::Value;
use shape::Shape;
use std::path::{Path, PathBuf};
use walk::Walk;

/// Which way a change goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// It lets through what was refused, or shows or trusts more.
    Loosened,
    /// Nobody can tell from the configuration alone.
    Changed,
    /// It refuses what was let through, or shows or trusts less.
    Tightened,
}

impl Direction {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Direction::Loosened => "loosened",
            Direction::Changed => "changed",
            Direction::Tightened => "tightened",
        }
    }

    /// The other way round.
    fn reversed(self) -> Direction {
        match self {
            Direction::Loosened => Direction::Tightened,
            Direction::Changed => Direction::Changed,
            Direction::Tightened => Direction::Loosened,
        }
    }
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which way it goes.
    pub direction: Direction,
    /// What it is about, such as `route GET /orders` or `consumer alice`.
    pub subject: String,
    /// What has changed, in words.
    pub words: String,
}

/// A configuration that is compared: what is written, and where the files are that it names.
pub(crate) struct Side<'a> {
    pub(crate) document: &'a Value,
    pub(crate) folder: &'a Path,
}

impl Side<'_> {
    /// The contents of a file that it names.
    fn file(&self, name: &str) -> Option<Vec<u8>> {
        let path: PathBuf = self.folder.join(name);
        std::fs::read(path).ok()
    }
}

/// Every change from `old` to `new`, loosened ones first.
pub(crate) fn between(old: &Side<'_>, new: &Side<'_>) -> Vec<Change> {
    let shape = Shape::new();
    let normal = |side: &Side<'_>| shape.normal_document(side.document);
    let (before, after) = (normal(old), normal(new));
    let mut walk = Walk::new(&shape, old, new);
    routes::compare(&mut walk, &before, &after);
    walk.gateway(&before, &after);
    let mut changes = print::gathered(walk.into_changes());
    // SECURITY: two documents that differ are never said to be the same (every_key_has_a_rule_and_every_change_a_line).
    let inherited = |document: &Value| {
        let document = shape.without_defaults(shape.root(), document);
        ["security", "security_profiles", "openapi"].map(|key| document.get(key).cloned())
    };
    if changes.is_empty() && inherited(&before) != inherited(&after) {
        changes.push(Change {
            direction: Direction::Changed,
            subject: "gateway".to_owned(),
            words: "sections that no route uses have changed".to_owned(),
        });
    }
    changes
}

pub use print::{json, markdown, text};
