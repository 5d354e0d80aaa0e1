//! The backend behind every proxy: nginx, which answers 35 bytes from memory.
//!
//! It answers 500 to a request that still carries an API key or a token, so a proxy that does not remove it fails the run.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::failure::{Context, Failure, Outcome};
use crate::process::{Guard, Scratch, free_port, supervised, write};

use super::http;
use super::peers::{Program, fill};

/// What the backend answers to everything.
pub(crate) const BODY: &str = "{\"message\":\"Secure data accessed\"}\n";

const TEMPLATE: &str = include_str!("../../../bench/peers/backend.conf");

#[derive(Debug)]
pub(crate) struct Backend {
    port: u16,
    _process: Guard,
}

impl Backend {
    pub(crate) fn start(nginx: &Program, scratch: &Scratch) -> Outcome<Self> {
        let folder = scratch.folder("backend")?;
        let port = free_port()?;
        let file = folder.join("nginx.conf");
        write(
            &file,
            &fill(TEMPLATE, &[("PORT", &port.to_string()), ("DIR", &folder.display().to_string())])?,
        )?;
        let mut command = supervised(nginx.path());
        command.arg("-p").arg(&folder).arg("-e").arg(folder.join("error.log")).arg("-c").arg(&file);
        let mut process = Guard::spawn("the backend", &mut command)?;
        process.wait_until_listening(port, Duration::from_secs(10))?;
        Ok(Self { port, _process: process })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// How many requests have come so far, the one that asks included.
    pub(crate) fn requests(&self) -> Outcome<u64> {
        let answer =
            http::get(self.port, "/requests", None).context(|| "asking the backend for its count".into())?;
        requests(&String::from_utf8_lossy(&answer.body))
            .context(|| "the backend does not count requests".into())
    }

    /// Fails if fewer requests than were answered have come since `earlier`, for then the proxy answered by itself, or
    /// more than could have, for then it asked twice.
    pub(crate) fn expect_requests(
        &self,
        earlier: u64,
        answered: RangeInclusive<u64>,
        name: &str,
    ) -> Outcome<()> {
        // The one that asks is counted as well.
        let came = self.requests()?.saturating_sub(earlier).saturating_sub(1);
        if answered.contains(&came) {
            return Ok(());
        }
        let (least, most) = answered.into_inner();
        Err(Failure::new(format!(
            "{name}: {least} requests were answered, at most {most} could have been, and {came} came to the backend"
        )))
    }
}

/// The third figure of the third line of `stub_status`: accepted, handled, requests.
fn requests(status: &str) -> Option<u64> {
    status.lines().nth(2)?.split_whitespace().nth(2)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_is_the_one_in_the_configuration() {
        assert_eq!(BODY.len(), 35);
        assert!(TEMPLATE.contains(&format!("return 200 '{}\\n'", BODY.trim_end())));
    }

    #[test]
    fn the_count_is_found() {
        let status = "Active connections: 1 \nserver accepts handled requests\n 3 3 77 \nReading: 0\n";
        assert_eq!(requests(status), Some(77));
        assert_eq!(requests(BODY), None);
    }
}
