//! Reading a file that a configuration or a person names: so many bytes at most, and without waiting for ever.
//!
//! A name can lead anywhere: to a pipe that nobody writes to, to a terminal, to a device without an end. A regular file is read at
//! once. Anything else is read on a thread of its own, which is given up after some seconds.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;
use zeroize::Zeroizing;

/// How long a pipe or a device may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The bytes of a file, of which there may be so many. No copies are left behind in memory.
///
/// # Errors
/// It cannot be read, is larger, or is a pipe or device that does not come to an end in five seconds.
pub fn bytes(path: &Path, limit: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    let file_type = std::fs::metadata(path)?.file_type();
    if file_type.is_file() || file_type.is_dir() {
        return read(path, limit);
    }
    // SECURITY: a reload that waits for a pipe would keep every later one waiting (what_has_no_end_is_given_up).
    within(PATIENCE, path.to_owned(), limit)
}

/// The same as text.
///
/// # Errors
/// As [`bytes`], and if it is not UTF-8.
pub fn text(path: &Path, limit: u64) -> io::Result<Zeroizing<String>> {
    let mut bytes = bytes(path, limit)?;
    match String::from_utf8(std::mem::take(&mut *bytes)) {
        Ok(text) => Ok(Zeroizing::new(text)),
        Err(error) => {
            drop(Zeroizing::new(error.into_bytes()));
            Err(io::Error::new(ErrorKind::InvalidData, "stream did not contain valid UTF-8"))
        }
    }
}

fn read(path: &Path, limit: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    let file = File::open(path)?;
    // A pipe or device says nothing of its length.
    let length = file.metadata()?.len().max(4096);
    if length > limit.max(4096) {
        return Err(ErrorKind::FileTooLarge.into());
    }
    // One more, so that the end is found without a larger buffer.
    let capacity = usize::try_from(length).unwrap_or(4096).saturating_add(1);
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    match u64::try_from(bytes.len()) {
        Ok(length) if length <= limit => Ok(bytes),
        _ => Err(ErrorKind::FileTooLarge.into()),
    }
}

fn within(patience: Duration, path: PathBuf, limit: u64) -> io::Result<Zeroizing<Vec<u8>>> {
    let (done, result) = mpsc::sync_channel(1);
    std::thread::Builder::new().name("read-file".into()).spawn(move || {
        let _given_up = done.send(read(&path, limit));
    })?;
    result.recv_timeout(patience).unwrap_or_else(|_| {
        Err(io::Error::new(ErrorKind::TimedOut, "it is a pipe or device that does not come to an end"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;
    use std::time::Instant;

    #[test]
    fn what_has_no_end_is_given_up() {
        let folder = std::env::temp_dir().join(format!("portcullis-reading-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = |name: &str| folder.join(name);
        std::fs::write(file("five"), "12345").unwrap();
        assert_eq!(*text(&file("five"), 5).unwrap(), "12345");
        assert_eq!(text(&file("five"), 4).unwrap_err().kind(), ErrorKind::FileTooLarge);
        assert!(bytes(&folder, 5).is_err(), "a folder");
        // A pipe that somebody writes to is a file like any other; one that nobody opens is given up. The thread that was given
        // up still reads its pipe, so there are two.
        let pipes = [file("silent"), file("written")];
        assert!(Command::new("mkfifo").args(&pipes).status().unwrap().success());
        let begun = Instant::now();
        let given_up = within(Duration::from_millis(50), file("silent"), 5).unwrap_err();
        assert_eq!(given_up.kind(), ErrorKind::TimedOut);
        assert!(begun.elapsed() < PATIENCE);
        std::fs::write(file("silent"), "123").unwrap();
        let written = file("written");
        let writer = std::thread::spawn(move || std::fs::write(written, "123").unwrap());
        assert_eq!(*text(&file("written"), 5).unwrap(), "123");
        writer.join().unwrap();
        // A device without an end, also behind a symbolic link.
        std::os::unix::fs::symlink("/dev/zero", file("link")).unwrap();
        assert_eq!(bytes(&file("link"), 5).unwrap_err().kind(), ErrorKind::FileTooLarge);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
