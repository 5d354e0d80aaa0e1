//! Keywords whose errors are trees: `oneOf`, `anyOf` and `not`.
//!
//! What the schema library says of an alternative that does not hold is everything that is wrong in each of its branches,
//! and so on below; on the attacker's value that takes any amount of memory. So each such keyword is set apart into a
//! condition: `{ if: { oneOf: .. }, else: <refuses> }`. A condition is only asked whether it holds, and the error is one.
//!
//! Where a reference leads into an alternative, the keyword stays where it is, and the budget of errors bounds the tree.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use crate::document::{Files, Target};

/// Refuses every value; its value is the word for why.
pub(super) const REFUSES: &str = "x-portcullis-refuses";

pub(super) const KEYWORDS: [&str; 3] = ["oneOf", "anyOf", "not"];

/// The most characters of a value whose format is `regex`.
const LONGEST_PATTERN: u64 = 4096;

/// The places of keywords that a reference leads into.
pub(super) struct ReferredTo(HashSet<Target>);

impl ReferredTo {
    pub(super) fn find(files: &Files) -> Self {
        let mut places = HashSet::new();
        for (address, value) in files.iter() {
            collect(value, &Target::new(address, ""), &mut places);
        }
        ReferredTo(places)
    }

    fn has(&self, place: &Target) -> bool {
        self.0.contains(place)
    }
}

fn collect(value: &Value, file: &Target, places: &mut HashSet<Target>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref")
                && let Ok(target) = file.follow(reference)
            {
                for keyword in KEYWORDS {
                    for (at, found) in target.pointer.match_indices(keyword) {
                        if let Some(pointer) = target.pointer.get(..at + found.len()) {
                            places.insert(Target::new(&target.file, pointer));
                        }
                    }
                }
            }
            members.values().for_each(|member| collect(member, file, places));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, file, places)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Sets the keywords of one schema apart. Its subschemas have been rewritten.
pub(super) fn set_apart(members: &mut Map<String, Value>, at: &Target, referred_to: &ReferredTo) {
    // A value that is a pattern is parsed, which takes far more memory than its text.
    if members.get("format").is_some_and(|format| format == "regex") {
        let longest = members.get("maxLength").and_then(Value::as_u64).unwrap_or(u64::MAX);
        members.insert("maxLength".into(), longest.min(LONGEST_PATTERN).into());
    }
    for keyword in KEYWORDS {
        if !members.contains_key(keyword) || referred_to.has(&at.member(keyword)) {
            continue;
        }
        if !matches!(members.get("allOf"), None | Some(Value::Array(_))) {
            return;
        }
        let Some(value) = members.remove(keyword) else { continue };
        let part = match keyword {
            "not" => json!({ "if": value, "then": { REFUSES: keyword } }),
            _ => json!({ "if": { keyword: value }, "else": { REFUSES: keyword } }),
        };
        match members.get_mut("allOf") {
            Some(Value::Array(parts)) => parts.push(part),
            Some(_) | None => drop(members.insert("allOf".into(), Value::Array(vec![part]))),
        }
    }
}

/// The keyword that was set apart here, if this is such a condition.
pub(super) fn is_set_apart(members: &Map<String, Value>) -> Option<&'static str> {
    let refuses = ["then", "else"].iter().find_map(|branch| members.get(*branch)?.get(REFUSES));
    KEYWORDS.into_iter().find(|keyword| refuses.is_some_and(|refuses| refuses == keyword))
}

/// What may stand beside a `$ref` in draft 7 without being void.
const BESIDE: [&str; 4] = ["$ref", "$schema", "$defs", "definitions"];

/// The same for every schema of a document of plain JSON Schema. In draft 7 a reference voids what stands beside it.
pub(super) fn set_all_apart(schema: &mut Value, at: &Target, voids: bool, referred_to: &ReferredTo) {
    match schema {
        Value::Object(members) => {
            if voids && members.get("$ref").is_some_and(Value::is_string) {
                members.retain(|name, _| BESIDE.contains(&name.as_str()));
            }
            for (name, member) in members.iter_mut() {
                let place = at.member(name);
                match (name.as_str(), member) {
                    // What stands here is data, whatever it looks like.
                    ("enum" | "const" | "default" | "examples", _) => {}
                    (
                        "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas",
                        Value::Object(schemas),
                    ) => {
                        for (name, schema) in schemas.iter_mut() {
                            set_all_apart(schema, &place.member(name), voids, referred_to);
                        }
                    }
                    (_, member) => set_all_apart(member, &place, voids, referred_to),
                }
            }
            set_apart(members, at, referred_to);
        }
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                set_all_apart(item, &at.member(&index.to_string()), voids, referred_to);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
