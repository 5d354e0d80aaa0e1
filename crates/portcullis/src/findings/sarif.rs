//! Findings and diagnostics in SARIF 2.1.0, which code hosts show beside a change.

use super::RULES;
use serde_json::{Value, json};

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
        "message": { "text": message },
        "locations": [{ "physicalLocation": {
            "artifactLocation": { "uri": text("file") },
            "region": region,
        } }],
    })
}
