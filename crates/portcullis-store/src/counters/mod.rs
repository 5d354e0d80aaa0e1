//! How much of a limit is used up.
//!
//! The algorithm is GCRA (the generic cell rate algorithm, ITU-T I.371): a limit of `max` per `period` with a burst of
//! `burst` lets at most `burst` requests through at once and one more for each `period / max` that passes. One number a
//! key, the theoretical arrival time, holds the whole state, so counting is exact whatever the number of cores.

mod memory;
mod table;

pub use memory::MemoryCounters;

use portcullis_core::{Clock, Count, CountKey, Fault, Limit, Step};
use std::time::Duration;

/// A store of counters.
pub trait Counters: Send + Sync {
    /// Counts one request of `key` against `limit`.
    ///
    /// `clock` is asked only after the counter was read: a thread that is stopped between the two would otherwise count at
    /// a moment before the ones that others have counted at, and find more owed than there is.
    fn count<'a>(
        &'a self,
        clock: &'a dyn Clock,
        limit: &'a Limit,
        key: CountKey<'a>,
    ) -> Step<'a, Result<Count, Fault>>;
}

/// A limit in nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Rate {
    /// What one request costs. Rounded up, so that rounding never allows one too many.
    cost: u64,
    /// What may be owed at any time.
    allowance: u64,
}

impl Rate {
    fn of(limit: &Limit) -> Rate {
        let period = u64::try_from(limit.period.as_nanos()).unwrap_or(u64::MAX);
        let cost = period.div_ceil(u64::from(limit.max.max(1))).max(1);
        Rate { cost, allowance: cost.saturating_mul(u64::from(limit.burst.max(1))) }
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
