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

/// What an operator asks of a running gateway by a signal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Request {
    /// Read the configuration again, and open the logs again (SIGHUP).
    Reload,
    /// Open the logs again (SIGUSR1).
    ReopenLogs,
}

/// What the operator asks for while the gateway runs (SIGHUP, SIGUSR1).
pub struct ReloadRequests {
    hangup: tokio::signal::unix::Signal,
    user: tokio::signal::unix::Signal,
}

impl ReloadRequests {
    /// Listens from now on; without it, these signals end the process.
    ///
    /// # Errors
    /// The operating system does not let this process listen for signals.
    pub fn listen() -> std::io::Result<ReloadRequests> {
        Ok(ReloadRequests {
            hangup: signal(SignalKind::hangup())?,
            user: signal(SignalKind::user_defined1())?,
        })
    }

    /// Waits for the next one. Several of a kind that come at once are one.
    pub async fn next(&mut self) -> Request {
        tokio::select! {
            Some(()) = self.hangup.recv() => Request::Reload,
            Some(()) = self.user.recv() => Request::ReopenLogs,
            else => std::future::pending().await,
        }
    }
}
