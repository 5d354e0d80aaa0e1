//! Counters in memory.
//!
//! Consumers and routes have a slot of their own, found by number: no hashing, no lock, nothing that another key could
//! push out. Addresses, header values and subjects, of which there can be any number, each have a table of fixed size, in
//! which an entry is given up only when nothing is owed on it any more. Where a table has no room, newcomers share one
//! allowance: a flood of made-up addresses can make strangers wait, and can reset nobody. The tables are apart because what
//! anybody can make up without effort, a header value, must not take the room of what cannot be made up at all, a subject.

use super::names::Names;
use super::slots::{self, Slots};
use super::table::Table;
use super::{CountNames, CounterStore, Counters, Rate};
use portcullis_core::{Clock, Count, CountKey, Fault, Limit, Step, head::client};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The most limits that are kept for a plan that may come back.
const MAX_LEFT: usize = 65_536;

/// What is counted of a limit.
struct Counted {
    /// Of this limit and never of another one.
    number: u32,
    consumers: Slots,
    routes: Slots,
    /// What newcomers share where the table has no room.
    overflow: AtomicU64,
}

/// Counters in memory, while plans come and go.
pub struct MemoryCounters(Arc<Shared>);

struct Shared {
    addresses: Table,
    values: Table,
    subjects: Table,
    hasher: RandomState,
    named: Mutex<Named>,
}

/// What is found by name when a plan is made. No request comes here.
#[derive(Default)]
struct Named {
    limits: HashMap<Arc<str>, KeptLimit>,
    consumers: Names,
    routes: Names,
    next_limit: u32,
}

struct KeptLimit {
    counted: Arc<Counted>,
    /// By which the plan counts that is judged by.
    rate: Rate,
    plans: u32,
    /// When it was first seen that no plan has it.
    left: Option<u64>,
}

/// The counters of one plan, every name resolved.
struct PlanCounters {
    shared: Arc<Shared>,
    names: CountNames,
    limits: Vec<(Arc<Counted>, Rate)>,
    consumers: Vec<u32>,
    routes: Vec<u32>,
}

impl MemoryCounters {
    /// How many addresses, header values and subjects each are counted apart at any time: about 7 MiB of memory.
    pub const DEFAULT_ENTRIES: usize = 131_072;

    /// Counters for at most `entries` addresses, as many header values and as many subjects at a time over all limits
    /// (rounded up to a power of two, at least 8). Consumers and routes have room as they come.
    pub fn new(entries: usize) -> MemoryCounters {
        MemoryCounters(Arc::new(Shared {
            addresses: Table::new(entries),
            values: Table::new(entries),
            subjects: Table::new(entries),
            hasher: RandomState::new(),
            named: Mutex::default(),
        }))
    }
}

impl CounterStore for MemoryCounters {
    fn of_plan(&self, names: CountNames, clock: &dyn Clock) -> Box<dyn Counters> {
        let mut named = self.0.named();
        named.forget(nanos(clock));
        let limits = names.limits.iter().map(|(name, limit)| named.take(name, Rate::of(limit))).collect();
        let consumers = named.consumers.take(&names.consumers);
        let routes = named.routes.take(&names.routes);
        drop(named);
        Box::new(PlanCounters { shared: Arc::clone(&self.0), names, limits, consumers, routes })
    }
}

impl Shared {
    fn named(&self) -> MutexGuard<'_, Named> {
        // A poisoned lock means that a thread died between plain writes; any value is a valid state.
        self.named.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts everything that is counted of a limit from one rate to another.
    fn convert(&self, counted: &Counted, now: u64, from: Rate, to: Rate) {
        counted.consumers.convert(now, from, to);
        counted.routes.convert(now, from, to);
        slots::convert(&counted.overflow, now, from, to);
        for table in [&self.addresses, &self.values, &self.subjects] {
            table.each(counted.number, now, |arrival| *arrival = to.arrival_of(from, now, *arrival));
        }
    }
}

impl Named {
    fn take(&mut self, name: &Arc<str>, rate: Rate) -> (Arc<Counted>, Rate) {
        let next = &mut self.next_limit;
        let kept = self.limits.entry(Arc::clone(name)).or_insert_with(|| {
            *next = next.saturating_add(1);
            let counted = Counted {
                number: *next,
                consumers: Slots::default(),
                routes: Slots::default(),
                overflow: AtomicU64::new(0),
            };
            KeptLimit { counted: Arc::new(counted), rate, plans: 0, left: None }
        });
        kept.plans += 1;
        kept.left = None;
        (Arc::clone(&kept.counted), rate)
    }

    /// Forgets what no plan has, and on which nothing can be owed any more.
    fn forget(&mut self, now: u64) {
        let longest = self.limits.values().map(|kept| kept.rate.allowance).max().unwrap_or(0);
        let mut left: Vec<(u64, Arc<str>)> = Vec::new();
        self.limits.retain(|name, kept| {
            if kept.plans > 0 {
                return true;
            }
            let since = *kept.left.get_or_insert(now);
            let stays = since.saturating_add(kept.rate.allowance) > now;
            if stays {
                left.push((since, Arc::clone(name)));
            }
            stays
        });
        if left.len() > MAX_LEFT {
            left.sort_unstable();
            let beyond = left.len() - MAX_LEFT;
            for (_, name) in left.iter().take(beyond) {
                self.limits.remove(name);
            }
        }
        self.consumers.forget(now, longest);
        self.routes.forget(now, longest);
    }
}

impl Drop for PlanCounters {
    fn drop(&mut self) {
        let mut named = self.shared.named();
        for (name, _) in &self.names.limits {
            if let Some(kept) = named.limits.get_mut(name) {
                kept.plans = kept.plans.saturating_sub(1);
            }
        }
        named.consumers.give_back(&self.names.consumers);
        named.routes.give_back(&self.names.routes);
    }
}

impl PlanCounters {
    fn count_now(&self, clock: &dyn Clock, limit: &Limit, key: CountKey<'_>) -> Result<Count, Fault> {
        let unknown = || Fault { detail: "a limit, consumer or route of another plan".into() };
        let (counted, rate) = self.limits.get(limit.id.0 as usize).ok_or_else(unknown)?;
        let rate = *rate;
        let now = || nanos(clock);
        let Shared { addresses, values, subjects, hasher, .. } = self.shared.as_ref();
        let number = |numbers: &[u32], id: u32| numbers.get(id as usize).copied().ok_or_else(unknown);
        match key {
            CountKey::Consumer(id) => {
                let slot = counted.consumers.slot(number(&self.consumers, id.0)?);
                Ok(charge_slot(slot.ok_or_else(unknown)?, rate, now))
            }
            CountKey::Route(id) => {
                let slot = counted.routes.slot(number(&self.routes, id)?);
                Ok(charge_slot(slot.ok_or_else(unknown)?, rate, now))
            }
            CountKey::Address(address) => {
                // SECURITY: one customer holds a whole IPv6 /64 (an_ipv6_customer_is_one_key).
                let hash = hasher.hash_one((counted.number, client::fold(address)));
                Ok(charge_entry(addresses, counted, rate, now, hash))
            }
            CountKey::Subject(key) => {
                let hash = hasher.hash_one((counted.number, key));
                Ok(charge_entry(subjects, counted, rate, now, hash))
            }
            CountKey::Value(value) => {
                let hash = hasher.hash_one((counted.number, value));
                Ok(charge_entry(values, counted, rate, now, hash))
            }
        }
    }
}

fn nanos(clock: &dyn Clock) -> u64 {
    u64::try_from(clock.monotonic().as_nanos()).unwrap_or(u64::MAX)
}

fn charge_entry(table: &Table, counted: &Counted, rate: Rate, now: impl Fn() -> u64, hash: u64) -> Count {
    let charged = table.entry(counted.number, hash, &now, |now, arrival| {
        let (next, count) = rate.charge(now, *arrival);
        if let Some(next) = next {
            *arrival = next;
        }
        count
    });
    charged.unwrap_or_else(|| charge_slot(&counted.overflow, rate, now))
}

/// Charges a slot; exact however many cores do so at once, since only one of them can take each step.
fn charge_slot(slot: &AtomicU64, rate: Rate, now: impl Fn() -> u64) -> Count {
    let mut arrival = slot.load(Ordering::Acquire);
    loop {
        let (next, count) = rate.charge(now(), arrival);
        let Some(next) = next else { return count };
        match slot.compare_exchange_weak(arrival, next, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return count,
            Err(newer) => arrival = newer,
        }
    }
}

impl Counters for PlanCounters {
    fn begin(&self, clock: &dyn Clock) {
        let mut named = self.shared.named();
        let now = nanos(clock);
        for ((name, _), (counted, rate)) in self.names.limits.iter().zip(&self.limits) {
            let Some(kept) = named.limits.get_mut(name) else { continue };
            let from = std::mem::replace(&mut kept.rate, *rate);
            if from != *rate {
                self.shared.convert(counted, now, from, *rate);
            }
        }
    }

    fn count<'a>(
        &'a self,
        clock: &'a dyn Clock,
        limit: &'a Limit,
        key: CountKey<'a>,
    ) -> Step<'a, Result<Count, Fault>> {
        Step::Ready(self.count_now(clock, limit, key))
    }
}

#[cfg(test)]
mod tests;
