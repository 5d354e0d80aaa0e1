//! YAML test files, as JSON values.

use granit_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value};

enum Open {
    List(Vec<Value>),
    Map(Map<String, Value>, Option<String>),
}

/// The documents of a file; null ones are left out.
pub(crate) fn documents(text: &str) -> Vec<Value> {
    let mut open: Vec<Open> = Vec::new();
    let mut documents = Vec::new();
    let options = granit_parser::options! { emit_comments: false, max_directive_bytes: 256 };
    for step in Parser::new_from_str_with_options(text, options) {
        let (event, _) = step.unwrap();
        let value = match event {
            Event::Scalar(text, style, ..) => match (matches!(style, ScalarStyle::Plain), text.as_ref()) {
                (true, "null" | "~" | "") => Value::Null,
                (true, "true") => Value::Bool(true),
                (true, "false") => Value::Bool(false),
                (true, text) if text.parse::<i64>().is_ok() => Value::from(text.parse::<i64>().unwrap()),
                (_, text) => Value::String(text.to_owned()),
            },
            Event::SequenceStart(..) => {
                open.push(Open::List(Vec::new()));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Open::Map(Map::new(), None));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop().unwrap() {
                Open::List(items) => Value::Array(items),
                Open::Map(members, _) => Value::Object(members),
            },
            _ => continue,
        };
        match open.last_mut() {
            None => documents.push(value),
            Some(Open::List(items)) => items.push(value),
            Some(Open::Map(members, key)) => match key.take() {
                None => {
                    *key = Some(match value {
                        Value::String(text) => text,
                        other => other.to_string(),
                    });
                }
                Some(key) => drop(members.insert(key, value)),
            },
        }
    }
    documents.retain(|document| !document.is_null());
    documents
}
