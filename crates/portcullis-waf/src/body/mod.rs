//! What a request's body says: arguments, files, the text of a document.
//!
//! Each reader stops at its first fault and says what it was; what it found until then is still searched.

pub(crate) mod json;
pub(crate) mod multipart;
pub(crate) mod urlencoded;
pub(crate) mod xml;

/// The most arguments, parts, or pieces of text and attributes of one body. One more is a fault.
pub(crate) const MOST_ENTRIES: usize = 10_000;
