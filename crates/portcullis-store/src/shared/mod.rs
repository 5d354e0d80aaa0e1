//! What several gateways share, in Redis or Valkey: counters, and what may be used once only.
//!
//! A request goes to the store at most once for each kind of limit, with a short deadline. If the store does not answer in
//! time, it is left alone until it answers a probe, so one request waits for the deadline and not each of them. Until then
//! limits are counted here, by what [`OnFailure`] says; what may be used once is a fault.

mod keys;
mod lease;
mod link;
mod plan;
mod script;

pub use link::{Endpoint, Tls};

use crate::counters::{CountNames, Counters, MemoryCounters};
use lease::Leases;
use link::Link;
use plan::SharedCounters;
use portcullis_core::{Clock, Fault, Step};
use std::sync::Arc;
use std::time::Duration;

/// When gateways tell each other what they count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sync {
    /// At each request.
    Strict,
    /// A gateway takes some requests of a limit in advance, and counts those by itself.
    Leased,
}

/// What happens to limits while the store does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OnFailure {
    /// Each gateway allows its share: the limit divided by the gateways that were seen in the minute before.
    LocalShare,
    /// Every request with a limit is refused (503).
    Deny,
    /// Every request is within its limits.
    Allow,
}

/// How a store is used.
#[derive(Clone)]
pub struct SharedSettings {
    /// Where it is.
    pub endpoint: Endpoint,
    /// When gateways tell each other what they count.
    pub sync: Sync,
    /// What happens to limits while it does not answer.
    pub on_failure: OnFailure,
    /// How long a request waits for it.
    pub deadline: Duration,
    /// What its keys begin with; gateways with the same one share what they count.
    pub prefix: String,
}

impl SharedSettings {
    /// What stands for all of it. Holds digests of secrets, and no secret.
    pub fn name(&self) -> String {
        let endpoint = keys::of_digest("", "endpoint", &self.endpoint.digest());
        format!("shared store {} {}", self.describe(), endpoint)
    }

    /// What it does, for people. Holds no secret.
    pub fn describe(&self) -> String {
        let kind = match self.endpoint {
            Endpoint::Single { .. } => "one server",
            Endpoint::Cluster { .. } => "a cluster",
            Endpoint::Sentinel { .. } => "a server that sentinels watch",
        };
        let sync = match self.sync {
            Sync::Strict => "strict",
            Sync::Leased => "leased",
        };
        let on_failure = match self.on_failure {
            OnFailure::LocalShare => "each gateway allows its share",
            OnFailure::Deny => "requests with a limit are rejected",
            OnFailure::Allow => "limits do not hold",
        };
        let (prefix, wait) = (&self.prefix, self.deadline.as_millis());
        format!("{kind}, {sync}, keys {prefix}:*, waits {wait} ms; while it does not answer, {on_failure}")
    }
}

/// Takes what the operator should know: what it is about, and what happened.
pub type Notices = dyn Fn(&str, &str) + Send + std::marker::Sync;

/// A store that several gateways share.
pub struct SharedStore {
    settings: SharedSettings,
    link: Arc<Link>,
    leases: Leases,
}

impl SharedStore {
    /// The store. Nothing is connected to before it is needed.
    pub fn new(settings: SharedSettings) -> SharedStore {
        let link = Arc::new(Link::new(settings.endpoint.clone(), settings.deadline, &settings.prefix));
        SharedStore { settings, link, leases: Leases::new() }
    }

    /// What it does, for people.
    pub fn describe(&self) -> String {
        self.settings.describe()
    }

    /// What it has to say goes here.
    pub fn tell(&self, notices: Arc<Notices>) {
        self.link.tell(notices);
    }

    /// Connects, so that the first request need not wait for it.
    pub fn connect(&self) {
        self.link.start();
    }

    /// Whether it answers now.
    pub fn answers(&self) -> bool {
        self.link.live().is_some()
    }

    /// How many gateways were seen in the last minute, this one among them.
    pub fn gateways(&self) -> u32 {
        self.link.gateways()
    }

    /// The counters of a plan, with those of this process for when the store does not answer.
    pub fn of_plan(
        self: &Arc<Self>,
        local: &MemoryCounters,
        names: CountNames,
        clock: &dyn Clock,
    ) -> Box<dyn Counters> {
        Box::new(SharedCounters::new(Arc::clone(self), local.resolved(names, clock)))
    }

    /// Whether `digest` is seen for the first time, by any gateway. It is remembered until `until`. A fault while the
    /// store does not answer.
    pub fn first_use(
        &self,
        now: Duration,
        digest: [u8; 32],
        until: Duration,
    ) -> Step<'_, Result<bool, Fault>> {
        let life = until.saturating_sub(now).as_millis().max(1);
        let mut command = redis::cmd("SET");
        let _ = command.arg(self.used(digest)).arg(1).arg("NX").arg("PX");
        let _ = command.arg(u64::try_from(life).unwrap_or(u64::MAX));
        Step::Later(Box::pin(async move {
            let answer = self.link.ask(command).await?;
            if answer == redis::Value::Nil {
                return Ok(false);
            }
            if answer == redis::Value::Okay {
                return Ok(true);
            }
            Err(Fault { detail: "the shared store gave an answer that has no meaning".into() })
        }))
    }

    /// Forgets `digest`.
    pub fn forget(&self, digest: [u8; 32]) -> Step<'_, Result<(), Fault>> {
        let mut command = redis::cmd("DEL");
        let _ = command.arg(self.used(digest));
        Step::Later(Box::pin(async move { self.link.ask(command).await.map(|_| ()) }))
    }

    fn used(&self, digest: [u8; 32]) -> String {
        keys::of_digest(&self.settings.prefix, "used", &digest)
    }
}

impl Drop for SharedStore {
    fn drop(&mut self) {
        self.link.stop();
    }
}
