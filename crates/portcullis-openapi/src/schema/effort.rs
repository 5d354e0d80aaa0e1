//! How much judging one value may take.
//!
//! A schema that refers to itself from several alternatives makes the work double with each level of the value, and the
//! value is the attacker's. So every reference spends from an allowance in proportion to the size of the value; once it is
//! spent, every further reference refuses at once, and so does the whole.

use std::cell::Cell;

use jsonschema::{Keyword, ValidationError, ValidationOptions};
use serde_json::{Map, Value, json};

/// The keyword that spends.
const SPEND: &str = "x-portcullis-spend";

/// References that may be followed for any value.
const LEAST: usize = 2_000;

/// References that may be followed for each value within the value.
const FOR_EACH: usize = 50;

thread_local! {
    /// What is left. Judging is never interrupted, so one for each thread is enough.
    static LEFT: Cell<usize> = const { Cell::new(0) };
}

/// Allows as much as judging `value` should take.
pub(super) fn allow(value: &Value) {
    LEFT.set(LEAST + FOR_EACH * size(value));
}

/// Whether judging took more than was allowed. What was said of the value is void then.
pub(super) fn is_spent() -> bool {
    LEFT.get() == 0
}

fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 1,
        Value::Array(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Object(members) => 1 + members.values().map(size).sum::<usize>(),
    }
}

/// Teaches a validator the keyword.
pub(super) fn register(options: ValidationOptions<'_>) -> ValidationOptions<'_> {
    options.with_keyword(SPEND, |_, _, _| Ok(Box::new(Spend)))
}

struct Spend;

impl<'i> Keyword<'i> for Spend {
    fn validate(&self, instance: &'i Value) -> Result<(), ValidationError<'i>> {
        if self.is_valid(instance) { Ok(()) } else { Err(ValidationError::custom("spent")) }
    }

    fn is_valid(&self, _: &'i Value) -> bool {
        let left = LEFT.get().saturating_sub(1);
        LEFT.set(left);
        left > 0
    }
}

/// Makes the references of a schema spend. The keyword stands in an `if`, which is asked before what it guards.
pub(super) fn guard(members: &mut Map<String, Value>) {
    for keyword in ["$ref", "$dynamicRef", "$recursiveRef"] {
        let Some(Value::String(reference)) = members.remove(keyword) else { continue };
        let guarded = json!({ "if": { SPEND: true }, "then": { keyword: reference }, "else": false });
        let has_condition = ["if", "then", "else"].iter().any(|keyword| members.contains_key(*keyword));
        match (members.get_mut("allOf"), has_condition) {
            (Some(Value::Array(parts)), _) => parts.push(guarded),
            (_, true) => drop(members.insert("allOf".into(), json!([guarded]))),
            (_, false) => {
                if let Value::Object(guarded) = guarded {
                    members.extend(guarded);
                }
            }
        }
    }
}

/// Whether a schema is a guard with its reference, rather than one that somebody wrote.
pub(super) fn is_guard(members: &Map<String, Value>) -> bool {
    members.get("if").is_some_and(|condition| condition.get(SPEND).is_some())
}

/// What may stand beside a `$ref` in draft 7 without being void.
const BESIDE: [&str; 4] = ["$ref", "$schema", "$defs", "definitions"];

/// Guards every reference in a document of plain JSON Schema. In draft 7 a reference voids what stands beside it.
pub(super) fn guard_all(schema: &mut Value, voids: bool) {
    match schema {
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                match (name.as_str(), member) {
                    // What stands here is data, whatever it looks like.
                    ("enum" | "const" | "default" | "examples", _) => {}
                    (
                        "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas",
                        Value::Object(schemas),
                    ) => schemas.values_mut().for_each(|schema| guard_all(schema, voids)),
                    (_, member) => guard_all(member, voids),
                }
            }
            if voids && members.get("$ref").is_some_and(Value::is_string) {
                members.retain(|name, _| BESIDE.contains(&name.as_str()));
            }
            guard(members);
        }
        Value::Array(items) => items.iter_mut().for_each(|item| guard_all(item, voids)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
