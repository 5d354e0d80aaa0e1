//! Who watches a gateway: metrics, and the listeners on which operators ask.
//!
//! | file          | decides                                                       |
//! |---------------|---------------------------------------------------------------|
//! | [`gauges`]      | what is measured besides requests                             |
//! | [`seen`]        | how what watches finds the gateway                            |
//! | [`admin`]       | the gateway as the admin API sees it                          |
//! | [`detection`]   | what is done about suspicious activity                        |
//! | [`effective`]   | the configuration as it took effect                           |
//! | [`operations`]  | which operations of documents were used                       |
//! | [`files`]       | the token that is made, and blocks that survive a restart     |
//!
//! [`Observers`] belong to one configuration, like its logs. What is the same in the next one goes on: an open listener keeps
//! its socket, and counts keep their values. Whatever can fail, such as binding an address, is done before a reload changes
//! anything.

mod admin;
pub mod detection;
mod effective;
mod files;
mod gauges;
pub(crate) mod operations;
mod seen;

use crate::document::{Admin, DetectionPolicy};
use admin::Seat;
pub(crate) use admin::top;
pub(crate) use effective::of as effective;
pub(crate) use files::{keep_blocks, restore_blocks};
use portcullis_admin::Server;
use portcullis_admin::scrape::MetricsService;
use portcullis_admin::server::Protection;
use portcullis_admin::service::{AdminListener, AdminService, AdminSessions, Settings};
use portcullis_admin::tokens::{Role, Token};
use portcullis_core::{Plan, RecordSink};
use portcullis_proxy::{Inherited, PassedSocket};
use portcullis_telemetry::watch::Watch;
use portcullis_telemetry::{Detection, Fan, Metrics, MetricsExport, Traces, detect};
pub(crate) use seen::{Seen, View};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// What a configuration says of who watches.
#[derive(Clone, Default)]
pub struct ObserveConfig {
    /// Where metrics alone are scraped.
    pub metrics: Option<SocketAddr>,
    /// What sends metrics to a collector.
    pub metrics_export: Option<Arc<MetricsExport>>,
    /// The admin listener.
    pub admin: Option<Admin>,
    /// What looks for suspicious activity.
    pub detection: Option<DetectionPolicy>,
}

/// Who watches the gateway of one configuration.
#[derive(Clone, Default)]
pub(crate) struct Observers {
    metrics: Option<Arc<Metrics>>,
    watch: Option<Arc<Watch>>,
    scraped: Option<Listening>,
    admin: Option<Arc<AdminDoor>>,
    detection: Option<Arc<Detection>>,
    /// How detectors run from the moment on in which this configuration begins; taken by [`Observers::begin`].
    detects: Arc<Mutex<Option<detect::Settings>>>,
}

/// A server, and the address as it is written, whose port may be 0.
#[derive(Clone)]
struct Listening {
    bind: SocketAddr,
    server: Arc<Server>,
}

/// The admin listener of one configuration.
struct AdminDoor {
    listening: Listening,
    sessions: Arc<AdminSessions>,
    service: Arc<AdminService>,
    protection: Option<Arc<Protection>>,
    tls: bool,
    made_token: Option<PathBuf>,
}

impl Observers {
    /// Those of a configuration; as far as they are the same, those from `before`. `view` is how they see the gateway.
    /// With a `state_dir`, refusals and addresses are kept for the socket in it, also without an admin listener.
    pub(crate) fn open(
        config: ObserveConfig,
        view: &View,
        state_dir: Option<&Path>,
        before: Option<&Observers>,
        inherited: &Inherited,
    ) -> io::Result<Observers> {
        let kept = state_dir.is_some();
        let counted =
            config.metrics.is_some() || config.metrics_export.is_some() || config.admin.is_some() || kept;
        let counted_before = before.and_then(|before| before.metrics.clone());
        let metrics = counted.then(|| counted_before.unwrap_or_default());
        if let (Some(export), Some(metrics)) = (&config.metrics_export, &metrics) {
            let (metrics, view) = (Arc::clone(metrics), view.clone());
            export.attach(Arc::new(move || metrics.read(|to| gauges::write(&view, to))));
        }
        let watched_before = before.and_then(|before| before.watch.clone());
        let (detection, detects) = match config.detection {
            None => (None, None),
            Some(policy) => {
                let settings = detection::settings(&policy, state_dir.map(Path::to_owned), view);
                match before.and_then(|before| before.detection.clone()) {
                    Some(there) => (Some(there), Some(settings)),
                    None => {
                        let clock = view.clock();
                        (Some(Arc::new(Detection::start(settings, move || clock.now())?)), None)
                    }
                }
            }
        };
        let watch = match (&metrics, config.admin.is_some() || kept) {
            (Some(metrics), true) => Some(match watched_before {
                Some(watch) => watch,
                None => Arc::new(Watch::start(Arc::clone(metrics))?),
            }),
            (Some(_) | None, _) => None,
        };
        let scraped = match (config.metrics, &metrics) {
            (Some(bind), Some(metrics)) => {
                let same =
                    before.and_then(|before| before.scraped.clone()).filter(|there| there.bind == bind);
                Some(match same {
                    Some(there) => there,
                    None => scrape(bind, metrics, view, inherited)?,
                })
            }
            (Some(_) | None, _) => None,
        };
        let admin = match (config.admin, &watch) {
            (Some(admin), Some(watch)) => {
                let before = before.and_then(|before| before.admin.as_deref());
                Some(Arc::new(AdminDoor::open(admin, view, watch, before, inherited)?))
            }
            (Some(_) | None, _) => None,
        };
        let detects = Arc::new(Mutex::new(detects));
        Ok(Observers { metrics, watch, scraped, admin, detection, detects })
    }

    /// From now on operators get what this configuration says.
    pub(crate) fn begin(&self) {
        let settings = self.detects.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let (Some(detection), Some(settings)) = (&self.detection, settings) {
            detection.go_on(settings);
        }
        if let Some(door) = &self.admin {
            let listener = Arc::new(AdminListener(Arc::clone(&door.service)));
            door.listening.server.exchange(door.protection.clone(), listener);
        }
    }

    /// Where the records of a plan go, that go to `log` as well.
    pub(crate) fn sink(
        &self,
        log: Arc<dyn RecordSink>,
        plan: &Plan,
        traces: Option<&Arc<Traces>>,
    ) -> Arc<dyn RecordSink> {
        let mut more: Vec<Arc<dyn RecordSink>> = Vec::new();
        more.extend(traces.map(|traces| Arc::clone(traces) as Arc<dyn RecordSink>));
        if let Some(metrics) = &self.metrics {
            more.push(Arc::new(metrics.of_plan(plan)));
        }
        if let Some(watch) = &self.watch {
            more.push(Arc::clone(&watch.recent) as Arc<dyn RecordSink>);
            more.push(Arc::clone(&watch.sources) as Arc<dyn RecordSink>);
        }
        if let Some(detection) = &self.detection {
            more.push(Arc::new(detection.of_plan(plan)));
        }
        Fan::of(log, more)
    }

    /// What looks for suspicious activity.
    pub(crate) fn detection(&self) -> Option<&Arc<Detection>> {
        self.detection.as_ref()
    }

    /// Counts, refusals and addresses, if they are kept.
    pub(crate) fn watch(&self) -> Option<&Arc<Watch>> {
        self.watch.as_ref()
    }

    /// Where metrics alone are scraped, with the port that was found for port 0.
    pub(crate) fn metrics_address(&self) -> Option<SocketAddr> {
        self.scraped.as_ref().map(|there| there.server.address())
    }

    /// Another descriptor of each of its sockets, with the address as it is written.
    pub(crate) fn sockets(&self) -> io::Result<Vec<PassedSocket>> {
        let admin = self.admin.as_ref().map(|door| (&door.listening, ADMIN));
        let all = admin.into_iter().chain(self.scraped.as_ref().map(|scraped| (scraped, METRICS)));
        let passed = |(there, purpose): (&Listening, &str)| {
            let socket = there.server.socket()?;
            Ok(PassedSocket { bind: there.bind, purpose: Some(purpose.to_owned()), socket })
        };
        all.map(passed).collect()
    }

    /// Where the admin listener is, and the file with the token that was made for it.
    pub(crate) fn admin(&self) -> Option<AdminAddress> {
        self.admin.as_ref().map(|door| AdminAddress {
            address: door.listening.server.address(),
            tls: door.tls,
            made_token: door.made_token.clone(),
        })
    }
}

/// Where operators ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminAddress {
    /// The address, with the port that was found for port 0.
    pub address: SocketAddr,
    /// Whether it speaks HTTPS.
    pub tls: bool,
    /// The file with the token, where the gateway has made one.
    pub made_token: Option<PathBuf>,
}

fn scrape(
    bind: SocketAddr,
    metrics: &Arc<Metrics>,
    view: &View,
    inherited: &Inherited,
) -> io::Result<Listening> {
    let (metrics, view) = (Arc::clone(metrics), view.clone());
    let text = move || metrics.text(|to| gauges::write(&view, to));
    let service = Arc::new(MetricsService::new(Arc::new(text)));
    let socket = socket(bind, METRICS, inherited)?;
    let server = Server::start(socket, None, service).map_err(|error| at(bind, &error))?;
    Ok(Listening { bind, server: Arc::new(server) })
}

impl AdminDoor {
    fn open(
        admin: Admin,
        view: &View,
        watch: &Arc<Watch>,
        before: Option<&AdminDoor>,
        inherited: &Inherited,
    ) -> io::Result<AdminDoor> {
        let Admin { bind, settings, tls, made_token } = admin;
        let mut settings: Settings = settings;
        if let Some(path) = &made_token {
            settings.tokens.push(Token::new(&files::token(path)?, Role::Operator));
        }
        let is_tls = tls.is_some();
        let protection = tls.map(|tls| Arc::new(move || tls.server_config()) as Arc<Protection>);
        let sessions = before.map(|before| Arc::clone(&before.sessions)).unwrap_or_default();
        let seat = Arc::new(Seat { view: view.clone(), watch: Arc::clone(watch) });
        let service = Arc::new(AdminService::new(settings, seat, Arc::clone(&sessions)));
        let listening = match before.map(|before| before.listening.clone()).filter(|there| there.bind == bind)
        {
            Some(there) => there,
            None => {
                let listener = Arc::new(AdminListener(Arc::clone(&service)));
                let socket = socket(bind, ADMIN, inherited)?;
                let server =
                    Server::start(socket, protection.clone(), listener).map_err(|error| at(bind, &error))?;
                Listening { bind, server: Arc::new(server) }
            }
        };
        service.at(listening.server.address());
        Ok(AdminDoor { listening, sessions, service, protection, tls: is_tls, made_token })
    }
}

/// What the sockets of operators are for, between two processes.
const ADMIN: &str = "admin";
const METRICS: &str = "metrics";

/// The socket of an address: one that was inherited, or a new one.
fn socket(bind: SocketAddr, purpose: &str, inherited: &Inherited) -> io::Result<TcpListener> {
    match inherited.take(bind, purpose).pop() {
        Some(there) => Ok(there),
        None => TcpListener::bind(bind).map_err(|error| at(bind, &error)),
    }
}

fn at(address: SocketAddr, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
}
