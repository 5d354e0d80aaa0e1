//! Keywords that no version of the schema language has. A misspelt one, such as `aditionalProperties`, is a control that does
//! not run: OpenAPI 3.0 allows no others, so it is refused there; JSON Schema ignores what it does not know, so in 3.1 it is a
//! warning. Names that begin with `x-` are anybody's.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::alternatives::is_set_apart;
use super::discriminator;
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

impl Vocabulary {
    /// Every unknown keyword of the schema at `at`, and of those that it refers to.
    pub(super) fn unknown(&mut self, files: &Files, at: &Target) -> Vec<LoadError> {
        let mut found = Vec::new();
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

fn look(members: &Map<String, Value>, at: &Target, found: &mut Vec<LoadError>, open: &mut Vec<Target>) {
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
            (known, _) if KEYWORDS.contains(&known) || known.starts_with("x-") => {}
            (unknown, _) => {
                let meant = nearest(unknown, KEYWORDS);
                // The root of a file may hold schemas beside being one.
                if at.pointer.is_empty() && meant.is_none() {
                    continue;
                }
                let meant = meant.map_or(String::new(), |meant| format!("; did you mean `{meant}`?"));
                found.push(
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
