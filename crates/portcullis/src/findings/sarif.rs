//! Findings and diagnostics in SARIF 2.1.0, which code hosts show beside a change.

use super::RULES;
use portcullis_config::render::visible;
use serde_json::{Value, json};
use std::fmt::Write;

/// The report of one configuration. `results` are objects as [`Loaded::results`](crate::Loaded::results) gives them.
pub fn sarif(results: &[Value]) -> Value {
    let rules: Vec<_> = RULES
        .iter()
        .map(|rule| {
            json!({
                "id": rule.id,
                "shortDescription": { "text": rule.title },
                "fullDescription": { "text": rule.why },
                "help": { "text": rule.fix },
                "properties": { "tags": ["security", rule.owasp], "severity": rule.severity.as_str() },
            })
        })
        .collect();
    let results: Vec<_> = results.iter().map(result).collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "portcullis",
                "version": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            "results": results,
        }],
    })
}

/// A path as a relative reference (RFC 3986, section 4.2), whatever its name holds.
fn uri(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(char::from(byte))
            }
            // The first part of a relative reference has no colon.
            _ => {
                let _ = write!(uri, "%{byte:02X}");
            }
        }
    }
    uri
}

/// Text in which nothing is a link (SARIF 2.1.0, section 3.11.6).
// SECURITY: whoever proposes a configuration chooses the names in it (what_a_file_says_is_no_link).
fn plain(text: &str) -> String {
    visible(text).replace('\\', "\\\\").replace('[', "\\[").replace(']', "\\]")
}

fn result(found: &Value) -> Value {
    let level = match found.get("severity").and_then(Value::as_str) {
        Some("error" | "high") => "error",
        Some("warning" | "medium") => "warning",
        _ => "note",
    };
    let text = |name: &str| found.get(name).and_then(Value::as_str).unwrap_or_default();
    let help = text("help");
    let message =
        if help.is_empty() { text("message").to_owned() } else { format!("{}. {help}", text("message")) };
    let mut region = json!({ "startLine": 1 });
    for (ours, theirs) in [
        ("line", "startLine"),
        ("column", "startColumn"),
        ("end_line", "endLine"),
        ("end_column", "endColumn"),
    ] {
        if let (Some(value), Some(region)) = (found.get(ours), region.as_object_mut()) {
            region.insert(theirs.to_owned(), value.clone());
        }
    }
    json!({
        "ruleId": text("code"),
        "level": level,
        "message": { "text": plain(&message) },
        "locations": [{ "physicalLocation": {
            "artifactLocation": { "uri": uri(text("file")) },
            "region": region,
        } }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_says_is_no_link() {
        let found = json!({
            "severity": "high", "code": "x", "file": "my files/a%b#c?\n:.yaml", "line": 3,
            "message": "the role `[click here](https://evil.example)\u{1b}[2K` is of nobody",
        });
        let printed = result(&found);
        let message = printed["message"]["text"].as_str().unwrap();
        assert!(!message.contains("[click here](") && !message.contains('\u{1b}'), "{message}");
        let uri = printed["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].as_str().unwrap();
        assert_eq!(uri, "my%20files/a%25b%23c%3F%0A%3A.yaml");
        assert!(uri.parse::<http::Uri>().is_ok() || format!("/{uri}").parse::<http::Uri>().is_ok());
    }
}
