//! The tree that every document becomes, whether it was read from YAML or made in code.
//!
//! Decides what a plain YAML scalar means (core schema of YAML 1.2.2, section 10.3.2: `no`, `yes` and `on` are text).
//! It does not check what a document may contain; that is decoding. Nothing here can fail.

use std::fmt;

use crate::source::Span;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What is written there.
    pub value: Value,
    /// Where it is written. An alias's copy keeps the place of the original.
    pub span: Span,
}

/// The kinds of value that a document can hold.
#[derive(Clone, PartialEq)]
pub enum Value {
    /// Nothing: `null`, `~`, or a key with nothing after it.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number. Wide enough that a range check can name what was written.
    Integer(i128),
    /// Any other number, `.inf` and `.nan` included.
    Float(f64),
    /// Text, quoted or not.
    String(String),
    /// A list.
    Sequence(Vec<Node>),
    /// Keys and values in the order in which they are written, each key once.
    Mapping(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key as written.
    pub key: String,
    /// Where the key stands.
    pub key_span: Span,
    /// What the key is given.
    pub value: Node,
}

impl Entry {
    /// From the key to the end of the value.
    pub fn span(&self) -> Span {
        self.key_span.to(self.value.span)
    }
}

impl Node {
    /// A tree without places, for a document that was made in code.
    pub fn from_json(json: serde_json::Value) -> Self {
        let value = match json {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(value) => Value::Bool(value),
            serde_json::Value::Number(number) => from_number(&number),
            serde_json::Value::String(text) => Value::String(text),
            serde_json::Value::Array(items) => {
                Value::Sequence(items.into_iter().map(Self::from_json).collect())
            }
            serde_json::Value::Object(members) => Value::Mapping(
                members
                    .into_iter()
                    .map(|(key, value)| Entry { key, key_span: Span::NONE, value: Self::from_json(value) })
                    .collect(),
            ),
        };
        Self { value, span: Span::NONE }
    }

    /// The text, if that is what this is.
    pub fn as_str(&self) -> Option<&str> {
        if let Value::String(text) = &self.value { Some(text) } else { None }
    }

    /// The value of a key, if this is a mapping that has it.
    pub fn lookup(&self, key: &str) -> Option<&Self> {
        let Value::Mapping(entries) = &self.value else { return None };
        entries.iter().find(|entry| entry.key == key).map(|entry| &entry.value)
    }
}

fn from_number(number: &serde_json::Number) -> Value {
    match number.as_i128() {
        Some(integer) => Value::Integer(integer),
        None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
    }
}

impl Value {
    /// The meaning of an unquoted scalar.
    pub fn from_plain(text: &str) -> Self {
        // Almost all scalars are words, which their first byte already tells.
        match text.as_bytes().first() {
            Some(b'0'..=b'9' | b'+' | b'-' | b'.') => number(text),
            Some(b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'~') | None => word(text),
            Some(_) => None,
        }
        .unwrap_or_else(|| Self::String(text.to_owned()))
    }

    /// What a person would call it, for "expected ..., found ...".
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a number",
            Self::String(_) => "text",
            Self::Sequence(_) => "a list",
            Self::Mapping(_) => "a mapping",
        }
    }
}

fn word(text: &str) -> Option<Value> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Some(Value::Null),
        "true" | "True" | "TRUE" => Some(Value::Bool(true)),
        "false" | "False" | "FALSE" => Some(Value::Bool(false)),
        _ => None,
    }
}

fn number(text: &str) -> Option<Value> {
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8);
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    match unsigned {
        ".inf" | ".Inf" | ".INF" => {
            let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
            return Some(Value::Float(f64::INFINITY * sign));
        }
        ".nan" | ".NaN" | ".NAN" if unsigned.len() == text.len() => return Some(Value::Float(f64::NAN)),
        _ => {}
    }
    // What is left must look like a number in YAML's own words, because Rust's parser also takes `inf` and `1_000`'s kin.
    if !unsigned.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')) {
        return None;
    }
    if let Ok(integer) = text.parse::<i128>() {
        return Some(Value::Integer(integer));
    }
    text.parse::<f64>().ok().map(Value::Float)
}

fn radix(digits: &str, radix: u32) -> Option<Value> {
    if !digits.chars().all(|digit| digit.is_digit(radix)) {
        return None;
    }
    i128::from_str_radix(digits, radix).ok().map(Value::Integer)
}

/// Any text in a document may be a secret, so only its size is shown.
impl fmt::Debug for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => formatter.write_str("Null"),
            Self::Bool(value) => write!(formatter, "Bool({value})"),
            Self::Integer(_) => formatter.write_str("Integer(•••)"),
            Self::Float(_) => formatter.write_str("Float(•••)"),
            Self::String(text) => write!(formatter, "String(••• {} bytes)", text.len()),
            Self::Sequence(items) => formatter.debug_tuple("Sequence").field(items).finish(),
            Self::Mapping(entries) => formatter.debug_tuple("Mapping").field(entries).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_yaml_1_1_took_for_booleans_are_text() {
        for text in [
            "no",
            "yes",
            "on",
            "off",
            "y",
            "n",
            "tRue",
            "nil",
            "127.0.0.1:3000",
            "1_000",
            "inf",
            "nan",
            "-",
            "+",
            ".",
            "1:30",
        ] {
            assert!(Value::from_plain(text) == Value::String(text.to_owned()), "{text}");
        }
    }

    #[test]
    fn core_schema_scalars() {
        for (text, value) in [
            ("", Value::Null),
            ("~", Value::Null),
            ("NULL", Value::Null),
            ("True", Value::Bool(true)),
            ("false", Value::Bool(false)),
            ("-12", Value::Integer(-12)),
            ("+7", Value::Integer(7)),
            ("010", Value::Integer(10)),
            ("0o10", Value::Integer(8)),
            ("0xfF", Value::Integer(255)),
            ("18446744073709551616", Value::Integer(18_446_744_073_709_551_616)),
            ("1.5", Value::Float(1.5)),
            (".5", Value::Float(0.5)),
            ("5.", Value::Float(5.0)),
            ("1e3", Value::Float(1000.0)),
            ("-.inf", Value::Float(f64::NEG_INFINITY)),
        ] {
            assert!(Value::from_plain(text) == value, "{text}: {:?}", Value::from_plain(text));
        }
        assert!(matches!(Value::from_plain(".nan"), Value::Float(value) if value.is_nan()));
        assert!(matches!(Value::from_plain(&"9".repeat(60)), Value::Float(_)));
        for text in ["0x", "0o9", "0x-1", "-.nan", "1.2.3", "2024-01-01", "+-1", "0x+1"] {
            assert!(matches!(Value::from_plain(text), Value::String(_)), "{text}");
        }
    }

    #[test]
    fn json_becomes_the_same_tree_without_places() {
        let node = Node::from_json(serde_json::json!({ "a": [1, "x", null, true, 1.5] }));
        assert!(node.span.is_none());
        let items = node.lookup("a").unwrap();
        let Value::Sequence(items) = &items.value else { panic!("a list") };
        assert!(items[0].value == Value::Integer(1) && items[1].as_str() == Some("x"));
        assert!(items[2].value == Value::Null && items[4].value == Value::Float(1.5));
        assert!(node.lookup("b").is_none());
    }

    #[test]
    fn debug_does_not_show_text() {
        let node = Node::from_json(serde_json::json!({ "key": ["hunter2", 90210] }));
        let shown = format!("{node:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("90210") && shown.contains("key"));
    }
}
