//! Requests of a limit that a gateway has charged in advance, and lets through by itself.
//!
//! A key that is asked about again before its lease has ended gets a larger one, up to a part of the limit; one that is
//! asked about seldom gets none, so that nothing is lost. A key that goes on being asked about gets as much as it used of the
//! lease that has ended. What is left of a lease when it ends is taken back at the key's next request, where the window is
//! still the same.

use crate::counters::{State, Table};
use portcullis_core::{Algorithm, Count, Limit};
use std::time::Duration;

/// How long a lease is good for.
pub(super) const LIFE: Duration = Duration::from_secs(1);
/// How long it is remembered what was left of it.
const REMEMBERED: u64 = 60 * 1_000_000_000;
/// The part of a limit that one gateway may have in advance.
const PART: u32 = 20;
/// How many keys have leases at any time.
const ENTRIES: usize = 131_072;

/// The most requests of a limit that one gateway has in advance at any time, for one key.
pub(super) fn largest(limit: &Limit) -> u32 {
    let at_once = match limit.algorithm {
        Algorithm::Gcra => limit.burst,
        Algorithm::FixedWindow | Algorithm::SlidingWindow => limit.max,
    };
    at_once / PART
}

#[derive(Clone, Copy, Default)]
struct Lease {
    /// In nanoseconds, on the clock that never goes back.
    until: u64,
    /// When the count that came with it was told.
    told: u64,
    tokens: u32,
    size: u32,
    remaining: u32,
    reset_millis: u32,
}

impl Lease {
    /// Takes so many, if it has them.
    fn take(&mut self, now: u64, cost: u32) -> Option<Count> {
        if self.until <= now || self.tokens < cost.max(1) {
            return None;
        }
        self.tokens -= cost;
        let reset = Duration::from_millis(u64::from(self.reset_millis));
        let past = Duration::from_nanos(now.saturating_sub(self.told));
        Some(Count {
            allowed: true,
            remaining: self.remaining.saturating_add(self.tokens),
            retry_after: Duration::ZERO,
            reset_after: reset.saturating_sub(past),
        })
    }

    /// Whether what is left of it still counts where it was charged: always, or until its window ends.
    fn can_be_given_back(&self, limit: &Limit, now: u64) -> bool {
        let window = nanos(Duration::from_millis(u64::from(self.reset_millis)));
        limit.algorithm == Algorithm::Gcra || now < self.told.saturating_add(window)
    }
}

impl State for Lease {
    fn is_free(&self, now: u64) -> bool {
        // The clock may have begun a moment ago, and what was never used has no end.
        self.until == 0 || self.until.saturating_add(REMEMBERED) <= now
    }
}

/// The leases of a gateway.
pub(super) struct Leases {
    table: Table<Lease>,
}

/// What a request without a lease asks the store for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Wish {
    /// How many requests to lease.
    pub(super) extra: u32,
    /// What is left of a lease that has ended.
    pub(super) unused: u32,
}

impl Leases {
    pub(super) fn new() -> Leases {
        Leases { table: Table::new(ENTRIES) }
    }

    /// Takes so many from the lease of a counter, if there is one that has them. Changes nothing otherwise. `mark` stands for
    /// the counter, and is known without its name in the store.
    pub(super) fn take_there(&self, mark: u64, now: u64, cost: u32) -> Option<Count> {
        self.work(mark, now, |lease| lease.take(now, cost)).flatten()
    }

    /// Takes so many from the lease of a counter, or says what to ask the store for.
    pub(super) fn take(&self, mark: u64, limit: &Limit, now: u64, cost: u32) -> Result<Count, Wish> {
        let largest = largest(limit);
        let taken = self.work(mark, now, |lease| {
            if let Some(count) = lease.take(now, cost) {
                return Ok(count);
            }
            let (left, ended) = (std::mem::take(&mut lease.tokens), lease.until <= now);
            let unused = if lease.can_be_given_back(limit, now) { left } else { 0 };
            let wanted = match ended {
                // One that was used up in time was too small.
                false => lease.size.max(1).saturating_mul(2),
                // One that was not was too large by what is left of it.
                true if now < lease.until.saturating_add(nanos(LIFE)) => lease.size.saturating_sub(left),
                true => 0,
            };
            lease.size = wanted.min(largest);
            lease.until = now.saturating_add(nanos(LIFE));
            Err(Wish { extra: lease.size, unused })
        });
        taken.unwrap_or(Err(Wish::default()))
    }

    /// Gives a counter what the store leased to it.
    pub(super) fn give(&self, mark: u64, now: u64, count: Count, tokens: u32, life: Duration) {
        let _ = self.work(mark, now, |lease| {
            lease.tokens = lease.tokens.saturating_add(tokens);
            lease.until = now.saturating_add(nanos(life.min(LIFE)));
            lease.told = now;
            lease.remaining = count.remaining;
            lease.reset_millis = u32::try_from(count.reset_after.as_millis()).unwrap_or(u32::MAX);
        });
    }

    /// Puts back what was taken from a lease: the request was refused by another limit.
    pub(super) fn put_back(&self, mark: u64, now: u64, cost: u32) {
        let _ = self.work(mark, now, |lease| lease.tokens = lease.tokens.saturating_add(cost));
    }

    fn work<T>(&self, mark: u64, now: u64, work: impl FnOnce(&mut Lease) -> T) -> Option<T> {
        // A place that is fresh must not be taken for a free one before it is worked on.
        self.table.entry(0, mark, || now, |_, lease| work(lease))
    }
}

pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_core::LimitId;

    const SECOND: u64 = 1_000_000_000;

    fn count(remaining: u32) -> Count {
        Count { allowed: true, remaining, retry_after: Duration::ZERO, reset_after: LIFE }
    }

    /// A gateway that has just been started, on a clock that begins with it.
    #[test]
    fn the_first_requests_of_a_process_have_leases() {
        let limit = Limit { id: LimitId(0), max: 100, period: LIFE, burst: 100, algorithm: Algorithm::Gcra };
        for now in [0, 1, SECOND, 59 * SECOND] {
            let leases = Leases::new();
            assert_eq!(leases.take(7, &limit, now, 1), Err(Wish::default()));
            assert_eq!(leases.take(7, &limit, now + 1, 1), Err(Wish { extra: 2, unused: 0 }), "{now}");
            leases.give(7, now + 1, count(9), 2, LIFE);
            assert!(leases.take_there(7, now + 2, 1).is_some(), "{now}");
        }
    }

    /// Two hundred requests in a second of a limit with room: two or three of them ask the store, second after second.
    #[test]
    fn a_key_that_stays_busy_does_not_begin_anew_each_second() {
        let limit =
            Limit { id: LimitId(0), max: 100_000, period: LIFE, burst: 100_000, algorithm: Algorithm::Gcra };
        let (leases, mut now) = (Leases::new(), 100 * SECOND);
        let mut asked = [0; 10];
        for second in &mut asked {
            for _ in 0..200 {
                now += SECOND / 200;
                if let Err(wish) = leases.take(7, &limit, now, 1) {
                    *second += 1;
                    leases.give(7, now, count(9), wish.extra, LIFE);
                }
            }
        }
        assert!(asked[0] <= 9 && asked[1..].iter().all(|asked| *asked <= 3), "{asked:?}");
        // After a pause it does.
        let wish = leases.take(7, &limit, now + 2 * SECOND, 1).unwrap_err();
        assert_eq!(wish.extra, 0);
    }

    #[test]
    fn a_lease_grows_with_use_and_is_no_more_than_a_part_of_the_limit() {
        let limit =
            Limit { id: LimitId(0), max: 100, period: LIFE * 60, burst: 100, algorithm: Algorithm::Gcra };
        let (leases, mut now) = (Leases::new(), 100 * SECOND);
        assert_eq!(leases.take(7, &limit, now, 1), Err(Wish::default()), "a first request leases nothing");
        for expected in [2, 4, 5, 5] {
            now += SECOND / 10;
            let wish = leases.take(7, &limit, now, 1).unwrap_err();
            assert_eq!(wish, Wish { extra: expected, unused: 0 });
            leases.give(7, now, count(9), expected, LIFE);
            for _ in 0..expected {
                assert!(leases.take(7, &limit, now, 1).is_ok());
            }
        }
        let _ = leases.take(7, &limit, now, 1);
        leases.give(7, now, count(9), 5, LIFE);
        assert!(leases.take(7, &limit, now, 1).is_ok());
        now += 2 * SECOND;
        assert_eq!(leases.take(7, &limit, now, 1), Err(Wish { extra: 0, unused: 4 }), "it has ended");
        assert!(leases.take(8, &limit, now, 1).is_err());
        assert!(leases.take_there(8, now, 1).is_none() && leases.take_there(9, now, 1).is_none());
        leases.give(9, now, count(9), 2, LIFE);
        assert_eq!(leases.take_there(9, now, 1).map(|count| count.remaining), Some(10));
        assert!(leases.take_there(9, now, 2).is_none(), "it has one");
        assert!(leases.take_there(9, now, 1).is_some() && leases.take_there(9, now, 1).is_none());
    }
}
