//! A set of request methods in one word, so that the method check costs one comparison.

use http::Method;
use std::fmt;

/// Every method that a route can allow, in the order in which `Allow` lists them (RFC 9110, section 9; RFC 5789).
///
/// `CONNECT` and `TRACE` are missing on purpose: the one turns a gateway into an open relay, the other hands a
/// request's credentials back to whoever can read the answer.
const KNOWN: [(&str, u8); 7] = [
    ("GET", 1),
    ("HEAD", 1 << 1),
    ("POST", 1 << 2),
    ("PUT", 1 << 3),
    ("PATCH", 1 << 4),
    ("DELETE", 1 << 5),
    ("OPTIONS", 1 << 6),
];

/// A set of the methods that a route may allow.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct MethodSet(u8);

impl MethodSet {
    /// No method.
    pub const NONE: MethodSet = MethodSet(0);
    /// All methods that a route can allow.
    pub const ALL: MethodSet = MethodSet(0x7f);

    /// The names that [`MethodSet::named`] knows.
    pub fn names() -> impl Iterator<Item = &'static str> {
        KNOWN.iter().map(|(name, _)| *name)
    }

    /// The set of the one method with this name (upper case). `None` where a route cannot allow it.
    pub fn named(name: &str) -> Option<MethodSet> {
        KNOWN.iter().find(|(known, _)| *known == name).map(|(_, bit)| MethodSet(*bit))
    }

    /// The set of this one method; empty where a route cannot allow it.
    pub fn of(method: &Method) -> MethodSet {
        Self::named(method.as_str()).unwrap_or(MethodSet::NONE)
    }

    /// This set and `other` together.
    #[must_use]
    pub fn union(self, other: MethodSet) -> MethodSet {
        MethodSet(self.0 | other.0)
    }

    /// What this set and `other` share.
    #[must_use]
    pub fn intersection(self, other: MethodSet) -> MethodSet {
        MethodSet(self.0 & other.0)
    }

    /// `HEAD` wherever `GET` is: a server that answers the one must answer the other (RFC 9110, section 9.3.2).
    #[must_use]
    pub fn with_head(self) -> MethodSet {
        match MethodSet::named("GET") {
            Some(get) if self.0 & get.0 != 0 => MethodSet(self.0 | (1 << 1)),
            Some(_) | None => self,
        }
    }

    /// Whether `method` is in the set.
    pub fn contains(self, method: &Method) -> bool {
        self.0 & Self::of(method).0 != 0
    }

    /// Whether nothing is in the set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// The form of the `Allow` field: `GET, HEAD`.
impl fmt::Display for MethodSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for (name, _) in KNOWN.iter().filter(|(_, bit)| self.0 & bit != 0) {
            if !first {
                f.write_str(", ")?;
            }
            f.write_str(name)?;
            first = false;
        }
        Ok(())
    }
}

impl fmt::Debug for MethodSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MethodSet({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn get_brings_head_and_nothing_else() {
        let set = MethodSet::named("GET").unwrap().with_head();
        assert!(set.contains(&Method::GET) && set.contains(&Method::HEAD));
        assert!(!set.contains(&Method::POST));
        assert_eq!(set.to_string(), "GET, HEAD");
        assert_eq!(MethodSet::named("POST").unwrap().with_head().to_string(), "POST");
    }

    #[test]
    fn connect_trace_and_unknown_methods_are_in_no_set() {
        for name in ["CONNECT", "TRACE", "get", "PROPFIND", ""] {
            assert_eq!(MethodSet::named(name), None, "{name}");
        }
        assert!(!MethodSet::ALL.contains(&Method::TRACE));
        assert!(!MethodSet::ALL.contains(&Method::CONNECT));
        assert!(!MethodSet::ALL.contains(&Method::from_bytes(b"PURGE").unwrap()));
    }
}
