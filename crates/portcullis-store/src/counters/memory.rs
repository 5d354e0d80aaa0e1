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
use super::window::{Bounds, Window, WindowRate};
use super::{CountNames, CounterStore, Counters, Rate};
use portcullis_core::{Algorithm, Clock, Count, CountKey, Fault, Keys, Limit, Step, head::client};
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

/// The most limits that are kept for a plan that may come back.
const MAX_LEFT: usize = 65_536;

/// What is counted of a limit.
struct Counted {
    /// Of this limit and never of another one.
    number: u32,
    consumers: Slots<AtomicU64>,
    routes: Slots<AtomicU64>,
    /// What newcomers share where the table has no room, and what is counted of the whole gateway.
    overflow: AtomicU64,
    gateway: AtomicU64,
    windows: CountedInWindows,
}

/// The same, for limits that count in windows. Empty slots take no room.
#[derive(Default)]
struct CountedInWindows {
    consumers: Slots<Mutex<Window>>,
    routes: Slots<Mutex<Window>>,
    overflow: Mutex<Window>,
    gateway: Mutex<Window>,
}

/// One table for each kind of key that anybody can make up, in the order of the effort that it takes.
struct Tables<S> {
    values: Table<S>,
    addresses: Table<S>,
    subjects: Table<S>,
}

impl<S: super::table::State> Tables<S> {
    fn new(entries: usize) -> Tables<S> {
        Tables { values: Table::new(entries), addresses: Table::new(entries), subjects: Table::new(entries) }
    }

    fn of(&self, effort: Effort) -> &Table<S> {
        match effort {
            Effort::None => &self.values,
            Effort::AnAddress => &self.addresses,
            Effort::AVouchedName => &self.subjects,
        }
    }
}

/// What it takes to make up a key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Effort {
    None,
    AnAddress,
    AVouchedName,
}

/// Counters in memory, while plans come and go.
pub struct MemoryCounters(Arc<Shared>);

struct Shared {
    arrivals: Tables<u64>,
    // Made when they are first used: most gateways count in no windows.
    windows: LazyLock<Tables<Window>, Box<dyn FnOnce() -> Tables<Window> + Send>>,
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
pub(crate) struct PlanCounters {
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
    /// (at least 7). Consumers and routes have room as they come.
    pub fn new(entries: usize) -> MemoryCounters {
        MemoryCounters(Arc::new(Shared {
            arrivals: Tables::new(entries),
            windows: LazyLock::new(Box::new(move || Tables::new(entries))),
            hasher: RandomState::new(),
            named: Mutex::default(),
        }))
    }
}

impl CounterStore for MemoryCounters {
    fn of_plan(&self, names: CountNames, clock: &dyn Clock) -> Box<dyn Counters> {
        Box::new(self.resolved(names, clock))
    }
}

impl MemoryCounters {
    /// Bytes of an entry, for limits of each kind.
    pub const ENTRY_BYTES: [usize; 2] = [Table::<u64>::ENTRY_BYTES, Table::<Window>::ENTRY_BYTES];

    pub(crate) fn resolved(&self, names: CountNames, clock: &dyn Clock) -> PlanCounters {
        let mut named = self.0.named();
        named.forget(nanos(clock));
        let limits =
            names.limits.iter().map(|limit| named.take(&limit.name, Rate::of(&limit.limit))).collect();
        let consumers = named.consumers.take(&names.consumers);
        let routes = named.routes.take(&names.routes);
        drop(named);
        PlanCounters { shared: Arc::clone(&self.0), names, limits, consumers, routes }
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
        slots::convert(&counted.gateway, now, from, to);
        for table in [&self.arrivals.addresses, &self.arrivals.values, &self.arrivals.subjects] {
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
                gateway: AtomicU64::new(0),
                windows: CountedInWindows::default(),
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
        for limit in &self.names.limits {
            if let Some(kept) = named.limits.get_mut(&limit.name) {
                kept.plans = kept.plans.saturating_sub(1);
            }
        }
        named.consumers.give_back(&self.names.consumers);
        named.routes.give_back(&self.names.routes);
    }
}

/// What is done to a counter.
#[derive(Clone, Copy)]
enum Work {
    /// Charges, if it is within the limit.
    Charge(u32),
    /// Charges, whatever is allowed.
    Debit(u32),
    /// Takes back.
    Refund(u32),
}

fn unknown() -> Fault {
    Fault { detail: "a limit, consumer or route of another plan".into() }
}

impl PlanCounters {
    pub(crate) fn names(&self) -> &CountNames {
        &self.names
    }

    /// Charges at once. With `gateways`, only this gateway's share of the limit is allowed.
    pub(crate) fn charge(
        &self,
        clock: &dyn Clock,
        limit: &Limit,
        keys: &Keys<'_>,
        cost: u32,
        gateways: u32,
    ) -> Result<Count, Fault> {
        self.work(clock, limit, keys, Work::Charge(cost), gateways)
    }

    /// Takes back what was charged.
    pub(crate) fn refund(&self, clock: &dyn Clock, limit: &Limit, keys: &Keys<'_>, cost: u32, gateways: u32) {
        // A counter that is not there has nothing to take back.
        let _ = self.work(clock, limit, keys, Work::Refund(cost), gateways);
    }

    /// Charges, whatever is allowed.
    pub(crate) fn debit(&self, clock: &dyn Clock, limit: &Limit, keys: &Keys<'_>, cost: u32, gateways: u32) {
        let _ = self.work(clock, limit, keys, Work::Debit(cost), gateways);
    }

    fn work(
        &self,
        clock: &dyn Clock,
        limit: &Limit,
        keys: &Keys<'_>,
        work: Work,
        gateways: u32,
    ) -> Result<Count, Fault> {
        let (counted, rate) = self.limits.get(limit.id.0 as usize).ok_or_else(unknown)?;
        if limit.algorithm != Algorithm::Gcra {
            return self.work_in_window(clock, counted, limit, keys, work, gateways);
        }
        let rate = rate.share(gateways);
        let now = || nanos(clock);
        let number = |numbers: &[u32], id: u32| numbers.get(id as usize).copied().ok_or_else(unknown);
        let slot = match keys.parts() {
            [CountKey::Consumer(id)] => {
                counted.consumers.slot(number(&self.consumers, id.0)?).ok_or_else(unknown)?
            }
            [CountKey::Route(id)] => counted.routes.slot(number(&self.routes, *id)?).ok_or_else(unknown)?,
            [CountKey::Gateway] => &counted.gateway,
            parts => {
                let (hash, effort) = self.hash(counted, parts)?;
                let table = self.shared.arrivals.of(effort);
                let worked = table.entry(counted.number, hash, now, |now, arrival| {
                    let (next, count) = step(rate, now, *arrival, work);
                    if let Some(next) = next {
                        *arrival = next;
                    }
                    count
                });
                return Ok(worked.unwrap_or_else(|| work_on_slot(&counted.overflow, rate, now, work)));
            }
        };
        Ok(work_on_slot(slot, rate, now, work))
    }

    fn work_in_window(
        &self,
        clock: &dyn Clock,
        counted: &Counted,
        limit: &Limit,
        keys: &Keys<'_>,
        work: Work,
        gateways: u32,
    ) -> Result<Count, Fault> {
        let named = self.names.limits.get(limit.id.0 as usize).ok_or_else(unknown)?;
        let rate = WindowRate::of(named).share(gateways);
        let windows = &counted.windows;
        let now = || u64::try_from(clock.now().unix.as_nanos()).unwrap_or(u64::MAX);
        let step = |now: u64, window: &mut Window| {
            let bounds = Bounds::of(named, now);
            match work {
                Work::Charge(cost) => return window.charge(rate, bounds, now, cost),
                Work::Debit(cost) => window.debit(rate, bounds, cost),
                Work::Refund(cost) => window.refund(bounds, cost),
            }
            NOTHING_TO_TELL
        };
        let number = |numbers: &[u32], id: u32| numbers.get(id as usize).copied().ok_or_else(unknown);
        let slot = match keys.parts() {
            [CountKey::Consumer(id)] => {
                windows.consumers.slot(number(&self.consumers, id.0)?).ok_or_else(unknown)?
            }
            [CountKey::Route(id)] => windows.routes.slot(number(&self.routes, *id)?).ok_or_else(unknown)?,
            [CountKey::Gateway] => &windows.gateway,
            parts => {
                let (hash, effort) = self.hash(counted, parts)?;
                let table = self.shared.windows.of(effort);
                let worked = table.entry(counted.number, hash, now, step);
                return Ok(worked.unwrap_or_else(|| step(now(), &mut locked(&windows.overflow))));
            }
        };
        let mut window = locked(slot);
        Ok(step(now(), &mut window))
    }

    /// A number that stands for a counter, the same in each plan of this process.
    pub(crate) fn mark(&self, limit: &Limit, keys: &Keys<'_>) -> Result<u64, Fault> {
        let (counted, _) = self.limits.get(limit.id.0 as usize).ok_or_else(unknown)?;
        self.hash(counted, keys.parts()).map(|(hash, _)| hash)
    }

    /// What stands for keys that anybody can make up, and what that takes.
    fn hash(&self, counted: &Counted, parts: &[CountKey<'_>]) -> Result<(u64, Effort), Fault> {
        let hasher = &self.shared.hasher;
        let number = counted.number;
        Ok(match parts {
            [CountKey::Address(address)] => {
                // SECURITY: one customer holds a whole IPv6 /64 (an_ipv6_customer_is_one_key).
                (hasher.hash_one((number, client::fold(*address))), Effort::AnAddress)
            }
            [CountKey::Subject(key)] => (hasher.hash_one((number, *key)), Effort::AVouchedName),
            [CountKey::Value(value)] => (hasher.hash_one((number, *value)), Effort::None),
            parts => {
                let mut effort = Effort::AVouchedName;
                let mut state = hasher.build_hasher();
                number.hash(&mut state);
                for part in parts {
                    std::mem::discriminant(part).hash(&mut state);
                    match part {
                        CountKey::Address(address) => {
                            client::fold(*address).hash(&mut state);
                            effort = effort.min(Effort::AnAddress);
                        }
                        CountKey::Value(value) => {
                            value.hash(&mut state);
                            effort = Effort::None;
                        }
                        CountKey::Consumer(id) => {
                            self.consumers.get(id.0 as usize).ok_or_else(unknown)?.hash(&mut state);
                        }
                        CountKey::Route(id) => {
                            self.routes.get(*id as usize).ok_or_else(unknown)?.hash(&mut state);
                        }
                        CountKey::Subject(key) => key.hash(&mut state),
                        CountKey::Credential(credential) => credential.hash(&mut state),
                        CountKey::Claim { issuer, value } => (issuer, value).hash(&mut state),
                        CountKey::Operation { document, method, path } => {
                            (document, method, path).hash(&mut state);
                        }
                        CountKey::Gateway => {}
                    }
                }
                (state.finish(), effort)
            }
        })
    }
}

/// What is said of a count that nobody asked about.
const NOTHING_TO_TELL: Count = Count {
    allowed: true,
    remaining: 0,
    retry_after: std::time::Duration::ZERO,
    reset_after: std::time::Duration::ZERO,
};

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A poisoned lock means that a thread died between plain writes; any value is a valid state.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn nanos(clock: &dyn Clock) -> u64 {
    u64::try_from(clock.monotonic().as_nanos()).unwrap_or(u64::MAX)
}

/// The next arrival time, if it changes, and the count to report.
fn step(rate: Rate, now: u64, arrival: u64, work: Work) -> (Option<u64>, Count) {
    match work {
        Work::Charge(cost) => rate.charge_many(now, arrival, cost),
        Work::Debit(cost) => (Some(rate.debit(now, arrival, cost)), NOTHING_TO_TELL),
        Work::Refund(cost) => (Some(rate.refund(arrival, cost)), NOTHING_TO_TELL),
    }
}

/// Works on a slot; exact however many cores do so at once, since only one of them can take each step.
fn work_on_slot(slot: &AtomicU64, rate: Rate, now: impl Fn() -> u64, work: Work) -> Count {
    let mut arrival = slot.load(Ordering::Acquire);
    loop {
        let (next, count) = step(rate, now(), arrival, work);
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
        for (limit, (counted, rate)) in self.names.limits.iter().zip(&self.limits) {
            let Some(kept) = named.limits.get_mut(&limit.name) else { continue };
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
        keys: &'a Keys<'a>,
        cost: u32,
    ) -> Step<'a, Result<Count, Fault>> {
        Step::Ready(self.work(clock, limit, keys, Work::Charge(cost), 1))
    }

    fn uncount(&self, clock: &dyn Clock, limit: &Limit, keys: &Keys<'_>, cost: u32) {
        self.refund(clock, limit, keys, cost, 1);
    }

    fn charge_late(&self, clock: &dyn Clock, limit: &Limit, keys: &Keys<'_>, cost: u32) {
        self.debit(clock, limit, keys, cost, 1);
    }
}

#[cfg(test)]
mod tests;
