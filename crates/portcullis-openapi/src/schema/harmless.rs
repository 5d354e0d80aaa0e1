//! Which texts a schema allows that no attack can be written in, so that nobody needs to search them for one.
//!
//! A text is harmless if the schema lists it, if its format leaves no room for anything else, or if a pattern that is anchored
//! at both ends allows letters, digits and a few marks alone. Whatever is in doubt is not harmless.

use regex_syntax::hir::{Class, Hir, HirKind, Look};
use serde_json::{Map, Value};

/// Formats that are asserted, and whose texts hold letters, digits, `-`, `:`, `.` and `+` alone.
const FORMATS: [&str; 5] = ["uuid", "date", "date-time", "ipv4", "ipv6"];

/// Whether every text that the keywords of one schema allow is harmless.
pub(super) fn texts_are_harmless(schema: &Map<String, Value>) -> bool {
    schema.contains_key("enum")
        || schema.contains_key("const")
        || schema.get("format").and_then(Value::as_str).is_some_and(|format| FORMATS.contains(&format))
        || schema.get("pattern").and_then(Value::as_str).is_some_and(pattern_is_harmless)
}

/// Whether a pattern is anchored at both ends and allows harmless characters alone.
fn pattern_is_harmless(pattern: &str) -> bool {
    let Ok(translated) = jsonschema_regex::to_rust_regex(pattern) else { return false };
    let Ok(hir) = regex_syntax::Parser::new().parse(&translated) else { return false };
    let properties = hir.properties();
    properties.look_set_prefix().contains(Look::Start)
        && properties.look_set_suffix().contains(Look::End)
        && is_harmless(&hir)
}

/// Nothing recurses deeper than the parser of patterns does, which has a bound.
fn is_harmless(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => true,
        HirKind::Literal(literal) => literal.0.iter().all(|byte| is_harmless_character((*byte).into())),
        HirKind::Class(Class::Unicode(class)) => class
            .iter()
            .all(|range| range.end() <= '\u{7f}' && (range.start()..=range.end()).all(is_harmless_character)),
        HirKind::Class(Class::Bytes(class)) => class
            .iter()
            .all(|range| (range.start()..=range.end()).all(|byte| is_harmless_character(byte.into()))),
        HirKind::Repetition(repetition) => is_harmless(&repetition.sub),
        HirKind::Capture(capture) => is_harmless(&capture.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().all(is_harmless),
    }
}

/// No space, slash, dot or colon: words with them make commands, paths and addresses.
fn is_harmless_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_cannot_hold_an_attack_is_harmless() {
        for (pattern, expected) in [
            ("^[a-z0-9_-]{1,64}$", true),
            (r"^\d{4}$", true),
            (r"^\w+$", true),
            ("^(a|b-c)$", true),
            ("^a|b$", false),
            ("[a-z]+", false),
            ("^[a-z]+", false),
            ("[a-z]+$", false),
            ("^[^<>]+$", false),
            ("^.*$", false),
            ("^[a-z ]+$", false),
            ("^[a-z./]+$", false),
            ("^[\u{e0}-\u{ff}]+$", false),
            ("^(?:[a-z]+|.)$", false),
            ("(?m)^[a-z]+$", false),
            ("(", false),
        ] {
            assert_eq!(pattern_is_harmless(pattern), expected, "{pattern}");
        }
    }
}
