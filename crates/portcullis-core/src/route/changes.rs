//! How a route changes its requests on their way to the upstream, and the answers on their way back.
//!
//! Nothing here decides whether a request passes: it was judged as the client sent it. Fields that frame a message, that
//! say who a client is or where it comes from are the gateway's, and no configuration sets them. Needs nothing that could
//! fail.

use super::compression::Compression;
use super::template::Rewrite;
use crate::head::rules::folded;
use http::{HeaderMap, HeaderName, HeaderValue};

/// How a route changes requests and answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The path at the upstream, if it is another one.
    pub rewrite: Option<Rewrite>,
    /// Whether the upstream gets the host that the client asked for, in place of its own.
    pub preserve_host: bool,
    /// Header fields of requests.
    pub request: FieldChanges,
    /// Header fields of answers that the gateway does not give itself.
    pub answer: FieldChanges,
    /// The protective fields of these answers.
    pub protection: Protection,
    /// What becomes of the bodies of server errors.
    pub upstream_errors: UpstreamErrors,
    /// How answers are compressed; `None` where they are not.
    pub compression: Option<Compression>,
}

/// Which protective fields answers get that bring none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protection {
    /// By their media type: all that an API needs for JSON, `nosniff` for all others.
    #[default]
    Auto,
    /// All that an API needs, whatever the media type.
    Api,
    /// For HTML those that pages can have, `nosniff` for all.
    Html,
    /// None.
    Off,
}

/// What becomes of the bodies of server errors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UpstreamErrors {
    /// The gateway's own take their place.
    #[default]
    Replace,
    /// JSON and XML pass, which programs read; the gateway's own take the place of others.
    Pass,
}

/// Header fields that are set, added and removed, in this order: removed, set, added.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldChanges {
    set: Vec<(HeaderName, HeaderValue)>,
    add: Vec<(HeaderName, HeaderValue)>,
    /// Names that go, folded; with `*` at its end, all that begin so.
    taken: Vec<String>,
}

impl FieldChanges {
    /// Sets a field, in place of whatever has its name or an alias of it.
    pub fn set(&mut self, name: HeaderName, value: HeaderValue) {
        self.taken.push(folded(name.as_str()).into_owned());
        self.set.retain(|(known, _)| *known != name);
        self.set.push((name, value));
    }

    /// Adds a field beside those of its name.
    pub fn add(&mut self, name: HeaderName, value: HeaderValue) {
        self.add.push((name, value));
    }

    /// Removes a field and its aliases; with `*` at its end, all that begin so.
    pub fn remove(&mut self, name: &str) {
        let name = match name.strip_suffix('*') {
            Some(stem) => format!("{}*", folded(stem)),
            None => folded(name).into_owned(),
        };
        // What was set before, for all routes, goes as well.
        self.set.retain(|(known, _)| !takes(&name, &folded(known.as_str())));
        self.add.retain(|(known, _)| !takes(&name, &folded(known.as_str())));
        self.taken.push(name);
    }

    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.taken.is_empty() && self.add.is_empty()
    }

    /// Changes `headers`.
    // SECURITY: `x_tenant` is `x-tenant` to backends behind an interface such as CGI, so a field that is set is the only one
    // that any of them could take for it (a_header_that_is_set_has_no_alias).
    pub fn apply(&self, headers: &mut HeaderMap) {
        let leaving: Vec<HeaderName> =
            headers.keys().filter(|name| self.takes(&folded(name.as_str()))).cloned().collect();
        for name in leaving {
            headers.remove(name);
        }
        for (name, value) in &self.set {
            headers.insert(name, value.clone());
        }
        for (name, value) in &self.add {
            headers.append(name, value.clone());
        }
    }

    fn takes(&self, name: &str) -> bool {
        self.taken.iter().any(|taken| takes(taken, name))
    }

    /// For a listing: `set x-env, add x-more, remove x-debug`.
    pub fn describe(&self) -> String {
        let set = self.set.iter().map(|(name, _)| format!("set {name}"));
        let add = self.add.iter().map(|(name, _)| format!("add {name}"));
        let is_set =
            |taken: &String| self.set.iter().any(|(name, _)| folded(name.as_str()) == taken.as_str());
        let removed = self.taken.iter().filter(|taken| !is_set(taken)).map(|taken| format!("remove {taken}"));
        removed.chain(set).chain(add).collect::<Vec<_>>().join(", ")
    }
}

/// Whether a name, or a prefix with its `*`, takes a folded name.
fn takes(taken: &str, name: &str) -> bool {
    match taken.strip_suffix('*') {
        Some(stem) => name.starts_with(stem),
        None => taken == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_that_is_set_has_no_alias() {
        let mut changes = FieldChanges::default();
        changes.set(HeaderName::from_static("x-tenant"), HeaderValue::from_static("a"));
        changes.add(HeaderName::from_static("x-more"), HeaderValue::from_static("2"));
        changes.remove("X-Debug");
        changes.remove("x-acme-*");
        let mut headers = HeaderMap::new();
        for name in
            ["x-tenant", "x_tenant", "x.tenant", "x_debug", "x-acme-role", "x_acme_role", "x-acme", "x-more"]
        {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static("1"));
        }
        changes.apply(&mut headers);
        let mut left: Vec<_> =
            headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        left.sort_unstable();
        assert_eq!(left, [("x-acme", "1"), ("x-more", "1"), ("x-more", "2"), ("x-tenant", "a")]);
        assert!(!changes.is_empty() && FieldChanges::default().is_empty());
    }

    #[test]
    fn the_last_word_on_a_field_counts_and_is_listed() {
        let value = HeaderValue::from_static;
        let mut changes = FieldChanges::default();
        changes.set(HeaderName::from_static("x-env"), value("a"));
        changes.set(HeaderName::from_static("x-other"), value("b"));
        changes.set(HeaderName::from_static("x-env"), value("c"));
        changes.add(HeaderName::from_static("x-more"), value("d"));
        changes.remove("x-debug");
        assert_eq!(changes.describe(), "remove x-debug, set x-other, set x-env, add x-more");
        let mut headers = HeaderMap::new();
        changes.apply(&mut headers);
        assert_eq!((&headers["x-env"], &headers["x-other"]), (&value("c"), &value("b")));
        let mut only = FieldChanges::default();
        only.add(HeaderName::from_static("x-more"), value("d"));
        assert!(!only.is_empty());
        let mut only = FieldChanges::default();
        only.remove("x-debug");
        assert!(!only.is_empty());
    }
}
