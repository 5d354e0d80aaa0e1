//! Amounts of bytes: `1MiB`, `64KiB`, `10kB`, or a whole number of bytes.
//!
//! Decides that units are spelled exactly: `KiB` is 1024 bytes, `kB` is 1000 (IEC 80000-13), and `kb` or `K` is refused
//! since readers disagree about it.

use serde_json::json;

use super::{Context, Decode};
use crate::node::{Node, Value};
use crate::schema::Definitions;
use crate::suggest;

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

impl ByteSize {
    /// So many times 1024 bytes; the largest amount when that is too much.
    pub const fn kib(amount: u64) -> Self {
        Self(amount.saturating_mul(1 << 10))
    }

    /// So many times 1024 × 1024 bytes; the largest amount when that is too much.
    pub const fn mib(amount: u64) -> Self {
        Self(amount.saturating_mul(1 << 20))
    }

    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

const UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1000),
    ("B", 1),
];

const HELP: &str =
    "write a whole number and a unit: `10kB`, `64KiB`, `5MB` or `1MiB`; a bare number is bytes";

impl Decode for ByteSize {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        match &node.value {
            Value::Integer(_) => u64::decode(node, cx).map(Self),
            Value::String(text) => {
                let size = parse(text);
                if size.is_none() {
                    let problem =
                        cx.error("config.invalid_size", node.span, "this is not an amount of bytes");
                    problem.help(HELP);
                    problem.label = likely_unit(text).map(|unit| format!("did you mean `{unit}`?"));
                }
                size
            }
            Value::Null | Value::Bool(_) | Value::Float(_) | Value::Sequence(_) | Value::Mapping(_) => {
                cx.wrong_type(node, "an amount of bytes").help(HELP);
                None
            }
        }
    }

    fn schema(_: &mut Definitions) -> serde_json::Value {
        json!({ "anyOf": [
            { "type": "integer", "minimum": 0, "maximum": u64::MAX },
            { "type": "string", "pattern": "^[0-9]+(B|kB|MB|GB|KiB|MiB|GiB)$", "examples": ["64KiB", "1MiB"] },
        ] })
    }

    fn written(&self) -> Option<serde_json::Value> {
        let (unit, size) = UNITS
            .into_iter()
            .find(|(_, size)| self.0 != 0 && self.0.is_multiple_of(*size))
            .unwrap_or(("B", 1));
        Some(json!(format!("{}{unit}", self.0 / size)))
    }
}

fn parse(text: &str) -> Option<ByteSize> {
    let (number, unit) = split(text)?;
    let (_, size) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(size).map(ByteSize)
}

fn split(text: &str) -> Option<(&str, &str)> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    text.split_at_checked(digits)
}

/// `10kb` with the unit that was probably meant.
fn likely_unit(text: &str) -> Option<String> {
    let (number, unit) = split(text)?;
    let likely = suggest::closest(unit.trim(), UNITS.into_iter().map(|(name, _)| name))?;
    (!number.is_empty() && likely != unit).then(|| format!("{number}{likely}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_back() {
        for (text, bytes) in [
            ("1MiB", 1 << 20),
            ("64KiB", 65536),
            ("10kB", 10_000),
            ("2GiB", 2 << 30),
            ("3GB", 3_000_000_000),
            ("7B", 7),
            ("0B", 0),
        ] {
            assert_eq!(parse(text), Some(ByteSize(bytes)), "{text}");
            assert_eq!(ByteSize(bytes).written(), Some(json!(text)));
        }
        assert_eq!((ByteSize::kib(64), ByteSize::mib(1).bytes()), (ByteSize(65536), 1_048_576));
    }

    #[test]
    fn everything_else_is_refused() {
        for text in ["", "B", "10", "10K", "10kb", "10 MB", "1.5MB", "-1B", "99999999999999GiB", "1TiB"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_bare_number_is_bytes_and_a_wrong_unit_gets_a_suggestion() {
        let mut cx = Context::for_code();
        assert_eq!(ByteSize::decode(&Node::from_json(json!(512)), &mut cx), Some(ByteSize(512)));
        assert_eq!(ByteSize::decode(&Node::from_json(json!("10kb")), &mut cx), None);
        assert_eq!(ByteSize::decode(&Node::from_json(json!(-1)), &mut cx), None);
        assert_eq!(ByteSize::decode(&Node::from_json(json!(1.5)), &mut cx), None);
        let problems: Vec<_> = cx.diagnostics.into_iter().collect();
        assert_eq!(problems.len(), 3);
        assert_eq!(problems[0].label.as_deref(), Some("did you mean `10kB`?"));
    }
}
