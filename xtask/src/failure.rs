//! The one error of these commands: a sentence for the person who ran them.

use std::fmt;

/// What went wrong, in words, from the outside in.
#[derive(Debug)]
pub(crate) struct Failure(String);

/// What every step of a command returns.
pub(crate) type Outcome<T> = Result<T, Failure>;

impl Failure {
    pub(crate) fn new(words: impl Into<String>) -> Self {
        Self(words.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Says what was being done when something failed.
pub(crate) trait Context<T> {
    fn context(self, doing: impl FnOnce() -> String) -> Outcome<T>;
}

impl<T, E: fmt::Display> Context<T> for Result<T, E> {
    fn context(self, doing: impl FnOnce() -> String) -> Outcome<T> {
        self.map_err(|error| Failure(format!("{}: {error}", doing())))
    }
}

impl<T> Context<T> for Option<T> {
    fn context(self, doing: impl FnOnce() -> String) -> Outcome<T> {
        self.ok_or_else(|| Failure(doing()))
    }
}
