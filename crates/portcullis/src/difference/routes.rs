//! Routes, each with everything that judges its requests, by host, path and method.
//!
//! A route that is new takes requests that no route took before, or those of a wider one. Then it is compared with that one:
//! so a route that opens a part of a protected path is seen. The other way round for a route that is gone.

use super::walk::Walk;
use super::{Direction, items};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Sections that a public route does not inherit.
const ASKS_WHO: [&str; 3] = ["authentication", "authorization", "identity_token"];
/// What a route without `methods` allows.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// Host (empty for any), path, method.
type Key = (String, String, String);

/// A route for one method, with what it inherits.
struct Effective(Value);

/// Every route of a document.
fn all(document: &Value) -> BTreeMap<Key, Effective> {
    let mut all = BTreeMap::new();
    for route in document.get("routes").and_then(Value::as_array).into_iter().flatten() {
        let effective = effective(document, route);
        let texts = |key: &str| -> Vec<String> {
            let list = route.get(key).and_then(Value::as_array).into_iter().flatten();
            list.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let path = route.get("path").and_then(Value::as_str).unwrap_or_default();
        let mut hosts = texts("hosts");
        if hosts.is_empty() {
            hosts.push(String::new());
        }
        let mut methods = texts("methods");
        if methods.is_empty() {
            methods.extend(METHODS.map(str::to_owned));
            if route.get("methods").and_then(Value::as_str).is_some() {
                methods.push("any other method".to_owned());
            }
        } else if methods.iter().any(|method| method == "GET")
            && !methods.iter().any(|method| method == "HEAD")
        {
            methods.push("HEAD".to_owned());
        }
        for host in &hosts {
            for method in &methods {
                // Routes of one path can differ in what they match alone.
                let method = match route.get("match") {
                    None => method.clone(),
                    Some(matching) => format!("{method} with {matching}"),
                };
                let key = (host.to_ascii_lowercase(), path.to_owned(), method);
                all.insert(key, Effective(effective.clone()));
            }
        }
    }
    all
}

fn effective(document: &Value, route: &Value) -> Value {
    let own = route.get("security").and_then(Value::as_object).cloned().unwrap_or_default();
    let profile =
        own.get("use").and_then(Value::as_str).and_then(|name| document.get("security_profiles")?.get(name));
    let mut security = Map::new();
    for level in [document.get("security"), profile].into_iter().flatten().filter_map(Value::as_object) {
        security.extend(level.clone());
    }
    if route.get("public").is_some() {
        ASKS_WHO.iter().for_each(|section| drop(security.remove(*section)));
    }
    security.extend(own);
    security.remove("use");
    let mut effective = route.as_object().cloned().unwrap_or_default();
    for key in ["path", "hosts", "methods"] {
        effective.remove(key);
    }
    effective.insert("security".to_owned(), Value::Object(security));
    if !effective.contains_key("openapi")
        && let Some(openapi) = document.get("openapi")
    {
        effective.insert("openapi".to_owned(), openapi.clone());
    }
    Value::Object(effective)
}

/// Compares all routes.
pub(super) fn compare(walk: &mut Walk<'_>, old: &Value, new: &Value) {
    let (before, after) = (all(old), all(new));
    for (key, now) in &after {
        let subject = subject(key);
        match before.get(key) {
            Some(was) => pair(walk, &subject, was, now),
            None => is_new(walk, &subject, now, wider(&before, key)),
        }
    }
    for (key, was) in before.iter().filter(|(key, _)| !after.contains_key(*key)) {
        is_gone(walk, &subject(key), was, wider(&after, key));
    }
}

fn subject((host, path, method): &Key) -> String {
    format!("route {method} {host}{path}")
}

/// The differences of two routes, on their own.
fn differences(walk: &Walk<'_>, was: &Effective, now: &Effective) -> Vec<super::Change> {
    let mut apart = walk.apart();
    pair(&mut apart, "", was, now);
    apart.into_changes()
}

fn is_new(walk: &mut Walk<'_>, subject: &str, now: &Effective, wider: Option<(&Key, &Effective)>) {
    let Some((key, was)) = wider else {
        let direction = if public(now) { Direction::Loosened } else { Direction::Changed };
        walk.say(direction, subject, format!("is new, {}", summary(now)));
        return;
    };
    let changes = differences(walk, was, now);
    let worst = changes.iter().map(|change| change.direction).min().unwrap_or(Direction::Changed);
    let taken = format!("is new, {}, and takes requests of {}", summary(now), key.1);
    let words = if changes.is_empty() { taken } else { format!("{taken}: {}", items::joined(&changes)) };
    walk.say(if worst == Direction::Tightened { Direction::Changed } else { worst }, subject, words);
}

fn is_gone(walk: &mut Walk<'_>, subject: &str, was: &Effective, wider: Option<(&Key, &Effective)>) {
    let Some((key, now)) = wider else {
        walk.say(Direction::Tightened, subject, "is gone: 404");
        return;
    };
    let changes = differences(walk, was, now);
    let worst = changes.iter().map(|change| change.direction).min().unwrap_or(Direction::Changed);
    let taken = format!("is gone, and {} takes its requests", key.1);
    let words = if changes.is_empty() { taken } else { format!("{taken}: {}", items::joined(&changes)) };
    walk.say(worst, subject, words);
}

/// The most specific route that takes the requests of a path that it does not name.
fn wider<'r>(
    routes: &'r BTreeMap<Key, Effective>,
    (host, path, method): &Key,
) -> Option<(&'r Key, &'r Effective)> {
    let fits = |key: &Key| key.2 == *method && (key.0.is_empty() || key.0 == *host) && takes(&key.1, path);
    // Literal characters first, and a host before none.
    routes.iter().filter(|(key, _)| fits(key)).max_by_key(|(key, _)| {
        let literal: usize = key.1.split('/').filter(|segment| !segment.starts_with('{')).map(str::len).sum();
        (!key.0.is_empty(), !key.1.contains("{*"), literal)
    })
}

/// Whether the pattern takes every path that `other`, a pattern as well, takes.
fn takes(pattern: &str, other: &str) -> bool {
    let mut other = other.split('/');
    for segment in pattern.split('/') {
        let Some(theirs) = other.next() else { return false };
        if segment.starts_with("{*") {
            return true;
        }
        let any = segment.starts_with('{');
        if theirs.starts_with("{*") || (!any && theirs != segment) {
            return false;
        }
    }
    other.next().is_none()
}

fn public(route: &Effective) -> bool {
    route.0.get("public").is_some()
}

/// Who may use a route, in a few words.
fn summary(route: &Effective) -> String {
    if public(route) {
        return "and public".to_owned();
    }
    let types: Vec<String> = route
        .0
        .pointer("/security/authentication")
        .and_then(|statement| statement.get("any").or_else(|| statement.get("all")))
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|method| method.get("type"))
        .map(super::values::shown)
        .collect();
    let roles = route.0.pointer("/security/authorization/roles_allowed").map(super::values::shown);
    match roles {
        Some(roles) => format!("by {}, for {roles}", types.join(" or ")),
        None => format!("by {}", types.join(" or ")),
    }
}

/// Two routes that take the same requests.
fn pair(walk: &mut Walk<'_>, subject: &str, Effective(was): &Effective, Effective(now): &Effective) {
    let (mut was, mut now) = (was.clone(), now.clone());
    match (was.get("public").is_some(), now.get("public").is_some()) {
        (false, true) => {
            let reason = now.get("public").map(super::values::shown).unwrap_or_default();
            walk.say(Direction::Loosened, subject, format!("becomes public: {reason}"));
        }
        (true, false) => walk.say(
            Direction::Tightened,
            subject,
            format!("is no longer public: now {}", summary(&Effective(now.clone()))),
        ),
        (true, true) | (false, false) => {}
    }
    if was.get("public").is_some() != now.get("public").is_some() {
        for route in [&mut was, &mut now] {
            if let Some(members) = route.as_object_mut() {
                members.remove("public");
            }
            if let Some(security) = route.get_mut("security").and_then(Value::as_object_mut) {
                ASKS_WHO.iter().for_each(|section| drop(security.remove(*section)));
            }
        }
    }
    let place = walk.shape.definition("RouteConfig");
    let security = |route: &mut Value| {
        let members = route.as_object_mut();
        members.and_then(|members| members.remove("security")).unwrap_or_else(|| json!({}))
    };
    let (before, after) = (security(&mut was), security(&mut now));
    walk.object(subject, place, &was, &now);
    let place = walk.shape.definition("SecurityConfig");
    walk.object(subject, place, &before, &after);
}
