//! What is wrong with a message: where, and by which rule. Never the value itself.

use std::fmt;

use crate::json::Fault;
use crate::memory::Memory;

/// The most violations that are reported of one message.
pub const MOST_VIOLATIONS: usize = 10;

/// The longest name or pointer that is reported, since both may be the client's own text.
const LONGEST_TEXT: usize = 200;

/// The part of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// A path parameter.
    Path,
    /// A query parameter.
    Query,
    /// A header field.
    Header,
    /// A cookie.
    Cookie,
    /// The body.
    Body,
    /// The status of a response.
    Status,
}

impl Place {
    /// The word for it in a report.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Place::Path => "path",
            Place::Query => "query",
            Place::Header => "header",
            Place::Cookie => "cookie",
            Place::Body => "body",
            Place::Status => "status",
        }
    }
}

/// How bad it is; the worst decides about the answer. From the least to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// It can be read, and the schema says no: 422.
    Invalid,
    /// It is of a kind that is not declared: 415.
    Unsupported,
    /// It has no reading, or something is missing or undeclared: 400.
    Malformed,
    /// It is larger than what is read: 413.
    TooLarge,
    /// There is no memory left to judge it, which is not the sender's fault: 503.
    Unavailable,
}

impl Class {
    /// The status that an answer to a request should have.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Class::Malformed => 400,
            Class::TooLarge => 413,
            Class::Unsupported => 415,
            Class::Invalid => 422,
            Class::Unavailable => 503,
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// How bad it is.
    pub class: Class,
    /// The part of the message.
    pub place: Place,
    /// The name of the parameter, field or part. Empty for the body as a whole.
    pub name: String,
    /// A JSON Pointer (RFC 6901) into the value, empty for the value as a whole.
    pub pointer: String,
    /// A fixed word for the rule: a JSON Schema keyword, or one of this crate's own.
    pub reason: &'static str,
    /// For a text that has no reading: how many bytes of it come before what is wrong.
    pub offset: Option<usize>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.place.as_str())?;
        if !self.name.is_empty() {
            write!(f, " {}", self.name)?;
        }
        if !self.pointer.is_empty() {
            write!(f, " {}", self.pointer)?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// What is wrong with one message: at least one violation, at most [`MOST_VIOLATIONS`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violations(Vec<Violation>);

impl Violations {
    /// Each, in the order in which they were found.
    pub fn iter(&self) -> impl Iterator<Item = &Violation> {
        self.0.iter()
    }

    /// The worst class of all.
    #[must_use]
    pub fn class(&self) -> Class {
        self.0.iter().map(|violation| violation.class).max().unwrap_or(Class::Malformed)
    }

    /// The status that an answer to a request should have.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.class().status()
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, violation) in self.0.iter().enumerate() {
            write!(f, "{}{violation}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl std::error::Error for Violations {}

/// Collects what is wrong with one message, up to the most that is reported, and knows from where memory is taken.
pub(crate) struct Report<'m> {
    found: Vec<Violation>,
    pub(crate) memory: &'m dyn Memory,
}

impl<'m> Report<'m> {
    pub(crate) fn new(memory: &'m dyn Memory) -> Self {
        Report { found: Vec::new(), memory }
    }

    /// A value has no reading as JSON.
    pub(crate) fn fault(&mut self, place: Place, name: &str, fault: Fault) {
        let class = if fault == Fault::Memory { Class::Unavailable } else { Class::Malformed };
        self.add(class, place, name, fault.reason());
    }

    /// The same, where it is known at which byte.
    pub(crate) fn fault_at(&mut self, place: Place, name: &str, (fault, offset): (Fault, usize)) {
        let known = self.found.len();
        self.fault(place, name, fault);
        if let Some(violation) = self.found.get_mut(known) {
            violation.offset = (fault != Fault::Memory).then_some(offset);
        }
    }

    pub(crate) fn add(&mut self, class: Class, place: Place, name: &str, reason: &'static str) {
        self.add_at(class, place, name, String::new(), reason);
    }

    pub(crate) fn add_at(
        &mut self,
        class: Class,
        place: Place,
        name: &str,
        pointer: String,
        reason: &'static str,
    ) {
        if self.is_full() {
            return;
        }
        let name = shortened(name.to_owned());
        let violation = Violation { class, place, name, pointer: shortened(pointer), reason, offset: None };
        // Two parts of a schema may say the same.
        if !self.found.contains(&violation) {
            self.found.push(violation);
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.found.len() >= MOST_VIOLATIONS
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    pub(crate) fn into_violations(self) -> Violations {
        Violations(self.found)
    }

    pub(crate) fn finish(self) -> Result<(), Violations> {
        if self.found.is_empty() { Ok(()) } else { Err(Violations(self.found)) }
    }
}

fn shortened(mut text: String) -> String {
    if text.len() > LONGEST_TEXT {
        text.truncate(text.floor_char_boundary(LONGEST_TEXT));
        text.push('…');
    }
    text
}
