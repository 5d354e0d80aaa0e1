//! YAML to a JSON value: one document, text keys, each once, no tags, no merge keys, within limits.
//!
//! Scalars are read by YAML's core schema: `yes` and `on` are text, `0x1f` is text too, since JSON has no such number.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value};

use super::LoadError;
use crate::json;
use crate::limits::Limits;

/// Reads the one document in `text`.
pub(super) fn read(name: &str, text: &[u8], limits: &Limits) -> Result<Value, LoadError> {
    let fail = |message: String| LoadError::new(name, message);
    let text = std::str::from_utf8(text).map_err(|_| fail("it is not UTF-8".into()))?;
    let options = granit_parser::options! { emit_comments: false, max_directive_bytes: 256 };
    let mut builder =
        Builder { limits, open: Vec::new(), root: None, anchors: HashMap::new(), nodes: 0, documents: 0 };
    for step in Parser::new_from_str_with_options(text, options) {
        let (event, span) = step.map_err(|error| fail(format!("it is not YAML: {error}")))?;
        let line = span.start.line();
        builder.event(event).map_err(|message| fail(format!("line {line}: {message}")))?;
    }
    builder.root.ok_or_else(|| fail("it is empty".into()))
}

/// Reads the body of a message. Refused is what other versions of YAML read otherwise: a plain `no` or `0x1f`.
///
/// # Errors
/// A word for what is wrong.
#[allow(clippy::wildcard_enum_match_arm, reason = "other events mean nothing here")]
pub(super) fn read_body(text: &[u8], limits: &Limits) -> Result<Value, &'static str> {
    let text = std::str::from_utf8(text).map_err(|_| "yaml.utf8")?;
    let options = granit_parser::options! { emit_comments: false, max_directive_bytes: 256 };
    let mut builder =
        Builder { limits, open: Vec::new(), root: None, anchors: HashMap::new(), nodes: 0, documents: 0 };
    for step in Parser::new_from_str_with_options(text, options) {
        let (event, _) = step.map_err(|_| "yaml.syntax")?;
        match &event {
            // SECURITY: a copy costs what it repeats, and no client needs one (yaml in bodies.yaml).
            Event::Alias(_) => return Err("yaml.alias"),
            Event::Scalar(text, ScalarStyle::Plain, ..) if is_ambiguous(text) => {
                return Err("yaml.ambiguous");
            }
            Event::Scalar(text, ..) if text.len() > limits.string_bytes => return Err("yaml.string_length"),
            _ => {}
        }
        builder.event(event).map_err(|_| "yaml.syntax")?;
    }
    builder.root.ok_or("yaml.syntax")
}

/// Whether a plain scalar that is text here is something else in YAML 1.1.
fn is_ambiguous(text: &str) -> bool {
    let words = ["y", "n", "yes", "no", "on", "off"];
    let is_word = words.iter().any(|word| text.eq_ignore_ascii_case(word));
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let begins = unsigned.bytes().next().is_some_and(|byte| byte.is_ascii_digit() || byte == b'.');
    // Numbers with underscores, in other bases or in base 60, and infinities.
    let numeric = begins
        && unsigned.len() > 1
        && unsigned.matches('.').count() < 2
        && json::number(text).is_err()
        && unsigned.bytes().all(|byte| byte.is_ascii_hexdigit() || b"._:xobXOB+-".contains(&byte));
    is_word || numeric || matches!(unsigned, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN")
}

struct Builder<'a> {
    limits: &'a Limits,
    open: Vec<Frame>,
    root: Option<Value>,
    anchors: HashMap<usize, Anchored>,
    nodes: usize,
    documents: usize,
}

/// What an alias repeats, with what a copy costs.
struct Anchored {
    value: Value,
    nodes: usize,
    height: usize,
}

struct Frame {
    collection: Collection,
    anchor: usize,
    height: usize,
}

enum Collection {
    Sequence(Vec<Value>),
    Mapping(Map<String, Value>, Option<String>),
}

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>) -> Result<(), String> {
        if event.tag().is_some() {
            return Err("YAML tags are not supported".into());
        }
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err("a description is a single document".into());
                }
                Ok(())
            }
            Event::Scalar(text, style, anchor, _) => {
                let plain = matches!(style, ScalarStyle::Plain);
                if self.awaits_key() {
                    return self.key(text.into_owned(), plain);
                }
                let value = if plain { scalar(&text)? } else { Value::String(text.into_owned()) };
                self.count(1)?;
                self.place(value, anchor, 0)
            }
            Event::SequenceStart(_, anchor, _) => self.begin(Collection::Sequence(Vec::new()), anchor),
            Event::MappingStart(_, anchor, _) => self.begin(Collection::Mapping(Map::new(), None), anchor),
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(frame) = self.open.pop() else { return Ok(()) };
                let value = match frame.collection {
                    Collection::Sequence(items) => Value::Array(items),
                    Collection::Mapping(members, _) => Value::Object(members),
                };
                self.place(value, frame.anchor, frame.height + 1)
            }
            Event::Alias(anchor) => {
                let Some(anchored) = self.anchors.get(&anchor) else {
                    return Err("an alias stands inside of what it repeats".into());
                };
                let (nodes, height) = (anchored.nodes, anchored.height);
                // SECURITY: a copy is paid for before it is made (aliases_do_not_multiply).
                self.count(nodes)?;
                if self.open.len() + height > self.limits.depth {
                    return Err("it is nested too deep".into());
                }
                let value =
                    self.anchors.get(&anchor).map(|anchored| anchored.value.clone()).unwrap_or_default();
                if self.awaits_key() {
                    return match value {
                        Value::String(name) => self.key(name, false),
                        Value::Null
                        | Value::Bool(_)
                        | Value::Number(_)
                        | Value::Array(_)
                        | Value::Object(_) => Err("a key must be text".into()),
                    };
                }
                self.place(value, 0, height)
            }
            Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            // Neither is asked for in the parser's options.
            Event::Anchor(..) | Event::UnresolvedAlias(_) => Ok(()),
            #[allow(
                unreachable_patterns,
                reason = "comment events exist only where another crate turns them on"
            )]
            #[allow(
                clippy::wildcard_enum_match_arm,
                reason = "the variant cannot be named without that feature"
            )]
            _ => Ok(()),
        }
    }

    fn awaits_key(&self) -> bool {
        matches!(self.open.last(), Some(Frame { collection: Collection::Mapping(_, None), .. }))
    }

    fn key(&mut self, name: String, plain: bool) -> Result<(), String> {
        // SECURITY: a merge key would add what cannot be seen here (merge_keys_are_refused).
        if plain && name == "<<" {
            return Err("merge keys are not supported".into());
        }
        // A status such as `200:` is a number to YAML and a name to everyone who writes descriptions.
        if let Some(Frame { collection: Collection::Mapping(members, key), .. }) = self.open.last_mut() {
            if members.contains_key(&name) {
                return Err(format!("the key `{name}` is given twice"));
            }
            *key = Some(name);
        }
        Ok(())
    }

    fn begin(&mut self, collection: Collection, anchor: usize) -> Result<(), String> {
        if self.awaits_key() {
            return Err("a key must be text".into());
        }
        self.count(1)?;
        if self.open.len() >= self.limits.depth {
            return Err("it is nested too deep".into());
        }
        self.open.push(Frame { collection, anchor, height: 0 });
        Ok(())
    }

    fn place(&mut self, value: Value, anchor: usize, height: usize) -> Result<(), String> {
        if anchor != 0 {
            let nodes = size(&value);
            self.count(nodes)?;
            self.anchors.insert(anchor, Anchored { value: value.clone(), nodes, height });
        }
        let Some(frame) = self.open.last_mut() else {
            self.root = Some(value);
            return Ok(());
        };
        frame.height = frame.height.max(height);
        match &mut frame.collection {
            Collection::Sequence(items) => items.push(value),
            Collection::Mapping(members, key) => {
                if let Some(name) = key.take() {
                    members.insert(name, value);
                }
            }
        }
        Ok(())
    }

    fn count(&mut self, nodes: usize) -> Result<(), String> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > self.limits.nodes {
            return Err("it holds too many values once its aliases are written out".into());
        }
        Ok(())
    }
}

/// The cost of a copy: values, and text in steps of 64 bytes.
fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 1,
        Value::String(text) => 1 + text.len() / 64,
        Value::Array(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Object(members) => {
            1 + members.iter().map(|(name, value)| 1 + name.len() / 64 + size(value)).sum::<usize>()
        }
    }
}

fn scalar(text: &str) -> Result<Value, String> {
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        // A bound such as 18446744073709551616 is rounded, as the programs that wrote it have rounded it.
        _ => match json::rounded(text) {
            Ok(number) => Value::Number(number.number()),
            Err(json::Fault::Inexact) => return Err(format!("the number {text} cannot be held exactly")),
            Err(_) => Value::String(text.to_owned()),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse(text: &str) -> Result<Value, LoadError> {
        read("a.yaml", text.as_bytes(), &Limits::document())
    }

    #[test]
    fn scalars_have_their_types() {
        let text =
            "a: 1\nb: '1'\nc: true\nd: yes\ne: null\nf: 1.5\ng: 007\n200: x\nh: [~, {i: -3}]\nj: 3.0.3";
        assert_eq!(
            parse(text).unwrap(),
            json!({"a": 1, "b": "1", "c": true, "d": "yes", "e": null, "f": 1.5, "g": "007", "200": "x",
                   "h": [null, {"i": -3}], "j": "3.0.3"})
        );
        assert_eq!(parse("a: &x [1]\nb: *x").unwrap(), json!({"a": [1], "b": [1]}));
    }

    #[test]
    fn one_reading_only() {
        for bad in
            ["", "a: 1\na: 2", "a: !!str 1", "<<: {a: 1}", "a: 1\n---\nb: 2", "a: [", "[a]: 1", "a: 1e999"]
        {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn aliases_do_not_multiply() {
        let mut text = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
        for step in 1..12 {
            let previous = format!("*a{}", step - 1);
            text.push_str(&format!("a{step}: &a{step} [{}]\n", vec![previous; 10].join(",")));
        }
        assert!(parse(&text).is_err());
    }
}
