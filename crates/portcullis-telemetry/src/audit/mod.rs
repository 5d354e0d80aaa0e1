//! The audit log: who was refused, and what was changed, in a file whose every edit shows.
//!
//! Each entry is a line of JSON that carries the hash of the line before it, so an entry that is changed, removed or moved
//! breaks the chain. From time to time an entry is a checkpoint, signed with a key of the gateway, so that a chain that
//! somebody made anew shows as well. What was cut off at the end shows only against a head, the hash of the last entry, that
//! was kept elsewhere: the log tells its head with every checkpoint.
//!
//! | module      | decides                                                         |
//! |-------------|-----------------------------------------------------------------|
//! | [`entry`]   | which records become entries, and what an entry says            |
//! | [`chain`]   | the form of a line, and how a file goes on after a restart      |
//! | [`key`]     | who signs                                                       |
//! | `waiting`   | what happens to entries while the process before still writes   |
//! | [`verify`]  | whether a file is what was written                              |
//!
//! A request waits for nothing here: entries go through a queue to a thread of the log. If the queue is full, entries are
//! dropped, and an entry says how many. If the file cannot be written, the entries are dropped and counted the same way,
//! and standard error is told once.

pub mod chain;
pub mod entry;
pub mod key;
pub mod verify;
mod waiting;

pub use verify::{Known, Report, verify};

use crate::lanes::lock;
use chain::Chain;
use entry::Entry;
use key::SigningKey;
use portcullis_core::{Plan, Record, RecordSink};
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use waiting::Waiting;

/// How many entries may wait for the thread.
const QUEUE: usize = 16 * 1024;
/// A checkpoint follows after so many entries,
const CHECKPOINT_ENTRIES: u64 = 1000;
/// or so long after an entry that none has followed yet.
const CHECKPOINT_AFTER: Duration = Duration::from_secs(60);

/// Told of each checkpoint: the number of the entry, and its hash, the head.
pub type OnHead = Box<dyn Fn(u64, &str) + Send>;

/// The last head that was told.
type Head = Arc<Mutex<Option<(u64, String)>>>;

/// What remembers the head as well as telling it.
fn remembered(on_head: OnHead) -> (Head, OnHead) {
    let head = Head::default();
    let last = Arc::clone(&head);
    let remembers = move |entry: u64, hash: &str| {
        *lock(&last) = Some((entry, hash.to_owned()));
        on_head(entry, hash);
    };
    (head, Box::new(remembers))
}

/// The audit log. Everything is written, and a last checkpoint, when it is dropped.
pub struct AuditLog {
    queue: Option<SyncSender<Message>>,
    dropped: Arc<AtomicU64>,
    head: Head,
    writer: Option<JoinHandle<()>>,
}

enum Message {
    Entry(Entry),
    /// Everything before this is to be in the file, and signed; the answer says that it is.
    Flush(SyncSender<()>),
}

/// How long a flush waits for the file.
const FLUSH_PATIENCE: Duration = Duration::from_secs(2);

impl AuditLog {
    /// Goes on with a file, or begins it; both it and the key beside it are readable by their owner alone.
    ///
    /// # Errors
    /// The file cannot be opened, another process writes it, its last entry is not what was written, or there is no thread.
    pub fn open(path: &Path, key: SigningKey, on_head: OnHead) -> io::Result<AuditLog> {
        let chain = Chain::open(path, now())?;
        let dropped = Arc::<AtomicU64>::default();
        let (head, on_head) = remembered(on_head);
        let writer = Writer::begin(chain, key, on_head, Arc::clone(&dropped));
        AuditLog::with(dropped, head, move |entries| {
            let mut writer = writer;
            writer.run(&entries);
        })
    }

    /// The same in place of a process that still writes the file, and ends soon. Until then, entries are held in memory.
    ///
    /// # Errors
    /// The file cannot be opened for another reason, its last entry is not what was written, or there is no thread.
    pub fn open_after_predecessor(
        path: &Path,
        key_file: &Path,
        key: SigningKey,
        on_head: OnHead,
    ) -> io::Result<AuditLog> {
        let wait = match Chain::open(path, now()) {
            Ok(chain) => Wait::Over(chain),
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                Wait::Goes(Waiting::new(path, key_file)?)
            }
            Err(error) => return Err(error),
        };
        let dropped = Arc::<AtomicU64>::default();
        let counted = Arc::clone(&dropped);
        let (head, on_head) = remembered(on_head);
        AuditLog::with(dropped, head, move |entries| {
            let (chain, held) = match wait {
                Wait::Over(chain) => (chain, Vec::new()),
                Wait::Goes(waiting) => match waiting.wait(&entries, &counted) {
                    Some(taken) => taken,
                    None => return,
                },
            };
            let mut writer = Writer::begin(chain, key, on_head, counted);
            held.iter().for_each(|entry| writer.add(entry));
            writer.run(&entries);
        })
    }

    fn with(
        dropped: Arc<AtomicU64>,
        head: Head,
        write: impl FnOnce(Receiver<Message>) + Send + 'static,
    ) -> io::Result<AuditLog> {
        let (queue, entries) = sync_channel(QUEUE);
        let writer = std::thread::Builder::new().name("audit-log".into()).spawn(move || write(entries))?;
        Ok(AuditLog { queue: Some(queue), dropped, head, writer: Some(writer) })
    }

    /// The last checkpoint: the number of its entry, and its hash. It is to be kept elsewhere.
    pub fn head(&self) -> Option<(u64, String)> {
        lock(&self.head).clone()
    }

    /// Entries that are in no file: the queue was full, or the file could not be written.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Waits until everything so far is in the file, with a checkpoint behind it; at most two seconds.
    pub fn flush(&self) {
        let Some(queue) = &self.queue else { return };
        let (done, wait) = sync_channel(1);
        if queue.try_send(Message::Flush(done)).is_ok() {
            let _ = wait.recv_timeout(FLUSH_PATIENCE);
        }
    }

    fn send(&self, entry: Entry) {
        let Some(queue) = &self.queue else { return };
        match queue.try_send(Message::Entry(entry)) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

impl RecordSink for AuditLog {
    fn write(&self, record: &Record, plan: &Plan) {
        if let Some(entry) = Entry::of(record, plan) {
            self.send(entry);
        }
    }

    fn notice(&self, about: &str, detail: &str) {
        self.send(Entry::notice(now(), about, detail));
    }
}

impl Drop for AuditLog {
    fn drop(&mut self) {
        // The thread ends when nobody can send any more.
        self.queue = None;
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

/// Time since 1970.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Whether a process before this one still writes the file.
enum Wait {
    Goes(Waiting),
    Over(Chain),
}

struct Writer {
    chain: Chain,
    key: SigningKey,
    on_head: OnHead,
    dropped: Arc<AtomicU64>,
    since_checkpoint: u64,
    /// Since when there is an entry that no checkpoint has followed.
    unsigned_since: Option<Instant>,
    failing: bool,
}

impl Writer {
    /// Goes on with a chain: an entry says that it was opened, and by which key.
    fn begin(chain: Chain, key: SigningKey, on_head: OnHead, dropped: Arc<AtomicU64>) -> Writer {
        let mut writer = Writer {
            chain,
            key,
            on_head,
            dropped,
            since_checkpoint: 0,
            unsigned_since: None,
            failing: false,
        };
        writer.add(&Entry::opened(now(), &writer.key.public()));
        writer.checkpoint();
        writer
    }

    fn run(&mut self, entries: &Receiver<Message>) {
        let mut reported = 0;
        loop {
            let patience = self
                .unsigned_since
                .map_or(CHECKPOINT_AFTER, |since| CHECKPOINT_AFTER.saturating_sub(since.elapsed()));
            match entries.recv_timeout(patience) {
                Ok(Message::Entry(entry)) => self.add(&entry),
                Ok(Message::Flush(done)) => {
                    reported = self.report_dropped(reported);
                    self.sign();
                    let _ = done.send(());
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            reported = self.report_dropped(reported);
            let due = self.unsigned_since.is_some_and(|since| since.elapsed() >= CHECKPOINT_AFTER);
            if due || self.since_checkpoint >= CHECKPOINT_ENTRIES {
                self.checkpoint();
            }
        }
        self.report_dropped(reported);
        self.sign();
    }

    /// Signs what is not signed yet.
    fn sign(&mut self) {
        if self.unsigned_since.is_some() {
            self.checkpoint();
        }
    }

    /// Writes how many entries were dropped since `reported` were, and answers with how many there are now.
    fn report_dropped(&mut self, reported: u64) -> u64 {
        let dropped = self.dropped.load(Ordering::Relaxed);
        // Said in the file once it can be written again; until then it adds up.
        if dropped > reported && self.chain.append(&Entry::dropped(now(), dropped - reported)).is_ok() {
            self.written();
            return dropped;
        }
        reported
    }

    fn add(&mut self, entry: &Entry) {
        match self.chain.append(entry) {
            Ok(()) => self.written(),
            Err(error) => self.lost(&error),
        }
    }

    fn written(&mut self) {
        self.failing = false;
        self.since_checkpoint += 1;
        self.unsigned_since.get_or_insert_with(Instant::now);
    }

    fn lost(&mut self, error: &io::Error) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
        if !std::mem::replace(&mut self.failing, true) {
            let _ = writeln!(
                io::stderr(),
                "portcullis: the audit log cannot be written, entries are being lost: {error}"
            );
        }
    }

    fn checkpoint(&mut self) {
        let message = chain::checkpoint_message(self.chain.next(), self.chain.head());
        let signature = self.key.sign(&message);
        match self.chain.append(&Entry::checkpoint(now(), &self.key.public(), &signature)) {
            Ok(()) => {
                self.since_checkpoint = 0;
                self.unsigned_since = None;
                // What a checkpoint vouches for is to survive a power cut as well; a disk that cannot is reported by writes.
                let _ = self.chain.sync();
                (self.on_head)(self.chain.next() - 1, self.chain.head());
            }
            Err(error) => self.lost(&error),
        }
    }
}

#[cfg(test)]
mod tests;
