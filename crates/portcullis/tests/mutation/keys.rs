//! A configuration without one of its keys.

use portcullis_config::{Context, Node, Source, Value, yaml};
use serde_json::{Value as Json, json};
use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, Ordering};

/// Each key of a document with what it says, and the document without it.
pub(crate) fn left_out(text: &str) -> Vec<(String, Json, String)> {
    let mut cx = Context::for_code();
    let node = yaml::parse(&Source::new("gateway.yaml", text), &mut cx.diagnostics).unwrap();
    let document = to_json(&node);
    let mut pointers = Vec::new();
    collect(&document, "", &mut pointers);
    let of = |pointer: String| {
        let (value, rest) =
            (document.pointer(&pointer).unwrap().clone(), without(&document, &pointer).to_string());
        (pointer, value, rest)
    };
    pointers.into_iter().map(of).collect()
}

/// What nobody can notice, and why.
const NO_CONTROLS: &str = include_str!("no_controls.txt");

/// A row of `no_controls.txt`.
#[derive(Debug)]
pub(crate) struct NoControl {
    /// The document; `*` for any.
    document: &'static str,
    /// The path of a key, with `*` for any one part, or a weakened check.
    what: &'static str,
    /// What the key says; `None` for anything.
    value: Option<Json>,
}

impl NoControl {
    /// Every row. A line of the file is `document | key | reason`, or `document | key = value | reason`; or, instead of the key, what
    /// a weakened check is called.
    pub(crate) fn all() -> Vec<NoControl> {
        let lines = NO_CONTROLS.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let row = |line: &'static str| {
            let [document, what, reason] = line.splitn(3, " | ").collect::<Vec<_>>()[..] else {
                panic!("`{line}` is not `document | key | reason`")
            };
            assert!(reason.trim().len() > 10, "`{line}` gives no reason");
            let (what, value) = match what.split_once(" = ") {
                Some((what, value)) => (what, Some(serde_json::from_str(value).unwrap())),
                None => (what, None),
            };
            NoControl { document, what, value }
        };
        lines.map(row).collect()
    }

    /// Whether it is about this key of this document, which says this.
    pub(crate) fn is_of(&self, document: &str, pointer: &str, value: &Json) -> bool {
        let (mut parts, mut there) = (self.what.split('/'), pointer.split('/'));
        (self.document == "*" || self.document == document)
            && self.value.as_ref().is_none_or(|wanted| wanted == value)
            && loop {
                match (parts.next(), there.next()) {
                    (None, None) => break true,
                    (Some(part), Some(there)) if part == "*" || part == there => {}
                    _ => break false,
                }
            }
    }

    /// Whether it is about this weakened check of this document.
    pub(crate) fn is_of_check(&self, document: &str, mutant: &str) -> bool {
        self.document == document && self.what == mutant
    }
}

/// Rows, and which of them were of use.
pub(crate) struct Table<R> {
    rows: Vec<R>,
    used: Vec<AtomicBool>,
}

impl<R: Debug> Table<R> {
    pub(crate) fn new(rows: Vec<R>) -> Table<R> {
        let used = rows.iter().map(|_| AtomicBool::new(false)).collect();
        Table { rows, used }
    }

    /// Whether there is such a row, which is used then.
    pub(crate) fn has(&self, fits: impl Fn(&R) -> bool) -> bool {
        let Some(at) = self.rows.iter().position(fits) else { return false };
        self.used[at].store(true, Ordering::Relaxed);
        true
    }

    /// The rows that were of no use.
    pub(crate) fn unused(&self) -> Vec<String> {
        let rows = self.rows.iter().zip(&self.used).filter(|(_, used)| !used.load(Ordering::Relaxed));
        rows.map(|(row, _)| format!("{row:?}")).collect()
    }
}

/// A word without what makes no difference.
pub(crate) fn folded(word: &str) -> String {
    word.chars().filter(|char| char.is_ascii_alphanumeric()).collect::<String>().to_ascii_lowercase()
}

/// The types of the methods of authentication in a document.
pub(crate) fn types_of_methods(text: &str) -> Vec<String> {
    let mut cx = Context::for_code();
    let node = yaml::parse(&Source::new("gateway.yaml", text), &mut cx.diagnostics).unwrap();
    let mut types = Vec::new();
    collect_types(&to_json(&node), &mut types);
    types
}

fn collect_types(value: &Json, types: &mut Vec<String>) {
    match value {
        Json::Object(members) => {
            types.extend(members.get("type").and_then(Json::as_str).map(folded));
            members.values().for_each(|inner| collect_types(inner, types));
        }
        Json::Array(items) => items.iter().for_each(|item| collect_types(item, types)),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
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
