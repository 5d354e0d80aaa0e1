//! Lists and mappings with names that the user chooses.
//!
//! Decides that all elements are decoded before the first faulty one counts.

use std::collections::BTreeMap;
use std::ops::Deref;

use serde_json::json;

use super::fields::conceal;
use super::{Context, Decode};
use crate::node::{Node, Value};
use crate::schema::Definitions;

impl<T: Decode> Decode for Vec<T> {
    const SECRET: bool = T::SECRET;

    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        if T::SECRET && !matches!(node.value, Value::Sequence(_)) {
            conceal(node, cx);
        }
        decode_items(cx.sequence(node)?, cx)
    }

    fn schema(definitions: &mut Definitions) -> serde_json::Value {
        json!({ "type": "array", "items": T::schema(definitions) })
    }

    fn written(&self) -> Option<serde_json::Value> {
        self.iter().map(Decode::written).collect()
    }
}

fn decode_items<T: Decode>(items: &[Node], cx: &mut Context) -> Option<Vec<T>> {
    let mut decoded = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        decoded.extend(cx.index(index, |cx| T::decode(item, cx)));
    }
    (decoded.len() == items.len()).then_some(decoded)
}

/// Any text as key. Where the order matters, or the place of a key, use [`Context::mapping`].
impl<T: Decode> Decode for BTreeMap<String, T> {
    const SECRET: bool = T::SECRET;

    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        if T::SECRET && !matches!(node.value, Value::Mapping(_)) {
            conceal(node, cx);
        }
        let entries = cx.mapping(node)?;
        let mut decoded = Self::new();
        for entry in entries {
            let value = cx.at(&entry.key, |cx| T::decode(&entry.value, cx));
            decoded.extend(value.map(|value| (entry.key.clone(), value)));
        }
        (decoded.len() == entries.len()).then_some(decoded)
    }

    fn schema(definitions: &mut Definitions) -> serde_json::Value {
        json!({ "type": "object", "additionalProperties": T::schema(definitions) })
    }

    fn written(&self) -> Option<serde_json::Value> {
        self.iter().map(|(key, value)| Some((key.clone(), value.written()?))).collect()
    }
}

/// One value, or a list of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OneOrMany<T>(pub Vec<T>);

impl<T> Deref for OneOrMany<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T> IntoIterator for OneOrMany<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<T: Decode> Decode for OneOrMany<T> {
    const SECRET: bool = T::SECRET;

    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        match &node.value {
            Value::Sequence(items) => decode_items(items, cx).map(Self),
            Value::Null
            | Value::Bool(_)
            | Value::Integer(_)
            | Value::Float(_)
            | Value::String(_)
            | Value::Mapping(_) => T::decode(node, cx).map(|one| Self(vec![one])),
        }
    }

    fn schema(definitions: &mut Definitions) -> serde_json::Value {
        let one = T::schema(definitions);
        json!({ "anyOf": [one, { "type": "array", "items": one }] })
    }

    fn written(&self) -> Option<serde_json::Value> {
        match self.0.as_slice() {
            [one] => one.written(),
            _ => self.0.written(),
        }
    }
}
