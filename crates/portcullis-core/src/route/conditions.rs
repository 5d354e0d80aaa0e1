//! What a request must have beside its host, path and method: header fields and query parameters.
//!
//! Conditions choose between routes of one host and path alone. They never hand a request to the routes of another path,
//! so that leaving a header out cannot open what a path protects. A header or parameter that is repeated has more than one
//! reading, so the request is refused.

use crate::denial::{Code, Denial};
use crate::head::{Head, Once};
use http::HeaderName;
use http::header;
use std::fmt;

/// What a request must have. Nothing, in the default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Conditions {
    /// Header fields, by their names in lower case.
    pub headers: Vec<(HeaderName, Wanted)>,
    /// Query parameters, by their decoded names.
    pub query: Vec<(String, Wanted)>,
}

/// The value that is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Wanted {
    /// Any.
    Present,
    /// This one, byte by byte.
    Value(String),
}

impl Wanted {
    fn is(&self, value: &str) -> bool {
        match self {
            Wanted::Present => true,
            Wanted::Value(wanted) => wanted == value,
        }
    }
}

impl Conditions {
    /// How many there are: a route with more of them is tried first.
    pub fn count(&self) -> usize {
        self.headers.len() + self.query.len()
    }

    /// Whether a request meets them.
    ///
    /// # Errors
    /// A header or parameter that is asked for is repeated, or is not text.
    pub(super) fn meet(&self, head: &Head) -> Result<bool, Denial> {
        let mut met = true;
        for (name, wanted) in &self.headers {
            met &= match head.once(name.as_str()) {
                Once::One(value) => wanted.is(&value),
                Once::Absent => false,
                // SECURITY: which of two values counts is more than one server's opinion
                // (what_is_routed_by_stands_once).
                Once::Repeated | Once::Unreadable => {
                    return Err(Denial::new(
                        Code::AmbiguousHeader,
                        "a header that is routed by is not there once, as text",
                    ));
                }
            };
        }
        for (name, wanted) in &self.query {
            met &= match head.query_once(name) {
                Once::One(value) => wanted.is(&value),
                Once::Absent => false,
                Once::Repeated | Once::Unreadable => {
                    return Err(Denial::new(
                        Code::MalformedRequest,
                        "a query parameter that is routed by is not there once, as text",
                    ));
                }
            };
        }
        Ok(met)
    }

    /// Whether the request that a browser's preflight asks about can meet them. Of its header fields the preflight tells the
    /// names alone.
    pub(super) fn may_meet(&self, preflight: &Head) -> bool {
        let asked = match preflight.once(header::ACCESS_CONTROL_REQUEST_HEADERS.as_str()) {
            Once::One(names) => names.into_owned(),
            Once::Absent | Once::Repeated | Once::Unreadable => String::new(),
        };
        let names = |name: &HeaderName| {
            asked.split(',').any(|asked| asked.trim().eq_ignore_ascii_case(name.as_str()))
        };
        self.headers.iter().all(|(name, _)| names(name))
            && self.query.iter().all(|(name, wanted)| match preflight.query_once(name) {
                Once::One(value) => wanted.is(&value),
                Once::Absent | Once::Repeated | Once::Unreadable => false,
            })
    }
}

/// For a listing: `x-version: 2, ?beta=1`.
impl fmt::Display for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = |wanted: &Wanted| match wanted {
            Wanted::Present => "*".to_owned(),
            Wanted::Value(value) => value.clone(),
        };
        let headers = self.headers.iter().map(|(name, wanted)| format!("{name}: {}", value(wanted)));
        let query = self.query.iter().map(|(name, wanted)| format!("?{name}={}", value(wanted)));
        f.write_str(&headers.chain(query).collect::<Vec<_>>().join(", "))
    }
}
