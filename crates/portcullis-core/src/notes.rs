//! What checks leave for each other and for the record while one body is judged.
//!
//! A body is parsed by the first check that looks into it. What it found is kept here, so that a later check need not parse
//! the same bytes again. It is kept only where such a check runs, and it counts only for the very bytes that it was read from:
//! a body that was replaced in between is read anew.

use std::sync::OnceLock;

/// What a body says that is read as names with values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFormat {
    /// JSON. The name of a value is `json.` and its path with dots, such as `json.items.0.name`.
    Json,
    /// `application/x-www-form-urlencoded`. Names are decoded, values are as they came.
    Form,
    /// XML. The name `/*` has the text of the document, and `//@*` the value of an attribute.
    Xml,
}

/// Names and values of a body, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arguments {
    /// How the body was read.
    pub format: BodyFormat,
    /// Names and values.
    pub pairs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// What a search by rules found, and what it need not look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Searched {
    /// The ids of the rules that matched, each once.
    pub rules: Vec<u64>,
    /// How many named values the request has.
    pub values: u64,
    /// How many of these were not searched, since another check proves them harmless.
    pub harmless: u64,
}

impl Searched {
    /// Adds what another search found.
    pub fn add(&mut self, other: Searched) {
        let Searched { rules, values, harmless } = other;
        for rule in rules {
            if !self.rules.contains(&rule) {
                self.rules.push(rule);
            }
        }
        self.values = self.values.saturating_add(values);
        self.harmless = self.harmless.saturating_add(harmless);
    }
}

/// What is kept while one body is judged.
#[derive(Debug, Default)]
pub struct Notes {
    wants_arguments: bool,
    read: OnceLock<(Bytes, Arguments)>,
    searched: OnceLock<Searched>,
}

/// Which bytes of the process's memory a body is. The body outlives the notes on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bytes {
    start: usize,
    length: usize,
}

impl Bytes {
    fn of(body: &[u8]) -> Bytes {
        Bytes { start: body.as_ptr().addr(), length: body.len() }
    }
}

impl Notes {
    /// Notes for checks of which one reads the arguments of the body, or none does.
    pub(crate) fn new(wants_arguments: bool) -> Notes {
        Notes { wants_arguments, ..Notes::default() }
    }

    /// Whether a check that is still to come reads the arguments of the body.
    pub fn wants_arguments(&self) -> bool {
        self.wants_arguments
    }

    /// Keeps what was read out of `body`. The first reading stays.
    pub fn keep(&self, body: &[u8], arguments: Arguments) {
        let _ = self.read.set((Bytes::of(body), arguments));
    }

    /// What was read out of exactly these bytes.
    pub fn arguments(&self, body: &[u8]) -> Option<&Arguments> {
        let (bytes, arguments) = self.read.get()?;
        (*bytes == Bytes::of(body)).then_some(arguments)
    }

    /// Says what a search found. Once for each body.
    pub fn searched(&self, searched: Searched) {
        let _ = self.searched.set(searched);
    }

    /// What was said of a search.
    pub(crate) fn into_searched(self) -> Option<Searched> {
        self.searched.into_inner()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_counts_for_the_same_bytes_alone() {
        let notes = Notes::new(true);
        let (body, other) = (b"{\"a\":1}".to_vec(), b"{\"a\":1}".to_vec());
        let pairs = vec![(b"json.a".to_vec(), b"1".to_vec())];
        notes.keep(&body, Arguments { format: BodyFormat::Json, pairs });
        assert!(notes.arguments(&body).is_some());
        assert!(notes.arguments(&other).is_none(), "the same text elsewhere");
        assert!(notes.arguments(&body[..3]).is_none(), "a part of it");
    }
}
