//! Whether an audit log is what was written.
//!
//! Reads files in the order in which they were rotated and stops at the first entry that is wrong. Decides nothing about
//! what was never written: entries that the gateway had to drop are counted by entries of their own.

use super::chain::{GENESIS, LINE_LIMIT, Line, checkpoint_message};
use super::entry::CHECKPOINT;
use super::key;
use std::io::{self, BufRead, Read as _};

/// What a file says, as far as it is right.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The number of the first entry; 0 where there is none.
    pub first: u64,
    /// The number of the last entry that is right; 0 where there is none.
    pub last: u64,
    /// The hash of that entry.
    pub head: String,
    /// How many checkpoints there are, and the number of the last one.
    pub checkpoints: u64,
    /// The number of the last checkpoint; 0 where there is none. Entries after it are linked and not signed.
    pub signed_until: u64,
    /// The public key that signed the checkpoints.
    pub key: Option<String>,
    /// The number of the entry whose hash is the head that was asked for.
    pub found_head: Option<u64>,
    /// How many entries the gateway had to drop.
    pub dropped: u64,
}

/// The first thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which file, counted from 0 in the order in which they were given.
    pub file: usize,
    /// Which line of it, from 1.
    pub line: u64,
    /// What is wrong.
    pub reason: String,
    /// What is right before it.
    pub until: Report,
}

/// Why a log is not verified.
#[derive(Debug)]
pub enum Problem {
    /// It is not what was written.
    Broken(Box<Broken>),
    /// It cannot be read.
    Read(io::Error),
}

/// What is known of a log from elsewhere.
#[derive(Clone, Copy, Debug, Default)]
pub struct Known<'a> {
    /// The public key that signs the checkpoints. Without it, the one that the first entry names is taken.
    pub key: Option<&'a str>,
    /// A hash that must be an entry's.
    pub head: Option<&'a str>,
    /// The hash of the last entry of the file before the first one that is given. Without it, the log must begin at its
    /// first entry.
    pub after: Option<&'a str>,
}

/// Reads the log.
///
/// # Errors
/// The first entry that is wrong, or that the head is none of them; or the log cannot be read.
pub fn verify<R: BufRead>(files: impl IntoIterator<Item = R>, known: Known<'_>) -> Result<Report, Problem> {
    let Known { key, head, after } = known;
    let mut report = Report {
        key: key.map(str::to_owned),
        head: after.unwrap_or(GENESIS).to_owned(),
        ..Report::default()
    };
    let mut at = (0, 0);
    for (file, mut reader) in files.into_iter().enumerate() {
        at = (file, 0);
        let mut line = Vec::new();
        loop {
            line.clear();
            (&mut reader).take(LINE_LIMIT).read_until(b'\n', &mut line).map_err(Problem::Read)?;
            if line.is_empty() {
                break;
            }
            at.1 += 1;
            report.add(&line, head).map_err(|reason| broken(at, reason, &report))?;
        }
    }
    match head {
        Some(_) if report.found_head.is_none() => Err(broken(
            at,
            "the head is none of its entries: it was cut off at the end, or made anew",
            &report,
        )),
        Some(_) | None => Ok(report),
    }
}

fn broken((file, line): (usize, u64), reason: impl Into<String>, until: &Report) -> Problem {
    Problem::Broken(Box::new(Broken { file, line, reason: reason.into(), until: until.clone() }))
}

impl Report {
    fn add(&mut self, line: &[u8], head: Option<&str>) -> Result<(), String> {
        let Some(line) = line.strip_suffix(b"\n") else {
            return Err("it has no end; it was cut off, or is longer than an entry can be".to_owned());
        };
        let line = Line::read(line)?;
        if line.previous != self.head {
            return Err(match self.last {
                0 => "it does not follow what it should: entries before it are missing".to_owned(),
                last => format!("it does not follow entry {last}: one was removed, added or moved"),
            });
        }
        if self.last == 0 {
            if (line.entry == 1) != (line.previous == GENESIS) || line.entry == 0 {
                return Err("its number does not fit the entry before it".to_owned());
            }
            self.first = line.entry;
        } else if Some(line.entry) != self.last.checked_add(1) {
            return Err(format!("its number is {} after {}", line.entry, self.last));
        }
        let text = |name: &str| line.members.get(name).and_then(serde_json::Value::as_str);
        if let Some(key) = text("key")
            && self.key.as_deref().is_some_and(|known| known != key)
        {
            return Err("it names another key than the log was signed with before".to_owned());
        }
        if text("event") == Some(CHECKPOINT) {
            let (Some(key), Some(signature)) = (text("key"), text("signature")) else {
                return Err("it is a checkpoint without a signature".to_owned());
            };
            if !key::verifies(key, &checkpoint_message(line.entry, &line.previous), signature) {
                return Err("its signature is not the key's".to_owned());
            }
            self.checkpoints += 1;
            self.signed_until = line.entry;
        }
        if let Some(key) = text("key") {
            self.key = Some(key.to_owned());
        }
        self.dropped += line.members.get("count").and_then(serde_json::Value::as_u64).unwrap_or(0);
        self.last = line.entry;
        if head == Some(line.hash.as_str()) {
            self.found_head = Some(line.entry);
        }
        self.head = line.hash;
        Ok(())
    }
}
