//! `portcullis operations`: which operations of its OpenAPI documents a running gateway was asked for, and what else it was asked for.

use crate::Outcome;
use crate::exit::Exit;
use crate::screen::{BAD, CARE, FAINT, STRONG, print, print_error};
use crate::status::{ago, ask};
use portcullis::visible;
use serde_json::Value;
use std::path::Path;

/// What is said of operations, by the word that a gateway has for it. The first ones are what an operator acts on.
const STANDINGS: [(&str, &str); 5] = [
    ("undeclared", "Asked for and not declared"),
    ("deprecated_used", "Deprecated and still used"),
    ("unused", "Declared and not used"),
    ("deprecated_unused", "Deprecated and not used"),
    ("used", "Used"),
];

pub(crate) fn run(place: &Path, as_json: bool) -> Outcome {
    let answer = ask(place, "operations")?;
    if let Some(error) = answer.get("error").and_then(Value::as_str) {
        print_error(format!("{BAD}error{BAD:#}: {}\n", visible(error)));
        return Err(Exit::Failed);
    }
    print(if as_json { format!("{answer:#}\n") } else { text(&answer) });
    Ok(Exit::Well)
}

fn text(answer: &Value) -> String {
    let all: Vec<&Value> = answer.get("operations").and_then(Value::as_array).into_iter().flatten().collect();
    if all.is_empty() {
        return "No route has an OpenAPI document. Add `openapi: { file: api.yaml }` to a route, and its operations are listed here.\n"
            .to_owned();
    }
    let word = |of: &Value, name: &str| of.get(name).and_then(Value::as_str).map(visible).unwrap_or_default();
    let mut text = String::new();
    for (standing, title) in STANDINGS {
        let those: Vec<_> = all.iter().filter(|one| word(one, "standing") == standing).collect();
        if those.is_empty() {
            continue;
        }
        text.push_str(&format!("{STRONG}{title}{STRONG:#}\n"));
        for one in those {
            let last = one.get("last_used").and_then(Value::as_u64);
            let last = last.map_or_else(|| "never".to_owned(), |at| format!("{} ago", ago(at)));
            let line = format!("{:<7} {:<40} {last:<14}", word(one, "method"), word(one, "path"));
            let line = if standing.ends_with("used") && standing != "deprecated_used" {
                line
            } else {
                format!("{CARE}{line}{CARE:#}")
            };
            text.push_str(&format!("  {line} {FAINT}{}{FAINT:#}\n", word(one, "document")));
        }
    }
    text
}
