//! `portcullis why`: why a running gateway refused a request, asked by the socket in its `state_dir`.

use crate::Outcome;
use crate::exit::Exit;
use crate::screen::{BAD, FAINT, STRONG, print, print_error};
use crate::status::ask;
use portcullis::visible;
use serde_json::Value;
use std::path::Path;

/// The members of a record that are shown, in this order.
const SHOWN: [&str; 14] = [
    "time",
    "method",
    "host",
    "path",
    "route",
    "client",
    "peer",
    "consumer",
    "subject",
    "issuer",
    "authenticated_by",
    "outcome",
    "status",
    "upstream",
];

pub(crate) fn run(id: &str, place: &Path, as_json: bool) -> Outcome {
    if id.len() != 32 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        print_error(format!("{BAD}error{BAD:#}: a request id has 32 hexadecimal digits\n"));
        return Err(Exit::Usage);
    }
    let answer = ask(place, &format!("why {}", id.to_ascii_lowercase()))?;
    if let Some(error) = answer.get("error").and_then(Value::as_str) {
        print_error(format!("{BAD}error{BAD:#}: {}\n", visible(error)));
        return Ok(Exit::Findings);
    }
    print(if as_json { format!("{answer:#}\n") } else { text(&answer) });
    Ok(Exit::Well)
}

fn text(record: &Value) -> String {
    let member = |of: &Value, name: &str| match of.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => visible(text),
        Some(other) => visible(&other.to_string()),
    };
    let mut text = format!("{STRONG}{}{STRONG:#}: {}\n", member(record, "code"), member(record, "meaning"));
    let observed = record.get("observed").and_then(Value::as_array).into_iter().flatten();
    for reason in record.get("denied").into_iter().chain(observed) {
        let check = member(reason, "check");
        let by = if check.is_empty() { String::new() } else { format!(" (by {check})") };
        text.push_str(&format!("  {}{by}\n", member(reason, "detail")));
    }
    for name in SHOWN {
        let value = member(record, name);
        if !value.is_empty() {
            text.push_str(&format!("{FAINT}{name:<17}{FAINT:#} {value}\n"));
        }
    }
    text
}
