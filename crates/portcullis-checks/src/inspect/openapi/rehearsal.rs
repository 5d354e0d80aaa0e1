//! The operations of a document with a request for each, made from its schemas and examples.

use super::config::OpenapiConfig;
use crate::rehearsal::sample;
use portcullis_openapi::Files;
use serde_json::Value;
use std::path::Path;

/// An operation, and what a request for it carries.
#[derive(Clone, Debug)]
pub struct SampleOperation {
    /// The method, in upper case.
    pub method: String,
    /// The path as the document has it, with the parameters in braces.
    pub template: String,
    /// Values for the path's parameters.
    pub parameters: Vec<(String, String)>,
    /// The query parameters that it needs.
    pub query: Vec<(String, String)>,
    /// The header fields that it needs.
    pub headers: Vec<(String, String)>,
    /// The scopes that its security names.
    pub scopes: Vec<String>,
    /// The media type and the content of its body; `None` where it has none that can be made here.
    pub body: Option<(String, String)>,
}

impl OpenapiConfig {
    /// The operations of the document. None where the document cannot be read, which is no matter of a rehearsal.
    pub fn samples(&self) -> Vec<SampleOperation> {
        read_document(self.file()).map_or_else(Vec::new, |document| operations(&document))
    }
}

/// A document in YAML or JSON.
pub fn read_document(file: &Path) -> Option<Value> {
    Files::load(file).ok()?.document().cloned()
}

const METHODS: [&str; 7] = ["get", "put", "post", "delete", "options", "head", "patch"];

fn operations(document: &Value) -> Vec<SampleOperation> {
    let mut found = Vec::new();
    let paths = document.get("paths").and_then(Value::as_object).into_iter().flatten();
    for (template, item) in paths {
        let item = sample::resolved(item, document);
        for method in METHODS {
            let Some(operation) = item.get(method) else { continue };
            let mut made = SampleOperation {
                method: method.to_ascii_uppercase(),
                template: template.clone(),
                parameters: Vec::new(),
                query: Vec::new(),
                headers: Vec::new(),
                scopes: scopes(operation, document),
                body: body(operation, document),
            };
            let lists = [item.get("parameters"), operation.get("parameters")];
            for parameter in lists.into_iter().flatten().filter_map(Value::as_array).flatten() {
                add(sample::resolved(parameter, document), document, &mut made);
            }
            found.push(made);
        }
    }
    found
}

fn scopes(operation: &Value, document: &Value) -> Vec<String> {
    let asked = operation.get("security").or_else(|| document.get("security")).and_then(Value::as_array);
    // The first of several alternatives.
    let schemes = asked.and_then(|asked| asked.first()).and_then(Value::as_object);
    let scopes =
        schemes.into_iter().flat_map(|schemes| schemes.values()).filter_map(Value::as_array).flatten();
    scopes.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn add(parameter: &Value, document: &Value, made: &mut SampleOperation) {
    let text = |name: &str| parameter.get(name).and_then(Value::as_str);
    let (Some(name), Some(place)) = (text("name"), text("in")) else { return };
    let required = parameter.get("required") == Some(&Value::Bool(true));
    let list = match place {
        "path" => &mut made.parameters,
        "query" if required => &mut made.query,
        "header" if required => &mut made.headers,
        _ => return,
    };
    let value = match (parameter.get("example"), parameter.get("schema")) {
        (Some(example), _) => example.clone(),
        (None, Some(schema)) => sample::of(schema, document),
        (None, None) => Value::String("sample".into()),
    };
    let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    list.retain(|(there, _)| there != name);
    list.push((name.to_owned(), value));
}

fn body(operation: &Value, document: &Value) -> Option<(String, String)> {
    let declared = sample::resolved(operation.get("requestBody")?, document);
    let content = declared.get("content")?.as_object()?;
    let json = content.iter().find(|(name, _)| name.ends_with("json"))?;
    let (media_type, media) = json;
    let examples = media.get("examples").and_then(Value::as_object);
    let example = examples.and_then(|examples| examples.values().next());
    let example = example.and_then(|example| sample::resolved(example, document).get("value"));
    let value = match (media.get("example").or(example), media.get("schema")) {
        (Some(example), _) => example.clone(),
        (None, Some(schema)) => sample::of(schema, document),
        (None, None) => Value::Object(serde_json::Map::new()),
    };
    Some((media_type.clone(), value.to_string()))
}
