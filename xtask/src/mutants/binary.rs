//! A program with tests, run for some of them: whether they pass, and which do not.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;

use crate::failure::{Context, Failure, Outcome};
use crate::process::{Guard, supervised};

#[derive(Debug, Clone)]
pub(super) struct Binary {
    /// The name of the test, or of the library.
    pub(super) name: String,
    pub(super) program: PathBuf,
    /// Its package, where cargo runs it.
    folder: PathBuf,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Passed(Duration),
    /// These tests failed.
    Failed(Vec<String>),
    /// It came to no end, or to another one than tests come to.
    Broken,
}

impl Binary {
    /// The program that a message of cargo says is built.
    pub(super) fn of_message(message: &Value) -> Option<Self> {
        let program = message.get("executable")?.as_str()?;
        if !message.get("profile")?.get("test")?.as_bool()? {
            return None;
        }
        Some(Self {
            name: message.get("target")?.get("name")?.as_str()?.to_owned(),
            program: program.into(),
            folder: Path::new(message.get("manifest_path")?.as_str()?).parent()?.to_path_buf(),
        })
    }

    /// The names of its tests.
    pub(super) fn tests(&self) -> Outcome<Vec<String>> {
        let output = Command::new(&self.program)
            .args(["--list", "--format", "terse"])
            .current_dir(&self.folder)
            .output()
            .context(|| format!("listing the tests of {}", self.name))?;
        if !output.status.success() {
            return Err(Failure::new(format!("the tests of {} cannot be listed", self.name)));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(text.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
    }

    /// Runs tests in one process, with a variable in its environment. `said` is the file for what it prints.
    pub(super) fn run(
        &self,
        tests: &[&str],
        variable: (&str, &Path),
        said: &Path,
        patience: Duration,
    ) -> Outcome<Ended> {
        let file = File::create(said).context(|| format!("making {}", said.display()))?;
        let mut command = supervised(&self.program);
        command.args(["--exact", "--test-threads", "2"]).args(tests).current_dir(&self.folder);
        command.env("CARGO_MANIFEST_DIR", &self.folder).env(variable.0, variable.1);
        command.stdin(Stdio::null()).stdout(file).stderr(Stdio::null()).process_group(0);
        let start = Instant::now();
        let mut guard = Guard::spawn(self.name.clone(), &mut command)?;
        let status = guard.wait(patience);
        let took = start.elapsed();
        // What the tests started may still run, if they did not end well.
        if let Some(group) = i32::try_from(guard.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let text = fs::read_to_string(said).unwrap_or_default();
        let _ = fs::remove_file(said);
        Ok(match status {
            Ok(status) if status.success() => Ended::Passed(took),
            Ok(_) => failed(&text).map_or(Ended::Broken, Ended::Failed),
            Err(_) => Ended::Broken,
        })
    }
}

/// The tests that a program says have failed.
fn failed(text: &str) -> Option<Vec<String>> {
    let failed = text.lines().filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"));
    let failed: Vec<String> = failed.map(str::to_owned).collect();
    (!failed.is_empty()).then_some(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_tests_are_read_from_what_a_program_of_tests_prints() {
        let text =
            "running 2 tests\ntest a::b ... ok\ntest a::c ... FAILED\n\nfailures:\n\n---- a::c stdout ----\n";
        assert_eq!(failed(text), Some(vec!["a::c".to_owned()]));
        assert_eq!(failed("running 1 test\n"), None);
    }
}
