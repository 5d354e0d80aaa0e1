//! The connection to a shared store: one for a process, on a thread of its own.
//!
//! Requests use it through [`Link::live`], which is empty while the store does not answer. When a request waits in vain,
//! the connection is set aside at once, so that others do not wait as well, and is used again when a probe is answered; if
//! it is not, another connection is made. A probe each second tells the store that this gateway is there, and how many are.

use super::Notices;
use super::script::{self, Answer, Asked};
use arc_swap::ArcSwapOption;
use portcullis_core::Fault;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster_async::ClusterConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, IntoConnectionInfo, RedisError, RedisFuture, Value,
};
use redis::{Pipeline, ServerErrorKind, TlsCertificates};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(2);
/// How long a probe may take.
const PROBE: Duration = Duration::from_secs(1);
/// How often the store is told that this gateway is there.
const BEAT: Duration = Duration::from_secs(1);
/// The longest pause before another try to connect.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Tells that a gateway is there, and how many were seen in the last minute, on the store's clock.
const PRESENCE: &str = "local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 60000)
redis.call('PEXPIRE', KEYS[1], 120000)
return { string.format('%.0f', time[1] * 1000000 + time[2]), tostring(redis.call('ZCARD', KEYS[1])) }";

/// Where a store is. Its URLs may hold passwords.
#[derive(Clone)]
pub enum Endpoint {
    /// One server.
    Single {
        /// Its URL: `redis://` or, with TLS, `rediss://`.
        url: String,
        /// How TLS is verified.
        tls: Tls,
    },
    /// A cluster.
    Cluster {
        /// The URLs of some of its servers.
        urls: Vec<String>,
        /// How TLS is verified.
        tls: Tls,
    },
    /// A server that sentinels watch.
    Sentinel {
        /// The URLs of the sentinels.
        sentinels: Vec<String>,
        /// What they call it.
        service: String,
        /// The URL of the server with its user, password and database; its host and port are the sentinels' to say.
        server: String,
        /// How TLS is verified.
        tls: Tls,
    },
}

/// How TLS is verified.
#[derive(Clone, Default)]
pub struct Tls {
    /// The only CAs that are trusted, in PEM. `None`: those of the system.
    pub ca: Option<Vec<u8>>,
}

// SECURITY: the URLs hold passwords (a_wrong_password_is_told_without_it).
impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Endpoint::Single { .. } => "Single(•••)",
            Endpoint::Cluster { .. } => "Cluster(•••)",
            Endpoint::Sentinel { .. } => "Sentinel(•••)",
        })
    }
}

impl Endpoint {
    /// That its URLs can be read.
    ///
    /// # Errors
    /// What is wrong, without the URL.
    pub fn check(&self) -> Result<(), String> {
        for url in self.urls() {
            if !(url.starts_with("redis://") || url.starts_with("rediss://")) {
                return Err("a URL of a store begins with `redis://` or `rediss://`".to_owned());
            }
            // SECURITY: the library's own message may show the URL with its password
            // (a_wrong_password_is_told_without_it).
            if url.contains("#insecure") || url.into_connection_info().is_err() {
                return Err("this is not the URL of a store".to_owned());
            }
        }
        Ok(())
    }

    fn urls(&self) -> Vec<&str> {
        match self {
            Endpoint::Single { url, .. } => vec![url],
            Endpoint::Cluster { urls, .. } => urls.iter().map(String::as_str).collect(),
            Endpoint::Sentinel { sentinels, server, .. } => {
                sentinels.iter().chain([server]).map(String::as_str).collect()
            }
        }
    }

    /// Whether a connection to another machine is not encrypted.
    pub fn travels_in_plain_text(&self) -> bool {
        self.urls().into_iter().any(|url| {
            let Some(rest) = url.strip_prefix("redis://") else { return false };
            let authority = rest.split(['/', '?']).next().unwrap_or_default();
            let host = authority.rsplit('@').next().unwrap_or_default();
            !(host.starts_with("127.") || host.starts_with("localhost") || host.starts_with("[::1]"))
        })
    }

    /// What stands for all that it says.
    pub(super) fn digest(&self) -> [u8; 32] {
        use sha2::{Digest, Sha256};
        let mut hash = Sha256::new();
        for url in self.urls() {
            hash.update((url.len() as u64).to_be_bytes());
            hash.update(url);
        }
        let (Endpoint::Single { tls, .. } | Endpoint::Cluster { tls, .. } | Endpoint::Sentinel { tls, .. }) =
            self;
        if let Endpoint::Sentinel { service, .. } = self {
            hash.update(service);
        }
        hash.update(tls.ca.as_deref().unwrap_or_default());
        hash.finalize().into()
    }

    fn tls(&self) -> TlsCertificates {
        let (Endpoint::Single { tls, .. } | Endpoint::Cluster { tls, .. } | Endpoint::Sentinel { tls, .. }) =
            self;
        TlsCertificates { client_tls: None, root_cert: tls.ca.clone() }
    }

    async fn connect(&self) -> Result<Connection, RedisError> {
        // The library takes the provider of the process. Whoever has set one before keeps it.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            // Each request has a deadline of its own.
            .set_response_timeout(Some(CONNECT));
        match self {
            Endpoint::Single { url, .. } => {
                let client = if url.starts_with("rediss://") {
                    Client::build_with_tls(url.as_str(), self.tls())?
                } else {
                    Client::open(url.as_str())?
                };
                Ok(Connection::One(client.get_multiplexed_async_connection_with_config(&config).await?))
            }
            Endpoint::Cluster { urls, .. } => {
                let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
                let secured = urls.iter().any(|url| url.starts_with("rediss://"));
                let mut builder = redis::cluster::ClusterClient::builder(urls)
                    .connection_timeout(CONNECT)
                    .response_timeout(CONNECT);
                if secured {
                    builder = builder.certs(self.tls());
                }
                Ok(Connection::Cluster(builder.build()?.get_async_connection().await?))
            }
            Endpoint::Sentinel { sentinels, service, server, .. } => {
                use redis::sentinel::{SentinelClient, SentinelNodeConnectionInfo, SentinelServerType};
                let info = server.as_str().into_connection_info()?;
                let mut node = SentinelNodeConnectionInfo::default()
                    .set_redis_connection_info(info.redis_settings().clone());
                if server.starts_with("rediss://") {
                    node = node.set_tls_mode(redis::TlsMode::Secure);
                }
                let sentinels: Vec<&str> = sentinels.iter().map(String::as_str).collect();
                let mut client =
                    SentinelClient::build(sentinels, service, Some(node), SentinelServerType::Master)?;
                Ok(Connection::One(client.get_async_connection_with_config(&config).await?))
            }
        }
    }
}

/// A connection; its clones are the same.
#[derive(Clone)]
enum Connection {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Connection::One(connection) => connection.req_packed_command(cmd),
            Connection::Cluster(connection) => connection.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        cmd: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Connection::One(connection) => connection.req_packed_commands(cmd, offset, count),
            Connection::Cluster(connection) => connection.req_packed_commands(cmd, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Connection::One(connection) => connection.get_db(),
            Connection::Cluster(connection) => connection.get_db(),
        }
    }
}

/// A connection on which the store answers.
pub(super) struct Live(Connection);

impl Live {
    pub(super) fn is_cluster(&self) -> bool {
        matches!(self.0, Connection::Cluster(_))
    }

    async fn command(&self, command: &Cmd) -> Result<Value, RedisError> {
        let mut connection = self.0.clone();
        let value = connection.req_packed_command(command).await?;
        if let Value::ServerError(error) = value {
            return Err(error.into());
        }
        Ok(value)
    }

    /// Runs the script that charges. `None` where the store fails.
    pub(super) async fn evaluate(&self, debit: bool, asked: &[&Asked<'_>], now: u64) -> Option<Answer> {
        let mut value = self.command(&script::command(false, debit, asked, now)).await;
        // A store that was restarted has forgotten the script.
        if let Err(error) = &value
            && error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
        {
            value = self.command(&script::command(true, debit, asked, now)).await;
        }
        Some(script::read(value.ok()?, asked.len()))
    }
}

/// The connection to a store, and what is known of it.
pub(super) struct Link {
    endpoint: Endpoint,
    deadline: Duration,
    presence: String,
    live: ArcSwapOption<Live>,
    gateways: AtomicU32,
    /// How far the store's clock is ahead of this one's, in microseconds.
    ahead: AtomicI64,
    trouble: Notify,
    /// Whether it is known that the store answers, or does not.
    decided: watch::Sender<bool>,
    stopped: AtomicBool,
    handle: OnceLock<Option<Handle>>,
    notices: Mutex<Option<Arc<Notices>>>,
}

impl Link {
    pub(super) fn new(endpoint: Endpoint, deadline: Duration, prefix: &str) -> Link {
        Link {
            endpoint,
            deadline,
            presence: format!("{prefix}:gateways"),
            live: ArcSwapOption::empty(),
            gateways: AtomicU32::new(1),
            ahead: AtomicI64::new(0),
            trouble: Notify::new(),
            decided: watch::Sender::new(false),
            stopped: AtomicBool::new(false),
            handle: OnceLock::new(),
            notices: Mutex::new(None),
        }
    }

    pub(super) fn tell(&self, notices: Arc<Notices>) {
        *self.notices.lock().unwrap_or_else(PoisonError::into_inner) = Some(notices);
    }

    fn notice(&self, detail: &str) {
        let notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(notices) = notices {
            notices("shared store", detail);
        }
    }

    /// How long a request waits.
    pub(super) fn deadline(&self) -> Duration {
        self.deadline
    }

    pub(super) fn gateways(&self) -> u32 {
        self.gateways.load(Ordering::Relaxed).max(1)
    }

    /// The connection, if the store answers on it.
    pub(super) fn live(&self) -> Option<Arc<Live>> {
        self.live.load_full()
    }

    /// Whether the store answers. Cores do not meet here.
    pub(super) fn is_live(&self) -> bool {
        self.live.load().is_some()
    }

    /// Whether the very first connection is still being made.
    pub(super) fn is_starting(&self) -> bool {
        matches!(self.handle.get(), Some(Some(_))) && !*self.decided.borrow()
    }

    /// Waits, within the deadline, until it is known whether the store answers.
    pub(super) async fn started(&self) {
        let mut decided = self.decided.subscribe();
        let _ = tokio::time::timeout(self.deadline, decided.wait_for(|decided| *decided)).await;
    }

    /// The store's time in microseconds since 1970, as far as it is known.
    pub(super) fn store_time(&self) -> u64 {
        here().saturating_add_signed(self.ahead.load(Ordering::Relaxed))
    }

    pub(super) fn told_time(&self, time: u64) {
        let ahead = i64::try_from(i128::from(time) - i128::from(here())).unwrap_or(0);
        self.ahead.store(ahead, Ordering::Relaxed);
    }

    /// The store did not answer on this connection. It is not used again before a probe is answered.
    pub(super) fn trouble(&self, live: &Live) {
        let current = self.live.load();
        if current.as_deref().is_some_and(|current| std::ptr::eq(current, live)) {
            drop(current);
            self.live.store(None);
            self.trouble.notify_one();
        }
    }

    /// Sends one command, within the deadline.
    pub(super) async fn ask(&self, command: Cmd) -> Result<Value, Fault> {
        let down = || Fault { detail: "the shared store does not answer".into() };
        if self.is_starting() {
            self.started().await;
        }
        let live = self.live().ok_or_else(down)?;
        match tokio::time::timeout(self.deadline, live.command(&command)).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(_)) | Err(_) => {
                self.trouble(&live);
                Err(down())
            }
        }
    }

    /// Runs something beside requests.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(Some(handle)) = self.handle.get() {
            drop(handle.spawn(task));
        }
    }

    /// Starts the thread, if it does not run.
    pub(super) fn start(self: &Arc<Self>) {
        let _ = self.handle.get_or_init(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
            let (handle, link) = (runtime.handle().clone(), Arc::clone(self));
            let thread = std::thread::Builder::new().name("portcullis-store".to_owned());
            thread
                .spawn(move || {
                    runtime.block_on(link.run());
                    runtime.shutdown_background();
                })
                .ok()?;
            Some(handle)
        });
    }

    /// Ends the thread.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.trouble.notify_one();
    }

    async fn run(&self) {
        let name = format!("{:032x}", rand_id());
        let mut pause = Duration::from_millis(50);
        let mut told = false;
        while !self.stopped.load(Ordering::Acquire) {
            let connected = tokio::time::timeout(CONNECT, self.endpoint.connect()).await;
            let connection = match connected {
                Ok(Ok(connection)) => connection,
                Ok(Err(error)) => {
                    self.notice_once(&mut told, &format!("it cannot be reached: {}", reason(&error)));
                    self.pause(&mut pause).await;
                    continue;
                }
                Err(_) => {
                    self.notice_once(&mut told, "it cannot be reached: it does not answer in time");
                    self.pause(&mut pause).await;
                    continue;
                }
            };
            let live = Arc::new(Live(connection));
            let script = script::load();
            let _ = tokio::time::timeout(PROBE, live.command(&script)).await;
            // Until a probe fails, the connection is used, and used again after trouble.
            while !self.stopped.load(Ordering::Acquire) {
                if let Err(detail) = self.probe(&live, &name).await {
                    self.live.store(None);
                    self.notice_once(&mut told, &detail);
                    self.pause(&mut pause).await;
                    break;
                }
                if self.live.load().is_none() {
                    self.live.store(Some(Arc::clone(&live)));
                    self.decided.send_replace(true);
                    self.notice(if told { "it answers again" } else { "it answers" });
                    told = false;
                    pause = Duration::from_millis(50);
                }
                let beat = tokio::time::sleep(BEAT);
                tokio::select! {
                    () = beat => {}
                    () = self.trouble.notified() => {
                        self.notice_once(&mut told, "it did not answer a request in time");
                        // Not at once: what made it slow may pass.
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
            }
        }
        self.live.store(None);
    }

    async fn pause(&self, pause: &mut Duration) {
        self.decided.send_replace(true);
        tokio::time::sleep(*pause).await;
        *pause = (*pause * 2).min(LONGEST_PAUSE);
    }

    fn notice_once(&self, told: &mut bool, detail: &str) {
        if !std::mem::replace(told, true) {
            self.notice(detail);
        }
    }

    /// Tells the store that this gateway is there.
    async fn probe(&self, live: &Live, name: &str) -> Result<(), String> {
        let mut command = redis::cmd("EVAL");
        let _ = command.arg(PRESENCE).arg(1).arg(&self.presence).arg(name);
        let answer = match tokio::time::timeout(PROBE, live.command(&command)).await {
            Err(_) => return Err("it does not answer in time".to_owned()),
            Ok(Err(error)) => return Err(format!("it failed: {}", reason(&error))),
            Ok(Ok(answer)) => answer,
        };
        let said: Vec<String> = redis::FromRedisValue::from_redis_value(answer)
            .map_err(|_| "it gave an answer that has no meaning".to_owned())?;
        if let [time, gateways] = said.as_slice() {
            if let Ok(time) = time.parse() {
                self.told_time(time);
            }
            if let Ok(gateways) = gateways.parse::<u32>() {
                self.gateways.store(gateways.max(1), Ordering::Relaxed);
            }
        }
        Ok(())
    }
}

/// Why the store failed, in words that hold neither an address nor a password.
fn reason(error: &RedisError) -> String {
    match error.code() {
        Some(code) => format!("{} ({code})", error.category()),
        None => error.category().to_owned(),
    }
}

fn here() -> u64 {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// A number that no other gateway has.
fn rand_id() -> u128 {
    use std::hash::{BuildHasher, RandomState};
    let part = || u128::from(RandomState::new().hash_one((std::process::id(), here())));
    part() << 64 | part()
}
