//! What the admin listener keeps in the `state_dir`: a token that was made, and who is blocked.

use crate::document::admin_token;
use portcullis_runtime::blocks::{Block, Blocks};
use serde_json::{Value, json};
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The token of this file, which is made if it is missing, for its owner alone.
pub(crate) fn token(path: &Path) -> io::Result<String> {
    match fs::read_to_string(path) {
        Ok(text) => {
            // SECURITY: a token that others can read is everybody's (a_token_that_others_can_read_is_refused).
            portcullis_permissions::made(&fs::metadata(path)?).map_err(|exposed| {
                let path = path.display();
                io::Error::other(format!("{path} is not private: {exposed}; run `chmod 600 {path}`"))
            })?;
            let token = admin_token(&text).map(str::to_owned);
            token.ok_or_else(|| {
                io::Error::other(format!(
                    "{} does not hold a token; remove it, and one is made",
                    path.display()
                ))
            })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
                fs::create_dir_all(folder)?;
                fs::set_permissions(folder, Permissions::from_mode(0o700))?;
            }
            let token: String = portcullis_admin::random_token();
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
            writeln!(file, "{token}")?;
            Ok(token)
        }
        Err(error) => Err(error),
    }
}

const BLOCKS: &str = "blocks.json";

/// Writes who is blocked, whole or not at all.
pub(crate) fn keep_blocks(folder: &Path, blocks: &Blocks) -> io::Result<()> {
    let all: Vec<_> = blocks
        .list(now())
        .into_iter()
        .map(|(source, block)| {
            json!({
                "source": source, "consumer": block.consumer,
                "until": block.until.as_secs(), "reason": block.reason,
            })
        })
        .collect();
    let hidden = folder.join(format!(".{BLOCKS}.{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&hidden)?;
    writeln!(file, "{:#}", json!({ "blocks": all }))?;
    file.sync_all()?;
    fs::rename(hidden, folder.join(BLOCKS))
}

/// Reads who was blocked when a process before ended. What cannot be read is reported, and nobody is blocked by it.
pub(crate) fn restore_blocks(folder: &Path, blocks: &Blocks) -> io::Result<()> {
    let text = match fs::read_to_string(folder.join(BLOCKS)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let json: Value = serde_json::from_str(&text).map_err(io::Error::other)?;
    for block in json.get("blocks").and_then(Value::as_array).into_iter().flatten() {
        let source = block.get("source").and_then(Value::as_str).and_then(|text| text.parse::<IpAddr>().ok());
        let until = block.get("until").and_then(Value::as_u64).map(Duration::from_secs);
        let reason = block.get("reason").and_then(Value::as_str).unwrap_or_default().to_owned();
        if let (Some(source), Some(until)) = (source, until)
            && until > now()
        {
            let consumer = block.get("consumer").and_then(Value::as_str).map(str::to_owned);
            let _full = blocks.block(source, Block { consumer, until, reason }, now());
        }
    }
    Ok(())
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
