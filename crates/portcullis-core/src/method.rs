//! A set of request methods. For the usual ones it is one word, so that the method check costs one comparison.

use http::Method;
use std::fmt;
use std::sync::Arc;

/// The usual methods, in the order in which `Allow` lists them (RFC 9110, section 9; RFC 5789).
const KNOWN: [(&str, u8); 7] = [
    ("GET", 1),
    ("HEAD", 1 << 1),
    ("POST", 1 << 2),
    ("PUT", 1 << 3),
    ("PATCH", 1 << 4),
    ("DELETE", 1 << 5),
    ("OPTIONS", 1 << 6),
];

/// Methods that no route can allow: `CONNECT` would make the gateway an open relay, `TRACE` (and Microsoft's `TRACK`) hands
/// a request's credentials back to whoever can read the answer.
const NEVER: [&str; 3] = ["CONNECT", "TRACE", "TRACK"];

/// A set of the methods that a route may allow.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct MethodSet {
    known: u8,
    others: Others,
}

/// The methods beside the usual ones.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
enum Others {
    #[default]
    None,
    /// In the order of their names, each once.
    These(Arc<[Method]>),
    /// All but those that no route can allow.
    Any,
}

impl MethodSet {
    /// No method.
    pub const NONE: MethodSet = MethodSet { known: 0, others: Others::None };
    /// The usual methods: what a route allows that names none.
    pub const USUAL: MethodSet = MethodSet { known: 0x7f, others: Others::None };
    /// Every method that a route can allow.
    pub const ANY: MethodSet = MethodSet { known: 0x7f, others: Others::Any };

    /// The names of the usual methods.
    pub fn names() -> impl Iterator<Item = &'static str> {
        KNOWN.iter().map(|(name, _)| *name)
    }

    /// The set of the one method with this name. `None` where a route cannot allow it: `CONNECT`, `TRACE`, what is not a
    /// token (RFC 9110, section 9.1), and what is not in upper case, since methods are compared letter by letter.
    pub fn named(name: &str) -> Option<MethodSet> {
        if let Some(known) = bit(name) {
            return Some(MethodSet { known, others: Others::None });
        }
        if NEVER.contains(&name) || name.bytes().any(|byte| byte.is_ascii_lowercase()) {
            return None;
        }
        let method = Method::from_bytes(name.as_bytes()).ok()?;
        Some(MethodSet { known: 0, others: Others::These(Arc::from([method])) })
    }

    /// This set and `other` together.
    #[must_use]
    pub fn union(self, other: MethodSet) -> MethodSet {
        let others = match (self.others, other.others) {
            (Others::Any, _) | (_, Others::Any) => Others::Any,
            (Others::None, others) | (others, Others::None) => others,
            (Others::These(these), Others::These(those)) => listed(these.iter().chain(those.iter()).cloned()),
        };
        MethodSet { known: self.known | other.known, others }
    }

    /// What this set and `other` share.
    #[must_use]
    pub fn intersection(&self, other: &MethodSet) -> MethodSet {
        let others = match (&self.others, &other.others) {
            (Others::None, _) | (_, Others::None) => Others::None,
            (Others::Any, others) | (others, Others::Any) => others.clone(),
            (Others::These(these), Others::These(those)) => {
                listed(these.iter().filter(|method| those.contains(method)).cloned())
            }
        };
        MethodSet { known: self.known & other.known, others }
    }

    /// `HEAD` wherever `GET` is: a server that answers the one must answer the other (RFC 9110, section 9.3.2).
    #[must_use]
    pub fn with_head(self) -> MethodSet {
        let head = if self.known & 1 == 0 { 0 } else { 1 << 1 };
        MethodSet { known: self.known | head, ..self }
    }

    /// Whether `method` is in the set.
    pub fn contains(&self, method: &Method) -> bool {
        match bit(method.as_str()) {
            Some(bit) => self.known & bit != 0,
            None => match &self.others {
                Others::None => false,
                Others::These(these) => these.contains(method),
                Others::Any => !NEVER.contains(&method.as_str()),
            },
        }
    }

    /// Whether nothing is in the set.
    pub fn is_empty(&self) -> bool {
        self.known == 0 && self.others == Others::None
    }

    /// What it is called in a listing: its methods, or that there is no end of them.
    pub fn describe(&self) -> String {
        match self.others {
            Others::Any => "any method".to_owned(),
            Others::None | Others::These(_) => self.to_string(),
        }
    }
}

fn bit(name: &str) -> Option<u8> {
    KNOWN.iter().find(|(known, _)| *known == name).map(|(_, bit)| *bit)
}

fn listed(methods: impl Iterator<Item = Method>) -> Others {
    let mut methods: Vec<Method> = methods.collect();
    methods.sort_by(|one, other| one.as_str().cmp(other.as_str()));
    methods.dedup();
    if methods.is_empty() { Others::None } else { Others::These(methods.into()) }
}

/// The form of the `Allow` field: `GET, HEAD`. Of a set without an end, the usual methods.
impl fmt::Display for MethodSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usual = KNOWN.iter().filter(|(_, bit)| self.known & bit != 0).map(|(name, _)| *name);
        let others = match &self.others {
            Others::These(these) => these.as_ref(),
            Others::None | Others::Any => &[],
        };
        let mut first = true;
        for name in usual.chain(others.iter().map(Method::as_str)) {
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
        write!(f, "MethodSet({})", self.describe())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: &[&str]) -> MethodSet {
        names.iter().filter_map(|name| MethodSet::named(name)).fold(MethodSet::NONE, MethodSet::union)
    }

    fn method(name: &str) -> Method {
        Method::from_bytes(name.as_bytes()).unwrap()
    }

    #[test]
    fn get_brings_head_and_nothing_else() {
        let set = MethodSet::named("GET").unwrap().with_head();
        assert!(set.contains(&Method::GET) && set.contains(&Method::HEAD));
        assert!(!set.contains(&Method::POST));
        assert_eq!(set.to_string(), "GET, HEAD");
        assert_eq!(MethodSet::named("POST").unwrap().with_head().to_string(), "POST");
    }

    #[test]
    fn connect_and_trace_are_in_no_set() {
        for name in ["CONNECT", "TRACE", "TRACK", "get", "propfind", "a b", ""] {
            assert_eq!(MethodSet::named(name), None, "{name}");
        }
        for set in [MethodSet::USUAL, MethodSet::ANY] {
            for name in ["CONNECT", "TRACE", "TRACK"] {
                assert!(!set.contains(&method(name)), "{set:?} {name}");
            }
        }
        assert!(!MethodSet::USUAL.contains(&method("PURGE")) && MethodSet::ANY.contains(&method("PURGE")));
    }

    #[test]
    fn any_token_can_be_a_method() {
        let dav = named(&["REPORT", "GET", "PROPFIND", "REPORT"]);
        assert_eq!(dav.to_string(), "GET, PROPFIND, REPORT");
        assert!(dav.contains(&method("REPORT")) && !dav.contains(&method("report")));
        assert!(!dav.contains(&method("QUERY")) && !dav.contains(&Method::HEAD));
        assert_eq!(dav.intersection(&named(&["PROPFIND", "QUERY", "PUT"])).to_string(), "PROPFIND");
        assert!(dav.intersection(&named(&["QUERY"])).is_empty());
        assert_eq!(dav.intersection(&MethodSet::ANY), dav);
        assert_eq!(named(&["A", "B"]), named(&["B", "A"]));
        assert_eq!(dav.union(MethodSet::ANY).describe(), "any method");
    }
}
