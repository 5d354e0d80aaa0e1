//! A request as a line of the access log tells of it, which is not all of it: there is no credential, no query and no body in a
//! log. Each thing that is missing is said.

use super::request::Request;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// A request of an access log.
pub struct Logged {
    /// As far as the log tells.
    pub request: Request,
    /// What it does not tell, and how it ended then.
    pub notes: Vec<String>,
}

/// The request with this id.
///
/// # Errors
/// The file cannot be read, or has no line of this request.
pub fn find(file: &Path, id: &str) -> Result<Logged, String> {
    let cannot = |error: std::io::Error| format!("cannot read {}: {error}", file.display());
    let lines = BufReader::new(std::fs::File::open(file).map_err(cannot)?).lines();
    for line in lines {
        let line = line.map_err(cannot)?;
        if !line.contains(id) {
            continue;
        }
        let Ok(entry) = serde_json::from_str::<Value>(&line) else { continue };
        if entry.get("request_id").and_then(Value::as_str) == Some(id) {
            return of_entry(&entry);
        }
    }
    Err(format!("no line of {} is of the request `{id}`", file.display()))
}

fn of_entry(entry: &Value) -> Result<Logged, String> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str);
    let (Some(method), Some(path)) = (text("method"), text("path")) else {
        return Err("what came was no request, so there is nothing to judge".to_owned());
    };
    let mut request = Request::new(method, path);
    if let Some(host) = text("host") {
        request = request.only_header("host", host);
    }
    if let Some(client) = text("client").and_then(|client| client.parse().ok()) {
        request.client = client;
    }
    let mut notes =
        vec!["a log holds no credential, query or body, so the request is judged without them".to_owned()];
    if let Some(consumer) = text("consumer").or_else(|| text("subject")) {
        notes.push(format!("it was sent by `{consumer}` then"));
    }
    if let Some(denied) = entry.get("denied") {
        let of = |name: &str| denied.get(name).and_then(Value::as_str).unwrap_or("?");
        notes.push(format!("it was refused then: {} by {}", of("code"), of("check")));
    }
    Ok(Logged { request, notes })
}
