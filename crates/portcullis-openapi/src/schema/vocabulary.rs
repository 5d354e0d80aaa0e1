//! Keywords that no version of the schema language has. A misspelt one, such as `aditionalProperties`, is a control that does
//! not run: OpenAPI 3.0 allows no others, so it is refused there; JSON Schema ignores what it does not know, so in 3.1 it is a
//! warning. One that resembles no keyword is a warning in both. Names that begin with `x-` are anybody's.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::alternatives::is_set_apart;
use super::discriminator;
use super::rewrite::{BROKEN, IDLE};
use crate::document::{Files, LoadError, Target};
use crate::spelling::nearest;

/// OpenAPI 3.0 (Schema Object), and JSON Schema up to 2020-12 (what 3.0 does not have is kept, since it is stricter).
const KEYWORDS: &[&str] = &[
    "$anchor",
    "$comment",
    "$defs",
    "$dynamicAnchor",
    "$dynamicRef",
    "$id",
    "$recursiveAnchor",
    "$recursiveRef",
    "$ref",
    "$schema",
    "$vocabulary",
    "additionalItems",
    "additionalProperties",
    "allOf",
    "anyOf",
    "const",
    "contains",
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
    "default",
    "definitions",
    "dependencies",
    "dependentRequired",
    "dependentSchemas",
    "deprecated",
    "description",
    "discriminator",
    "else",
    "enum",
    "example",
    "examples",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "externalDocs",
    "format",
    "formatMaximum",
    "formatMinimum",
    "id",
    "if",
    "items",
    "maxContains",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minContains",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "not",
    "nullable",
    "oneOf",
    "pattern",
    "patternProperties",
    "prefixItems",
    "properties",
    "propertyNames",
    "readOnly",
    "required",
    "summary",
    "then",
    "title",
    "type",
    "unevaluatedItems",
    "unevaluatedProperties",
    "uniqueItems",
    "writeOnly",
    "xml",
    "$async",
    "$data",
];

/// Looks through schemas, each once.
#[derive(Default)]
pub(super) struct Vocabulary {
    seen: HashSet<Target>,
}

/// What was found in schemas.
#[derive(Default)]
pub(super) struct Noticed {
    /// What cannot be judged.
    pub(super) broken: Vec<LoadError>,
    /// Keywords that are nearly those of the language.
    pub(super) misspelt: Vec<LoadError>,
    /// What does nothing.
    pub(super) idle: Vec<LoadError>,
}

impl Vocabulary {
    /// What is to be told of the schema at `at`, and of those that it refers to and that were not looked at before.
    pub(super) fn look(&mut self, files: &Files, at: &Target) -> Noticed {
        let mut found = Noticed::default();
        let mut open = vec![at.clone()];
        while let Some(target) = open.pop() {
            if self.seen.insert(target.clone())
                && let Some(Value::Object(members)) = target.value(files)
            {
                look(members, &target, &mut found, &mut open);
            }
        }
        found
    }
}

fn look(members: &Map<String, Value>, at: &Target, found: &mut Noticed, open: &mut Vec<Target>) {
    if let Some(Value::String(reference)) = members.get("$ref")
        && let Ok(target) = at.follow(reference)
    {
        open.push(target);
    }
    for (name, member) in members {
        let place = at.member(name);
        match (name.as_str(), member) {
            (
                "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas",
                Value::Object(schemas),
            ) => {
                for (name, schema) in schemas {
                    if let Value::Object(schema) = schema {
                        look(schema, &place.member(name), found, open);
                    }
                }
            }
            ("allOf", Value::Array(parts)) => {
                for (index, part) in parts.iter().enumerate() {
                    let Value::Object(part) = part else { continue };
                    // What was set apart is named by where its author wrote it.
                    match (is_set_apart(part), part.get("if")) {
                        (Some("not"), Some(Value::Object(schema))) => {
                            look(schema, &at.member("not"), found, open)
                        }
                        (Some(_), Some(Value::Object(schema))) => look(schema, at, found, open),
                        (Some(_) | None, _) => look(part, &place.member(&index.to_string()), found, open),
                    }
                }
            }
            ("anyOf" | "oneOf" | "prefixItems" | "items", Value::Array(schemas)) => {
                for (index, schema) in schemas.iter().enumerate() {
                    if let Value::Object(schema) = schema {
                        look(schema, &place.member(&index.to_string()), found, open);
                    }
                }
            }
            (
                "items"
                | "additionalProperties"
                | "not"
                | "if"
                | "then"
                | "else"
                | "contains"
                | "propertyNames"
                | "unevaluatedItems"
                | "unevaluatedProperties"
                | "contentSchema"
                | discriminator::BASE,
                Value::Object(schema),
            ) => look(schema, &place, found, open),
            (BROKEN, Value::Array(told)) => {
                if let [Value::String(location), Value::String(message)] = told.as_slice() {
                    found.broken.push(LoadError::new(location.as_str(), message.as_str()));
                }
            }
            (IDLE, Value::String(message)) => found.idle.push(at.error(message.as_str())),
            (known, _) if KEYWORDS.contains(&known) || known.starts_with("x-") => {}
            (unknown, _) => {
                let meant = nearest(unknown, KEYWORDS);
                // The root of a file may hold schemas beside being one.
                if at.pointer.is_empty() && meant.is_none() {
                    continue;
                }
                let list = if meant.is_some() { &mut found.misspelt } else { &mut found.idle };
                let meant = meant.map_or(String::new(), |meant| format!("; did you mean `{meant}`?"));
                list.push(
                    at.error(format!("`{unknown}` is no keyword of schemas, so it does nothing{meant}")),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_keyword_is_told_what_was_meant() {
        for (name, meant) in [
            ("aditionalProperties", Some("additionalProperties")),
            ("additionalproperties", Some("additionalProperties")),
            ("requird", Some("required")),
            ("maxlenght", Some("maxLength")),
            ("minimun", Some("minimum")),
            ("patern", Some("pattern")),
            ("one0f", Some("oneOf")),
            ("tpye", Some("type")),
            ("collectionFormat", None),
            ("whatever", None),
            ("zz", None),
        ] {
            assert_eq!(nearest(name, KEYWORDS), meant, "{name}");
        }
    }
}
