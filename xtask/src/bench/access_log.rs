//! Evidence that a proxy wrote its access log while it was measured.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::failure::{Context, Failure, Outcome};

/// How long a proxy may take to write what it has buffered.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// What a proxy's log is held against.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected {
    /// How many requests were answered, each of which leaves a line.
    pub(crate) requests: u64,
    /// How many lines may be missing all the same.
    pub(crate) tolerated: u64,
    pub(crate) patience: Duration,
}

#[derive(Debug)]
pub(crate) struct AccessLog<'a>(&'a Path);

impl<'a> AccessLog<'a> {
    /// Fails if the proxy has not made the file: then it logs elsewhere, or not at all.
    pub(crate) fn open(path: &'a Path) -> Outcome<Self> {
        File::open(path).context(|| format!("opening the access log {}", path.display()))?;
        Ok(Self(path))
    }

    /// Cuts the log to nothing, so that it neither fills the memory nor counts for the next load.
    pub(crate) fn empty(&self) -> Outcome<()> {
        let file = OpenOptions::new().write(true).open(self.0);
        file.and_then(|file| file.set_len(0)).context(|| format!("emptying {}", self.0.display()))
    }

    /// How many requests left no line. Fails when too many are missing: such a proxy was spared work of the others.
    pub(crate) fn missing_lines(&self, expected: Expected, name: &str) -> Outcome<u64> {
        let Expected { requests, tolerated, patience } = expected;
        let deadline = Instant::now() + patience;
        loop {
            let lines = self.lines()?;
            let missing = requests.saturating_sub(lines);
            let late = Instant::now() >= deadline;
            if missing == 0 || (late && missing <= tolerated) {
                return Ok(missing);
            }
            if late {
                return Err(Failure::new(format!(
                    "{name}: the access log has {lines} lines after {requests} requests"
                )));
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    fn lines(&self) -> Outcome<u64> {
        let doing = || format!("reading {}", self.0.display());
        let mut file = File::open(self.0).context(doing)?;
        let mut buffer = vec![0; 1 << 20];
        let mut lines = 0;
        loop {
            let read = file.read(&mut buffer).context(doing)?;
            if read == 0 {
                return Ok(lines);
            }
            lines += buffer.iter().take(read).filter(|byte| **byte == b'\n').count() as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::{Scratch, write};

    #[test]
    fn missing_lines_are_counted_and_bounded() {
        let scratch = Scratch::new().unwrap();
        let path = scratch.path().join("access.log");
        assert!(AccessLog::open(&path).is_err());
        write(&path, "one\ntwo\nthree\n").unwrap();
        let log = AccessLog::open(&path).unwrap();
        let missing = |requests, tolerated| {
            log.missing_lines(Expected { requests, tolerated, patience: Duration::ZERO }, "x").ok()
        };
        assert_eq!(missing(3, 0), Some(0));
        assert_eq!(missing(4, 1), Some(1));
        assert_eq!(missing(4, 0), None);
        log.empty().unwrap();
        assert_eq!(missing(2, 1), None);
    }
}
