//! What the admin API knows of a gateway, and what it can order.

use crate::server::Wait;
use portcullis_core::{KeyId, Level, OperationUse};
use portcullis_keys::{Consumer, Key, KeyFilter, KeySettings, NewKey, Rotation, StoreError};
use portcullis_telemetry::Detection;
use portcullis_telemetry::watch::Watch;
use serde::Serialize;
use serde_json::Value;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// A gateway as operators see it. Holds no secret.
pub trait Gateway: Send + Sync {
    /// Whether it serves.
    fn is_ready(&self) -> bool;
    /// Which configuration runs, since when, and what became of the last attempt to change it.
    fn status(&self) -> Value;
    /// The configuration as it took effect.
    fn configuration(&self) -> Value;
    /// Its routes, with the controls of each in the order in which they run.
    fn routes(&self) -> Vec<RouteView>;
    /// The operations of the documents of its routes, and what was asked for beside them.
    fn operations(&self) -> Vec<OperationUse>;
    /// Its consumers.
    fn consumers(&self) -> Vec<ConsumerView>;
    /// Its store of consumers and keys, if it has one.
    fn desk(&self) -> Option<Arc<dyn Desk>>;
    /// The certificates of its listeners.
    fn certificates(&self) -> Vec<CertificateView>;
    /// The groups of upstreams that routes use, and how each of their servers is.
    fn upstreams(&self) -> Vec<UpstreamView>;
    /// The metrics as text.
    fn metrics(&self) -> String;
    /// Counts, recent refusals, addresses.
    fn watch(&self) -> &Watch;
    /// What looks for suspicious activity, if anything does.
    fn detection(&self) -> Option<Arc<Detection>> {
        None
    }
    /// What a denial code means.
    fn meaning(&self, code: &str) -> Option<&'static str>;
    /// Who is blocked.
    fn blocks(&self) -> Vec<BlockView>;
    /// Blocks an address for a time.
    ///
    /// # Errors
    /// Why not, in words.
    fn block(&self, source: IpAddr, time: Duration, reason: &str) -> Result<(), String>;
    /// Ends a block. Whether there was one.
    fn unblock(&self, source: IpAddr) -> bool;
    /// Reads the configuration file again, and goes on with it.
    fn reload(&self) -> Wait<Result<Value, String>>;
    /// From which level on notices reach standard error and the access log; `None`: none do.
    fn log_level(&self) -> Option<Level>;
    /// Changes that until the process ends.
    fn set_log_level(&self, level: Option<Level>);
    /// The last checkpoint of the audit log: the number of its entry, and its hash. `None` without an audit log.
    fn audit_head(&self) -> Option<(u64, String)>;
    /// Writes what an operator did into the audit log and the access log. Must hold no secret.
    fn tell(&self, what: &str);
}

/// The store of consumers and keys of a gateway. All of it may wait for a database, so nothing here runs on the listener's
/// thread. The errors are those of the store, in words for an operator.
pub trait Desk: Send + Sync {
    /// Where the store is.
    fn place(&self) -> String;
    /// How many valid keys are known, and how long ago the store last answered.
    fn standing(&self) -> (usize, Duration);
    /// The consumers of the store.
    ///
    /// # Errors
    /// The store fails.
    fn consumers(&self) -> Result<Vec<Consumer>, StoreError>;
    /// Adds a consumer.
    ///
    /// # Errors
    /// Its name is taken, the configuration lacks what it names, or the store fails.
    fn add_consumer(&self, consumer: &Consumer) -> Result<(), StoreError>;
    /// Removes a consumer and revokes its keys; how many.
    ///
    /// # Errors
    /// No consumer has this name, or the store fails.
    fn remove_consumer(&self, name: &str) -> Result<u64, StoreError>;
    /// Keys, in the order of their numbers.
    ///
    /// # Errors
    /// The store fails.
    fn keys(&self, filter: &KeyFilter) -> Result<Vec<Key>, StoreError>;
    /// A key.
    ///
    /// # Errors
    /// No key has this number, or the store fails.
    fn key(&self, id: KeyId) -> Result<Key, StoreError>;
    /// Makes a key that ends at `expires`, in seconds since 1970.
    ///
    /// # Errors
    /// There is no such consumer, it or the configuration lacks what the key names, or the store fails.
    fn create_key(
        &self,
        consumer: &str,
        settings: &KeySettings,
        expires: Option<u64>,
    ) -> Result<NewKey, StoreError>;
    /// Makes a key in the place of another one.
    ///
    /// # Errors
    /// The old one is not valid, or was replaced already; or the store fails.
    fn rotate_key(&self, id: KeyId, rotation: Rotation) -> Result<NewKey, StoreError>;
    /// Revokes a key.
    ///
    /// # Errors
    /// No key has this number, or the store fails. If the store fails, the key may still be valid.
    fn revoke_key(&self, id: KeyId) -> Result<Key, StoreError>;
}

/// A route.
#[derive(Clone, Debug, Serialize)]
pub struct RouteView {
    /// Its path, as the configuration writes it.
    pub path: String,
    /// Its hosts; none for any.
    pub hosts: Vec<String>,
    /// Its methods, in words.
    pub methods: String,
    /// Where its requests go.
    pub target: String,
    /// What judges its requests.
    pub controls: Vec<ControlView>,
}

/// A control of a route.
#[derive(Clone, Debug, Serialize)]
pub struct ControlView {
    /// The stage in which it runs.
    pub stage: String,
    /// Its name.
    pub check: String,
    /// `enforce`, `observe` or `off`.
    pub mode: String,
    /// What it does.
    pub summary: String,
}

/// A consumer.
#[derive(Clone, Debug, Serialize)]
pub struct ConsumerView {
    /// Its name.
    pub name: String,
    /// Its roles.
    pub roles: Vec<String>,
    /// Its scopes.
    pub scopes: Vec<String>,
}

/// The certificates of a listener.
#[derive(Clone, Debug, Serialize)]
pub struct CertificateView {
    /// The listener.
    pub listener: String,
    /// The names for which there is a certificate.
    pub names: Vec<String>,
    /// When the first of them ends, in seconds since 1970; `None` while there is none.
    pub expires: Option<u64>,
    /// Handshakes that were completed.
    pub handshakes: u64,
}

/// A group of upstreams.
#[derive(Clone, Debug, Serialize)]
pub struct UpstreamView {
    /// Its name.
    pub name: String,
    /// How requests are spread, in a word.
    pub balance: String,
    /// Its servers.
    pub servers: Vec<ServerView>,
}

/// A server of a group.
#[derive(Clone, Debug, Serialize)]
pub struct ServerView {
    /// Its URL.
    pub url: String,
    /// Its share of the requests among the others.
    pub weight: u32,
    /// `healthy`, `unhealthy` by its checks, `ejected` after failures, or `half_open` while a request finds out.
    pub state: String,
    /// Why the last check failed; empty where it did not.
    pub last_check: String,
    /// Requests that are running.
    pub running: u64,
    /// Requests since the start.
    pub requests: u64,
    /// Those that failed.
    pub failures: u64,
    /// Those that had failed elsewhere before.
    pub retries: u64,
    /// How often it was left out after failures.
    pub ejections: u64,
}

/// A block.
#[derive(Clone, Debug, Serialize)]
pub struct BlockView {
    /// An IPv4 address, or the first one of an IPv6 /64.
    pub source: IpAddr,
    /// The consumer that is blocked there; `None` for everybody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumer: Option<String>,
    /// When it ends, in seconds since 1970.
    pub until: u64,
    /// Why.
    pub reason: String,
}
