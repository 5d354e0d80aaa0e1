//! Says which builtin rules match a value: one value a line on standard input, or with `--json` one JSON string a line.
//!
//! ```sh
//! echo "1' or '1'='1" | cargo run -p portcullis-waf --example scan
//! ```

use portcullis_waf::{Loader, Plan, Request, Settings, Transaction};
use std::error::Error;
use std::io::{BufRead, Write, stdin, stdout};
use std::net::{IpAddr, Ipv4Addr};

fn main() -> Result<(), Box<dyn Error>> {
    let json = std::env::args().any(|argument| argument == "--json");
    let plan = Plan::new(Loader::new().builtin().evaluation(), &Settings::default())?;
    let mut out = stdout().lock();
    for line in stdin().lock().lines() {
        let line = line?;
        let value = if json { serde_json::from_str(&line)? } else { line };
        let body = serde_json::to_vec(&serde_json::json!({ "value": value }))?;
        let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let headers: [(&[u8], &[u8]); 1] = [(b"content-type", b"application/json")];
        let request = Request {
            method: b"POST",
            target: b"/",
            protocol: b"HTTP/1.1",
            headers: &headers,
            client: (here, 1),
            server: (here, 80),
            unique_id: b"0",
        };
        let mut transaction = Transaction::new(&plan, request);
        transaction.request_headers();
        transaction.request_body(&body);
        let ids: Vec<String> = transaction.finish().ids().map(|id| id.to_string()).collect();
        writeln!(out, "{}\t{value:?}", ids.join(","))?;
    }
    Ok(())
}
