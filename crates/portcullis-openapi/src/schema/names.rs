//! The names of members that a schema declares, so that another spelling of one can be refused where others are allowed.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::document::{Files, Target};

/// Set by rewriting: the declared names.
pub(super) const NAMES: &str = "x-portcullis-names";

/// How many references and compositions are followed.
const DEEPEST: usize = 8;

/// Adds the names to a schema that has some and is open. Where nothing else may be there, the schema itself refuses.
pub(super) fn declare_names(members: &mut Map<String, Value>, at: &Target, source: &Files) {
    let is_closed = ["additionalProperties", "unevaluatedProperties"]
        .iter()
        .any(|name| members.get(*name) == Some(&Value::Bool(false)));
    if is_closed
        || members.contains_key("patternProperties")
        || !members.get("properties").is_some_and(Value::is_object)
    {
        return;
    }
    let mut names = BTreeSet::new();
    collect(source, at, &mut names, 0);
    if !names.is_empty() {
        members.insert(NAMES.into(), json!(names));
    }
}

/// The names that the schema at `at` declares, itself or by composition.
fn collect(files: &Files, at: &Target, names: &mut BTreeSet<String>, depth: usize) {
    let Some(Value::Object(schema)) = at.value(files) else { return };
    if depth > DEEPEST {
        return;
    }
    if let Some(Value::Object(properties)) = schema.get("properties") {
        names.extend(properties.keys().cloned());
    }
    if let Some(Value::String(reference)) = schema.get("$ref")
        && let Ok(target) = at.follow(reference)
    {
        collect(files, &target, names, depth + 1);
    }
    for keyword in ["allOf", "anyOf", "oneOf"] {
        let Some(Value::Array(parts)) = schema.get(keyword) else { continue };
        let place = at.member(keyword);
        (0..parts.len())
            .for_each(|index| collect(files, &place.member(&index.to_string()), names, depth + 1));
    }
    for keyword in ["if", "then", "else"] {
        collect(files, &at.member(keyword), names, depth + 1);
    }
}

/// The same for every schema of a document of plain JSON Schema.
pub(super) fn declare_all_names(schema: &mut Value, at: &Target, source: &Files) {
    match schema {
        Value::Object(members) => {
            declare_names(members, at, source);
            for (name, member) in members.iter_mut() {
                let place = at.member(name);
                match (name.as_str(), member) {
                    // What stands here is data, whatever it looks like.
                    ("enum" | "const" | "default" | "examples" | NAMES, _) => {}
                    (
                        "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas",
                        Value::Object(schemas),
                    ) => {
                        for (name, schema) in schemas.iter_mut() {
                            declare_all_names(schema, &place.member(name), source);
                        }
                    }
                    (_, member) => declare_all_names(member, &place, source),
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                declare_all_names(item, &at.member(&index.to_string()), source);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
