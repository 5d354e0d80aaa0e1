//! What the owner of a gateway can ask it while it serves, by a Unix socket in its `state_dir`.
//!
//! One line is one question, one line of JSON its answer. Only the user as whom the gateway runs, and root, can connect: the
//! socket has the mode 0600, and whoever connects is asked for who it is besides. Nothing can be changed this way.

use crate::observe;
use crate::reload::Reloader;
use crate::takeover;
use portcullis_runtime::Background;
use serde_json::{Value, json};
use std::fs::{self, Permissions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Notify;
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
    pub(crate) fn bind(
        folder: &Path,
        reloader: Reloader,
        retired: Arc<Notify>,
        background: &Background,
    ) -> io::Result<Control> {
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
                        let (reloader, retired) = (reloader.clone(), Arc::clone(&retired));
                        tokio::spawn(async move {
                            let answered = tokio::time::timeout(PATIENCE, answer(stream, &reloader)).await;
                            if let Ok(Ok(Some(successor))) = answered {
                                hand_over(successor, &reloader, &retired);
                            }
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

/// Hands the sockets to another process, and has this one end as soon as that one serves.
fn hand_over(successor: BlockingStream, reloader: &Reloader, retired: &Arc<Notify>) {
    let (reloader, retired) = (reloader.clone(), Arc::clone(retired));
    // It waits for minutes, on a thread that serves nobody.
    let _no_thread = portcullis_runtime::aside::aside("portcullis-takeover", move || {
        let handed = reloader.sockets().and_then(|sockets| takeover::hand_over(&successor, &sockets));
        match handed {
            Ok(true) => retired.notify_one(),
            Ok(false) => {
                reloader.say("takeover", "another process had the sockets, and ended before it served")
            }
            Err(error) => reloader.say("takeover", &format!("the sockets were not handed over: {error}")),
        }
    });
}

/// Answers a question. What comes back is who asked for the sockets, and must have them.
async fn answer(stream: UnixStream, reloader: &Reloader) -> io::Result<Option<BlockingStream>> {
    // SECURITY: also where the mode of the socket was changed (only_the_owner_is_answered).
    let user = stream.peer_cred()?.uid();
    if user != 0 && user != portcullis_runtime::aside::user() {
        return Ok(None);
    }
    let (reading, mut writing) = stream.into_split();
    let mut question = String::new();
    let mut reading = tokio::io::BufReader::new(reading.take(MAX_QUESTION));
    reading.read_line(&mut question).await?;
    if question.trim() == takeover::QUESTION {
        let stream =
            reading.into_inner().into_inner().reunite(writing).map_err(io::Error::other)?.into_std()?;
        stream.set_nonblocking(false)?;
        return Ok(Some(stream));
    }
    let answer = match question.trim().split_once(' ').unwrap_or((question.trim(), "")) {
        ("status", "") => reloader.status().json(),
        ("top", "") => match reloader.watch_of_operators() {
            Some(watch) => observe::top(&watch, reloader.seen().detection.as_deref()),
            None => json!({ "error": "nothing is kept of requests" }),
        },
        ("operations", "") => {
            portcullis_admin::operations_json(&observe::operations::of(&reloader.seen().plan))
        }
        ("why", id) => reloader.why(id).unwrap_or_else(
            || json!({ "error": "no recent refusal has this request id; look for it in the access log" }),
        ),
        _ => {
            json!({ "error": "this is not a question; ask `status`, `top`, `operations` or `why REQUEST_ID`" })
        }
    };
    writing.write_all(format!("{answer}\n").as_bytes()).await?;
    Ok(None)
}

/// The socket of the gateway that has this `state_dir`.
pub(crate) fn socket(state_dir: &Path) -> PathBuf {
    state_dir.join(NAME)
}

/// Asks the gateway that has this `state_dir`.
///
/// # Errors
/// No gateway answers there, or its answer is none.
pub fn ask(state_dir: &Path, question: &str) -> io::Result<Value> {
    let mut stream = BlockingStream::connect(socket(state_dir))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{question}\n").as_bytes())?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    serde_json::from_str(&answer).map_err(io::Error::other)
}
