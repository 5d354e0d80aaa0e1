//! The files of a description: how they are read, named, and how a reference finds its target. Nothing is fetched.

pub(crate) mod data;
pub(crate) mod files;
pub(crate) mod identity;
mod lines;
mod node;
mod reference;
mod yaml;

use std::fmt;

use serde_json::Value;

use crate::limits::Limits;

pub use files::Files;
pub(crate) use node::Node;
pub(crate) use reference::{Target, escape, is_relative_file, join};

/// Why a description cannot be used: where, and what is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError {
    /// The file and a JSON Pointer into it, or the file alone.
    pub location: String,
    /// What is wrong, for the author of the description.
    pub message: String,
    /// The line in the file, from 1, where it is known.
    pub line: Option<usize>,
}

impl LoadError {
    pub(crate) fn new(location: impl Into<String>, message: impl Into<String>) -> Self {
        LoadError { location: location.into(), message: message.into(), line: None }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{} (line {line}): {}", self.location, self.message),
            None => write!(f, "{}: {}", self.location, self.message),
        }
    }
}

impl std::error::Error for LoadError {}

/// Reads the body of a message that is YAML, of which every reader reads the same.
///
/// # Errors
/// A word for what is wrong.
pub(crate) fn read_yaml(text: &[u8], limits: &Limits) -> Result<Value, &'static str> {
    yaml::read_body(text, limits)
}

/// The most errors that are told of one description.
const MOST_ERRORS: usize = 100;

/// Why a description cannot be used: everything that is wrong with it, in the order in which it was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadErrors(Vec<LoadError>);

impl LoadErrors {
    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &LoadError> {
        self.0.iter()
    }

    /// Adds one, unless the same has been told.
    pub(crate) fn add(&mut self, error: LoadError) {
        if self.0.len() < MOST_ERRORS && !self.0.contains(&error) {
            self.0.push(error);
        }
    }

    /// Refuses if there is any.
    pub(crate) fn none(self) -> Result<(), LoadErrors> {
        if self.0.is_empty() { Ok(()) } else { Err(self) }
    }

    /// The same, each with its line where the text of its file is at hand.
    pub(crate) fn located(mut self, files: &Files) -> Self {
        lines::locate(&mut self.0, files);
        self
    }
}

impl From<LoadError> for LoadErrors {
    fn from(error: LoadError) -> Self {
        LoadErrors(vec![error])
    }
}

impl fmt::Display for LoadErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            write!(f, "{}{error}", if index == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for LoadErrors {}
