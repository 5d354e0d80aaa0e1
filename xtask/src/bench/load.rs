//! The load: `wrk` with a script that rotates requests written before the run.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::debian;
use crate::failure::{Context, Failure, Outcome};
use crate::process::{Guard, supervised};

use super::tls::Certificate;

pub(crate) const SCRIPT: &str = include_str!("../../../bench/load.lua");

/// The load generator, found and ready.
#[derive(Debug)]
pub(crate) struct Generator {
    program: PathBuf,
    connections: u64,
}

/// What every request of a load carries.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Sent<'a> {
    /// `GET /`.
    Plain,
    /// `GET /` with the values of a file in rotation in a field.
    InField { name: &'a str, values: &'a Path },
    /// The JSON of a file, posted to a path.
    Posted { path: &'a str, body: &'a Path },
}

/// What one load did.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Load {
    pub(crate) requests: u64,
    pub(crate) seconds: f64,
    /// Not every load generator says these.
    pub(crate) p50_us: Option<u64>,
    pub(crate) p99_us: Option<u64>,
    /// Answers with a status of 400 and above.
    pub(crate) not_success: u64,
    /// Connections refused, reads and writes that failed, and answers that came too late.
    pub(crate) broken: u64,
}

impl Generator {
    pub(crate) fn find(connections: u64) -> Outcome<Self> {
        Ok(Self { program: debian::require("wrk", "wrk")?, connections })
    }

    pub(crate) fn connections(&self) -> u64 {
        self.connections
    }

    pub(crate) fn version(&self) -> String {
        let output = Command::new(&self.program).arg("-v").output();
        let text =
            output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        text.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
    }

    /// Loads a port for a time.
    pub(crate) fn run(
        &self,
        script: &Path,
        port: u16,
        protected: Option<&Certificate>,
        sent: Sent<'_>,
        time: Duration,
    ) -> Outcome<Load> {
        let output = script.with_extension("out");
        let file = File::create(&output).context(|| format!("making {}", output.display()))?;
        let errors = file.try_clone().context(|| "sharing the output of wrk".into())?;
        let mut command = supervised(&self.program);
        command.args(["--threads", "2", "--timeout", "10s", "--connections", &self.connections.to_string()]);
        command.args(["--duration", &format!("{}s", time.as_secs()), "--script"]).arg(script);
        let scheme = if protected.is_some() { "https" } else { "http" };
        let path = match sent {
            Sent::Posted { path, .. } => path,
            Sent::Plain | Sent::InField { .. } => "/",
        };
        command.arg(format!("{scheme}://127.0.0.1:{port}{path}"));
        if let Some(certificate) = protected {
            command.env("OPENSSL_CONF", &certificate.client);
        }
        match sent {
            Sent::Plain => {}
            Sent::InField { name, values } => {
                command.arg("--").arg(values).arg(name);
            }
            Sent::Posted { body, .. } => {
                command.arg("--").arg(body);
            }
        }
        command.stdin(Stdio::null()).stdout(file).stderr(errors);
        let mut guard = Guard::spawn("wrk", &mut command)?;
        let status = guard.wait(time + Duration::from_secs(30))?;
        let text = std::fs::read_to_string(&output).context(|| format!("reading {}", output.display()))?;
        if !status.success() {
            return Err(Failure::new(format!("wrk: {status}\n{text}")));
        }
        Load::parse(&text).context(|| format!("wrk did not say what it did:\n{text}"))
    }
}

impl Load {
    /// Fails if not every answer was a success: refusals are cheap, and would be measured as speed.
    pub(crate) fn check(&self, name: &str) -> Outcome<()> {
        if self.requests == 0 || self.not_success > 0 || self.broken > 0 {
            return Err(Failure::new(format!(
                "{name}: of {} answers {} were not a success, and {} connections, reads or writes failed",
                self.requests, self.not_success, self.broken
            )));
        }
        Ok(())
    }

    pub(crate) fn requests_per_second(&self) -> f64 {
        self.requests as f64 / self.seconds
    }

    /// Reads the line that the script writes for us.
    fn parse(text: &str) -> Option<Self> {
        let line = text.lines().find_map(|line| line.strip_prefix("RESULT "))?;
        let value: Value = serde_json::from_str(line).ok()?;
        let field = |name: &str| value.get(name).and_then(Value::as_u64);
        let duration = field("duration_us").filter(|duration| *duration > 0)?;
        Some(Self {
            requests: field("requests")?,
            seconds: duration as f64 / 1e6,
            p50_us: Some(field("p50_us")?),
            p99_us: Some(field("p99_us")?),
            not_success: field("not_success")?,
            broken: field("connect")? + field("read")? + field("write")? + field("timeout")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "noise\nRESULT {\"requests\":10,\"duration_us\":2000000,\"not_success\":0,\"connect\":0,\
                        \"read\":0,\"write\":0,\"timeout\":0,\"p50_us\":5,\"p99_us\":9}\n";

    #[test]
    fn a_clean_load_passes() {
        let load = Load::parse(LINE).unwrap();
        assert_eq!(load.requests_per_second(), 5.0);
        assert!(load.check("x").is_ok());
    }

    #[test]
    fn refusals_failures_and_silence_do_not_pass() {
        for (from, to) in [("not_success\":0", "not_success\":1"), ("read\":0", "read\":3"), (":10,", ":0,")]
        {
            let load = Load::parse(&LINE.replace(from, to)).unwrap();
            assert!(load.check("x").is_err(), "{to}");
        }
        assert_eq!(Load::parse("nothing"), None);
        assert_eq!(Load::parse(&LINE.replace("2000000", "0")), None);
    }
}
