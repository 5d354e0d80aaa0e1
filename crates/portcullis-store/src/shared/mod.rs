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
use crate::replay::{MemoryReplay, Replay};
use lease::Leases;
use link::Link;
use plan::SharedCounters;
use portcullis_core::{Clock, Fault, Step};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
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

/// The most commands that no request waits for and that are on their way to the store.
const MOST_BESIDE: u32 = 1024;

/// Counts a failure, with the commands that the rest needs too.
const FAILED: &str = "local failed = (tonumber(redis.call('GET', KEYS[1])) or 0) + 1
redis.call('SET', KEYS[1], failed, 'PX', ARGV[1])
return failed";

/// A store that several gateways share.
pub struct SharedStore {
    settings: SharedSettings,
    link: Arc<Link>,
    leases: Leases,
    /// What this gateway had the store remember, so that no address fills the store.
    remembered: MemoryReplay,
    /// How many commands that no request waits for are on their way to it.
    beside: AtomicU32,
}

impl SharedStore {
    /// The store. Nothing is connected to before it is needed.
    pub fn new(settings: SharedSettings) -> SharedStore {
        SharedStore::with_room(settings, MemoryReplay::DEFAULT_ENTRIES)
    }

    /// The same, in which this gateway has so many digests remembered at most.
    pub fn with_room(settings: SharedSettings, entries: usize) -> SharedStore {
        let link = Arc::new(Link::new(settings.endpoint.clone(), settings.deadline, &settings.prefix));
        let remembered = MemoryReplay::new(entries);
        SharedStore { settings, link, leases: Leases::new(), remembered, beside: AtomicU32::new(0) }
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
        self.link.is_live()
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

    /// Whether `digest`, which `client` brings, is seen for the first time, by any gateway. It is remembered until `until`. A
    /// fault while the store does not answer, and where this gateway has no more room for the client.
    pub fn first_use(
        &self,
        now: Duration,
        client: IpAddr,
        digest: [u8; 32],
        until: Duration,
    ) -> Step<'_, Result<bool, Fault>> {
        // SECURITY: a store has no shares, so what an address has remembered there is counted here
        // (an_address_has_a_share_of_what_is_remembered).
        let room = match self.remembered.first_use(now, client, digest, until) {
            Step::Ready(Ok(true)) => Room { memory: &self.remembered, digest, is_used: false },
            known @ (Step::Ready(Ok(false) | Err(_)) | Step::Later(_)) => return known,
        };
        let life = until.saturating_sub(now).as_millis().max(1);
        let mut command = redis::cmd("SET");
        let _ = command.arg(self.used(digest)).arg(1).arg("NX").arg("PX");
        let _ = command.arg(u64::try_from(life).unwrap_or(u64::MAX));
        Step::Later(Box::pin(async move {
            let mut room = room;
            let answer = self.link.ask(command).await?;
            if answer == redis::Value::Nil {
                return Ok(false);
            }
            if answer == redis::Value::Okay {
                room.is_used = true;
                return Ok(true);
            }
            Err(Fault { detail: "the shared store gave an answer that has no meaning".into() })
        }))
    }

    /// Whether any gateway ended the sessions with one of these names that began at `begun`, time since 1970. A fault while the
    /// store does not answer.
    pub fn has_ended(&self, names: &[&str], begun: Duration) -> Step<'_, Result<bool, Fault>> {
        // One question for each name, at once: in a cluster they are on different servers.
        let mut questions: Vec<_> = names
            .iter()
            .map(|name| {
                let mut command = redis::cmd("GET");
                let _ = command.arg(self.ended(name));
                Some(Box::pin(self.link.ask(command)))
            })
            .collect();
        Step::Later(Box::pin(async move {
            let mut ended = Ok(false);
            std::future::poll_fn(|cx| {
                for question in &mut questions {
                    let Some(Poll::Ready(answer)) = question.as_mut().map(|asked| asked.as_mut().poll(cx))
                    else {
                        continue;
                    };
                    *question = None;
                    ended = match (answer, ended.clone()) {
                        (Err(fault), _) | (Ok(_), Err(fault)) => Err(fault),
                        (Ok(answer), Ok(before)) => Ok(before || is_over(&answer, begun)),
                    };
                }
                if questions.iter().all(Option::is_none) { Poll::Ready(ended.clone()) } else { Poll::Pending }
            })
            .await
        }))
    }

    /// Has all gateways know that the sessions with this name have ended that began at `begun_by` or earlier, until `until`.
    /// A fault while the store does not answer.
    pub fn end_session(
        &self,
        now: Duration,
        name: &str,
        begun_by: Duration,
        until: Duration,
    ) -> Step<'_, Result<(), Fault>> {
        let life = until.saturating_sub(now).as_millis().max(1);
        let mut command = redis::cmd("SET");
        let by = format!("by {}", begun_by.as_secs());
        let _ = command.arg(self.ended(name)).arg(by).arg("PX").arg(u64::try_from(life).unwrap_or(u64::MAX));
        Step::Later(Box::pin(async move { self.link.ask(command).await.map(|_| ()) }))
    }

    fn ended(&self, session: &str) -> String {
        keys::of_digest(&self.settings.prefix, "ended", &keys::of_text(session))
    }

    /// Counts a wrong credential of this source together with those at other gateways, beside the request, and tells how many
    /// there are. They are remembered for `memory` after the last. Tells nothing while the store does not answer, or where
    /// too many are on their way.
    pub fn failed(
        self: &Arc<Self>,
        source: IpAddr,
        memory: Duration,
        tell: impl FnOnce(u32) + Send + 'static,
    ) {
        let name = keys::of_digest(&self.settings.prefix, "failed", &keys::of_source(source));
        let mut command = redis::cmd("EVAL");
        let life = u64::try_from(memory.as_millis().max(1)).unwrap_or(u64::MAX);
        let _ = command.arg(FAILED).arg(1).arg(name).arg(life);
        self.beside(command, move |answer| {
            if let redis::Value::Int(all) = answer {
                tell(u32::try_from(all).unwrap_or(u32::MAX));
            }
        });
    }

    /// What any gateway has kept under this name. Nothing while the store does not answer.
    pub fn recall(&self, name: [u8; 32]) -> Step<'_, Option<Vec<u8>>> {
        if !self.answers() {
            return Step::Ready(None);
        }
        let mut command = redis::cmd("GET");
        let _ = command.arg(keys::of_digest(&self.settings.prefix, "kept", &name));
        Step::Later(Box::pin(async move {
            match self.link.ask(command).await {
                Ok(redis::Value::BulkString(value)) => Some(value),
                Ok(_) | Err(_) => None,
            }
        }))
    }

    /// Keeps something under this name for all gateways, for so long. Does not wait.
    pub fn keep(self: &Arc<Self>, name: [u8; 32], value: Vec<u8>, life: Duration) {
        let mut command = redis::cmd("SET");
        let life = u64::try_from(life.as_millis().max(1)).unwrap_or(u64::MAX);
        let name = keys::of_digest(&self.settings.prefix, "kept", &name);
        let _ = command.arg(name).arg(value).arg("PX").arg(life);
        self.beside(command, |_| {});
    }

    /// Sends a command that no request waits for. Not where the store does not answer, or too many are on their way.
    fn beside(self: &Arc<Self>, command: redis::Cmd, hear: impl FnOnce(redis::Value) + Send + 'static) {
        if !self.answers() {
            return;
        }
        if self.beside.fetch_add(1, Ordering::Relaxed) >= MOST_BESIDE {
            self.beside.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        let store = Arc::clone(self);
        self.link.spawn(async move {
            if let Ok(answer) = store.link.ask(command).await {
                hear(answer);
            }
            store.beside.fetch_sub(1, Ordering::Relaxed);
        });
    }

    /// Forgets `digest`.
    pub fn forget(&self, digest: [u8; 32]) -> Step<'_, Result<(), Fault>> {
        let _ = self.remembered.forget(digest);
        let mut command = redis::cmd("DEL");
        let _ = command.arg(self.used(digest));
        Step::Later(Box::pin(async move { self.link.ask(command).await.map(|_| ()) }))
    }

    fn used(&self, digest: [u8; 32]) -> String {
        keys::of_digest(&self.settings.prefix, "used", &digest)
    }
}

/// Room for a digest, which is free again unless the store came to remember it. It is the store that knows what was used:
/// nobody is refused for what a request that was given up left here.
struct Room<'a> {
    memory: &'a MemoryReplay,
    digest: [u8; 32],
    is_used: bool,
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        if !self.is_used {
            let _ = self.memory.forget(self.digest);
        }
    }
}

impl Drop for SharedStore {
    fn drop(&mut self) {
        self.link.stop();
    }
}

/// Whether an entry says that sessions that began then are over.
fn is_over(entry: &redis::Value, begun: Duration) -> bool {
    if *entry == redis::Value::Nil {
        return false;
    }
    let redis::Value::BulkString(text) = entry else { return true };
    let by = std::str::from_utf8(text).ok().and_then(|text| text.strip_prefix("by "));
    // What cannot be read ends them, whenever they began, as entries of gateways before this one did.
    by.and_then(|by| by.parse().ok()).is_none_or(|by: u64| begun.as_secs() <= by)
}
