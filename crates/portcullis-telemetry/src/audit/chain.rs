//! The form of a line in the audit log, and how a file goes on after a restart.
//!
//! A line is a JSON object that begins with `entry`, its number, and ends with `previous`, the hash of the line before, and
//! `hash`, its own: SHA-256 over every byte of the line before `,"hash"`. The first line of a chain has 64 zeros as
//! `previous`. A line is written by one call, so a process that is killed leaves whole lines; a machine that loses power may
//! leave a part of one, which is removed at the next start, with an entry that says so.
//!
//! Where the file is moved away while the gateway runs, as log rotation does, the chain goes on in a new file.

use super::entry::Entry;
use aws_lc_rs::digest;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The `previous` of the first entry.
pub const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// What stands between what is hashed and the hash.
const HASH: &str = ",\"hash\":\"";
/// What follows the hash.
const END: &str = "\"}";
/// How many bytes a line may have, its newline included; entries are far smaller, since heads are bounded.
pub(super) const LINE_LIMIT: u64 = 1024 * 1024;

/// A line, read back.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) entry: u64,
    pub(super) previous: String,
    pub(super) hash: String,
    pub(super) members: serde_json::Map<String, serde_json::Value>,
}

impl Line {
    /// Reads a line without its newline, and checks its hash.
    ///
    /// # Errors
    /// What is wrong with it, in an operator's words.
    pub(super) fn read(line: &[u8]) -> Result<Line, &'static str> {
        let text = std::str::from_utf8(line).map_err(|_| "it is not text")?;
        let whole = text.strip_suffix(END).ok_or("it does not end as an entry does")?;
        let (content, hash) = whole.rsplit_once(HASH).ok_or("it has no hash")?;
        if hash_of(content.as_bytes()) != hash {
            return Err("it is not what was written: its hash does not fit");
        }
        let json = format!("{content}}}");
        let serde_json::Value::Object(mut members) =
            serde_json::from_str(&json).map_err(|_| "it is not JSON")?
        else {
            return Err("it is not a JSON object");
        };
        let entry = members.remove("entry").and_then(|entry| entry.as_u64()).ok_or("it has no number")?;
        let previous = match members.remove("previous") {
            Some(serde_json::Value::String(previous)) => previous,
            Some(_) | None => return Err("it does not name the entry before it"),
        };
        Ok(Line { entry, previous, hash: hash.to_owned(), members })
    }
}

/// What a checkpoint signs: the number of the checkpoint, and the hash of the entry before it.
pub(super) fn checkpoint_message(entry: u64, previous: &str) -> Vec<u8> {
    format!("portcullis audit checkpoint 1\n{entry}\n{previous}\n").into_bytes()
}

fn hash_of(bytes: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An open file, and where its chain stands.
pub struct Chain {
    path: PathBuf,
    file: File,
    /// The device and inode of the file, by which it is noticed that it was moved away.
    identity: (u64, u64),
    next: u64,
    head: String,
}

impl Chain {
    /// Goes on with a file, or begins it.
    ///
    /// # Errors
    /// The file cannot be opened, or its last entry is not what was written.
    pub fn open(path: &Path, now: Duration) -> io::Result<Chain> {
        let mut file = open(path)?;
        let (last, torn) = last_line(&mut file)?;
        let mut chain = Chain {
            path: path.to_owned(),
            identity: identity(&file)?,
            file,
            next: 1,
            head: GENESIS.to_owned(),
        };
        if torn > 0 {
            let length = chain.file.metadata()?.len();
            chain.file.set_len(length.saturating_sub(torn))?;
        }
        if let Some(last) = last {
            let last = Line::read(&last).map_err(|reason| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!(
                        "the last entry of {} cannot be gone on from, {reason}; move the file away",
                        path.display()
                    ),
                )
            })?;
            chain.next = last.entry.saturating_add(1);
            chain.head = last.hash;
        }
        if torn > 0 {
            chain.append(&Entry::repaired(now, torn))?;
        }
        Ok(chain)
    }

    /// The number of the next entry.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// The hash of the last entry.
    pub fn head(&self) -> &str {
        &self.head
    }

    /// Adds an entry.
    ///
    /// # Errors
    /// The file cannot be written; then the chain stands where it stood.
    pub fn append(&mut self, entry: &Entry) -> io::Result<()> {
        self.follow_rotation()?;
        let mut line = format!("{{\"entry\":{},", self.next).into_bytes();
        line.extend_from_slice(entry.members());
        line.extend_from_slice(format!(",\"previous\":\"{}\"", self.head).as_bytes());
        let hash = hash_of(&line);
        line.extend_from_slice(format!("{HASH}{hash}{END}\n").as_bytes());
        let before = self.file.metadata()?.len();
        if let Err(error) = self.file.write_all(&line) {
            // A part of a line would break the chain for good.
            let _ = self.file.set_len(before);
            return Err(error);
        }
        self.next = self.next.saturating_add(1);
        self.head = hash;
        Ok(())
    }

    /// Waits until everything is on the disk.
    ///
    /// # Errors
    /// The disk fails.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Begins a new file where the old one was moved away or removed; the chain goes on in it.
    fn follow_rotation(&mut self) -> io::Result<()> {
        let there = std::fs::metadata(&self.path).map(|data| (data.dev(), data.ino()));
        if there.is_ok_and(|there| there == self.identity) {
            return Ok(());
        }
        let mut file = open(&self.path)?;
        if file.seek(SeekFrom::End(0))? > 0 {
            return Err(io::Error::other("another file stands in the place of the audit log"));
        }
        self.identity = identity(&file)?;
        self.file = file;
        Ok(())
    }
}

/// Opens a file, and keeps others from writing it: two chains in one file would be none.
fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(io::Error::new(
            io::ErrorKind::ResourceBusy,
            format!("{} is written by another gateway", path.display()),
        )),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn identity(file: &File) -> io::Result<(u64, u64)> {
    file.metadata().map(|data| (data.dev(), data.ino()))
}

/// The last whole line without its newline, if there is one, and how many bytes follow it.
fn last_line(file: &mut File) -> io::Result<(Option<Vec<u8>>, u64)> {
    let length = file.metadata()?.len();
    // Twice the limit holds the last whole line and what may follow it.
    let start = length.saturating_sub(2 * LINE_LIMIT);
    file.seek(SeekFrom::Start(start))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    let Some(end) = tail.iter().rposition(|byte| *byte == b'\n') else {
        // No newline at all: nothing but the beginning of a first line, or no audit log.
        if start > 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the file is not an audit log"));
        }
        return Ok((None, length));
    };
    let torn = tail.len().saturating_sub(end + 1);
    let lines = tail.get(..end).unwrap_or_default();
    let last = lines.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    Ok((Some(last.to_vec()), torn as u64))
}
