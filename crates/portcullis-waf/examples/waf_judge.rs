//! Says which rules match requests: a JSON object a line on standard input, the ids of the rules a line on standard output.
//!
//! ```sh
//! echo '{"target":"/?q=<script>","headers":[["Host","a"]]}' | cargo run -p portcullis-waf --example waf_judge -- rules/ 4
//! ```
//!
//! The arguments are the folder of a Core Rule Set and a paranoia level. `body` is text, `method` is GET if it is absent.

use portcullis_waf::{Loader, Plan, Request, Settings, Transaction};
use serde_json::Value;
use std::error::Error;
use std::io::{BufRead, Write, stdin, stdout};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let rules = PathBuf::from(arguments.next().ok_or("name the folder of the rules")?);
    let paranoia = arguments.next().unwrap_or("1".to_owned()).parse()?;
    let plan = Plan::new(Loader::new().rule_set(&rules), &Settings::default().paranoia(paranoia))?;
    let mut out = stdout().lock();
    for line in stdin().lock().lines() {
        let value: Value = serde_json::from_str(&line?)?;
        let text =
            |name: &str, default: &str| value.get(name).and_then(Value::as_str).unwrap_or(default).to_owned();
        let (method, target, body) = (text("method", "GET"), text("target", "/"), text("body", ""));
        let pairs: Vec<(String, String)> =
            serde_json::from_value(value.get("headers").cloned().unwrap_or(Value::Array(Vec::new())))?;
        let headers: Vec<(&[u8], &[u8])> = pairs.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())).collect();
        let request = Request {
            method: method.as_bytes(),
            target: target.as_bytes(),
            protocol: b"HTTP/1.1",
            headers: &headers,
            client: (IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)), 50_000),
            server: (IpAddr::V4(Ipv4Addr::LOCALHOST), 80),
            unique_id: b"0123456789abcdef",
        };
        let mut transaction = Transaction::new(&plan, request).observe();
        transaction.request_headers();
        transaction.request_body(body.as_bytes());
        let ids: Vec<String> = transaction.finish().ids().map(|id| id.to_string()).collect();
        writeln!(out, "{}", ids.join(" "))?;
    }
    Ok(())
}
