//! The files of a description: how they are read, named, and how a reference finds its target. Nothing is fetched.

pub(crate) mod files;
mod node;
mod reference;
mod yaml;

use std::fmt;

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
}

impl LoadError {
    pub(crate) fn new(location: impl Into<String>, message: impl Into<String>) -> Self {
        LoadError { location: location.into(), message: message.into() }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.location, self.message)
    }
}

impl std::error::Error for LoadError {}
