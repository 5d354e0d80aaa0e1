//! What a description gives as examples, and requests that are made of it.

use std::collections::BTreeMap;

use portcullis_openapi::Fields;
use serde_json::Value;

pub(crate) struct Listed(pub(crate) Vec<(String, String)>);

impl Fields for Listed {
    fn values(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        let mine = self.0.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        mine.for_each(|(_, value)| each(value.as_bytes()));
    }

    fn names(&self, each: &mut dyn FnMut(&str)) {
        self.0.iter().for_each(|(name, _)| each(name));
    }
}

/// What a value refers to; nothing, where the reference leads nowhere.
pub(crate) fn follow<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    const NOTHING: &Value = &Value::Null;
    match value.get("$ref").and_then(Value::as_str).and_then(|reference| reference.strip_prefix('#')) {
        Some(pointer) => {
            let pointer = pointer.replace("%20", " ").replace("%7B", "{").replace("%7D", "}");
            document.pointer(&pointer).map_or(NOTHING, |target| follow(document, target))
        }
        None => value,
    }
}

/// Every example of a parameter, a body or a response.
pub(crate) fn examples<'a>(document: &'a Value, owner: &'a Value) -> Vec<&'a Value> {
    let mut found: Vec<&Value> = owner.get("example").into_iter().collect();
    for example in
        owner.get("examples").and_then(Value::as_object).into_iter().flat_map(|examples| examples.values())
    {
        found.extend(follow(document, example).get("value"));
    }
    found
}

/// An example as it would be sent.
pub(crate) fn written(media_type: &str, example: &Value) -> String {
    match example.as_str() {
        Some(text) if !media_type.ends_with("json") => text.to_owned(),
        Some(_) | None => example.to_string(),
    }
}

/// A value for a parameter, by its own example or by its schema.
pub(crate) fn sample(document: &Value, parameter: &Value) -> Option<String> {
    let schema = follow(document, parameter.get("schema")?);
    let named = examples(document, parameter).into_iter().next();
    let value =
        named.or(schema.get("example")).or(schema.get("default")).or(schema.get("enum").map(|list| &list[0]));
    let text = match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => items
            .iter()
            .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned))
            .collect::<Vec<_>>()
            .join(","),
        Some(value) if value.is_object() => return None,
        Some(value) => value.to_string(),
        None if parameter["in"] == "query" && parameter["required"] != true => return None,
        None if schema["format"] == "date-time" => "2024-01-01T00:00:00Z".into(),
        None if schema["type"] == "integer" => "1".into(),
        None => "abc".into(),
    };
    Some(
        text.bytes()
            .map(|byte| {
                if byte.is_ascii_alphanumeric() || b",-._".contains(&byte) {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02X}")
                }
            })
            .collect(),
    )
}

#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) judged: usize,
    pub(crate) wrong: BTreeMap<String, Vec<String>>,
}

impl Tally {
    pub(crate) fn add(&mut self, about: &str, said: Result<(), portcullis_openapi::Violations>) {
        self.judged += 1;
        if let Err(violations) = said {
            self.wrong
                .entry(violations.iter().next().unwrap().reason.into())
                .or_default()
                .push(format!("{about}: {violations}"));
        }
    }
}
