//! What the checks of a replay may ask: limits, followed through a log from the worst case, and what the line says of its sender.
//! What is asked beyond that is marked, so that the decision is unknown.
//!
//! Each limit counts as the gateway does (GCRA), but is taken to be used up at the first line of the log, since nobody knows
//! what came before. So a request that is within the limit here was within it in the gateway. A request of which the log does not
//! tell who sent it may have been let through, and counted for anybody: it counts for all.

use portcullis_core::{
    Algorithm, Count, CountKey, CountedCredential, Effects, Fault, Fingerprint, KeyDigest, KeyRecord,
    KeySetId, Keys, Limit, Now, Standing, Step, Wait,
};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The most keys that are followed; requests of others are unknown.
const MAX_KEYS: usize = 1_000_000;
/// The most requests of unknown senders that are counted one by one for a key; of more, its limit is taken to be used up.
const MAX_STRANGERS: usize = 1000;
/// By so much the time of a line and that of the count may differ.
const SLACK: Duration = Duration::from_millis(50);

/// The world of a replay.
pub(super) struct Counts {
    /// After how many failures an address may have to wait.
    free_failures: u32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    now: Duration,
    begun: Option<Duration>,
    /// The limits and keys that were counted so far.
    followed: HashMap<(u32, Vec<u8>), Followed>,
    /// When requests came of which nobody knows who sent them, and from where.
    strangers: Vec<(Duration, Vec<u8>)>,
    /// How many of them came from each IPv4 address and IPv6 /48.
    strangers_from: HashMap<Vec<u8>, u32>,
    /// What was asked first that a log does not tell.
    unknown: Option<&'static str>,
    sender: Arc<Sender>,
}

impl State {
    fn is_unknown(&mut self, why: &'static str) {
        self.unknown.get_or_insert(why);
    }
}

/// How far a limit is used up for one key, at worst.
#[derive(Clone, Copy)]
struct Followed {
    /// When it is whole again.
    whole_at: Duration,
    /// How many requests of unknown senders are in it.
    strangers: usize,
}

impl Followed {
    /// One more request of `each` comes at this time. A limit that is used up counts none.
    fn count(&mut self, at: Duration, each: Duration, burst: u32) {
        let used_up = at.saturating_add(each.saturating_mul(burst));
        self.whole_at = self.whole_at.max(at).saturating_add(each).min(used_up);
    }

    /// Counts what came of unknown senders until now: from this network alone, where the limit is one of an address.
    fn count_strangers(
        &mut self,
        strangers: &[(Duration, Vec<u8>)],
        network: Option<&[u8]>,
        (now, each, burst): (Duration, Duration, u32),
    ) {
        let whole = each.saturating_mul(burst);
        // By now, one that was used up then has nothing left of what came before.
        let begin = now.saturating_sub(whole);
        let first = strangers.partition_point(|(at, _)| *at < begin);
        if self.strangers < first {
            (self.strangers, self.whole_at) = (first, self.whole_at.max(begin.saturating_add(whole)));
        }
        let new = strangers.get(self.strangers..).unwrap_or_default();
        if new.len() > MAX_STRANGERS {
            self.whole_at = now.saturating_add(whole);
        } else {
            for (at, from) in new {
                if network.is_none_or(|network| network == from) {
                    self.count(*at, each, burst);
                }
            }
        }
        self.strangers = strangers.len();
    }
}

/// What a line says of who sent its request.
#[derive(Default)]
pub(super) struct Sender {
    /// The check that a credential was good for.
    pub(super) by: Option<String>,
    pub(super) consumer: Option<String>,
    pub(super) issuer: Option<String>,
    pub(super) subject: Option<String>,
}

impl Counts {
    pub(super) fn new(free_failures: u32) -> Counts {
        Counts { free_failures, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next request comes now, from this sender. Nothing was asked yet.
    pub(super) fn begin(&self, now: Duration, sender: Sender) {
        let mut state = self.state();
        state.sender = Arc::new(sender);
        state.begun.get_or_insert(now);
        // Lines are written when a request ends, and so not always in the order in which they came.
        state.now = state.now.max(now);
        state.unknown = None;
    }

    /// Something is asked that a log does not tell, for this reason.
    pub(super) fn is_unknown(&self, why: &'static str) {
        self.state().is_unknown(why);
    }

    /// The first thing that was asked of this request and that a log does not tell.
    pub(super) fn unknown(&self) -> Option<&'static str> {
        self.state().unknown
    }

    /// The request may be anybody's, and may have been let through.
    pub(super) fn is_a_strangers(&self, from: IpAddr) {
        let mut state = self.state();
        let now = state.now;
        state.strangers.push((now, network(from)));
        let count = state.strangers_from.entry(site(from)).or_default();
        *count = count.saturating_add(1);
    }

    pub(super) fn sender(&self) -> Arc<Sender> {
        Arc::clone(&self.state().sender)
    }

    fn count_now(&self, limit: &Limit, keys: &Keys<'_>, cost: u32) -> Count {
        let mut state = self.state();
        let allowed =
            Count { allowed: true, remaining: 0, retry_after: Duration::ZERO, reset_after: Duration::ZERO };
        if limit.algorithm != Algorithm::Gcra || cost != 1 {
            // What was counted before the log begins is not known.
            state.is_unknown(super::USED_UP);
            return allowed;
        }
        let name = (limit.id.0, keys.parts().iter().flat_map(|key| bytes(*key)).collect());
        let (now, begun) = (state.now, state.begun.unwrap_or_default());
        let each = limit.period / limit.max.max(1);
        let room = each.saturating_mul(limit.burst.saturating_sub(1));
        // Used up when the log begins: one more is allowed after `each`, and so on.
        let used_up = begun.saturating_add(each.saturating_mul(limit.burst)).saturating_add(SLACK);
        if !state.followed.contains_key(&name) && state.followed.len() >= MAX_KEYS {
            state.is_unknown(super::USED_UP);
            return allowed;
        }
        let unseen = Followed { whole_at: used_up, strangers: 0 };
        let mut followed = state.followed.get(&name).copied().unwrap_or(unseen);
        let network = match keys.parts() {
            [CountKey::Address(address)] => Some(network(*address)),
            _ => None,
        };
        followed.count_strangers(&state.strangers, network.as_deref(), (now, each, limit.burst));
        if followed.whole_at.saturating_sub(now).saturating_add(SLACK) > room {
            // It may be refused, or not; if it is let through, it counts.
            state.is_unknown(super::USED_UP);
        }
        followed.count(now, each, limit.burst);
        state.followed.insert(name, followed);
        allowed
    }
}

fn bytes(key: CountKey<'_>) -> Vec<u8> {
    let (kind, bytes) = match key {
        CountKey::Consumer(id) => (b'c', id.0.to_le_bytes().to_vec()),
        CountKey::Subject(name) => (b's', name.to_vec()),
        CountKey::Address(address) => (b'a', network(address)),
        CountKey::Value(value) => (b'v', value.to_vec()),
        CountKey::Route(id) => (b'r', id.to_le_bytes().to_vec()),
        CountKey::Credential(CountedCredential::Stored(key)) => (b'k', key.0.to_le_bytes().to_vec()),
        CountKey::Credential(CountedCredential::Configured(name)) => (b'd', name.to_vec()),
        CountKey::Claim { issuer, value } => (b'm', format!("{issuer}\0{value}").into_bytes()),
        CountKey::Operation { document, method, path } => {
            (b'o', format!("{document}\0{method}\0{path}").into_bytes())
        }
        CountKey::Gateway => (b'g', Vec::new()),
    };
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_le_bytes().to_vec();
    [vec![kind], length, bytes].concat()
}

/// An IPv4 address, or the /64 of an IPv6 one.
fn network(address: IpAddr) -> Vec<u8> {
    match address.to_canonical() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().iter().take(8).copied().collect(),
    }
}

/// An IPv4 address, or the /48 of an IPv6 one.
fn site(address: IpAddr) -> Vec<u8> {
    let mut network = network(address);
    network.truncate(6);
    network
}

impl Effects for Counts {
    fn now(&self) -> Now {
        let now = self.state().now;
        Now { monotonic: now, unix: now }
    }

    fn random(&self) -> [u8; 16] {
        [0; 16]
    }

    fn count<'a>(
        &'a self,
        limit: &'a Limit,
        keys: &'a Keys<'a>,
        cost: u32,
    ) -> Step<'a, Result<Count, Fault>> {
        Step::Ready(Ok(self.count_now(limit, keys, cost)))
    }

    fn key(&self, _: KeySetId, _: KeyDigest) -> Step<'_, Result<Option<KeyRecord>, Fault>> {
        self.is_unknown("a check asks for a key");
        Step::Ready(Ok(None))
    }

    fn sleep(&self, _: Duration) -> Wait<'static, ()> {
        Box::pin(std::future::ready(()))
    }

    fn standing(&self, source: IpAddr) -> Standing {
        let mut state = self.state();
        // A refused credential may be one failure more.
        if state.strangers_from.get(&site(source)).is_some_and(|count| *count > self.free_failures) {
            state.is_unknown("its address may have to wait after wrong credentials");
        }
        Standing::Free
    }

    fn credential_failed(&self, _: IpAddr) {}

    fn is_known(&self, _: IpAddr, _: Fingerprint) -> bool {
        true
    }

    fn credential_good(&self, _: IpAddr, _: Fingerprint) {}

    fn notice(&self, _: &str, _: &str) {}
}
