//! JSON Schema (2020-12) made from the same declarations that read a document, for editors and documentation.
//!
//! Decides how definitions are named and how spellings of a key appear. The schema accepts everything that decoding accepts;
//! decoding refuses more (places, secrets, ranges of meaning), so a document that passes the schema is not yet valid.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value, json};

use crate::decode::{Decode, Key};

/// The named schemas (`$defs`) that a document's schema refers to.
#[derive(Debug, Default)]
pub struct Definitions {
    schemas: BTreeMap<String, Value>,
    /// The name given to each Rust type: two types may have the same name in different modules.
    names: HashMap<&'static str, String>,
}

impl Definitions {
    /// No definitions.
    pub fn new() -> Self {
        Self::default()
    }

    /// A reference to the schema of `T`, made by `schema` at the first use. Types may refer to themselves.
    pub fn define<T>(&mut self, name: &str, schema: impl FnOnce(&mut Self) -> Value) -> Value {
        let rust_type = std::any::type_name::<T>();
        if let Some(name) = self.names.get(rust_type) {
            return reference(name);
        }
        let mut unique = name.to_owned();
        let mut number = 2;
        while self.schemas.contains_key(&unique) {
            unique = format!("{name}{number}");
            number += 1;
        }
        self.names.insert(rust_type, unique.clone());
        // Holds the place, so that a type that contains itself ends here and others do not take the name.
        self.schemas.insert(unique.clone(), Value::Bool(true));
        let schema = schema(self);
        self.schemas.insert(unique.clone(), schema);
        reference(&unique)
    }

    /// All definitions by name.
    pub fn into_json(self) -> Value {
        self.schemas.into_iter().collect()
    }
}

fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{name}") })
}

/// The schema of a whole document. `id` is the URL under which it is published.
pub fn document_schema<T: Decode>(title: &str, id: &str) -> Value {
    let mut definitions = Definitions::new();
    let mut schema = Map::new();
    schema.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
    schema.insert("$id".into(), json!(id));
    schema.insert("title".into(), json!(title));
    if let Value::Object(root) = T::schema(&mut definitions) {
        schema.extend(root);
    }
    schema.insert("$defs".into(), definitions.into_json());
    Value::Object(schema)
}

/// The schema of a mapping, put together key by key.
#[derive(Debug, Clone, Default)]
pub struct ObjectSchema {
    description: String,
    properties: Map<String, Value>,
    required: Vec<Value>,
    /// For required keys with several spellings: one of them must be there.
    alternatives: Vec<Value>,
}

impl ObjectSchema {
    /// A mapping without keys.
    pub fn new(description: &str) -> Self {
        Self { description: description.to_owned(), ..Self::default() }
    }

    /// Adds a key with all its spellings; all but the first are marked as deprecated, so that editors offer the first.
    pub fn property<'k>(
        &mut self,
        key: impl Into<Key<'k>>,
        description: &str,
        schema: Value,
        default: Option<Value>,
        required: bool,
    ) -> &mut Self {
        let key = key.into();
        let spellings = key.spellings();
        for spelling in spellings.iter().skip(1) {
            let mut other = schema.clone();
            if let Value::Object(other) = &mut other {
                other.insert("description".into(), json!(format!("Another spelling of `{}`.", key.name())));
                other.insert("deprecated".into(), json!(true));
            }
            self.properties.insert(spelling.clone(), other);
        }
        let mut main = schema;
        if let Value::Object(main) = &mut main {
            if !description.is_empty() {
                main.insert("description".into(), json!(description));
            }
            if let Some(default) = default {
                main.insert("default".into(), default);
            }
        }
        self.properties.insert(key.name().to_owned(), main);
        if required && spellings.len() == 1 {
            self.required.push(json!(key.name()));
        } else if required {
            let any: Vec<Value> =
                spellings.iter().map(|spelling| json!({ "required": [spelling] })).collect();
            self.alternatives.push(json!({ "anyOf": any }));
        }
        self
    }

    /// Adds a required key that must be one of `words`, such as the `type` that chooses between several mappings.
    pub fn tag(&mut self, key: &str, words: &[&str]) -> &mut Self {
        let schema = json!({ "enum": words });
        self.property(key, "", schema, None, true)
    }

    /// The schema; keys that were not added are refused.
    pub fn into_json(self) -> Value {
        let mut schema = Map::new();
        if !self.description.is_empty() {
            schema.insert("description".into(), json!(self.description));
        }
        schema.insert("type".into(), json!("object"));
        schema.insert("properties".into(), Value::Object(self.properties));
        if !self.required.is_empty() {
            schema.insert("required".into(), Value::Array(self.required));
        }
        if !self.alternatives.is_empty() {
            schema.insert("allOf".into(), Value::Array(self.alternatives));
        }
        schema.insert("additionalProperties".into(), json!(false));
        Value::Object(schema)
    }
}

#[cfg(test)]
mod tests;
