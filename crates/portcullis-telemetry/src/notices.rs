//! Notices on standard error, and from which level on operators want them.
//!
//! A notice concerns no single request: a reload, a certificate, a store that fails. It goes to the access log, to standard
//! error, where a service manager keeps it even if the log is lost, and to the audit log, which has all of them whatever the
//! level. Nobody waits for standard error: a thread writes, and while it cannot, notices beyond a bound are dropped, and
//! counted in the next one that is written.

use crate::line::printable;
use portcullis_core::Level;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How many notices may wait for standard error.
const QUEUE: usize = 1000;
/// How long the end waits for standard error.
const FAREWELL: Duration = Duration::from_millis(500);

/// Which notices operators want, and standard error.
pub struct Notices {
    /// Of [`Level::ALL`], the first that is wanted; its length if none is.
    from: AtomicU8,
    writer: Option<Writer>,
}

struct Writer {
    queue: Option<SyncSender<String>>,
    dropped: Arc<AtomicU64>,
    ended: Mutex<Receiver<()>>,
}

impl Notices {
    /// All of them, to standard error.
    pub fn to_stderr() -> Notices {
        Notices::to(io::stderr())
    }

    /// All of them, to nobody: a program that embeds a gateway has its own sink.
    pub fn silent() -> Notices {
        Notices { from: AtomicU8::new(0), writer: None }
    }

    /// All of them, to any output. Without a thread, nothing is written there.
    pub fn to(mut output: impl Write + Send + 'static) -> Notices {
        let (queue, notices) = sync_channel::<String>(QUEUE);
        let (end, ended) = sync_channel(1);
        let dropped = Arc::<AtomicU64>::default();
        let counted = Arc::clone(&dropped);
        let thread = std::thread::Builder::new().name("notices".into()).spawn(move || {
            while let Ok(notice) = notices.recv() {
                let missing = counted.swap(0, Ordering::Relaxed);
                if missing > 0 {
                    let _ = writeln!(output, "portcullis: {missing} notices were lost here");
                }
                let _ = output.write_all(notice.as_bytes()).and_then(|()| output.flush());
            }
            let _ = end.send(());
        });
        let writer = thread.ok().map(|_| Writer { queue: Some(queue), dropped, ended: Mutex::new(ended) });
        Notices { from: AtomicU8::new(0), writer }
    }

    /// The lowest level that is wanted; `None` if none is.
    pub fn level(&self) -> Option<Level> {
        Level::ALL.get(usize::from(self.from.load(Ordering::Relaxed))).copied()
    }

    /// From now on, notices of this level and above are wanted; `None`: none.
    pub fn set_level(&self, level: Option<Level>) {
        let place = level.and_then(|level| Level::ALL.iter().position(|one| *one == level));
        let place = u8::try_from(place.unwrap_or(Level::ALL.len())).unwrap_or(u8::MAX);
        self.from.store(place, Ordering::Relaxed);
    }

    /// Whether notices of this level are wanted.
    pub fn wants(&self, level: Level) -> bool {
        self.level().is_some_and(|least| level >= least)
    }

    /// Writes a notice, if it is wanted.
    pub fn tell(&self, level: Level, about: &str, detail: &str) {
        let Some(writer) = self.writer.as_ref().filter(|_| self.wants(level)) else { return };
        let word = match level {
            Level::Info => "",
            Level::Warning => "warning: ",
        };
        let (about, detail) = (printable(about.as_bytes()), printable(detail.as_bytes()));
        let told = writer
            .queue
            .as_ref()
            .is_some_and(|queue| queue.try_send(format!("portcullis: {word}{about}: {detail}\n")).is_ok());
        if !told {
            writer.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        // SECURITY: standard error may be a pipe that nobody reads, so nobody waits for long (a_stuck_output_keeps_nobody).
        let _ = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner).recv_timeout(FAREWELL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Condvar;
    use std::time::Instant;

    /// An output that takes nothing until it is opened.
    #[derive(Clone, Default)]
    struct Gate(Arc<(Mutex<bool>, Condvar, Mutex<String>)>);

    impl Gate {
        fn open() -> Gate {
            let gate = Gate::default();
            *gate.0.0.lock().unwrap() = true;
            gate
        }
        fn text(&self) -> String {
            self.0.2.lock().unwrap().clone()
        }
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let open = self.0.0.lock().unwrap();
            drop(self.0.1.wait_while(open, |open| !*open).unwrap());
            self.0.2.lock().unwrap().push_str(std::str::from_utf8(bytes).unwrap());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_level_decides_which_notices_are_written() {
        let output = Gate::open();
        let notices = Notices::to(output.clone());
        assert_eq!(notices.level(), Some(Level::Info));
        notices.tell(Level::Info, "a", "one");
        notices.set_level(Some(Level::Warning));
        notices.tell(Level::Info, "a", "two");
        notices.tell(Level::Warning, "a", "three\n\u{1b}[2J");
        notices.set_level(None);
        assert_eq!(notices.level(), None);
        notices.tell(Level::Warning, "a", "four");
        drop(notices);
        assert_eq!(output.text(), "portcullis: a: one\nportcullis: warning: a: three\\n\\x1b[2J\n");
    }

    #[test]
    fn a_stuck_output_keeps_nobody() {
        let output = Gate::default();
        let notices = Notices::to(output.clone());
        let begun = Instant::now();
        for _ in 0..3 * QUEUE {
            notices.tell(Level::Info, "a", "b");
        }
        drop(notices);
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
        *output.0.0.lock().unwrap() = true;
        output.0.1.notify_all();
        let until = Instant::now() + Duration::from_secs(10);
        while !output.text().contains("notices were lost here") {
            assert!(Instant::now() < until, "{}", output.text());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
