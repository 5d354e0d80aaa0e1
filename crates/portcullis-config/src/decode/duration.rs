//! Lengths of time: a whole number and its unit, such as `500ms`, `10s`, `5m`, `1h` or `1d`.
//!
//! Decides that the unit is never left out, since a bare `30` is seconds to one reader and milliseconds to the next.

use std::time::Duration;

use serde_json::json;

use super::{Context, Decode};
use crate::node::{Node, Value};
use crate::schema::Definitions;

/// The units, longest first: each is used to print what it divides.
const UNITS: [(&str, u64); 5] =
    [("d", 24 * 60 * 60 * 1000), ("h", 60 * 60 * 1000), ("m", 60 * 1000), ("s", 1000), ("ms", 1)];

const HELP: &str = "write a whole number and a unit: `500ms`, `10s`, `5m`, `1h` or `1d`";

impl Decode for Duration {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        if let Value::Integer(number) = node.value {
            cx.wrong_type(node, "a duration").label(format!("did you mean `{number}s`?")).help(HELP);
            return None;
        }
        let Value::String(text) = &node.value else {
            cx.wrong_type(node, "a duration").help(HELP);
            return None;
        };
        let duration = parse(text);
        if duration.is_none() {
            cx.error("config.invalid_duration", node.span, "this is not a duration").help(HELP);
        }
        duration
    }

    fn schema(_: &mut Definitions) -> serde_json::Value {
        json!({ "type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$", "examples": ["500ms", "10s", "5m"] })
    }

    fn written(&self) -> Option<serde_json::Value> {
        let milliseconds = u64::try_from(self.as_millis()).ok()?;
        let (unit, length) = UNITS.into_iter().find(|(_, length)| milliseconds.is_multiple_of(*length))?;
        // Nothing is `0s`, not `0d`.
        let unit = if milliseconds == 0 { "s" } else { unit };
        Some(json!(format!("{}{unit}", milliseconds / length)))
    }
}

fn parse(text: &str) -> Option<Duration> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at_checked(digits)?;
    let (_, length) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(length).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_back() {
        for (text, milliseconds) in [
            ("500ms", 500),
            ("10s", 10_000),
            ("5m", 300_000),
            ("1h", 3_600_000),
            ("1d", 86_400_000),
            ("0s", 0),
        ] {
            let duration = Duration::from_millis(milliseconds);
            assert_eq!(parse(text), Some(duration), "{text}");
            assert_eq!(duration.written(), Some(json!(text)));
        }
        assert_eq!(Duration::from_secs(90).written(), Some(json!("90s")));
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            "s",
            "10",
            "10 s",
            "1.5s",
            "-1s",
            "+1s",
            "1w",
            "1S",
            "1h30m",
            "99999999999999999999s",
            "18446744073709551615d",
            "１s",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_bare_number_is_refused_with_help() {
        let mut cx = Context::for_code();
        assert!(Duration::decode(&Node::from_json(json!(30)), &mut cx).is_none());
        let problem = cx.diagnostics.into_iter().next().unwrap();
        assert_eq!(problem.label.as_deref(), Some("did you mean `30s`?"));
        assert!(problem.help.unwrap().contains("500ms"));
    }
}
