//! A conformance case: an expression, its variables, and what must come of it.

use super::textproto::{self, Node};

/// A value, whoever evaluates.
#[derive(Clone, Debug)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Value>),
    Map(Vec<(Value, Value)>),
    Type(String),
    /// A time, or something else that cases only compare.
    #[expect(dead_code, reason = "shown where a case fails")]
    Other(String),
}

impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(one), Value::Bool(other)) => one == other,
            (Value::Int(one), Value::Int(other)) => one == other,
            (Value::Uint(one), Value::Uint(other)) => one == other,
            (Value::Double(one), Value::Double(other)) => one == other || (one.is_nan() && other.is_nan()),
            (Value::Text(one), Value::Text(other)) => one == other,
            (Value::Bytes(one), Value::Bytes(other)) => one == other,
            (Value::List(one), Value::List(other)) => one == other,
            (Value::Map(one), Value::Map(other)) => {
                one.len() == other.len() && one.iter().all(|member| other.contains(member))
            }
            (Value::Type(one), Value::Type(other)) => one == other,
            _ => false,
        }
    }
}

/// What must come of it.
#[derive(Clone, Debug)]
pub enum Expected {
    Value(Value),
    Error,
}

/// The case.
#[derive(Clone, Debug)]
pub struct Case {
    pub name: String,
    pub expression: String,
    /// Whether it must pass a type check.
    pub checked: bool,
    pub variables: Vec<(String, Value)>,
    pub declared: Vec<(String, Node)>,
    pub expected: Expected,
}

/// What only protocol buffers and extensions have.
const ELSEWHERE: [&str; 6] = ["google.", "TestAllTypes", "cel.@", "cel.bind", "optional.", "proto."];

/// The cases of a file that concern values as JSON has them, and how many others it has.
pub fn cases(file: &str, text: &str) -> (Vec<Case>, usize) {
    let root = textproto::read(text);
    let (mut cases, mut others) = (Vec::new(), 0);
    for section in root.all("section") {
        let section_name = section.one("name").map(Node::text).unwrap_or_default();
        for test in section.all("test") {
            match case(&format!("{file}/{section_name}"), test) {
                Some(case) => cases.push(case),
                None => others += 1,
            }
        }
    }
    (cases, others)
}

fn case(place: &str, test: &Node) -> Option<Case> {
    let word = |name: &str| test.one(name).map(Node::text).unwrap_or_default();
    let expression = word("expr");
    let elsewhere = ELSEWHERE.iter().any(|name| expression.contains(name));
    if elsewhere || test.one("container").is_some() || word("check_only") == "true" {
        return None;
    }
    let expected = match (test.one("value"), test.one("typed_result")) {
        (Some(node), _) => Expected::Value(value(node)?),
        (None, Some(typed)) => Expected::Value(value(typed.one("result")?)?),
        (None, None) if test.one("eval_error").is_some() => Expected::Error,
        (None, None) => Expected::Value(Value::Bool(true)),
    };
    let mut variables = Vec::new();
    for binding in test.all("bindings") {
        variables.push((binding.one("key")?.text(), value(binding.one("value")?.one("value")?)?));
    }
    let mut declared = Vec::new();
    for declaration in test.all("type_env") {
        declared.push((declaration.one("name")?.text(), declaration.one("ident")?.one("type")?.clone()));
    }
    let name = format!("{place}/{}", word("name"));
    Some(Case { name, expression, checked: word("disable_check") != "true", variables, declared, expected })
}

fn value(node: &Node) -> Option<Value> {
    let (kind, inner) = node.only()?;
    let word = inner.text();
    Some(match kind {
        "null_value" => Value::Null,
        "bool_value" => Value::Bool(word == "true"),
        "int64_value" => Value::Int(word.parse().ok()?),
        "uint64_value" => Value::Uint(word.parse().ok()?),
        "double_value" => Value::Double(match word.to_ascii_lowercase().as_str() {
            "inf" | "infinity" => f64::INFINITY,
            "-inf" | "-infinity" => f64::NEG_INFINITY,
            word => word.parse().ok()?,
        }),
        "string_value" => Value::Text(word),
        "bytes_value" => match inner {
            Node::Text(bytes) => Value::Bytes(bytes.clone()),
            Node::Word(_) | Node::Message(_) => return None,
        },
        "type_value" => Value::Type(word),
        "list_value" => Value::List(inner.all("values").map(value).collect::<Option<_>>()?),
        "map_value" => {
            let member = |entry: &Node| Some((value(entry.one("key")?)?, value(entry.one("value")?)?));
            Value::Map(inner.all("entries").map(member).collect::<Option<_>>()?)
        }
        _ => return None,
    })
}
