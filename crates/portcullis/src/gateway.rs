//! A gateway, from a blueprint to its end.

use crate::compile::Blueprint;
use crate::document::AccessLogConfig;
use crate::load::ConfigError;
use portcullis_core::{Effects, Plan, Record, RecordSink, Snapshot};
use portcullis_proxy::{BindError, ShutdownHandle, bind};
use portcullis_runtime::{Background, Outbound};
use portcullis_telemetry::AccessLog;
use std::fmt;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;

/// A gateway that is ready to start.
pub struct Gateway {
    blueprint: Blueprint,
    sink: Option<Arc<dyn RecordSink>>,
}

/// Why a gateway did not start.
#[derive(Debug)]
pub enum StartError {
    /// The configuration cannot be used.
    Config(ConfigError),
    /// The access log cannot be opened.
    AccessLog(std::io::Error),
    /// The operating system gives no thread for what goes on beside requests.
    Background(std::io::Error),
    /// An address cannot be listened on.
    Bind(BindError),
    /// The operating system does not let this process listen for signals.
    Signals(std::io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Config(error) => error.fmt(f),
            StartError::AccessLog(error) => write!(f, "the access log cannot be opened: {error}"),
            StartError::Background(error) => write!(f, "no thread for background work: {error}"),
            StartError::Bind(error) => error.fmt(f),
            StartError::Signals(error) => write!(f, "cannot listen for signals: {error}"),
        }
    }
}

impl std::error::Error for StartError {}

/// A sink for those who want no records.
struct Nowhere;

impl RecordSink for Nowhere {
    fn write(&self, _: &Record, _: &Plan) {}

    fn notice(&self, about: &str, detail: &str) {
        // Whoever wants no record of requests still wants to know that an issuer is down.
        let _ = writeln!(std::io::stderr(), "portcullis: {about}: {detail}");
    }
}

impl Gateway {
    /// A gateway that is configured in code.
    pub fn builder() -> crate::builder::Builder {
        crate::builder::Builder::default()
    }

    /// The gateway of a blueprint.
    pub fn new(blueprint: Blueprint) -> Gateway {
        Gateway { blueprint, sink: None }
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
        let Blueprint { plan, front, world, access_log, jobs, outbound, endpoint_world, .. } = self.blueprint;
        let (sink, log): (Arc<dyn RecordSink>, Option<Arc<AccessLog>>) = match (self.sink, access_log) {
            (Some(sink), _) => (sink, None),
            (None, AccessLogConfig::Off) => (Arc::new(Nowhere), None),
            (None, AccessLogConfig::Stdout { on_full }) => opened(AccessLog::stdout(on_full.into()))?,
            (None, AccessLogConfig::File { path, on_full }) => {
                opened(AccessLog::file(&path, on_full.into()))?
            }
        };
        let background = Background::start().map_err(StartError::Background)?;
        let outbound = Outbound::new(outbound, background.handle().clone());
        let notices = Arc::clone(&sink);
        let world = world.with_outbound(outbound).with_notices(Box::new(move |about, detail| {
            notices.notice(about, detail);
        }));
        let world: Arc<dyn Effects> = Arc::new(world);
        let _ = endpoint_world.set(Arc::clone(&world));
        for job in jobs {
            background.run(job, Arc::clone(&world));
        }
        let snapshot = Snapshot::new(plan, world, sink);
        let handlers = tokio::runtime::Handle::try_current().ok();
        let bound = bind(front, &snapshot, handlers.as_ref()).map_err(StartError::Bind)?;
        let addresses = bound.addresses().to_vec();
        let front = bound.serve().map_err(StartError::Bind)?;
        Ok(Running { addresses, front, log, _background: background })
    }
}

type Log = (Arc<dyn RecordSink>, Option<Arc<AccessLog>>);

fn opened(log: std::io::Result<AccessLog>) -> Result<Log, StartError> {
    let log = Arc::new(log.map_err(StartError::AccessLog)?);
    Ok((Arc::clone(&log) as Arc<dyn RecordSink>, Some(log)))
}

/// A gateway that serves.
pub struct Running {
    addresses: Vec<SocketAddr>,
    front: portcullis_proxy::Running,
    /// Ends with the gateway.
    _background: Background,
    log: Option<Arc<AccessLog>>,
}

impl Running {
    /// Where it listens, in the order of its listeners, with the ports that were found for port 0.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Begins a graceful end: no new connection is taken, running requests are finished. Does nothing the second time.
    pub fn shutdown(&self) {
        self.front.shutdown();
    }

    /// The same, for whoever does not have the gateway itself.
    pub fn shutdown_handle(&self) -> ShutdownHandle {
        self.front.shutdown_handle()
    }

    /// Waits until the last request is finished and its record is written, unless the output of the log takes nothing.
    pub async fn finished(self) {
        self.front.finished().await;
        if let Some(log) = self.log {
            log.flush();
        }
    }

    /// Waits until the process is told to stop (SIGTERM, SIGINT). Does not begin the end.
    ///
    /// # Errors
    /// The operating system does not let this process listen for signals.
    pub async fn stop_requested(&self) -> Result<(), StartError> {
        portcullis_runtime::stop::requested().await.map_err(StartError::Signals)
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
