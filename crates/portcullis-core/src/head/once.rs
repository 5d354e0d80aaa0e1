//! A field that may stand in a request at most once.

use std::borrow::Cow;

/// What a request holds under a name that must not repeat.
///
/// Whoever reads a credential must say what happens in each case: a repeated one is not an absent one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Once<'a> {
    /// It is not there.
    Absent,
    /// It is there once.
    One(Cow<'a, str>),
    /// It is there more than once.
    Repeated,
    /// It is there once, and it is not text.
    Unreadable,
}
