//! Configurations of other gateways, as far as they have the same meaning here.
//!
//! What maps cleanly is written. What does not is listed, and nothing is dropped in silence: a route that had a control which
//! has no counterpart here is written as a comment, so that it is not served before somebody has decided.

mod kong;
mod krakend;
mod write;

#[cfg(test)]
mod tests;

pub(crate) use write::flow;

use portcullis_checks::inspect::openapi::read_document;
use serde_json::{Map, Value};

/// Whose configuration is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    /// Kong's declarative file (`_format_version`), YAML or JSON.
    Kong,
    /// KrakenD's `krakend.json`, version 3.
    Krakend,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// The configuration, with comments.
    pub yaml: String,
    /// What did not map, and what became of it.
    pub left: Vec<String>,
}

/// Reads another gateway's configuration.
///
/// # Errors
/// The text is not one.
pub fn import(product: Product, name: &str, text: &[u8]) -> Result<Imported, String> {
    let document = read_document(name, text)?;
    let document = &document;
    let mut draft = Draft::default();
    match product {
        Product::Kong => kong::read(document, &mut draft)?,
        Product::Krakend => krakend::read(document, &mut draft)?,
    }
    Ok(draft.written(name))
}

/// A configuration that is put together.
#[derive(Default)]
struct Draft {
    consumers: Vec<Value>,
    routes: Vec<Route>,
    top: Map<String, Value>,
    left: Vec<String>,
}

/// A route, and why it is not served yet.
struct Route {
    value: Value,
    /// What had no counterpart: the route is a comment then.
    missing: Vec<String>,
    notes: Vec<String>,
}

impl Draft {
    /// Something has no counterpart, and its absence opens nothing.
    fn leave(&mut self, what: impl Into<String>) {
        let what = what.into();
        if !self.left.contains(&what) {
            self.left.push(what);
        }
    }
}

/// A member as text.
fn text<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value.get(key).and_then(Value::as_str)
}

/// A member as a list; nothing where there is none.
fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The texts of a list.
fn texts(value: &Value, key: &str) -> Vec<String> {
    list(value, key).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}
