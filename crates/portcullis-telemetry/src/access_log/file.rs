//! A log file that can be opened again, after somebody has moved it away.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A log file. It is opened again between two chunks of lines, so that no line is in two files.
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    reopen: Arc<AtomicBool>,
}

impl LogFile {
    /// Opens a file to append to it, readable by its owner and group alone where it is made. It is opened again when `reopen`
    /// is set.
    pub(super) fn open(path: &Path, reopen: Arc<AtomicBool>) -> io::Result<LogFile> {
        Ok(LogFile { path: path.to_owned(), file: append(path)?, reopen })
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    /// Called after each chunk.
    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()?;
        if self.reopen.swap(false, Ordering::Relaxed) {
            match append(&self.path) {
                Ok(file) => self.file = file,
                Err(error) => {
                    let told =
                        format!("portcullis: {} cannot be opened again: {error}\n", self.path.display());
                    // SECURITY: standard error may be a pipe that takes nothing, so nobody waits for it
                    // (an_output_that_takes_nothing_stops_nobody).
                    let _ = std::thread::Builder::new().name("access-log-reopen".into()).spawn(move || {
                        let _ = io::stderr().write_all(told.as_bytes());
                    });
                }
            }
        }
        Ok(())
    }
}
