//! One line per request, to standard output, a file or syslog.
//!
//! | module        | decides                                                  |
//! |---------------|----------------------------------------------------------|
//! | [`style`]       | what a line looks like, and which requests get one       |
//! | [`field`]       | what can stand in a line                                 |
//! | [`addresses`]   | how addresses are written                                |
//! | [`file`]        | when a file is rotated, and what of it is kept           |
//! | [`syslog`]      | how a line becomes a message                             |
//! | `queue`         | for how long anybody waits                               |
//!
//! Each worker writes into a buffer of its own. One thread owns the output: ten times a second it collects the buffers, and
//! a worker whose buffer is full queues it. Only that thread ever waits for the output. Where the queue has no room, the
//! log either makes workers wait, for one second in all until the output takes something again, or it does not; then lines
//! are dropped and counted ([`OnFull`]). If the output fails, its lines are lost and counted likewise. A loss is reported
//! on standard error when it begins, and in the log when it is over. The end waits for the output for a bounded time.

pub mod addresses;
pub mod field;
pub mod file;
mod queue;
pub mod style;
pub mod syslog;

use crate::line;
pub use addresses::Addresses;
pub(crate) use addresses::Shown;
pub use field::Field;
use file::LogFile;
pub use file::Rotation;
use portcullis_core::{Level, Plan, Record, RecordSink};
use queue::Queue;
use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
pub use style::{Format, Style, Template};
use syslog::Syslog;

/// How long a line may wait in its buffer.
const INTERVAL: Duration = Duration::from_millis(100);
/// How many bytes a buffer holds before its worker queues them.
const FULL: usize = 64 * 1024;
/// How many bytes are queued at most: what all workers write in a moment, and little beside the memory of a process.
const ROOM: usize = 4 * 1024 * 1024;
/// How long workers wait for an output that takes nothing, all in all.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long the end waits for an output that takes nothing.
const FAREWELL: Duration = Duration::from_secs(1);

/// What happens to log lines if the output is too slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnFull {
    /// Workers wait, so that a slow output slows the gateway down. If it takes nothing for one second, lines are dropped
    /// and counted until it does.
    #[default]
    Wait,
    /// Lines are dropped and counted at once. No request waits.
    Drop,
}

type Buffer = Mutex<Vec<u8>>;

struct Shared {
    id: u64,
    queue: Queue,
    on_full: OnFull,
    style: Style,
    buffers: Mutex<Vec<Arc<Buffer>>>,
    lost: AtomicU64,
    /// Lines that were lost since the log last told.
    untold: AtomicU64,
    /// Whether a loss is being reported on standard error.
    reporting: Arc<AtomicBool>,
}

/// The access log. Everything is written when it is dropped, unless the output takes nothing for a second.
pub struct AccessLog {
    shared: Arc<Shared>,
    /// Tells a file that it is to be opened again.
    reopen: Option<Arc<AtomicBool>>,
}

impl AccessLog {
    /// Lines go to standard output.
    ///
    /// # Errors
    /// Standard output is closed, or no thread can be started.
    pub fn stdout(on_full: OnFull, style: Style) -> io::Result<AccessLog> {
        // Past the lock of the standard library, for which others would wait while the output takes nothing.
        let output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        AccessLog::styled(output, on_full, style)
    }

    /// Lines are appended to a file, which is made if it is missing, readable by its owner and group alone.
    ///
    /// # Errors
    /// The file cannot be opened, or no thread can be started.
    pub fn file(
        path: &Path,
        on_full: OnFull,
        style: Style,
        rotation: Option<Rotation>,
    ) -> io::Result<AccessLog> {
        let reopen = Arc::new(AtomicBool::new(false));
        let mut log = AccessLog::styled(LogFile::open(path, rotation, Arc::clone(&reopen))?, on_full, style)?;
        log.reopen = Some(reopen);
        Ok(log)
    }

    /// Each line is a message to a syslog server. One that is down keeps nobody from starting.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn syslog(settings: syslog::Settings, on_full: OnFull, style: Style) -> io::Result<AccessLog> {
        AccessLog::styled(Syslog::new(settings), on_full, style)
    }

    /// Opens the file again by its name, as after a rotation: what was written goes to the old file, and everything else to
    /// the new one, within a fraction of a second. Does nothing to standard output. If the file cannot be opened, the old one
    /// is written on, and standard error says so.
    pub fn reopen(&self) {
        if let Some(reopen) = &self.reopen {
            reopen.store(true, Ordering::Relaxed);
            // The thread looks after it has written.
            self.flush();
        }
    }

    /// Lines go to any writer.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn to(output: impl Write + Send + 'static, on_full: OnFull) -> io::Result<AccessLog> {
        AccessLog::styled(output, on_full, Style::default())
    }

    fn styled(output: impl Write + Send + 'static, on_full: OnFull, style: Style) -> io::Result<AccessLog> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let shared = Arc::new(Shared {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            queue: Queue::new(ROOM),
            on_full,
            style,
            buffers: Mutex::default(),
            lost: AtomicU64::new(0),
            untold: AtomicU64::new(0),
            reporting: Arc::default(),
        });
        let on_thread = Arc::clone(&shared);
        std::thread::Builder::new().name("access-log".into()).spawn(move || on_thread.run(output))?;
        Ok(AccessLog { shared, reopen: None })
    }

    /// Has a notice as a line, if lines are JSON.
    fn tell(&self, level: Level, about: &str, detail: &str) {
        if !self.shared.style.is_json() {
            return;
        }
        let mut line = Vec::new();
        // Writing into memory cannot fail.
        let _ = line::write_notice(unix_now(), level, about, detail, &mut line);
        self.shared.queue(line, Duration::ZERO);
    }

    /// Lines that the output did not take.
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// Brings everything to the output, and waits for at most a second until that is done. Whether it is.
    pub fn flush(&self) -> bool {
        self.shared.queue.wait_until_written(FAREWELL)
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // A poisoned lock guards bytes that are either whole or ours to drop; the log goes on.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn count(lines: &[u8]) -> u64 {
    lines.iter().filter(|byte| **byte == b'\n').count() as u64
}

impl Shared {
    /// What the thread does that owns the output.
    fn run(&self, mut output: impl Write) {
        while let Some(lines) = self.queue.next(INTERVAL, || self.collect()) {
            match output.write_all(&lines).and_then(|()| output.flush()) {
                Ok(()) => self.tell(&mut output),
                Err(error) => self.lose(&lines, &error.to_string()),
            }
            self.queue.written();
        }
    }

    /// Everything that stands in the buffers of workers.
    fn collect(&self) -> Vec<u8> {
        let mut buffers = lock(&self.buffers);
        let mut lines = Vec::new();
        for buffer in buffers.iter() {
            lines.append(&mut lock(buffer));
        }
        // A buffer whose worker has ended is held by nobody else.
        buffers.retain(|buffer| Arc::strong_count(buffer) > 1);
        lines
    }

    fn queue(&self, lines: Vec<u8>, patience: Duration) {
        if let Err(lines) = self.queue.push(lines, patience) {
            self.lose(&lines, "the output takes nothing");
        }
    }

    fn lose(&self, lines: &[u8], why: &str) {
        let lost = count(lines);
        self.lost.fetch_add(lost, Ordering::Relaxed);
        if self.untold.fetch_add(lost, Ordering::Relaxed) > 0 || self.reporting.swap(true, Ordering::Relaxed)
        {
            return;
        }
        // SECURITY: standard error may be the very pipe that takes nothing, so nobody waits for it
        // (an_output_that_takes_nothing_stops_nobody).
        let (reporting, why) = (Arc::clone(&self.reporting), why.to_owned());
        let reported = std::thread::Builder::new().name("access-log-loss".into()).spawn(move || {
            let _ = writeln!(
                io::stderr(),
                "portcullis: the access log cannot be written, lines are being lost: {why}"
            );
            reporting.store(false, Ordering::Relaxed);
        });
        if reported.is_err() {
            self.reporting.store(false, Ordering::Relaxed);
        }
    }

    /// Says in the log what is missing from it, now that the output takes lines again.
    fn tell(&self, output: &mut impl Write) {
        let missing = self.untold.load(Ordering::Relaxed);
        if missing == 0 || !self.style.is_json() {
            return;
        }
        let detail = format!("{missing} lines were lost, since the output did not take them");
        let mut notice = Vec::new();
        // Writing into memory cannot fail.
        let _ = line::write_notice(unix_now(), Level::Warning, "the access log", &detail, &mut notice);
        if output.write_all(&notice).and_then(|()| output.flush()).is_ok() {
            self.untold.fetch_sub(missing, Ordering::Relaxed);
        }
    }
}

fn unix_now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The buffer that a thread keeps for one log.
struct Mine {
    log: Weak<Shared>,
    id: u64,
    buffer: Arc<Buffer>,
}

thread_local! {
    static BUFFERS: RefCell<Vec<Mine>> = const { RefCell::new(Vec::new()) };
}

impl RecordSink for AccessLog {
    fn wants_agent(&self) -> bool {
        self.shared.style.has(|field| matches!(field, Field::Referer | Field::UserAgent))
    }

    fn notice(&self, about: &str, detail: &str) {
        self.tell(Level::Info, about, detail);
    }

    fn warn(&self, about: &str, detail: &str) {
        self.tell(Level::Warning, about, detail);
    }

    fn write(&self, record: &Record, plan: &Plan) {
        if !self.shared.style.takes(record) {
            return;
        }
        BUFFERS.with_borrow_mut(|buffers| {
            let place = match buffers.iter().position(|mine| mine.id == self.shared.id) {
                Some(place) => place,
                None => {
                    // Whatever log has ended in the meantime is forgotten here.
                    buffers.retain(|mine| mine.log.strong_count() > 0);
                    let buffer = Arc::<Buffer>::default();
                    lock(&self.shared.buffers).push(Arc::clone(&buffer));
                    buffers.push(Mine { log: Arc::downgrade(&self.shared), id: self.shared.id, buffer });
                    buffers.len() - 1
                }
            };
            let Some(Mine { buffer, .. }) = buffers.get(place) else { return };
            let mut lines = lock(buffer);
            // Writing into memory cannot fail.
            let _ = self.shared.style.write(record, plan, &mut *lines);
            if lines.len() >= FULL {
                let full = std::mem::replace(&mut *lines, Vec::with_capacity(FULL + FULL / 8));
                drop(lines);
                let patience = match self.shared.on_full {
                    OnFull::Wait => PATIENCE,
                    OnFull::Drop => Duration::ZERO,
                };
                self.shared.queue(full, patience);
            }
        });
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        // SECURITY: an output that takes nothing must not keep the process from ending
        // (an_output_that_takes_nothing_stops_nobody). Its thread ends with the process.
        self.shared.queue.end(FAREWELL);
    }
}

#[cfg(test)]
mod tests;
