//! The operator's wish to stop, or to have the configuration read again.

use tokio::signal::unix::{SignalKind, signal};

/// Waits for SIGTERM or SIGINT.
///
/// # Errors
/// The operating system does not let this process listen for signals.
pub async fn requested() -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// The operator's wishes to have the configuration read again (SIGHUP).
pub struct ReloadRequests(tokio::signal::unix::Signal);

impl ReloadRequests {
    /// Listens from now on; without it, the signal ends the process.
    ///
    /// # Errors
    /// The operating system does not let this process listen for signals.
    pub fn listen() -> std::io::Result<ReloadRequests> {
        signal(SignalKind::hangup()).map(ReloadRequests)
    }

    /// Waits for the next one. Several that come at once are one.
    pub async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}
