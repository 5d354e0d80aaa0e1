//! What a request must have beside its host, path and method.

use http::HeaderName;
use portcullis_config::{Context, Span, Spanned, object};
use portcullis_core::head::FieldRules;
use portcullis_core::route::conditions::{Conditions, Wanted};
use std::collections::BTreeMap;

object! {
    /// Headers and query parameters that a request must have. They choose between routes with the same host, path and
    /// method: the route with the most conditions is tried first, then the order of the file, and the route without
    /// conditions last. If none matches, the answer is 404: a request never falls through to another path. A header or
    /// parameter that is named here and repeated gets 400.
    pub struct MatchConfig {
        /// Headers with their values, compared exactly. `"*"` is any value.
        pub headers: BTreeMap<String, Spanned<String>> = BTreeMap::new(),
        /// Query parameters with their decoded values, compared exactly. `"*"` is any value.
        pub query: BTreeMap<String, Spanned<String>> = BTreeMap::new(),
    }
}

impl MatchConfig {
    /// The conditions. `None` means that an error was pushed.
    pub(crate) fn compile(&self, rules: &FieldRules, cx: &mut Context) -> Option<Conditions> {
        if self.headers.is_empty() && self.query.is_empty() {
            cx.error("config.match", self.at, "every request has nothing")
                .help("write `match: { headers: { x-version: \"2\" } }`, or leave `match` out");
            return None;
        }
        let mut complete = true;
        let mut conditions = Conditions::default();
        for (name, value) in &self.headers {
            match header(name, value.span, rules, cx) {
                Some(name) => conditions.headers.push((name, wanted(value))),
                None => complete = false,
            }
        }
        for (name, value) in &self.query {
            conditions.query.push((name.clone(), wanted(value)));
        }
        complete.then_some(conditions)
    }
}

fn wanted(value: &Spanned<String>) -> Wanted {
    if value.value == "*" { Wanted::Present } else { Wanted::Value(value.value.clone()) }
}

fn header(name: &str, at: Span, rules: &FieldRules, cx: &mut Context) -> Option<HeaderName> {
    let name = name.to_ascii_lowercase();
    let Ok(known) = HeaderName::from_bytes(name.as_bytes()) else {
        cx.error("config.match", at, format!("`{name}` is not a header name"))
            .help("write a name such as `x-version`");
        return None;
    };
    if name == "host" {
        cx.error("config.match", at, "hosts have a key of their own")
            .help("write `hosts: [api.example.com]`");
        return None;
    }
    // SECURITY: a route that no request can reach is a control that never runs
    // (every_code_points_to_its_place_and_says_what_to_do).
    if rules.removes(&name) {
        cx.error(
            "config.match",
            at,
            format!("the header `{name}` is removed from every request before it is routed"),
        )
        .help("choose a header of your own, or keep this one under `request_headers`");
        return None;
    }
    Some(known)
}
