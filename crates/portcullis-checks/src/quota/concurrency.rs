//! How many requests of a consumer, an address, a route or the whole gateway are in flight at once.
//!
//! A request is in flight until its exchange ends: the last byte of its answer, a failure, or a client that goes away. What
//! finds no place waits for a short time in a short queue, in which addresses take turns. Counted in this process alone.

use super::by::By;
use super::rate_limit::fits_public;
use crate::build::Build;
use crate::mode::ModeConfig;
use crate::section::{Part, Section};
use portcullis_config::{Context, OneOrMany, Span, Spanned, object};
use portcullis_core::check::Check;
use portcullis_core::head::client;
use portcullis_core::pool::{Bounds, Client, Full, Place, Pool};
use portcullis_core::{
    Advice, CheckId, Code, CountKey, Denial, Effects, Facts, Held, InFlight, Principal, Step,
};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The longest time that a request may wait for a place.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// More waiting requests than this help nobody.
const LONGEST_QUEUE: u32 = 100_000;

object! {
    /// How many requests may be in flight at once.
    pub struct ConcurrencyConfig {
        /// The most requests at once, in each process.
        #[alias("max")]
        pub max_requests: NonZeroU32,
        /// Whose requests are counted together. Default: consumer.
        pub by: By = By::consumer(),
        /// How many more may wait for a place. Default: 0.
        pub queue: Spanned<u32> = Spanned::nowhere(0),
        /// How long one may wait, at most 60s. Then the answer is 503. Default: 1s.
        pub max_wait: Spanned<Duration> = Spanned::nowhere(Duration::from_secs(1)),
        /// What a refusal does. Default: enforce.
        pub mode: ModeConfig = ModeConfig::Enforce,
    }
}

impl Section for OneOrMany<ConcurrencyConfig> {
    const ABOUT: &'static str = "How many requests at once; one bound or a list of them.";
    const CHECKS: &'static [&'static str] = &["quota.concurrency"];

    fn compile(&self, security: Span, build: &mut Build, cx: &mut Context) -> Option<Part> {
        if self.0.is_empty() {
            cx.error("config.empty_list", security, "the list of bounds is empty")
                .help("give at least one bound, or leave the section out");
            return None;
        }
        let checks: Vec<_> = self.0.iter().map(|config| (config.mode, config.check(build, cx))).collect();
        checks
            .into_iter()
            .try_fold(Part::new(), |part, (mode, check)| Some(part.in_flight(mode, Arc::new(check?))))
    }

    fn fits_public(&self, path: Span, cx: &mut Context) -> Option<()> {
        self.0.iter().try_for_each(|config| fits_public(&config.by, config.mode, path, cx))
    }
}

impl ConcurrencyConfig {
    fn check(&self, build: &mut Build, cx: &mut Context) -> Option<Concurrency> {
        if self.max_wait.value.is_zero() || self.max_wait.value > LONGEST_WAIT {
            cx.error(
                "config.wait",
                self.max_wait.span,
                "a request waits for a place for some time, at most 60s",
            )
            .help("write a time such as `1s`, or leave the key out");
            return None;
        }
        if self.queue.value > LONGEST_QUEUE {
            cx.error(
                "config.out_of_range",
                self.queue.span,
                format!("a queue of {} is too long", self.queue.value),
            )
            .label(format!("expected a whole number from 0 to {LONGEST_QUEUE}"))
            .help("most of them would wait in vain; write a shorter queue");
            return None;
        }
        build.read_fields.extend(self.by.fields().cloned());
        build.needs_operations_of(&self.by, self.at);
        let (max, waiting) = (self.max_requests.get() as usize, self.queue.value as usize);
        let bounds = Bounds { units: max, share: max, waiting };
        // Requests that are in flight while the configuration changes still count, where the bound is the same.
        let name = format!("{} concurrency by {} {bounds:?}", build.scope, self.by.name());
        let places = build.kept.keep(&name, || Places { bounds, ..Places::default() });
        Some(Concurrency { by: self.by.clone(), places, max_wait: self.max_wait.value })
    }
}

/// The pools of those that have a request in flight. There are never more than requests in flight or waiting.
struct Places {
    bounds: Bounds,
    shards: [Mutex<HashMap<u64, Used>>; SHARDS],
    hasher: RandomState,
}

/// A pool, and how many requests have to do with it. It is forgotten with the last of them and never before: a second pool
/// for the same key would let in as many again.
struct Used {
    pool: Pool,
    requests: usize,
}

const SHARDS: usize = 16;

impl Default for Places {
    fn default() -> Places {
        Places {
            bounds: Bounds { units: 0, share: 0, waiting: 0 },
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
        }
    }
}

impl Places {
    fn shard(&self, key: u64) -> Option<MutexGuard<'_, HashMap<u64, Used>>> {
        let shard = self.shards.get(usize::try_from(key >> 8).unwrap_or_default() % SHARDS)?;
        // A poisoned lock means that a thread died between plain writes; any value is a valid state.
        Some(shard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn enter(&self, key: u64) -> Option<Pool> {
        let mut shard = self.shard(key)?;
        let used = shard.entry(key).or_insert_with(|| Used { pool: Pool::new(self.bounds), requests: 0 });
        used.requests += 1;
        Some(used.pool.clone())
    }

    fn leave(&self, key: u64) {
        if let Some(mut shard) = self.shard(key)
            && let Some(used) = shard.get_mut(&key)
        {
            used.requests = used.requests.saturating_sub(1);
            if used.requests == 0 {
                shard.remove(&key);
            }
        }
    }
}

/// What a request in flight holds.
struct Flight {
    place: Option<Place>,
    places: Arc<Places>,
    key: u64,
}

impl Drop for Flight {
    fn drop(&mut self) {
        // First the place, so that whoever waits has it before the pool can be forgotten.
        self.place = None;
        self.places.leave(self.key);
    }
}

/// The check.
struct Concurrency {
    by: By,
    places: Arc<Places>,
    max_wait: Duration,
}

impl Check for Concurrency {
    fn id(&self) -> CheckId {
        CheckId::new("quota.concurrency")
    }

    fn describe(&self) -> String {
        let Bounds { units, waiting, .. } = self.places.bounds;
        let waits = match waiting {
            0 => String::new(),
            waiting => format!(", and {waiting} more that wait for {} ms", self.max_wait.as_millis()),
        };
        format!("{}: {units} requests at once{waits}", self.by.describe())
    }
}

impl Concurrency {
    fn key(&self, facts: &Facts<'_>, principal: &Principal) -> Result<u64, Denial> {
        let keys = self.by.keys(facts, principal, principal.evidence().next())?;
        let mut parts = KeysHash(&self.places.hasher, 0);
        for part in keys.parts() {
            // SECURITY: one customer holds a whole IPv6 /64 (an_ipv6_customer_is_one_key).
            if let CountKey::Address(address) = part {
                parts.add(CountKey::Address(client::fold(*address)));
            } else {
                parts.add(*part);
            }
        }
        Ok(parts.1)
    }
}

struct KeysHash<'a>(&'a RandomState, u64);

impl KeysHash<'_> {
    fn add(&mut self, part: CountKey<'_>) {
        self.1 = self.0.hash_one((self.1, part));
    }
}

impl InFlight for Concurrency {
    fn enter<'a>(
        &'a self,
        facts: &'a Facts<'a>,
        principal: &'a Principal,
        effects: &'a dyn Effects,
    ) -> Step<'a, Result<Option<Held>, Denial>> {
        let full = |full: Full| {
            Denial::new(Code::Overloaded, format!("too many requests at once: {full}"))
                .advising(Advice::RetryAfter { seconds: 1 })
        };
        let key = match self.key(facts, principal) {
            Ok(key) => key,
            Err(denial) => return Step::Ready(Err(denial)),
        };
        let Some(pool) = self.places.enter(key) else {
            return Step::Ready(Err(Denial::new(Code::Fault, "no place to count what is in flight")));
        };
        // From here on the pool is forgotten again, whatever happens.
        let mut flight = Flight { place: None, places: Arc::clone(&self.places), key };
        let address = facts.head.client();
        match pool.try_take(address, 1) {
            Ok(place) => {
                flight.place = Some(place);
                Step::Ready(Ok(Some(Box::new(flight))))
            }
            Err(problem) if self.places.bounds.waiting == 0 => Step::Ready(Err(full(problem))),
            Err(_) => Step::Later(Box::pin(async move {
                let turn = pool.take(Client::unknown(address), 1).within(effects.sleep(self.max_wait));
                flight.place = Some(turn.await.map_err(full)?);
                Ok(Some(Box::new(flight) as Held))
            })),
        }
    }
}

#[cfg(test)]
mod tests;
