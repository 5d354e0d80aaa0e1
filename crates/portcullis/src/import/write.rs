//! Writes a draft as a configuration with comments.

use super::{Draft, Imported, Route};
use serde_json::Value;
use std::fmt::Write;

impl Draft {
    /// The configuration, and what is missing in it.
    pub(super) fn written(mut self, name: &str) -> Imported {
        let mut yaml = format!(
            "# Imported from {}. Read it before you run it: `portcullis check FILE` says what is weak in it.\n\
             listeners:\n  - bind: 127.0.0.1:3000                 # the file of the other gateway does not say where\n",
            one_line(name)
        );
        for (key, value) in &self.top {
            let _ = writeln!(yaml, "{key}: {}", flow(value));
        }
        if !self.consumers.is_empty() {
            yaml.push_str("consumers:\n");
            for consumer in &self.consumers {
                let _ = writeln!(yaml, "  - {}", flow(consumer));
            }
        }
        yaml.push_str("routes:\n");
        let served = self.routes.iter().any(|route| route.missing.is_empty());
        for Route { value, missing, notes } in &self.routes {
            for note in notes {
                let _ = writeln!(yaml, "  # {}", one_line(note));
            }
            for what in missing {
                let _ = writeln!(yaml, "  # NOT SERVED: {}", one_line(what));
            }
            let mark = if missing.is_empty() { "" } else { "# " };
            let _ = writeln!(yaml, "  {mark}- {}", flow(value));
            let path = value.get("path").and_then(Value::as_str).unwrap_or_default();
            self.left.extend(missing.iter().map(|what| format!("route {path} is not served: {what}")));
            self.left.extend(notes.iter().map(|what| format!("route {path}: {what}")));
        }
        if !served {
            yaml.push_str("  []\n");
        }
        self.left.dedup();
        Imported { yaml, left: self.left }
    }
}

/// A text without line breaks, for a comment.
// SECURITY: what the other file says must not leave its comment (a_comment_stays_a_comment).
pub(super) fn one_line(text: &str) -> String {
    text.chars()
        .map(|character| {
            if character.is_control() || matches!(character, '\u{85}' | '\u{2028}' | '\u{2029}') {
                ' '
            } else {
                character
            }
        })
        .collect()
}

/// A value in flow style. Texts are quoted as in JSON, which YAML reads in the same way.
pub(crate) fn flow(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            // What tells a thing apart comes first.
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(key, _)| !matches!(key.as_str(), "name" | "path" | "type"));
            let members: Vec<String> = members
                .into_iter()
                .map(|(key, value)| {
                    let plain = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
                        && !key.is_empty();
                    let key = if plain { key.clone() } else { quoted(key) };
                    format!("{key}: {}", flow(value))
                })
                .collect();
            format!("{{ {} }}", members.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::String(text) if is_plain(text) => text.clone(),
        Value::String(text) => quoted(text),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// Whether a text needs no quotes in flow style, and is no number and no word with another meaning.
fn is_plain(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
        )
}

/// As JSON quotes it. `${` is not substituted in what another program wrote.
fn quoted(text: &str) -> String {
    Value::String(text.replace("${", "$${")).to_string()
}
