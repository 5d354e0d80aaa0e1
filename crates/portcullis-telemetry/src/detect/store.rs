//! How findings survive a restart: a file in the `state_dir`, written whole or not at all, for its owner alone.
//!
//! A file that cannot be read is reported and left as it is until there is something to write; nothing else depends on it.

use portcullis_detect::Finding;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

const FILE: &str = "findings.json";
/// A file beyond this size is not ours.
const LARGEST: u64 = 64 * 1024 * 1024;

/// What an earlier process has found.
pub(super) fn load(folder: &Path) -> io::Result<Vec<Finding>> {
    let file = match fs::File::open(folder.join(FILE)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut text = String::new();
    file.take(LARGEST).read_to_string(&mut text)?;
    serde_json::from_str(&text).map_err(io::Error::other)
}

/// Writes all findings.
pub(super) fn save(folder: &Path, findings: &[Finding]) -> io::Result<()> {
    let hidden = folder.join(format!(".{FILE}.{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&hidden)?;
    serde_json::to_writer(&mut file, findings)?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(hidden, folder.join(FILE))
}
