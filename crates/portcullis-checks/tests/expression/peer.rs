//! The cases through `cel-core`, to compare with.

use super::case::{Case, Value};
use super::textproto::Node;
use cel_core::{CelType, Env, MapActivation, MapKey, Value as Core, ValueMap};
use std::sync::Arc;

/// What comes of a case. `Err` begins with `load:` where it does not even run.
pub fn run(case: &Case) -> Result<Value, String> {
    let mut environment = Env::with_standard_library();
    for (name, _) in &case.variables {
        environment.add_variable(name.clone(), CelType::Dyn);
    }
    for (name, node) in &case.declared {
        environment.add_variable(name.clone(), kind(node));
    }
    let compiled = match case.checked {
        true => environment.compile(&case.expression),
        false => environment.parse_only(&case.expression),
    };
    let compiled = compiled.map_err(|error| format!("load: {error}"))?;
    let mut values = MapActivation::new();
    for (name, value) in &case.variables {
        values.insert(name.clone(), to(value));
    }
    from(&environment.program(&compiled).map_err(|error| format!("load: {error}"))?.eval(&values))
}

fn kind(node: &Node) -> CelType {
    let Some((kind, inner)) = node.only() else { return CelType::Dyn };
    let of = |name: &str| inner.one(name).map_or(CelType::Dyn, self::kind);
    match (kind, inner.text().as_str()) {
        ("primitive", "BOOL") => CelType::Bool,
        ("primitive", "INT64") => CelType::Int,
        ("primitive", "UINT64") => CelType::UInt,
        ("primitive", "DOUBLE") => CelType::Double,
        ("primitive", "STRING") => CelType::String,
        ("primitive", "BYTES") => CelType::Bytes,
        ("list_type", _) => CelType::list(of("elem_type")),
        ("map_type", _) => CelType::map(of("key_type"), of("value_type")),
        _ => CelType::Dyn,
    }
}

fn to(value: &Value) -> Core {
    match value {
        Value::Null => Core::Null,
        Value::Bool(value) => Core::Bool(*value),
        Value::Int(value) => Core::Int(*value),
        Value::Uint(value) => Core::UInt(*value),
        Value::Double(value) => Core::Double(*value),
        Value::Text(value) => Core::String(Arc::from(value.as_str())),
        Value::Bytes(value) => Core::Bytes(Arc::from(value.as_slice())),
        Value::List(items) => Core::List(items.iter().map(to).collect()),
        Value::Map(members) => {
            let members =
                members.iter().map(|(name, value)| (MapKey::from_value(&to(name)).unwrap(), to(value)));
            Core::Map(Arc::new(ValueMap::from_entries(members)))
        }
        Value::Type(_) | Value::Other(_) => panic!("{value:?} as a variable"),
    }
}

fn from(value: &Core) -> Result<Value, String> {
    Ok(match value {
        Core::Null => Value::Null,
        Core::Bool(value) => Value::Bool(*value),
        Core::Int(value) => Value::Int(*value),
        Core::UInt(value) => Value::Uint(*value),
        Core::Double(value) => Value::Double(*value),
        Core::String(value) => Value::Text(value.to_string()),
        Core::Bytes(value) => Value::Bytes(value.to_vec()),
        Core::List(items) => Value::List(items.iter().map(from).collect::<Result<_, _>>()?),
        Core::Map(map) => {
            let members = map.iter().map(|(name, value)| Ok((from(&name.to_value())?, from(value)?)));
            Value::Map(members.collect::<Result<_, String>>()?)
        }
        Core::Type(named) => Value::Type(named.name.to_string()),
        Core::Error(error) => return Err(error.to_string()),
        other => Value::Other(format!("{other:?}")),
    })
}
