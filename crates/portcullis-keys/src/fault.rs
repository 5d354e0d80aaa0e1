//! What can be wrong with a store, and whether trying again can help.

use std::fmt;

/// Why a store did not do what it was asked. Holds no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreError {
    /// What kind of thing it is.
    pub kind: ErrorKind,
    /// What happened, in a sentence without its full stop.
    pub text: String,
}

/// Kinds of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The store does not answer, or not in time. It may later.
    Unreachable,
    /// The store cannot be used as it is: a wrong password, a newer schema, a file that others can read, a pepper that is not
    /// there. Somebody must mend it.
    Unusable,
    /// Nothing has this name or number.
    NotFound,
    /// What is asked for contradicts what is there.
    Conflict,
    /// What is asked for has no meaning.
    Invalid,
    /// Something else failed, such as a full disk.
    Failed,
}

impl StoreError {
    pub(crate) fn new(kind: ErrorKind, text: impl Into<String>) -> StoreError {
        StoreError { kind, text: text.into() }
    }

    pub(crate) fn failed(text: impl Into<String>) -> StoreError {
        StoreError::new(ErrorKind::Failed, text)
    }

    pub(crate) fn unusable(text: impl Into<String>) -> StoreError {
        StoreError::new(ErrorKind::Unusable, text)
    }

    /// What is asked for has no meaning, for this reason.
    pub fn invalid(text: impl Into<String>) -> StoreError {
        StoreError::new(ErrorKind::Invalid, text)
    }

    pub(crate) fn conflict(text: impl Into<String>) -> StoreError {
        StoreError::new(ErrorKind::Conflict, text)
    }

    /// Nothing has this name or number.
    pub fn not_found(text: impl Into<String>) -> StoreError {
        StoreError::new(ErrorKind::NotFound, text)
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for StoreError {}
