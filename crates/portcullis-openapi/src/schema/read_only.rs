//! Which members of an object a direction hides: `readOnly` ones in a request, `writeOnly` ones in a response.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Direction;
use crate::document::{Files, Target};

/// How many references and compositions are followed.
const DEEPEST: usize = 8;

/// The names of hidden members that the schema at `at` declares, itself or by composition.
pub(super) fn hidden(files: &Files, at: &Target, direction: Direction) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    collect(files, at, direction, &mut names, 0);
    names
}

fn collect(files: &Files, at: &Target, direction: Direction, names: &mut BTreeSet<String>, depth: usize) {
    let Some(Value::Object(schema)) = at.value(files) else { return };
    if depth > DEEPEST {
        return;
    }
    if let Some(Value::Object(properties)) = schema.get("properties") {
        let place = at.member("properties");
        for name in properties.keys() {
            if is_hidden(files, &place.member(name), direction) {
                names.insert(name.clone());
            }
        }
    }
    if let Some(Value::String(reference)) = schema.get("$ref")
        && let Ok(target) = at.follow(reference)
    {
        collect(files, &target, direction, names, depth + 1);
    }
    if let Some(Value::Array(parts)) = schema.get("allOf") {
        let place = at.member("allOf");
        (0..parts.len())
            .for_each(|index| collect(files, &place.member(&index.to_string()), direction, names, depth + 1));
    }
}

/// The keyword that hides a member.
pub(super) fn keyword(direction: Direction) -> &'static str {
    match direction {
        Direction::Request => "readOnly",
        Direction::Response => "writeOnly",
    }
}

/// Whether the schema of a member hides it, itself or by reference or composition.
pub(super) fn is_hidden(files: &Files, at: &Target, direction: Direction) -> bool {
    says_hidden(files, at, keyword(direction), 0)
}

fn says_hidden(files: &Files, at: &Target, keyword: &str, depth: usize) -> bool {
    let Some(Value::Object(schema)) = at.value(files) else { return false };
    if schema.get(keyword) == Some(&Value::Bool(true)) {
        return true;
    }
    if depth > DEEPEST {
        return false;
    }
    if let Some(Value::String(reference)) = schema.get("$ref")
        && let Ok(target) = at.follow(reference)
        && says_hidden(files, &target, keyword, depth + 1)
    {
        return true;
    }
    let Some(Value::Array(parts)) = schema.get("allOf") else { return false };
    let place = at.member("allOf");
    (0..parts.len()).any(|index| says_hidden(files, &place.member(&index.to_string()), keyword, depth + 1))
}
