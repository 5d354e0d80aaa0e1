//! The semantics, case by case: `cases/*.yaml`, each file with what is let through and what is not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::path::Path;

use portcullis_openapi::{Api, EncodedCommas, Files, Match, Options, RequestView};
use serde_json::{Map, Value, json};

/// One group of cases over one description.
struct Group<'a> {
    file: String,
    value: &'a Value,
    version: String,
    api: Api,
}

fn cases() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |path: &std::path::PathBuf| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let files =
            Files::new(&name, &std::fs::read(path).unwrap()).unwrap_or_else(|error| panic!("{error}"));
        (name, files.document().unwrap().clone())
    };
    files.iter().map(read).collect()
}

impl<'a> Group<'a> {
    fn new(file: &str, value: &'a Value, version: &str) -> Self {
        let mut operation = Map::from_iter([("responses".into(), json!({ "200": { "description": "d" } }))]);
        for (ours, theirs) in [
            ("parameters", "parameters"),
            ("body", "requestBody"),
            ("responses", "responses"),
            ("security", "security"),
        ] {
            if let Some(part) = value.get(ours) {
                operation.insert(theirs.into(), part.clone());
            }
        }
        if let Some(schema) = value.get("schema") {
            let body = json!({ "required": true, "content": { "application/json": { "schema": schema } } });
            operation.insert("requestBody".into(), body);
        }
        let mut components = value.get("components").cloned().unwrap_or(json!({}));
        if let Some(schemes) = value.get("schemes") {
            components["securitySchemes"] = schemes.clone();
        }
        let path = value.get("path").and_then(Value::as_str).unwrap_or("/p");
        let mut item = json!({ method(value).to_lowercase(): operation });
        if let Some(shared) = value.get("shared") {
            item["parameters"] = shared.clone();
        }
        let document = json!({
            "openapi": version, "info": { "title": "t", "version": "1" }, "paths": { path: item }, "components": components
        });
        let options = Options {
            allow_unknown_query: value.get("unknown").is_some(),
            responses: value.get("responses").is_some(),
            encoded_commas: match value.get("commas").and_then(Value::as_str) {
                None => EncodedCommas::Both,
                Some("keep") => EncodedCommas::Keep,
                Some("split") => EncodedCommas::Split,
                Some(other) => panic!("{file}: `commas: {other}`"),
            },
            ..Options::default()
        };
        let api = Api::compile(&Files::from_value("api.yaml", document), &options)
            .unwrap_or_else(|error| panic!("{file}, {}: {error}", value["about"]));
        Group { file: file.to_owned(), value, version: version.to_owned(), api }
    }

    /// What is said of a case: nothing, or why it is refused.
    fn judge(&self, case: &Value) -> String {
        let has_body = self.value.get("body").or(self.value.get("schema")).is_some();
        let mut body = "";
        let mut target = self.value.get("path").and_then(Value::as_str).unwrap_or("/p");
        let mut fields: Vec<(&str, &str)> = Vec::new();
        let media_type =
            case.get("type").or(self.value.get("type")).and_then(Value::as_str).unwrap_or("application/json");
        match case {
            Value::String(text) if has_body => body = text,
            Value::String(text) => match self.value.get("field") {
                Some(field) => fields.push((field.as_str().unwrap(), text)),
                None => target = text,
            },
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                target = case.get("target").and_then(Value::as_str).unwrap_or(target);
                body = case.get("body").and_then(Value::as_str).unwrap_or_default();
            }
        }
        match case.get("fields").and_then(Value::as_array) {
            Some(list) => {
                fields.extend(list.iter().map(|pair| (pair[0].as_str().unwrap(), pair[1].as_str().unwrap())))
            }
            None if has_body || case.get("type").is_some() => fields.push(("content-type", media_type)),
            None => {}
        }
        let (path, query) =
            target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let method = case.get("method").and_then(Value::as_str).unwrap_or(method(self.value));
        let found = match self.api.operation(method, path) {
            Match::Operation(found) => found,
            Match::UndeclaredMethod { allowed } => return format!("405 {allowed}"),
            Match::UndeclaredPath => return "404".into(),
        };
        let fields = fields.as_slice();
        if let Some(status) = case.get("status").and_then(Value::as_u64) {
            let judged = found.operation().judge_response(
                status.try_into().unwrap(),
                &Listed(fields),
                body.as_bytes(),
            );
            return judged.err().map_or_else(String::new, |violations| violations.to_string());
        }
        let view = RequestView { query, fields: &Listed(fields), body: body.as_bytes() };
        let judged = found.judge(&view);
        judged.err().map_or_else(String::new, |violations| format!("{} {violations}", violations.status()))
    }
}

struct Listed<'a>(&'a [(&'a str, &'a str)]);

impl portcullis_openapi::Fields for Listed<'_> {
    fn values(&self, name: &str, each: &mut dyn FnMut(&[u8])) {
        self.0.values(name, each);
    }

    fn names(&self, each: &mut dyn FnMut(&str)) {
        portcullis_openapi::Fields::names(self.0, each);
    }
}

fn method(group: &Value) -> &str {
    let default = if group.get("body").or(group.get("schema")).is_some() { "POST" } else { "GET" };
    group.get("method").and_then(Value::as_str).unwrap_or(default)
}

#[test]
fn every_case_is_judged_as_written() {
    let (mut allowed, mut denied, mut wrong) = (0, 0, Vec::new());
    for (file, groups) in &cases() {
        for group in groups.as_array().unwrap() {
            let known = [
                "about",
                "versions",
                "parameters",
                "shared",
                "body",
                "schema",
                "components",
                "schemes",
                "security",
                "path",
                "method",
                "field",
                "type",
                "unknown",
                "commas",
                "responses",
                "allow",
                "deny",
            ];
            for key in group.as_object().unwrap().keys() {
                assert!(known.contains(&key.as_str()), "{file}: {key}");
            }
            let both = json!(["3.0.3", "3.1.0"]);
            for version in group.get("versions").unwrap_or(&both).as_array().unwrap() {
                let group = Group::new(file, group, version.as_str().unwrap());
                let about = format!("{} ({}), {}", group.file, group.version, group.value["about"]);
                let listed =
                    |key: &str| group.value.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
                for case in listed("allow") {
                    allowed += 1;
                    let said = group.judge(&case);
                    if !said.is_empty() {
                        wrong.push(format!("{about}: {case} was refused: {said}"));
                    }
                }
                for case in listed("deny") {
                    denied += 1;
                    let said = group.judge(&case[0]);
                    if said != case[1].as_str().unwrap() {
                        wrong.push(format!("{about}: {}: expected {}, found {said:?}", case[0], case[1]));
                    }
                }
            }
        }
    }
    println!("{allowed} allowed, {denied} denied");
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(allowed + denied >= 300 && denied > allowed, "{allowed} and {denied} cases are too few");
}
