//! Which members of a document are data, and not part of the description: examples, defaults and extensions. What looks like a
//! reference or a schema there is neither.

use serde_json::{Map, Value};

/// Members whose value maps names of the author's choice to objects, so that no name there means anything.
const NAMES: [&str; 20] = [
    "$defs",
    "callbacks",
    "content",
    "definitions",
    "dependentSchemas",
    "encoding",
    "headers",
    "links",
    "mapping",
    "mediaTypes",
    "parameters",
    "pathItems",
    "paths",
    "patternProperties",
    "properties",
    "requestBodies",
    "responses",
    "schemas",
    "securitySchemes",
    "webhooks",
];

/// What stands around a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Around {
    /// An object whose member names have a meaning.
    Object,
    /// A map whose names are the author's.
    Names,
}

impl Around {
    /// What stands around the members of the member of this name.
    pub(crate) fn inside(self, name: &str) -> Around {
        match self {
            Around::Object if NAMES.contains(&name) => Around::Names,
            Around::Object | Around::Names => Around::Object,
        }
    }

    /// Whether the member of this name is data.
    pub(crate) fn is_data(self, name: &str) -> bool {
        self == Around::Object && (is_annotation(name) || matches!(name, "enum" | "const"))
    }
}

/// Data that nothing is judged by.
fn is_annotation(name: &str) -> bool {
    matches!(name, "example" | "examples" | "default") || name.starts_with("x-")
}

/// Takes away the data that nothing is judged by. What stands in `servers` is kept, since a `default` means something there.
pub(crate) fn remove(value: &mut Value, around: Around) {
    match value {
        Value::Object(members) => remove_members(members, around),
        Value::Array(items) => items.iter_mut().for_each(|item| remove(item, Around::Object)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn remove_members(members: &mut Map<String, Value>, around: Around) {
    if around == Around::Object {
        members.retain(|name, _| !is_annotation(name));
    }
    for (name, member) in members.iter_mut() {
        let kept = around == Around::Object && matches!(name.as_str(), "servers" | "enum" | "const");
        if !kept {
            remove(member, around.inside(name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn names_of_the_authors_are_no_data() {
        let mut document = json!({
            "x-own": 1,
            "servers": [{ "url": "/{v}", "variables": { "v": { "default": "v1" } } }],
            "components": { "schemas": {
                "default": { "type": "object", "default": {}, "example": { "$ref": "nowhere.yaml" },
                    "enum": [{ "default": 1 }],
                    "properties": { "example": { "type": "string", "example": "a" }, "x-a": { "default": 1 } } }
            } },
            "paths": { "/p": { "get": { "responses": { "default": { "description": "d", "x-y": 1 } } } } }
        });
        remove(&mut document, Around::Object);
        assert_eq!(
            document,
            json!({
                "servers": [{ "url": "/{v}", "variables": { "v": { "default": "v1" } } }],
                "components": { "schemas": {
                    "default": { "type": "object", "enum": [{ "default": 1 }],
                        "properties": { "example": { "type": "string" }, "x-a": {} } }
                } },
                "paths": { "/p": { "get": { "responses": { "default": { "description": "d" } } } } }
            })
        );
    }
}
