//! What the owner of a gateway can ask it while it serves, by a Unix socket in its `state_dir`.
//!
//! One line is one question, one line of JSON its answer. Only the user as whom the gateway runs, and root, can connect: the
//! socket has the mode 0600, and whoever connects is asked for who it is besides. Nothing can be changed this way.

use crate::observe;
use crate::reload::Reloader;
use portcullis_runtime::Background;
use serde_json::{Value, json};
use std::fs::{self, Permissions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::AbortHandle;

/// The name of the socket in the `state_dir`.
const NAME: &str = "portcullis.sock";
/// The longest question in bytes.
const MAX_QUESTION: u64 = 4096;
/// How long a question and its answer may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long nothing is accepted after the operating system has refused to.
const PAUSE: Duration = Duration::from_millis(100);

/// The socket of a gateway that serves. Dropped, it is gone.
pub(crate) struct Control {
    path: PathBuf,
    inode: u64,
    task: AbortHandle,
}

impl Control {
    /// Answers questions in this folder, which is made if it is missing. A socket that a process before has left there is
    /// replaced.
    pub(crate) fn bind(folder: &Path, reloader: Reloader, background: &Background) -> io::Result<Control> {
        if !folder.exists() {
            fs::create_dir_all(folder)?;
            fs::set_permissions(folder, Permissions::from_mode(0o700))?;
        }
        let path = folder.join(NAME);
        // Under another name until it has its mode, so that nobody finds it before.
        let hidden = folder.join(format!(".{NAME}.{}", std::process::id()));
        let _ = fs::remove_file(&hidden);
        let listener = {
            let _inside = background.handle().enter();
            UnixListener::bind(&hidden)?
        };
        fs::set_permissions(&hidden, Permissions::from_mode(0o600))?;
        fs::rename(&hidden, &path)?;
        let inode = fs::symlink_metadata(&path)?.ino();
        let task = background.handle().spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => {
                        let reloader = reloader.clone();
                        tokio::spawn(async move {
                            let _late = tokio::time::timeout(PATIENCE, answer(stream, &reloader)).await;
                        });
                    }
                    Err(_) => tokio::time::sleep(PAUSE).await,
                }
            }
        });
        Ok(Control { path, inode, task: task.abort_handle() })
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.task.abort();
        // A process that has taken its place has a socket of its own there.
        if fs::symlink_metadata(&self.path).is_ok_and(|there| there.ino() == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

async fn answer(stream: UnixStream, reloader: &Reloader) -> io::Result<()> {
    // SECURITY: also where the mode of the socket was changed (only_the_owner_is_answered).
    let user = stream.peer_cred()?.uid();
    if user != 0 && user != portcullis_runtime::aside::user() {
        return Ok(());
    }
    let (reading, mut writing) = stream.into_split();
    let mut question = String::new();
    tokio::io::BufReader::new(reading.take(MAX_QUESTION)).read_line(&mut question).await?;
    let answer = match question.trim().split_once(' ').unwrap_or((question.trim(), "")) {
        ("status", "") => reloader.status().json(),
        ("top", "") => match reloader.watch_of_operators() {
            Some(watch) => observe::top(&watch, reloader.seen().detection.as_deref()),
            None => json!({ "error": "nothing is kept of requests" }),
        },
        ("why", id) => reloader.why(id).unwrap_or_else(
            || json!({ "error": "no recent refusal has this request id; look for it in the access log" }),
        ),
        _ => json!({ "error": "this is not a question; ask `status`, `top` or `why REQUEST_ID`" }),
    };
    writing.write_all(format!("{answer}\n").as_bytes()).await
}

/// Asks the gateway that has this `state_dir`.
///
/// # Errors
/// No gateway answers there, or its answer is none.
pub fn ask(state_dir: &Path, question: &str) -> io::Result<Value> {
    let mut stream = BlockingStream::connect(state_dir.join(NAME))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{question}\n").as_bytes())?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    serde_json::from_str(&answer).map_err(io::Error::other)
}
