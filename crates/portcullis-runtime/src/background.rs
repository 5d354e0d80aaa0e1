//! A thread for what goes on beside requests: jobs, and what the gateway asks of other servers.
//!
//! Workers serve requests, each on a runtime of its own; nothing here runs on one of those. A job that ends or panics is
//! noticed and begun again, ever later. Everything here ends when the [`Background`] is dropped.

use portcullis_core::{Effects, Job};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinSet};

/// The longest pause before a job that failed is begun again.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The thread.
pub struct Background {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Background {
    /// Starts the thread.
    ///
    /// # Errors
    /// The operating system gives no thread or no event queue.
    pub fn start() -> std::io::Result<Background> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let thread =
            std::thread::Builder::new().name("portcullis-background".to_owned()).spawn(move || {
                // An error means that the sender is gone, which is the end just the same.
                let _ = runtime.block_on(stopped);
                // What still waits for a server's name to be looked up is not waited for.
                runtime.shutdown_background();
            })?;
        Ok(Background { handle, stop: Some(stop), thread: Some(thread) })
    }

    /// Where futures can be run on it.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Runs a job on it until what comes back is dropped.
    #[must_use = "the job ends when this is dropped"]
    pub fn run(&self, job: Arc<dyn Job>, effects: Arc<dyn Effects>) -> RunningJob {
        let task = self.handle.spawn(async move {
            let mut pause = Duration::from_secs(1);
            loop {
                let run = {
                    let (job, effects) = (Arc::clone(&job), Arc::clone(&effects));
                    AssertUnwindSafe(async move { job.run(effects.as_ref()).await })
                };
                // In a task of its own, which ends with this one, so that a panic is noticed.
                let mut attempt = JoinSet::new();
                attempt.spawn(run.0);
                let how = match attempt.join_next().await {
                    Some(Err(error)) if error.is_panic() => "it panicked",
                    Some(_) | None => "it ended",
                };
                effects.warn(&job.name(), &format!("{how}, and is begun again in {} s", pause.as_secs()));
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        });
        RunningJob(task.abort_handle())
    }
}

/// A job that runs. Dropped, it ends.
pub struct RunningJob(AbortHandle);

impl Drop for RunningJob {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        // What runs on the thread can hold the last reference. The thread ends by itself then; it cannot wait for itself.
        if let Some(thread) =
            self.thread.take().filter(|own| own.thread().id() != std::thread::current().id())
        {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_on_the_thread_may_hold_it_last() {
        let background = Arc::new(Background::start().unwrap());
        let (dropped, wait) = oneshot::channel::<()>();
        let (said, ends) = std::sync::mpsc::channel();
        let held = Arc::clone(&background);
        background.handle().spawn(async move {
            let _ = wait.await;
            drop(held);
            let _ = said.send(());
        });
        drop(background);
        let _ = dropped.send(());
        assert_eq!(ends.recv_timeout(Duration::from_secs(20)), Ok(()), "it panicked instead");
    }
}
