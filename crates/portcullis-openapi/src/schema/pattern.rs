//! Patterns that need look-around or back-references: an engine that goes back, within bounds.
//!
//! Every other pattern runs on an engine whose time is linear in the text, and is none of this module's business. Here each try
//! has a limit of steps back, and is paid for from the document's budget before it runs. A text on which the last try reaches its
//! limit, or that is too long, spends the whole budget: it is refused, whatever stands around the pattern.

use fancy_regex::{Regex, RegexBuilder};
use jsonschema::{Keyword, ValidationError};
use regex_syntax::ast::{ErrorKind, parse::Parser};

use serde_json::{Map, Value};

use crate::document::data::Around;
use crate::document::{LoadError, Target};
use crate::json::{Flat, Look};

/// Set by rewriting, in place of a `pattern` that needs this engine.
pub(super) const PATTERN: &str = "x-portcullis-pattern";

/// How many steps back each try may take. Nearly every text is decided by the first.
const STEPS: [usize; 4] = [16, 128, 1024, 8192];

/// The longest text in bytes. The engine's memory grows with it.
const LONGEST_TEXT: usize = 16 * 1024;

/// Bytes of text that a step back reads in the time of one look at a value.
const BYTES_OF_A_LOOK: usize = 8;

/// Bytes that the linear parts of a pattern may take once compiled.
const PART_BYTES: usize = 256 * 1024;

/// Which engine a pattern needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Engine {
    Linear,
    Bounded,
}

/// Which engine runs a pattern.
///
/// # Errors
/// It is no pattern; the text says why.
pub(super) fn engine(pattern: &str) -> Result<Engine, String> {
    let translated = jsonschema_regex::to_rust_regex(pattern);
    let error = match Parser::new().parse(translated.as_deref().unwrap_or(pattern)) {
        Ok(_) => return Ok(Engine::Linear),
        Err(error) => error,
    };
    if !matches!(error.kind(), ErrorKind::UnsupportedLookAround | ErrorKind::UnsupportedBackreference) {
        let at = error.span().start.offset;
        return Err(format!("the pattern has bad syntax: {} at character {at}", error.kind()));
    }
    Bounded::new(pattern).map(|_| Engine::Bounded)
}

/// Sets the pattern of one schema apart, where it needs the engine that goes back.
///
/// # Errors
/// It is no pattern.
pub(super) fn set_apart(members: &mut Map<String, Value>, at: &Target) -> Result<(), LoadError> {
    let Some(Value::String(pattern)) = members.get("pattern") else { return Ok(()) };
    let engine = engine(pattern).map_err(|why| at.member("pattern").error(why))?;
    if engine == Engine::Bounded
        && let Some(pattern) = members.remove("pattern")
    {
        members.insert(PATTERN.into(), pattern);
    }
    Ok(())
}

/// The same for every schema of a document of plain JSON Schema.
///
/// # Errors
/// The first that is no pattern.
pub(super) fn set_all(value: &mut Value, at: &Target) -> Result<(), LoadError> {
    set_below(value, at, Around::Object)
}

fn set_below(value: &mut Value, at: &Target, around: Around) -> Result<(), LoadError> {
    match value {
        Value::Object(members) => {
            if around == Around::Object {
                set_apart(members, at)?;
            }
            members
                .iter_mut()
                .filter(|(name, _)| !around.is_data(name))
                .try_for_each(|(name, member)| set_below(member, &at.member(name), around.inside(name)))
        }
        Value::Array(items) => items
            .iter_mut()
            .enumerate()
            .try_for_each(|(index, item)| set_below(item, &at.member(&index.to_string()), Around::Object)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

/// A pattern on the engine that goes back, once for each number of steps.
#[derive(Debug)]
pub(super) struct Bounded(Vec<(usize, Regex)>);

impl Bounded {
    pub(super) fn new(pattern: &str) -> Result<Self, String> {
        let pattern = ascii_classes(pattern);
        let build = |steps: &usize| {
            let mut builder = RegexBuilder::new(&pattern);
            builder.backtrack_limit(*steps).delegate_size_limit(PART_BYTES);
            builder.build().map(|regex| (*steps, regex))
        };
        let tries = STEPS.iter().map(build).collect::<Result<_, _>>();
        tries.map(Bounded).map_err(|error| format!("the pattern has bad syntax: {error}"))
    }

    /// Whether a text matches. `None`: it cannot be said within the bounds.
    fn matches(&self, text: &str, pays: impl Fn(usize) -> bool) -> Option<bool> {
        if text.len() > LONGEST_TEXT {
            return None;
        }
        for (steps, regex) in &self.0 {
            if !pays(steps.saturating_mul(1 + text.len() / BYTES_OF_A_LOOK)) {
                return None;
            }
            if let Ok(matches) = regex.is_match(text) {
                return Some(matches);
            }
        }
        None
    }
}

impl<'i> Keyword<'i, Flat> for Bounded {
    fn validate(&self, instance: Look<'i>) -> Result<(), ValidationError<'i>> {
        if self.is_valid(instance) { Ok(()) } else { Err(ValidationError::custom("pattern")) }
    }

    fn is_valid(&self, instance: Look<'i>) -> bool {
        let Some(text) = instance.as_text() else { return true };
        let matches = self.matches(&text, |looks| instance.pay(looks));
        if matches.is_none() {
            // SECURITY: a `not` around it would turn a refusal into letting through (a_pattern_that_goes_back_is_bounded).
            instance.give_up();
        }
        matches.unwrap_or(false)
    }
}

/// The classes of ECMAScript, which are those of ASCII: the engine's own have the digits and letters of all scripts.
fn ascii_classes(pattern: &str) -> String {
    let mut written = String::with_capacity(pattern.len());
    let mut characters = pattern.chars();
    let mut in_class = false;
    while let Some(character) = characters.next() {
        match character {
            '\\' => match (characters.next(), in_class) {
                (Some('d'), false) => written.push_str("[0-9]"),
                (Some('d'), true) => written.push_str("0-9"),
                (Some('D'), _) => written.push_str("[^0-9]"),
                (Some('w'), false) => written.push_str("[A-Za-z0-9_]"),
                (Some('w'), true) => written.push_str("A-Za-z0-9_"),
                (Some('W'), _) => written.push_str("[^A-Za-z0-9_]"),
                (Some(other), _) => written.extend(['\\', other]),
                (None, _) => written.push('\\'),
            },
            '[' if in_class => written.push_str("\\["),
            '[' => {
                in_class = true;
                written.push('[');
            }
            ']' => {
                in_class = false;
                written.push(']');
            }
            other => written.push(other),
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn only_what_needs_it_goes_back() {
        for (pattern, expected) in [
            ("^[a-z]+$", Engine::Linear),
            (r"^\d{3}\/x$", Engine::Linear),
            ("^(?!aws:)[a-z]+$", Engine::Bounded),
            (r"^(?=.*[A-Z])(?=.*\d).{8,}$", Engine::Bounded),
            (r"^(a|b)\1$", Engine::Bounded),
        ] {
            assert_eq!(engine(pattern), Ok(expected), "{pattern}");
        }
        for bad in ["(", "[a", "a{2,1}", "(?!a", "*"] {
            let said = engine(bad).unwrap_err();
            assert!(said.contains("bad syntax"), "{bad}: {said}");
        }
    }

    #[test]
    fn it_matches_as_ecmascript_does() {
        for (pattern, text, expected) in [
            (r"^(?=.*[A-Z])(?=.*\d).{8,}$", "Abcdefg1", true),
            (r"^(?=.*[A-Z])(?=.*\d).{8,}$", "abcdefg1", false),
            (r"^(?!aws:)[\w:]+$", "aws:x", false),
            (r"^(?!aws:)[\w:]+$", "awx:x", true),
            (r"^(?!aws:)\d+$", "\u{661}\u{662}", false),
            (r"^(?!x)[^\d]+$", "ab", true),
            (r"^(?!x)[\D]+$", "a1", false),
            (r"^([ab])\1$", "aa", true),
            (r"^([ab])\1$", "ab", false),
            (r"(?<!a)b", "ab", false),
            (r"(?<!a)b", "cb", true),
            (r"^(?![[])[[\]a]+$", "a[]", true),
        ] {
            let bounded = Bounded::new(pattern).unwrap();
            assert_eq!(bounded.matches(text, |_| true), Some(expected), "{pattern} {text}");
        }
    }

    #[test]
    fn what_takes_long_is_given_up_and_was_paid_for() {
        let paid = Cell::new(0);
        let pays = |looks| {
            paid.set(paid.get() + looks);
            true
        };
        let bounded = Bounded::new("^(?:(?=a)a|a)*(?:(?=a)a|a)*$").unwrap();
        assert_eq!(bounded.matches(&format!("{}b", "a".repeat(5000)), pays), None);
        assert!(paid.get() > 1_000_000, "{}", paid.get());
        assert_eq!(bounded.matches(&"a".repeat(LONGEST_TEXT + 1), |_| true), None);
        assert_eq!(bounded.matches("aaa", |_| false), None);
    }
}
