//! Variables of the environment in values: `${NAME}`, and `${NAME:-default}` where the variable may be unset or empty.
//!
//! Decides what stands for what, after the YAML was read: so a variable can never add a key, a line or a structure. Keys
//! are left alone. `$$` is one dollar; a dollar before anything else stands for itself. A variable that is not set and has
//! no default is an error.
//!
//! An unquoted value that holds a variable is read again as YAML reads an unquoted word, so `${LIMIT}` can be a number; a
//! quoted one stays text. What a variable gave may be a secret: it is never printed in a diagnostic.

use std::env::VarError;

use crate::decode::Context;
use crate::node::{Node, Value};
use crate::render::quoted;
use crate::source::Source;

/// Substitutes the variables in all values of a tree that was read from `source`.
pub fn substitute(node: &mut Node, source: &Source, cx: &mut Context) {
    match &mut node.value {
        Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Float(_) => {}
        Value::Sequence(items) => items.iter_mut().for_each(|item| substitute(item, source, cx)),
        Value::Mapping(entries) => {
            entries.iter_mut().for_each(|entry| substitute(&mut entry.value, source, cx));
        }
        Value::String(text) if !text.contains('$') => {}
        Value::String(text) => {
            let text = std::mem::take(text);
            let errors = cx.diagnostics.error_count();
            let (value, substituted) = expand(&text, node, cx);
            if cx.diagnostics.error_count() > errors {
                cx.note_unknown(node.span);
            }
            let plain = !source.slice(node.span).starts_with(['"', '\'', '|', '>']);
            node.value = if plain && substituted { Value::from_plain(&value) } else { Value::String(value) };
        }
    }
}

/// The text with its variables replaced, and whether there was one.
fn expand(text: &str, node: &Node, cx: &mut Context) -> (String, bool) {
    let mut value = String::with_capacity(text.len());
    let mut substituted = false;
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        let (before, from) = rest.split_at(dollar);
        value.push_str(before);
        if let Some(after) = from.strip_prefix("$$") {
            value.push('$');
            rest = after;
        } else if let Some(inside) = from.strip_prefix("${") {
            let Some((variable, after)) = inside.split_once('}') else {
                cx.error("config.variable", node.span, "`${` has no closing `}`")
                    .help("write `${NAME}` or `${NAME:-default}`; a dollar itself is `$$`");
                return (value, substituted);
            };
            value.push_str(&lookup(variable, node, cx));
            substituted = true;
            rest = after;
        } else {
            value.push('$');
            rest = from.get(1..).unwrap_or("");
        }
    }
    value.push_str(rest);
    (value, substituted)
}

fn lookup(variable: &str, node: &Node, cx: &mut Context) -> String {
    let (name, default) = match variable.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (variable, None),
    };
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    if !first || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        let message = format!("{} is not the name of a variable", quoted(name));
        cx.error("config.variable", node.span, message)
            .help("write `${NAME}` or `${NAME:-default}`; a dollar itself is `$$`");
        return String::new();
    }
    match (cx.environment(name), default) {
        (Ok(value), Some(default)) if value.is_empty() => default.to_owned(),
        (Ok(value), _) => {
            // SECURITY: guarded by tests::what_a_variable_gave_is_not_printed.
            cx.diagnostics.conceal_variable(&value, format!("${{{name}}}"));
            cx.note_substituted(node.span);
            value
        }
        (Err(VarError::NotPresent), Some(default)) => default.to_owned(),
        (Err(error), _) => {
            // The error itself is not printed: it can hold the value.
            let problem = match error {
                VarError::NotPresent => "is not set",
                VarError::NotUnicode(_) => "is not UTF-8",
            };
            let message = format!("the environment variable {} {problem}", quoted(name));
            cx.error("config.variable_unset", node.span, message)
                .help("set it, or write a default: `${NAME:-default}`");
            String::new()
        }
    }
}

#[cfg(test)]
mod tests;
