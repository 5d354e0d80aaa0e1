//! A gateway, from a blueprint to its end.

use crate::compile::Blueprint;
use crate::control::Control;
use crate::load::ConfigError;
use crate::reload::{Follows, Logs, Plans, Reloader};
use portcullis_core::RecordSink;
use portcullis_proxy::{BindError, Inherited, ShutdownHandle, bind};
use portcullis_runtime::Background;
use portcullis_runtime::stop::ReloadRequests;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::Notify;

/// A gateway that is ready to start.
pub struct Gateway {
    blueprint: Blueprint,
    sink: Option<Arc<dyn RecordSink>>,
    follows: Follows,
}

/// Why a gateway did not start.
#[derive(Debug)]
pub enum StartError {
    /// The configuration cannot be used.
    Config(ConfigError),
    /// The access log cannot be opened.
    AccessLog(std::io::Error),
    /// The listener for metrics cannot be bound.
    Observe(std::io::Error),
    /// The store of keys cannot be used.
    Keys(String),
    /// The operating system gives no thread for what goes on beside requests.
    Background(std::io::Error),
    /// An address cannot be listened on.
    Bind(BindError),
    /// A socket that was passed to this process is on an address that no listener has.
    UnusedSocket(SocketAddr),
    /// The socket in the `state_dir` cannot be made.
    Control(std::io::Error),
    /// The operating system does not let this process listen for signals.
    Signals(std::io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Config(error) => error.fmt(f),
            StartError::AccessLog(error) => write!(f, "the access log cannot be opened: {error}"),
            StartError::Observe(error) => write!(f, "nobody could watch: {error}"),
            StartError::Keys(why) => write!(f, "the store of keys cannot be used: {why}"),
            StartError::Background(error) => write!(f, "no thread for background work: {error}"),
            StartError::Bind(error) => error.fmt(f),
            StartError::UnusedSocket(address) => {
                write!(
                    f,
                    "a socket on {address} was passed to this process, and no listener has that address"
                )
            }
            StartError::Control(error) => write!(f, "the socket in the state_dir cannot be made: {error}"),
            StartError::Signals(error) => write!(f, "cannot listen for signals: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

impl Gateway {
    /// A gateway that is configured in code.
    pub fn builder() -> crate::builder::Builder {
        crate::builder::Builder::default()
    }

    /// The gateway of a blueprint.
    pub fn new(blueprint: Blueprint) -> Gateway {
        Gateway { blueprint, sink: None, follows: Follows::Nobody }
    }

    /// Listens by these sockets, which another process has bound, wherever their addresses are its own.
    #[must_use]
    pub fn with_sockets(mut self, sockets: Inherited) -> Gateway {
        self.blueprint.front.inherited = sockets;
        self
    }

    /// Takes the place of a process that still serves: its audit log is gone on with when that process has ended.
    #[must_use]
    pub fn after_predecessor(mut self) -> Gateway {
        self.follows = Follows::Predecessor;
        self
    }

    /// Gives every record to `sink`, in place of the access log.
    #[must_use]
    pub fn with_sink(mut self, sink: Arc<dyn RecordSink>) -> Gateway {
        self.sink = Some(sink);
        self
    }

    /// Binds every listener and starts serving. In-process handlers run on the caller's tokio runtime, if it has one.
    ///
    /// # Errors
    /// The access log cannot be opened or a listener cannot be bound; then nothing was started.
    pub fn start(self) -> Result<Running, StartError> {
        let background = Arc::new(Background::start().map_err(StartError::Background)?);
        let logs = Logs::new(self.sink, self.follows);
        let state_dir = self.blueprint.state_dir.clone();
        let inherited = self.blueprint.front.inherited.clone();
        let (snapshot, front, plan) = Plans::first(self.blueprint, &logs, &background)?;
        let handlers = tokio::runtime::Handle::try_current().ok();
        let bound = bind(front, &snapshot, handlers.as_ref()).map_err(StartError::Bind)?;
        // A client that connects to a socket that is kept and not accepted from waits for nobody.
        if let Some(address) = inherited.unused() {
            return Err(StartError::UnusedSocket(address));
        }
        let addresses = bound.addresses().to_vec();
        let front = bound.serve().map_err(StartError::Bind)?;
        let reloader = plan.serving(front.reload_handle(), logs.settled(), &background, &addresses);
        let retired = Arc::new(Notify::new());
        let control = match state_dir {
            None => None,
            Some(folder) => {
                let retired = Arc::clone(&retired);
                let control = Control::bind(&folder, reloader.clone(), retired, &background);
                Some(control.map_err(StartError::Control)?)
            }
        };
        Ok(Running { addresses, front, reloader, retired, _control: control, _background: background })
    }
}

/// A gateway that serves.
pub struct Running {
    addresses: Vec<SocketAddr>,
    front: portcullis_proxy::Running,
    reloader: Reloader,
    /// Another process serves in its place.
    retired: Arc<Notify>,
    _control: Option<Control>,
    /// Ends with the gateway.
    _background: Arc<Background>,
}

impl Running {
    /// Where it listens, in the order of its listeners, with the ports that were found for port 0.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What gives it another configuration while it serves.
    pub fn reloader(&self) -> &Reloader {
        &self.reloader
    }

    /// Begins a graceful end: no new connection is taken, running requests are finished. Does nothing the second time.
    pub fn shutdown(&self) {
        self.reloader.ends();
        self.front.shutdown();
    }

    /// The same, for whoever does not have the gateway itself.
    pub fn shutdown_handle(&self) -> ShutdownHandle {
        self.front.shutdown_handle()
    }

    /// Waits until the last request is finished and its record is written, unless the output of the log takes nothing.
    pub async fn finished(self) {
        self.front.finished().await;
        self.reloader.flush();
    }

    /// Listens for what the operator asks for (SIGHUP, SIGUSR1); without it, these signals end the process.
    ///
    /// # Errors
    /// The operating system does not let this process listen for signals.
    pub fn reload_requests(&self) -> Result<ReloadRequests, StartError> {
        ReloadRequests::listen().map_err(StartError::Signals)
    }

    /// Waits until the process is told to stop (SIGTERM, SIGINT), or another one has taken its place. Does not begin the end.
    ///
    /// # Errors
    /// The operating system does not let this process listen for signals.
    pub async fn stop_requested(&self) -> Result<(), StartError> {
        tokio::select! {
            stop = portcullis_runtime::stop::requested() => stop.map_err(StartError::Signals),
            () = self.retired.notified() => Ok(()),
        }
    }

    /// Serves until the process is told to stop (SIGTERM, SIGINT), then ends gracefully.
    ///
    /// # Errors
    /// The operating system does not let this process listen for signals.
    pub async fn until_stopped(self) -> Result<(), StartError> {
        self.stop_requested().await?;
        self.shutdown();
        self.finished().await;
        Ok(())
    }
}
