//! How much of a limit is used up.
//!
//! The algorithm is GCRA (the generic cell rate algorithm, ITU-T I.371): a limit of `max` per `period` with a burst of
//! `burst` lets at most `burst` requests through at once and one more for each `period / max` that passes. One number a
//! key, the theoretical arrival time, holds the whole state, so counting is exact whatever the number of cores.
//!
//! Counters outlive plans. A plan says once what its limits, consumers and routes are called, and gets a handle in which all
//! names are resolved: a request is counted by number, and the next plan finds the same counters by the same names.

mod calendar;
mod memory;
mod names;
mod slots;
mod table;
mod window;

pub use calendar::{Calendar, CalendarUnit, UnknownZone};
pub use memory::MemoryCounters;
pub(crate) use memory::PlanCounters;
pub(crate) use table::{State, Table};
pub(crate) use window::Bounds;

use portcullis_core::{Charging, Clock, Count, Fault, Keys, Limit, Step};
use std::sync::Arc;
use std::time::Duration;

/// A limit, and what it is called.
#[derive(Clone, Debug)]
pub struct NamedLimit {
    /// Stable: the same in the next plan.
    pub name: Arc<str>,
    /// What is allowed.
    pub limit: Limit,
    /// The calendar by which its windows begin. `None`: they begin at multiples of the period since 1970.
    pub calendar: Option<Calendar>,
}

/// What the numbers of a plan stand for. Names are stable: the same thing is called the same in the next plan, and in
/// another gateway with the same configuration.
#[derive(Clone, Debug, Default)]
pub struct CountNames {
    /// The limits, by [`LimitId`](portcullis_core::LimitId).
    pub limits: Vec<NamedLimit>,
    /// The consumers, by [`ConsumerId`](portcullis_core::ConsumerId).
    pub consumers: Vec<Arc<str>>,
    /// The routes, by the number in [`CountKey::Route`].
    pub routes: Vec<Arc<str>>,
}

/// Where counters are kept while plans come and go.
pub trait CounterStore: Send + Sync {
    /// The counters of a plan. What was counted under the same names is found again.
    fn of_plan(&self, names: CountNames, clock: &dyn Clock) -> Box<dyn Counters>;
}

/// The counters of a plan.
pub trait Counters: Send + Sync {
    /// Requests are judged by this plan from now on. A limit that allows something else than it did keeps as many requests
    /// as count at this moment, at most what it allows now.
    fn begin(&self, clock: &dyn Clock) {
        let _ = clock;
    }

    /// Counts a request of `keys` against `limit`. A cost of 0 asks whether one more would be allowed.
    ///
    /// `clock` is asked only after the counter was read: a thread that is stopped between the two would otherwise count at
    /// a moment before the ones that others have counted at, and find more owed than there is.
    fn count<'a>(
        &'a self,
        clock: &'a dyn Clock,
        limit: &'a Limit,
        keys: &'a Keys<'a>,
        cost: u32,
    ) -> Step<'a, Result<Count, Fault>>;

    /// Whether all limits of a request are asked about in one go.
    fn counts_together(&self) -> bool {
        false
    }

    /// Charges a request to all of these, or to none where any that is enforced refuses it.
    fn count_all<'a>(
        &'a self,
        clock: &'a dyn Clock,
        charges: &'a mut [Charging<'_>],
    ) -> Step<'a, Result<(), Fault>> {
        let _ = (clock, charges);
        Step::Ready(Err(Fault { detail: "these counters are asked one after the other".into() }))
    }

    /// Takes back what was counted.
    fn uncount(&self, clock: &dyn Clock, limit: &Limit, keys: &Keys<'_>, cost: u32);

    /// Charges whether or not it is within the limit.
    fn charge_late(&self, clock: &dyn Clock, limit: &Limit, keys: &Keys<'_>, cost: u32);
}

/// The most that can be owed, in times of what may be owed by requests that are let through.
const DEEPEST_DEBT: u64 = 2;

/// A limit in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    /// What one request costs. Rounded up, so that rounding never allows one too many.
    pub(crate) cost: u64,
    /// What may be owed at any time.
    pub(crate) allowance: u64,
}

impl Rate {
    pub(crate) fn of(limit: &Limit) -> Rate {
        let period = u64::try_from(limit.period.as_nanos()).unwrap_or(u64::MAX);
        let cost = period.div_ceil(u64::from(limit.max.max(1))).max(1);
        Rate { cost, allowance: cost.saturating_mul(u64::from(limit.burst.max(1))) }
    }

    /// The arrival time under this rate of a key that had `arrival` under the rate `from`: as many requests count, at most
    /// what may be owed.
    fn arrival_of(self, from: Rate, now: u64, arrival: u64) -> u64 {
        let owed =
            u128::from(arrival.saturating_sub(now)) * u128::from(self.cost) / u128::from(from.cost.max(1));
        now.saturating_add(u64::try_from(owed).unwrap_or(u64::MAX).min(self.allowance))
    }

    /// This rate divided among so many gateways; at least one request is left to each.
    fn share(self, gateways: u32) -> Rate {
        if gateways <= 1 {
            return self;
        }
        let cost = self.cost.saturating_mul(u64::from(gateways));
        let burst = (self.allowance / self.cost.max(1) / u64::from(gateways)).max(1);
        Rate { cost, allowance: cost.saturating_mul(burst) }
    }

    /// The next arrival time if this is owed on top, whatever is allowed. What is owed has a bound, so that nobody waits
    /// for ever.
    fn debit(self, now: u64, arrival: u64, cost: u32) -> u64 {
        let owed = arrival.saturating_sub(now).saturating_add(self.cost.saturating_mul(u64::from(cost)));
        now.saturating_add(owed.min(self.allowance.saturating_mul(DEEPEST_DEBT)))
    }

    /// The next arrival time if this is not owed after all.
    fn refund(self, arrival: u64, cost: u32) -> u64 {
        arrival.saturating_sub(self.cost.saturating_mul(u64::from(cost)))
    }

    /// [`Rate::charge`] of so many at once; with none, whether one more would be allowed.
    fn charge_many(self, now: u64, arrival: u64, cost: u32) -> (Option<u64>, Count) {
        if cost == 1 {
            return self.charge(now, arrival);
        }
        let owed = arrival.saturating_sub(now);
        let one = self.cost;
        let wanted = one.saturating_mul(u64::from(cost.max(1)));
        let after = owed.saturating_add(wanted);
        let left = self.allowance.saturating_sub(owed);
        if after > self.allowance {
            let count = Count {
                allowed: false,
                remaining: u32::try_from(left / one).unwrap_or(u32::MAX),
                retry_after: Duration::from_nanos(after - self.allowance),
                reset_after: Duration::from_nanos(owed),
            };
            return (None, count);
        }
        let (next, owed) = if cost == 0 { (None, owed) } else { (Some(now.saturating_add(after)), after) };
        let remaining = u32::try_from((self.allowance - owed) / one).unwrap_or(u32::MAX);
        let retry_after = if remaining > 0 { 0 } else { (owed + one).saturating_sub(self.allowance) };
        let count = Count {
            allowed: true,
            remaining,
            retry_after: Duration::from_nanos(retry_after),
            reset_after: Duration::from_nanos(owed),
        };
        (next, count)
    }

    /// The next arrival time if a request at `now` is within the limit, and the count to report either way.
    ///
    /// `arrival` is the theoretical arrival time so far: all that is owed would be paid by then.
    fn charge(self, now: u64, arrival: u64) -> (Option<u64>, Count) {
        let owed = arrival.saturating_sub(now);
        let after = owed.saturating_add(self.cost);
        if after <= self.allowance {
            let left = self.allowance - after;
            let remaining = u32::try_from(left / self.cost).unwrap_or(u32::MAX);
            let retry_after =
                if remaining > 0 { 0 } else { (after + self.cost).saturating_sub(self.allowance) };
            let count = Count {
                allowed: true,
                remaining,
                retry_after: Duration::from_nanos(retry_after),
                reset_after: Duration::from_nanos(after),
            };
            return (Some(now.saturating_add(after)), count);
        }
        let count = Count {
            allowed: false,
            remaining: 0,
            retry_after: Duration::from_nanos(after - self.allowance),
            reset_after: Duration::from_nanos(owed),
        };
        (None, count)
    }
}
