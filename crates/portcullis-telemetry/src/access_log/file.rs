//! A log file that can be opened again after somebody has moved it away, and that the gateway itself can rotate.
//!
//! Rotated files are `NAME.1`, the latest, to `NAME.N`. Those beyond the number or the age that is kept are deleted, at each
//! rotation and once a minute, also while no request comes. If a file cannot be rotated, the old one is written on, and
//! standard error says so; the next try is a minute later.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How often it is looked for files that are too old, and how long a rotation that failed is left alone.
const PAUSE: Duration = Duration::from_secs(60);
/// So many files beyond those that are kept are looked for, since more may have been kept before.
const BEYOND: u32 = 100;

/// When a file is rotated, and how much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// A file that has reached so many bytes is rotated. `None`: its size does not matter.
    pub bytes: Option<u64>,
    /// A file is rotated at each multiple of this time since 1970 in UTC; with 24 hours, at midnight. `None`: time does not
    /// matter.
    pub every: Option<Duration>,
    /// How many rotated files are kept, at least 1.
    pub keep: u32,
    /// Rotated files that were last written so long ago are deleted. `None`: age does not matter.
    pub keep_for: Option<Duration>,
}

impl Rotation {
    /// In which of its times a moment lies.
    fn period(self, now: SystemTime) -> Option<u128> {
        let every = self.every.map(|every| every.as_millis()).filter(|every| *every > 0)?;
        now.duration_since(UNIX_EPOCH).ok().map(|since| since.as_millis() / every)
    }
}

/// A log file. It is opened again, and rotated, between two chunks of lines, so that no line is in two files.
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    bytes: u64,
    /// The time in which its first line was written.
    period: Option<u128>,
    rotation: Option<Rotation>,
    reopen: Arc<AtomicBool>,
    /// When to look for old files, and after a failure to rotate, next.
    next_look: SystemTime,
    not_before: SystemTime,
}

impl LogFile {
    /// Opens a file to append to it, readable by its owner and group alone where it is made. It is opened again when `reopen`
    /// is set.
    pub(super) fn open(
        path: &Path,
        rotation: Option<Rotation>,
        reopen: Arc<AtomicBool>,
    ) -> io::Result<LogFile> {
        let file = append(path)?;
        let mut log = LogFile {
            path: path.to_owned(),
            file,
            bytes: 0,
            period: None,
            rotation,
            reopen,
            next_look: UNIX_EPOCH,
            not_before: UNIX_EPOCH,
        };
        log.look_at_file()?;
        Ok(log)
    }

    /// What stands in the file already, and since when: a restart goes on with a file that is to be rotated today.
    fn look_at_file(&mut self) -> io::Result<()> {
        let there = self.file.metadata()?;
        self.bytes = there.len();
        let written = there.modified().ok().filter(|_| self.bytes > 0);
        self.period = self.rotation.zip(written).and_then(|(rotation, written)| rotation.period(written));
        Ok(())
    }

    fn rotated(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    }

    fn is_due(&self, rotation: Rotation, now: SystemTime) -> bool {
        let full = rotation.bytes.is_some_and(|most| self.bytes >= most);
        let over = self.period.zip(rotation.period(now)).is_some_and(|(then, now)| then != now);
        self.bytes > 0 && (full || over) && now >= self.not_before
    }

    fn rotate(&mut self, rotation: Rotation) -> io::Result<()> {
        for number in (1..rotation.keep).rev() {
            match fs::rename(self.rotated(number), self.rotated(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        match fs::rename(&self.path, self.rotated(1)) {
            // Somebody else has moved it away; it is made anew.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        self.open_again()
    }

    /// Deletes what is too old or too many. What cannot be deleted stays until the next time.
    fn delete_old(&self, rotation: Rotation, now: SystemTime) {
        for number in 1..=rotation.keep.saturating_add(BEYOND) {
            let path = self.rotated(number);
            let Ok(written) = fs::metadata(&path).and_then(|data| data.modified()) else { continue };
            let age = now.duration_since(written).unwrap_or_default();
            if number > rotation.keep || rotation.keep_for.is_some_and(|most| age >= most) {
                let _ = fs::remove_file(path);
            }
        }
    }

    fn open_again(&mut self) -> io::Result<()> {
        self.file = append(&self.path)?;
        self.look_at_file()
    }

    /// What is to be done between two chunks.
    fn look_after(&mut self, now: SystemTime) {
        let mut result = Ok(());
        if self.reopen.swap(false, Ordering::Relaxed) {
            result = self.open_again().map_err(|error| ("opened again", error));
        }
        if let Some(rotation) = self.rotation {
            if self.is_due(rotation, now) {
                let rotated = self.rotate(rotation);
                self.next_look = UNIX_EPOCH;
                if rotated.is_err() {
                    self.not_before = now + PAUSE;
                }
                result = result.and(rotated.map_err(|error| ("rotated", error)));
            }
            // A clock that was set back is looked at likewise.
            if now >= self.next_look || self.next_look > now + PAUSE {
                self.delete_old(rotation, now);
                self.next_look = now + PAUSE;
            }
            if self.period.is_none() && self.bytes > 0 {
                self.period = rotation.period(now);
            }
        }
        if let Err((what, error)) = result {
            let told = format!("portcullis: {} cannot be {what}: {error}\n", self.path.display());
            // SECURITY: standard error may be a pipe that takes nothing, so nobody waits for it
            // (an_output_that_takes_nothing_stops_nobody).
            let _ = std::thread::Builder::new().name("access-log-reopen".into()).spawn(move || {
                let _ = io::stderr().write_all(told.as_bytes());
            });
        }
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o640).open(path)
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.bytes = self.bytes.saturating_add(written as u64);
        Ok(written)
    }

    /// Called after each chunk, and ten times a second while there is none.
    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()?;
        self.look_after(SystemTime::now());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let folder = std::env::temp_dir().join(format!("portcullis-{name}-{}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            Folder(folder)
        }

        fn names(&self) -> Vec<String> {
            let mut names: Vec<_> = fs::read_dir(&self.0)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    const BY_SIZE: Rotation =
        Rotation { bytes: Some(100), every: None, keep: 3, keep_for: Some(Duration::from_secs(3600)) };

    #[test]
    fn a_rotated_log_keeps_so_many_files_and_every_line_of_them() {
        let folder = Folder::new("rotation");
        let path = folder.0.join("access.log");
        let mut log = LogFile::open(&path, Some(BY_SIZE), Arc::default()).unwrap();
        for number in 0..100 {
            log.write_all(format!("line {number:03} of them\n").as_bytes()).unwrap();
            log.flush().unwrap();
        }
        assert_eq!(folder.names(), ["access.log", "access.log.1", "access.log.2", "access.log.3"]);
        let text: String = ["access.log.3", "access.log.2", "access.log.1", "access.log"]
            .map(|name| fs::read_to_string(folder.0.join(name)).unwrap())
            .concat();
        let numbers: Vec<usize> =
            text.lines().map(|line| line.split(' ').nth(1).unwrap().parse().unwrap()).collect();
        assert_eq!(numbers, (100 - numbers.len()..100).collect::<Vec<_>>(), "in their order, none missing");
    }

    #[test]
    fn what_is_too_old_or_too_many_is_deleted_also_while_nothing_is_written() {
        let folder = Folder::new("retention");
        let path = folder.0.join("access.log");
        for name in ["access.log.1", "access.log.2", "access.log.3", "access.log.9", "other.log.1"] {
            fs::write(folder.0.join(name), "a line\n").unwrap();
        }
        let mut log = LogFile::open(&path, Some(BY_SIZE), Arc::default()).unwrap();
        let now = SystemTime::now();
        log.look_after(now);
        assert_eq!(
            folder.names(),
            ["access.log", "access.log.1", "access.log.2", "access.log.3", "other.log.1"]
        );
        log.look_after(now + Duration::from_secs(3500));
        assert_eq!(folder.names().len(), 5);
        log.look_after(now + Duration::from_secs(3700));
        assert_eq!(folder.names(), ["access.log", "other.log.1"]);
    }

    #[test]
    fn a_log_is_rotated_at_midnight_also_after_a_restart() {
        let folder = Folder::new("midnight");
        let path = folder.0.join("access.log");
        let day = Duration::from_secs(24 * 3600);
        let daily = Rotation { bytes: None, every: Some(day), keep: 7, keep_for: None };
        let mut log = LogFile::open(&path, Some(daily), Arc::default()).unwrap();
        let noon = UNIX_EPOCH + day * 20_000 + day / 2;
        log.look_after(noon);
        log.look_after(noon + day);
        assert_eq!(folder.names(), ["access.log"], "nothing in it");
        log.write_all(b"the first day\n").unwrap();
        log.look_after(noon);
        log.look_after(noon + day / 2 - Duration::from_secs(1));
        assert_eq!(folder.names(), ["access.log"]);
        log.look_after(noon + day / 2);
        assert_eq!(folder.names(), ["access.log", "access.log.1"]);
        log.write_all(b"the second day\n").unwrap();
        log.file.set_modified(noon + day).unwrap();
        drop(log);
        let mut log = LogFile::open(&path, Some(daily), Arc::default()).unwrap();
        log.look_after(noon + day);
        assert_eq!(folder.names(), ["access.log", "access.log.1"]);
        log.look_after(noon + day * 2);
        assert_eq!(folder.names(), ["access.log", "access.log.1", "access.log.2"]);
        assert_eq!(fs::read_to_string(folder.0.join("access.log.1")).unwrap(), "the second day\n");
    }

    #[test]
    fn a_log_that_cannot_be_rotated_is_written_on() {
        let folder = Folder::new("stuck");
        let path = folder.0.join("access.log");
        // A folder that is not empty cannot be replaced.
        fs::create_dir_all(folder.0.join("access.log.1/x")).unwrap();
        let one = Rotation { keep: 1, ..BY_SIZE };
        let mut log = LogFile::open(&path, Some(one), Arc::default()).unwrap();
        for _ in 0..20 {
            log.write_all(b"a line that stays\n").unwrap();
            log.flush().unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 20);
    }
}
