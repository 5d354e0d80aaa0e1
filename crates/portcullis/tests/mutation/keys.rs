//! A configuration without one of its keys.

use portcullis_config::{Context, Node, Source, Value, yaml};
use serde_json::{Value as Json, json};

/// Each key of a document, and the document without it.
pub(crate) fn left_out(text: &str) -> Vec<(String, String)> {
    let mut cx = Context::for_code();
    let node = yaml::parse(&Source::new("gateway.yaml", text), &mut cx.diagnostics).unwrap();
    let document = to_json(&node);
    let mut pointers = Vec::new();
    collect(&document, "", &mut pointers);
    pointers.into_iter().map(|pointer| (pointer.clone(), without(&document, &pointer).to_string())).collect()
}

/// Why a key is no control, so that nobody can notice that it is missing. `None` where somebody must.
pub(crate) fn no_control(pointer: &str) -> Option<&'static str> {
    match pointer.rsplit('/').next().unwrap() {
        "header" | "by" | "password" => Some("says the default, or what nobody needs there"),
        "roles" if pointer == "/consumers/1/roles" => Some("says the default"),
        "jwks_file" => Some("where keys come from: a rehearsal has its own"),
        _ => None,
    }
}

fn to_json(node: &Node) -> Json {
    match &node.value {
        Value::Null => Json::Null,
        Value::Bool(value) => json!(value),
        Value::Integer(number) => json!(i64::try_from(*number).unwrap()),
        Value::Float(number) => json!(number),
        Value::String(text) => json!(text),
        Value::Sequence(items) => items.iter().map(to_json).collect(),
        Value::Mapping(entries) => {
            Json::Object(entries.iter().map(|entry| (entry.key.clone(), to_json(&entry.value))).collect())
        }
    }
}

fn collect(value: &Json, place: &str, pointers: &mut Vec<String>) {
    match value {
        Json::Object(members) => {
            for (key, inner) in members {
                let pointer = format!("{place}/{}", key.replace('~', "~0").replace('/', "~1"));
                pointers.push(pointer.clone());
                // What stands in a schema or in claims is content, and not a key of the configuration.
                if !matches!(key.as_str(), "schema" | "claims_required") {
                    collect(inner, &pointer, pointers);
                }
            }
        }
        Json::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect(item, &format!("{place}/{index}"), pointers);
            }
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

fn without(document: &Json, pointer: &str) -> Json {
    let mut document = document.clone();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let key = key.replace("~1", "/").replace("~0", "~");
    document.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(&key).unwrap();
    document
}
