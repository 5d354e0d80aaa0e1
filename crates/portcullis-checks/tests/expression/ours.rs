//! The cases through the gateway's own checks and the crate that it uses.

use super::case::{Case, Value};
use super::textproto::Node;
use cel::Value as Cel;
use cel::common::types::{
    CelBool, CelBytes, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt,
};
use cel::common::value::Val;
use cel::objects::Key;
use portcullis_checks::expression::{Expression, Kind};
use std::collections::HashMap;

/// What comes of a case. `Err` begins with `load:` where it does not even run.
pub fn run(case: &Case) -> Result<Value, String> {
    let variables: Vec<(&'static str, Kind)> = names(case)
        .into_iter()
        .map(|name| {
            let declared = case.declared.iter().find(|(there, _)| *there == name);
            let kind = declared.filter(|_| case.checked).map_or(Kind::Dyn, |(_, node)| kind(node));
            (&*name.leak(), kind)
        })
        .collect();
    let compiled =
        Expression::compile(&case.expression, &variables).map_err(|flaw| format!("load: {}", flaw.0))?;
    let values = case.variables.iter().filter_map(|(name, value)| {
        let (name, _) = variables.iter().find(|(there, _)| there == name)?;
        Some((*name, to(value)))
    });
    compiled.value(values.collect()).map(|value| from(&value)).map_err(|error| error.to_string())
}

fn names(case: &Case) -> Vec<String> {
    let bound = case.variables.iter().map(|(name, _)| name.clone());
    let mut names: Vec<_> = case.declared.iter().map(|(name, _)| name.clone()).chain(bound).collect();
    names.sort();
    names.dedup();
    names
}

fn kind(node: &Node) -> Kind {
    let Some((kind, inner)) = node.only() else { return Kind::Dyn };
    let of = |name: &str| inner.one(name).map_or(Kind::Dyn, self::kind);
    match (kind, inner.text().as_str()) {
        ("primitive", "BOOL") => Kind::Bool,
        ("primitive", "INT64") => Kind::Int,
        ("primitive", "UINT64") => Kind::Uint,
        ("primitive", "DOUBLE") => Kind::Double,
        ("primitive", "STRING") => Kind::Text,
        ("primitive", "BYTES") => Kind::Bytes,
        ("list_type", _) => Kind::list(of("elem_type")),
        ("map_type", _) => Kind::map(of("value_type")),
        _ => Kind::Dyn,
    }
}

fn to(value: &Value) -> Box<dyn Val> {
    match value {
        Value::Null => Box::new(CelNull),
        Value::Bool(value) => Box::new(CelBool::from(*value)),
        Value::Int(value) => Box::new(CelInt::from(*value)),
        Value::Uint(value) => Box::new(CelUInt::from(*value)),
        Value::Double(value) => Box::new(CelDouble::from(*value)),
        Value::Text(value) => Box::new(CelString::from(value.clone())),
        Value::Bytes(value) => Box::new(CelBytes::from(value.clone())),
        Value::List(items) => Box::new(CelList::from(items.iter().map(to).collect::<Vec<_>>())),
        Value::Map(members) => {
            let key = |value: &Value| match value {
                Value::Bool(key) => CelMapKey::from(*key),
                Value::Int(key) => CelMapKey::from(*key),
                Value::Uint(key) => CelMapKey::from(*key),
                Value::Text(key) => CelMapKey::String(CelString::from(key.clone())),
                other => panic!("{other:?} as a key"),
            };
            let members = members.iter().map(|(name, value)| (key(name), to(value)));
            Box::new(CelMap::from(members.collect::<HashMap<_, _>>()))
        }
        Value::Type(_) | Value::Other(_) => panic!("{value:?} as a variable"),
    }
}

fn from(value: &Cel) -> Value {
    let text = |text: &str| Value::Text(text.to_owned());
    match value {
        Cel::Null => Value::Null,
        Cel::Bool(value) => Value::Bool(*value),
        Cel::Int(value) => Value::Int(*value),
        Cel::UInt(value) => Value::Uint(*value),
        Cel::Float(value) => Value::Double(*value),
        Cel::String(value) => text(value),
        Cel::Bytes(value) => Value::Bytes(value.to_vec()),
        Cel::List(items) => Value::List(items.iter().map(from).collect()),
        Cel::Map(map) => {
            let key = |key: &Key| match key {
                Key::Int(key) => Value::Int(*key),
                Key::Uint(key) => Value::Uint(*key),
                Key::Bool(key) => Value::Bool(*key),
                Key::String(key) => text(key),
            };
            Value::Map(map.map.iter().map(|(name, value)| (key(name), from(value))).collect())
        }
        other => Value::Other(format!("{other:?}")),
    }
}
