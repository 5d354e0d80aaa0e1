//! What an issuer says of somebody.
//!
//! Claims are kept as a tree of values with one reading each: a name stands in an object once, and whoever reads a claim
//! of another type than the one it needs gets nothing.

use std::fmt;

/// The value of a claim (RFC 7519, section 2).
#[derive(Clone, Debug, PartialEq)]
pub enum Claim {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number without fraction or exponent that fits.
    Integer(i64),
    /// Any other number.
    Number(f64),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Claim>),
    /// An object, whose names do not repeat.
    Object(Vec<(String, Claim)>),
}

impl Claim {
    /// The bytes that it holds on the heap, for caches that are bounded in bytes.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Claim::Null | Claim::Bool(_) | Claim::Integer(_) | Claim::Number(_) => 0,
            Claim::Text(text) => text.capacity(),
            Claim::List(items) => {
                let inside: usize = items.iter().map(Claim::heap_bytes).sum();
                items.capacity() * size_of::<Claim>() + inside
            }
            Claim::Object(members) => {
                let inside: usize =
                    members.iter().map(|(name, value)| name.capacity() + value.heap_bytes()).sum();
                members.capacity() * size_of::<(String, Claim)>() + inside
            }
        }
    }

    /// The member `name` of an object.
    pub fn member(&self, name: &str) -> Option<&Claim> {
        match self {
            Claim::Object(members) => members.iter().find(|(there, _)| there == name).map(|(_, value)| value),
            Claim::Null
            | Claim::Bool(_)
            | Claim::Integer(_)
            | Claim::Number(_)
            | Claim::Text(_)
            | Claim::List(_) => None,
        }
    }

    /// The member `name` of an object, unless it is `null`: many servers write out what they do not have.
    pub fn given(&self, name: &str) -> Option<&Claim> {
        self.member(name).filter(|value| **value != Claim::Null)
    }

    /// The value at `path`.
    pub fn at(&self, path: &ClaimPath) -> Option<&Claim> {
        path.0.iter().try_fold(self, |value, name| value.member(name))
    }

    /// The string, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Claim::Text(text) => Some(text),
            Claim::Null
            | Claim::Bool(_)
            | Claim::Integer(_)
            | Claim::Number(_)
            | Claim::List(_)
            | Claim::Object(_) => None,
        }
    }

    /// The strings of an array of strings. `None` for anything else, also where a single item is none.
    pub fn as_texts(&self) -> Option<Vec<&str>> {
        match self {
            Claim::List(items) => items.iter().map(Claim::as_text).collect(),
            Claim::Null
            | Claim::Bool(_)
            | Claim::Integer(_)
            | Claim::Number(_)
            | Claim::Text(_)
            | Claim::Object(_) => None,
        }
    }

    /// A list of names: an array of strings, or one string that is one name, spaces and all. Nothing for anything else.
    pub fn names(&self) -> Vec<String> {
        match self {
            Claim::Text(name) => vec![name.clone()],
            Claim::List(_) => self.words(),
            Claim::Null | Claim::Bool(_) | Claim::Integer(_) | Claim::Number(_) | Claim::Object(_) => {
                Vec::new()
            }
        }
    }

    /// A list of words: an array of strings, or one string with spaces between them, as `scope` is (RFC 6749, section
    /// 3.3). Nothing for anything else.
    pub fn words(&self) -> Vec<String> {
        match self {
            Claim::Text(text) => text.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect(),
            Claim::List(_) => self.as_texts().unwrap_or_default().into_iter().map(str::to_owned).collect(),
            Claim::Null | Claim::Bool(_) | Claim::Integer(_) | Claim::Number(_) | Claim::Object(_) => {
                Vec::new()
            }
        }
    }
}

/// Where a claim stands: names from the outermost object inwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPath(Vec<String>);

impl ClaimPath {
    /// The path of these names; at least one.
    pub fn new<N: Into<String>>(names: impl IntoIterator<Item = N>) -> ClaimPath {
        ClaimPath(names.into_iter().map(Into::into).collect())
    }

    /// The names, from the outermost object inwards.
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// The path that `text` means: `realm_access.roles` is `roles` within `realm_access`. A name with a dot in it is quoted
    /// as in CEL: `resource_access["my.client"].roles`. A URL, as namespaced claims have, is one name with all its dots.
    /// `None` where a name would be empty.
    pub fn parse(text: &str) -> Option<ClaimPath> {
        let names = match text.find("[\"") {
            None if text.contains("://") => vec![text.to_owned()],
            None => text.split('.').map(str::to_owned).collect(),
            Some(_) => ClaimPath::with_quotes(text)?,
        };
        (!names.iter().any(String::is_empty)).then_some(ClaimPath(names))
    }

    /// The names of a path in which some are quoted. A quoted name ends at the next `"]`.
    fn with_quotes(text: &str) -> Option<Vec<String>> {
        let mut names = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let name;
            (name, rest) = match rest.strip_prefix("[\"") {
                Some(quoted) => quoted.split_once("\"]")?,
                None => {
                    let end = rest.find(['.', '[']).unwrap_or(rest.len());
                    rest.split_at_checked(end)?
                }
            };
            names.push(name.to_owned());
            rest = match rest.strip_prefix('.') {
                // Nothing follows the dot, or a quoted name does.
                Some("") => return None,
                Some(next) if next.starts_with('[') => return None,
                Some(next) => next,
                None if rest.is_empty() || rest.starts_with("[\"") => rest,
                None => return None,
            };
        }
        Some(names)
    }
}

impl fmt::Display for ClaimPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [url] if url.contains("://") && !url.contains("[\"") => f.write_str(url),
            names => names.iter().enumerate().try_for_each(|(index, name)| {
                match (name.contains(['.', '[']) || name.contains("://"), index) {
                    (true, _) => write!(f, "[\"{name}\"]"),
                    (false, 0) => f.write_str(name),
                    (false, _) => write!(f, ".{name}"),
                }
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(members: &[(&str, Claim)]) -> Claim {
        Claim::Object(members.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
    }

    #[test]
    fn a_path_leads_inwards() {
        let roles = Claim::List(vec![Claim::Text("admin".into()), Claim::Text("user".into())]);
        let claims = object(&[
            ("realm_access", object(&[("roles", roles.clone())])),
            ("https://example.com/roles", Claim::Text("a b".into())),
        ]);
        let at = |path: &str| claims.at(&ClaimPath::parse(path).unwrap());
        assert_eq!(at("realm_access.roles"), Some(&roles));
        assert_eq!(at("realm_access.roles.admin"), None);
        assert_eq!(at("roles"), None);
        assert_eq!(at("https://example.com/roles").unwrap().words(), ["a", "b"]);
        for bad in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "a[\"\"]",
            "a[\"b",
            "a[\"b\"]c",
            "a[\"b\"].",
            "a.[\"b\"]",
            "[\"a\"]..b",
            "a[0][\"b\"]",
        ] {
            assert_eq!(ClaimPath::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_name_with_a_dot_is_quoted() {
        for (text, names) in [
            ("resource_access[\"my.client\"].roles", &["resource_access", "my.client", "roles"][..]),
            ("[\"a.b\"]", &["a.b"]),
            ("[\"a.b\"][\"c.d\"].e", &["a.b", "c.d", "e"]),
            ("a[\"https://x.example/roles\"]", &["a", "https://x.example/roles"]),
            ("https://x.example/roles", &["https://x.example/roles"]),
            ("a.b", &["a", "b"]),
        ] {
            let path = ClaimPath::parse(text).unwrap();
            assert_eq!(path.names(), names, "{text}");
            assert_eq!(path.to_string(), text);
        }
    }

    /// An array with something else than strings in it has no one reading as a list of words.
    #[test]
    fn words_are_strings_or_nothing() {
        let text = |text: &str| Claim::Text(text.into());
        assert_eq!(Claim::List(vec![text("a"), Claim::Integer(1)]).words(), Vec::<String>::new());
        assert_eq!(Claim::List(vec![text("a b"), text("c")]).words(), ["a b", "c"]);
        assert_eq!(text(" a  b ").words(), ["a", "b"]);
        for other in [
            Claim::Null,
            Claim::Bool(true),
            Claim::Integer(1),
            Claim::Number(0.5),
            object(&[("admin", Claim::Null)]),
        ] {
            assert_eq!(other.words(), Vec::<String>::new());
        }
    }
}
