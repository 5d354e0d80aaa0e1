//! Which line of the configuration caused a decision.
//!
//! A check is found by the section that configures it: the route's own one, else that of the profile which the route uses,
//! else the gateway's, as sections are inherited. Within a section, the key is found that has the check's name.

use super::{Refusal, Verdict};
use portcullis_checks::security::section_of;
use portcullis_config::{Node, Source, Span, Value};
use portcullis_core::RouteId;
use serde_json::{Value as Json, json};
use std::fmt;

/// A place in a configuration's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

impl Place {
    /// For programs.
    pub fn json(&self) -> Json {
        json!({ "file": self.file, "line": self.line, "column": self.column })
    }
}

/// Where the parts of a configuration stand.
#[derive(Clone, Copy)]
pub struct Places<'a> {
    node: Option<&'a Node>,
    sources: &'a [Source],
}

impl<'a> Places<'a> {
    pub(crate) fn new(node: Option<&'a Node>, sources: &'a [Source]) -> Places<'a> {
        Places { node, sources }
    }

    /// The place of a span.
    pub fn of_span(&self, span: Span) -> Option<Place> {
        let source = self.sources.iter().find(|source| source.holds(span))?;
        let position = source.position(span.start);
        Some(Place { file: source.name().to_owned(), line: position.line, column: position.column })
    }

    fn route_node(&self, route: RouteId) -> Option<&'a Node> {
        let Value::Sequence(routes) = &self.node?.lookup("routes")?.value else { return None };
        routes.get(route.0 as usize)
    }

    /// Where a route stands. `None` for one that the gateway has added.
    pub fn of_route(&self, route: RouteId) -> Option<Place> {
        let node = self.route_node(route)?;
        self.of_span(node.lookup("path").unwrap_or(node).span)
    }

    /// Where what configures a check of a route stands. `None` where nothing does: the check has its defaults.
    pub fn of_check(&self, route: Option<RouteId>, check: &str) -> Option<Place> {
        let route = route.and_then(|route| self.route_node(route));
        let document = self.node?;
        if check == "authn.public" {
            return self.of_span(route?.lookup("public")?.span);
        }
        let Some(section) = section_of(check) else {
            // Of a document: the route's, or the gateway's.
            let node =
                route.and_then(|route| route.lookup("openapi")).or_else(|| document.lookup("openapi"))?;
            return check.ends_with(".openapi").then(|| self.of_span(node.span)).flatten();
        };
        let own = route.and_then(|route| route.lookup("security"));
        let profile = own.and_then(|own| own.lookup("use")).and_then(Node::as_str);
        let profile = profile.and_then(|name| document.lookup("security_profiles")?.lookup(name));
        let places = [own, profile, document.lookup("security")];
        let found = places.into_iter().flatten().find_map(|security| lookup(security, section))?;
        self.of_span(narrowed(found, check).span)
    }

    /// Where what caused a refusal stands.
    pub fn of_refusal(&self, route: Option<RouteId>, refusal: &Refusal) -> Option<Place> {
        match refusal.check {
            Some(check) => self.of_check(route, check),
            None => self.of_route(route?),
        }
    }

    /// A verdict for programs, with the place of each check and of the refusal.
    pub fn json(&self, verdict: &Verdict) -> Json {
        let mut object = verdict.json();
        let place = |place: Option<Place>| place.map_or(Json::Null, |place| place.json());
        if let Some(checks) = object.get_mut("checks").and_then(Json::as_array_mut) {
            for (written, check) in checks.iter_mut().zip(&verdict.checks) {
                if let Some(written) = written.as_object_mut() {
                    written.insert("place".into(), place(self.of_check(verdict.route, check.check)));
                }
            }
        }
        if let Some(object) = object.as_object_mut() {
            object.insert("route".into(), place(verdict.route.and_then(|route| self.of_route(route))));
            let cause = verdict.refusal().and_then(|refusal| self.of_refusal(verdict.route, refusal));
            object.insert("place".into(), place(cause));
        }
        object
    }
}

/// The value of a key in either of its spellings.
fn lookup<'a>(node: &'a Node, key: &str) -> Option<&'a Node> {
    let Value::Mapping(entries) = &node.value else { return None };
    let folded = |text: &str| text.replace(['_', '-'], "").to_ascii_lowercase();
    entries.iter().find(|entry| folded(&entry.key) == folded(key)).map(|entry| &entry.value)
}

/// The part of a section that a check is named after.
fn narrowed<'a>(section: &'a Node, check: &str) -> &'a Node {
    let Some((stage, name)) = check.split_once('.') else { return section };
    let folded = |text: &str| text.replace(['_', '-'], "").to_ascii_lowercase();
    if stage == "authn" {
        let methods = lookup(section, "any").or_else(|| lookup(section, "all"));
        let Some(Value::Sequence(methods)) = methods.map(|methods| &methods.value) else { return section };
        let is_it = |method: &&Node| {
            lookup(method, "type").and_then(Node::as_str).is_some_and(|word| folded(word) == folded(name))
        };
        return methods.iter().find(is_it).unwrap_or(section);
    }
    let Value::Mapping(entries) = &section.value else { return section };
    let named = entries.iter().find(|entry| folded(&entry.key).starts_with(&folded(name)));
    named.map_or(section, |entry| &entry.value)
}
