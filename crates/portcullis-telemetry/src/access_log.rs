//! One line per request, to standard output or a file.
//!
//! Each worker writes into a buffer of its own; a thread brings the buffers to the output ten times a second. A buffer
//! that is full is brought there by its worker, which waits if it must: a slow output slows the gateway down, and no
//! line is lost. If the output fails, the lines are lost, the loss is reported once on standard error, and counted.

use crate::line;
use portcullis_core::{Plan, Record, RecordSink};
use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long a line may wait in its buffer.
const INTERVAL: Duration = Duration::from_millis(100);
/// How many bytes a buffer holds before its worker brings them to the output itself.
const FULL: usize = 64 * 1024;

type Buffer = Mutex<Vec<u8>>;

struct Shared {
    id: u64,
    output: Mutex<Box<dyn Write + Send>>,
    buffers: Mutex<Vec<Arc<Buffer>>>,
    stop: Mutex<bool>,
    stopped: Condvar,
    lost: AtomicU64,
    failing: AtomicBool,
}

/// The access log. Everything is written when it is dropped.
pub struct AccessLog {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

impl AccessLog {
    /// Lines go to standard output.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn stdout() -> io::Result<AccessLog> {
        AccessLog::to(io::stdout())
    }

    /// Lines are appended to a file, which is made if it is missing, readable by its owner and group alone.
    ///
    /// # Errors
    /// The file cannot be opened, or no thread can be started.
    pub fn file(path: &Path) -> io::Result<AccessLog> {
        let file: File = OpenOptions::new().append(true).create(true).mode(0o640).open(path)?;
        AccessLog::to(file)
    }

    /// Lines go to any writer.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn to(output: impl Write + Send + 'static) -> io::Result<AccessLog> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let shared = Arc::new(Shared {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            output: Mutex::new(Box::new(output)),
            buffers: Mutex::default(),
            stop: Mutex::new(false),
            stopped: Condvar::new(),
            lost: AtomicU64::new(0),
            failing: AtomicBool::new(false),
        });
        let on_thread = Arc::clone(&shared);
        let writer = std::thread::Builder::new().name("access-log".into()).spawn(move || on_thread.run())?;
        Ok(AccessLog { shared, writer: Some(writer) })
    }

    /// Lines that the output did not take.
    pub fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// Brings everything to the output now.
    pub fn flush(&self) {
        self.shared.flush();
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // A poisoned lock guards bytes that are either whole or ours to drop; the log goes on.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn run(&self) {
        let mut stop = lock(&self.stop);
        while !*stop {
            let (guard, _) =
                self.stopped.wait_timeout(stop, INTERVAL).unwrap_or_else(PoisonError::into_inner);
            stop = guard;
            let last = *stop;
            drop(stop);
            self.flush();
            stop = lock(&self.stop);
            if last {
                return;
            }
        }
        drop(stop);
        self.flush();
    }

    fn flush(&self) {
        let buffers = lock(&self.buffers).clone();
        for buffer in &buffers {
            let lines = std::mem::take(&mut *lock(buffer));
            self.bring(&lines);
        }
        drop(buffers);
        // A buffer whose worker has ended is held by nobody else.
        lock(&self.buffers).retain(|buffer| Arc::strong_count(buffer) > 1 || !lock(buffer).is_empty());
        if let Err(error) = lock(&self.output).flush() {
            self.report(&error);
        }
    }

    fn bring(&self, lines: &[u8]) {
        if lines.is_empty() {
            return;
        }
        match lock(&self.output).write_all(lines) {
            Ok(()) => self.failing.store(false, Ordering::Relaxed),
            Err(error) => {
                let count = lines.iter().filter(|byte| **byte == b'\n').count();
                self.lost.fetch_add(count as u64, Ordering::Relaxed);
                self.report(&error);
            }
        }
    }

    fn report(&self, error: &io::Error) {
        if !self.failing.swap(true, Ordering::Relaxed) {
            let _ = writeln!(
                io::stderr(),
                "portcullis: the access log cannot be written, lines are being lost: {error}"
            );
        }
    }
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
    fn notice(&self, about: &str, detail: &str) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut line = Vec::new();
        // Writing into memory cannot fail.
        let _ = line::write_notice(now, about, detail, &mut line);
        self.shared.bring(&line);
    }

    fn write(&self, record: &Record, plan: &Plan) {
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
            let _ = line::write(record, plan, &mut *lines);
            if lines.len() >= FULL {
                let full = std::mem::replace(&mut *lines, Vec::with_capacity(FULL + FULL / 8));
                drop(lines);
                self.shared.bring(&full);
            }
        });
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        *lock(&self.shared.stop) = true;
        self.shared.stopped.notify_all();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
        self.shared.flush();
    }
}

#[cfg(test)]
mod tests;
