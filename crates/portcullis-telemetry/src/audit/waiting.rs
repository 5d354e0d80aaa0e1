//! What happens to entries while the process before still writes the file.
//!
//! At a take-over two processes serve for a while: the old one finishes its requests, and writes its entries. Only one may
//! write a chain, so the new one holds its entries in memory until the lock of the file is free. If several processes follow
//! each other quickly, they take turns: one that waits for the file holds the lock of the key file.
//!
//! What does not fit into memory is dropped and counted, and an entry says how many. If this process ends while it waits, the
//! entries are lost, and standard error says so.

use super::chain::Chain;
use super::entry::Entry;
use super::{Message, now};
use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How many bytes of entries are held.
const MOST_BYTES: usize = 64 * 1024 * 1024;
/// How often it is tried.
const INTERVAL: Duration = Duration::from_millis(25);
/// After so long, standard error is told that it takes long.
const LONG: Duration = Duration::from_secs(120);
/// How long the end of this process waits for the file.
const AT_THE_END: Duration = Duration::from_secs(10);

/// A place in the queue for a file.
pub(super) struct Waiting {
    path: PathBuf,
    turn: File,
    most_bytes: usize,
    at_the_end: Duration,
}

impl Waiting {
    /// For the file at `path`; the turn is the lock of `key_file`.
    pub(super) fn new(path: &Path, key_file: &Path) -> io::Result<Waiting> {
        Ok(Waiting {
            path: path.to_owned(),
            turn: File::open(key_file)?,
            most_bytes: MOST_BYTES,
            at_the_end: AT_THE_END,
        })
    }

    /// Waits for the file, and answers with the entries that have come until then. `None` if this process ends before.
    pub(super) fn wait(
        self,
        entries: &Receiver<Message>,
        dropped: &AtomicU64,
    ) -> Option<(Chain, Vec<Entry>)> {
        let (mut held, mut bytes) = (Vec::new(), 0_usize);
        let (begun, mut told, mut ending) = (Instant::now(), false, None);
        let mut is_next = false;
        loop {
            is_next = is_next
                || match self.turn.try_lock() {
                    Ok(()) => true,
                    Err(TryLockError::WouldBlock) => false,
                    // Without turns, whoever comes first goes on; the chain stays whole.
                    Err(TryLockError::Error(_)) => true,
                };
            let why = match is_next.then(|| Chain::open(&self.path, now())) {
                Some(Ok(chain)) => return Some((chain, held)),
                Some(Err(error)) => error.to_string(),
                None => format!("another process waits for {} before this one", self.path.display()),
            };
            if begun.elapsed() >= LONG && !std::mem::replace(&mut told, true) {
                say(&format!("still waits, its entries are held in memory: {why}"));
            }
            if ending.is_some_and(|since: Instant| since.elapsed() >= self.at_the_end) {
                say(&format!("lost {} entries, the file was not free: {why}", held.len()));
                return None;
            }
            match entries.recv_timeout(INTERVAL) {
                Ok(Message::Entry(entry)) => {
                    let size = entry.members().len().saturating_add(size_of::<Entry>());
                    if bytes.saturating_add(size) > self.most_bytes {
                        dropped.fetch_add(1, Ordering::Relaxed);
                    } else {
                        bytes = bytes.saturating_add(size);
                        held.push(entry);
                    }
                }
                // Nothing is in the file yet, so nobody is told that it is.
                Ok(Message::Flush(_)) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    ending.get_or_insert_with(Instant::now);
                    std::thread::sleep(INTERVAL);
                }
            }
        }
    }
}

fn say(what: &str) {
    let _ = writeln!(io::stderr(), "portcullis: the audit log {what}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::sync_channel;

    #[test]
    fn what_does_not_fit_is_counted_and_the_end_is_bounded() {
        let folder = std::env::temp_dir().join(format!("portcullis-waiting-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (log, key) = (folder.join("audit.log"), folder.join("key"));
        std::fs::write(&key, "").unwrap();
        let owner = Chain::open(&log, now()).unwrap();
        let entry = || Entry::notice(now(), "a test", &"x".repeat(100));
        let one = entry().members().len() + size_of::<Entry>();
        let waiting =
            Waiting { most_bytes: 3 * one, at_the_end: Duration::ZERO, ..Waiting::new(&log, &key).unwrap() };
        let (queue, entries) = sync_channel(16);
        for _ in 0..5 {
            queue.send(Message::Entry(entry())).unwrap();
        }
        drop(queue);
        let dropped = AtomicU64::new(0);
        assert!(waiting.wait(&entries, &dropped).is_none(), "the file is never free");
        assert_eq!(dropped.load(Ordering::Relaxed), 2);
        drop(owner);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
