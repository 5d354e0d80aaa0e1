//! A value that fits a JSON Schema, as simple as it can be.
//!
//! It goes by `example`, `default`, `enum`, `const`, types, bounds, formats and required members, and by the first branch of
//! `oneOf` and `anyOf`. What it cannot do, such as inventing a text for a pattern, yields a value that does not fit; whoever asks
//! finds that out by having it judged.

use serde_json::{Map, Value, json};

/// How deep schemas may refer to each other.
const DEEPEST: usize = 12;

/// A value for `schema`; what it refers to is looked up in `document`.
pub fn of(schema: &Value, document: &Value) -> Value {
    at(schema, document, 0)
}

/// What a node says, or what it refers to within the document.
pub fn resolved<'a>(node: &'a Value, document: &'a Value) -> &'a Value {
    let mut node = node;
    for _ in 0..DEEPEST {
        let Some(reference) = node.get("$ref").and_then(Value::as_str) else { break };
        let Some(found) = reference.strip_prefix('#').and_then(|pointer| document.pointer(pointer)) else {
            break;
        };
        node = found;
    }
    node
}

fn at(schema: &Value, document: &Value, depth: usize) -> Value {
    let schema = resolved(schema, document);
    if depth > DEEPEST {
        return Value::Null;
    }
    if let Some(said) =
        schema.get("example").or_else(|| schema.get("default")).or_else(|| schema.get("const"))
    {
        return said.clone();
    }
    let first = |name: &str| schema.get(name).and_then(Value::as_array).and_then(|list| list.first());
    if let Some(said) = first("examples").or_else(|| first("enum")) {
        return said.clone();
    }
    if let Some(branch) = first("oneOf").or_else(|| first("anyOf")) {
        return at(branch, document, depth + 1);
    }
    if let Some(all) = schema.get("allOf").and_then(Value::as_array) {
        let mut whole = own(schema, document, depth);
        for part in all {
            match (&mut whole, at(part, document, depth + 1)) {
                (Value::Object(whole), Value::Object(part)) => whole.extend(part),
                (whole, part) => *whole = part,
            }
        }
        return whole;
    }
    own(schema, document, depth)
}

fn own(schema: &Value, document: &Value, depth: usize) -> Value {
    let said = match schema.get("type") {
        Some(Value::Array(types)) => types.first(),
        said => said,
    };
    let number = |name: &str| schema.get(name).and_then(Value::as_f64);
    match said.and_then(Value::as_str) {
        Some("string") => json!(text(schema)),
        Some("integer" | "number") => {
            let least = number("minimum").or_else(|| number("exclusiveMinimum").map(|bound| bound + 1.0));
            let most = number("maximum").or_else(|| number("exclusiveMaximum").map(|bound| bound - 1.0));
            let value = least.unwrap_or_else(|| most.map_or(1.0, |most| most.min(1.0))).ceil();
            let value = match number("multipleOf").filter(|step| *step > 0.0) {
                Some(step) => (value / step).ceil() * step,
                None => value,
            };
            // A number of an example has no more than 53 bits.
            if value.fract() == 0.0 { json!(value as i64) } else { json!(value) }
        }
        Some("boolean") => json!(true),
        Some("null") => Value::Null,
        Some("array") => {
            let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(0).min(100);
            let item = schema.get("items").map_or(Value::Null, |items| at(items, document, depth + 1));
            json!((0..least).map(|_| item.clone()).collect::<Vec<_>>())
        }
        Some(_) | None => object(schema, document, depth),
    }
}

fn object(schema: &Value, document: &Value, depth: usize) -> Value {
    let mut members = Map::new();
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    for name in required.filter_map(Value::as_str) {
        let property = schema.get("properties").and_then(|properties| properties.get(name));
        let property = property.map(|property| resolved(property, document));
        if property.and_then(|property| property.get("readOnly")) == Some(&Value::Bool(true)) {
            continue;
        }
        let value = property.map_or(json!("x"), |property| at(property, document, depth + 1));
        members.insert(name.to_owned(), value);
    }
    Value::Object(members)
}

fn text(schema: &Value) -> String {
    let said = match schema.get("format").and_then(Value::as_str) {
        Some("date") => "2026-01-31",
        Some("date-time") => "2026-01-31T12:00:00Z",
        Some("time") => "12:00:00Z",
        Some("email") => "somebody@example.com",
        Some("uuid") => "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
        Some("uri" | "url") => "https://example.com/",
        Some("hostname") => "example.com",
        Some("ipv4") => "192.0.2.1",
        Some("ipv6") => "2001:db8::1",
        Some(_) | None => "sample",
    };
    let length =
        |name: &str| schema.get(name).and_then(Value::as_u64).and_then(|length| usize::try_from(length).ok());
    let mut text = said.to_owned();
    if let Some(least) = length("minLength").filter(|least| *least < 10_000) {
        while text.len() < least {
            text.push('x');
        }
    }
    if let Some(most) = length("maxLength") {
        text.truncate(most);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_fits_what_it_was_made_for() {
        let schemas = [
            json!({ "type": "object", "required": ["a", "b"], "properties": {
                "a": { "type": "string", "minLength": 9 }, "b": { "$ref": "#/$defs/b" } },
                "$defs": { "b": { "type": "array", "minItems": 2, "items": { "type": "integer", "minimum": 7, "multipleOf": 5 } } } }),
            json!({ "oneOf": [{ "type": "string", "format": "date" }, { "type": "null" }] }),
            json!({ "enum": [3, 4] }),
            json!({ "allOf": [{ "type": "object", "required": ["x"], "properties": { "x": { "type": "boolean" } } }] }),
            json!({ "type": ["number", "null"], "exclusiveMaximum": 0 }),
        ];
        for schema in schemas {
            let files = portcullis_openapi::Files::from_value("schema.json", schema.clone());
            let judged = portcullis_openapi::Schema::compile(&files).unwrap();
            let sample = of(&schema, &schema);
            assert!(judged.judge(&sample).is_ok(), "{sample} for {schema}");
        }
    }

    #[test]
    fn schemas_that_refer_to_themselves_end() {
        let schema = json!({ "type": "object", "required": ["a"], "properties": { "a": { "$ref": "#" } } });
        assert!(of(&schema, &schema).is_object());
    }
}
