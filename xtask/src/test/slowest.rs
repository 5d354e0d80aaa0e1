//! Which tests take longest, so that a suite that grows slow is noticed while it grows.
//!
//! libtest prints a test's time only under an unstable flag, which a stable toolchain allows to a program that is started
//! with `RUSTC_BOOTSTRAP=1`. Only the test programs are started with it: set for cargo itself, it would build everything
//! anew. A test that runs cargo itself takes the variable away again.

use std::io::{BufRead, BufReader, Write};
use std::process::{ExitStatus, Stdio};

use crate::failure::{Context, Outcome};
use crate::workspace;

/// How many are listed.
const LISTED: usize = 20;

/// Makes cargo start each test program with the variable.
const RUNNER: &str = "target.'cfg(all())'.runner=['env','RUSTC_BOOTSTRAP=1']";

/// A test and its time, in seconds.
#[derive(Debug, PartialEq)]
pub(super) struct Timed {
    name: String,
    seconds: f64,
}

/// Runs `cargo test` with these arguments, shows its output as it comes, and returns the time of each test that ran.
pub(super) fn run(arguments: &[&str]) -> Outcome<(ExitStatus, Vec<Timed>)> {
    let mut child = workspace::cargo()
        .args(["--config", RUNNER])
        .env(crate::canaries::VARIABLE, crate::canaries::folder())
        .args(arguments)
        .args(["--", "-Zunstable-options", "--report-time"])
        .stdout(Stdio::piped())
        .spawn()
        .context(|| "starting cargo".into())?;
    let mut times = Vec::new();
    if let Some(output) = child.stdout.take() {
        let mut reader = BufReader::new(output);
        let mut line = Vec::new();
        // Read as bytes: a test may print what is not UTF-8, and nothing that it prints may end the run.
        while reader.read_until(b'\n', &mut line).context(|| "reading what cargo prints".into())? > 0 {
            std::io::stdout().write_all(&line).context(|| "writing to the terminal".into())?;
            times.extend(time(&String::from_utf8_lossy(&line)));
            line.clear();
        }
    }
    let status = child.wait().context(|| "waiting for cargo".into())?;
    Ok((status, times))
}

/// The slowest tests, a line each, slowest first.
pub(super) fn list(times: &mut [Timed]) -> String {
    times.sort_by(|one, other| other.seconds.total_cmp(&one.seconds));
    let lines = times.iter().take(LISTED);
    lines.map(|test| format!("  {:>7.1} s  {}\n", test.seconds, test.name)).collect()
}

/// The time in a line such as `test head::path::tests::name ... ok <0.012s>`.
fn time(line: &str) -> Option<Timed> {
    let (name, verdict) = line.trim_end().strip_prefix("test ")?.rsplit_once(" ... ")?;
    let seconds = verdict.rsplit_once('<')?.1.strip_suffix("s>")?;
    Some(Timed { name: name.to_owned(), seconds: seconds.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timed(name: &str, seconds: f64) -> Timed {
        Timed { name: name.to_owned(), seconds }
    }

    #[test]
    fn the_time_of_a_test_is_read_whatever_its_verdict() {
        assert_eq!(time("test a::b ... ok <0.250s>\n"), Some(timed("a::b", 0.25)));
        assert_eq!(time("test a::b - should panic ... ok <1.5s>"), Some(timed("a::b - should panic", 1.5)));
        assert_eq!(time("test a::b ... FAILED <2.000s>"), Some(timed("a::b", 2.0)));
        for other in
            ["test a::b ... ok", "test result: ok. 3 passed; finished in 0.1s", "running 3 tests", ""]
        {
            assert_eq!(time(other), None, "{other}");
        }
    }

    #[test]
    fn the_slowest_come_first_and_no_more_than_are_listed() {
        let mut times: Vec<_> =
            (0..30).map(|number| timed(&format!("t{number}"), f64::from(number))).collect();
        let list = list(&mut times);
        assert!(list.starts_with("     29.0 s  t29\n"), "{list}");
        assert_eq!(list.lines().count(), LISTED);
    }
}
