//! Schemas that have a name of their own (`$id`, `$anchor`, and `$self` of a document): references by that name become
//! references by place, before anything else reads them.
//!
//! So everything else knows references of one kind: a file, and a JSON Pointer into it.

use std::collections::HashMap;

use serde_json::Value;

use super::data::Around;
use super::{Files, Target, join};

/// The places that have a name: a URI, or a URI with an anchor behind `#`.
#[derive(Default)]
struct Named(HashMap<String, Target>);

/// Writes every reference by name as one by place, and removes the names.
pub(crate) fn settle(files: &mut Files) {
    let mut named = Named::default();
    for (address, value) in files.iter() {
        named.collect(value, &Target::new(address, ""), &base(value, address), Around::Object);
    }
    if named.0.is_empty() {
        return;
    }
    files.each_mut(|address, file| {
        let base = base(file, address);
        named.rewrite(file, &base, Around::Object);
    });
}

/// The URI of a file: its address, or what its `$self` says (OpenAPI 3.2).
fn base(value: &Value, address: &str) -> String {
    match value.get("$self").and_then(Value::as_str) {
        Some(own) => join(address, own.trim_end_matches('#')),
        None => address.to_owned(),
    }
}

/// The base URI inside of an object.
fn base_of(value: &Value, base: &str, around: Around) -> String {
    match value.get("$id").and_then(Value::as_str).filter(|_| around == Around::Object) {
        Some(id) if !id.starts_with('#') => join(base, id.trim_end_matches('#')),
        Some(_) | None => base.to_owned(),
    }
}

impl Named {
    fn collect(&mut self, value: &Value, at: &Target, base: &str, around: Around) {
        match value {
            Value::Object(members) => {
                let own = base_of(value, base, around);
                let is_named = own != base || (at.pointer.is_empty() && own != at.file);
                if is_named {
                    self.0.entry(own.clone()).or_insert_with(|| at.clone());
                }
                for keyword in ["$anchor", "$dynamicAnchor"] {
                    if let Some(anchor) = value.get(keyword).and_then(Value::as_str)
                        && around == Around::Object
                    {
                        self.0.entry(format!("{own}#{anchor}")).or_insert_with(|| at.clone());
                    }
                }
                for (name, member) in members {
                    if !around.is_data(name) {
                        self.collect(member, &at.member(name), &own, around.inside(name));
                    }
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.collect(item, &at.member(&index.to_string()), base, Around::Object);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn rewrite(&self, value: &mut Value, base: &str, around: Around) {
        let own = base_of(value, base, around);
        match value {
            Value::Object(members) => {
                if around == Around::Object {
                    if let Some(Value::String(reference)) = members.get_mut("$ref")
                        && let Some(target) = self.find(reference, &own)
                    {
                        *reference = target.uri();
                    }
                    for name in ["$id", "$anchor"] {
                        if members.get(name).is_some_and(Value::is_string) {
                            members.remove(name);
                        }
                    }
                }
                for (name, member) in members.iter_mut() {
                    if !around.is_data(name) {
                        self.rewrite(member, &own, around.inside(name));
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.rewrite(item, base, Around::Object)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// The place that a reference means, where it is one by name.
    fn find(&self, reference: &str, base: &str) -> Option<Target> {
        let (uri, fragment) = reference.split_once('#').unwrap_or((reference, ""));
        let uri = if uri.is_empty() { base.to_owned() } else { join(base, uri) };
        if !fragment.is_empty() && !fragment.starts_with('/') {
            return self.0.get(&format!("{uri}#{fragment}")).cloned();
        }
        let root = self.0.get(&uri)?;
        let fragment = super::reference::decoded(fragment)?;
        Some(Target::new(&root.file, &format!("{}{fragment}", root.pointer)))
    }
}
