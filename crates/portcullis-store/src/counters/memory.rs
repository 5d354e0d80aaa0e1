//! Counters in memory.
//!
//! Consumers and routes have a slot of their own, found by number: no hashing, no lock, nothing that another key could
//! push out. Addresses, header values and subjects, of which there can be any number, each have a table of fixed size, in
//! which an entry is given up only when nothing is owed on it any more. Where a table has no room, newcomers share one
//! allowance: a flood of made-up addresses can make strangers wait, and can reset nobody. The tables are apart because what
//! anybody can make up without effort, a header value, must not take the room of what cannot be made up at all, a subject.

use super::table::Table;
use super::{Counters, Rate};
use portcullis_core::{Clock, Count, CountKey, Fault, Limit, LimitId, Step, head::client};
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

const CHUNK: usize = 1024;

/// Numbered slots, made in chunks when first used.
struct Slots(Vec<OnceLock<Box<[AtomicU64]>>>);

impl Slots {
    fn new(count: usize) -> Slots {
        Slots((0..count.div_ceil(CHUNK)).map(|_| OnceLock::new()).collect())
    }

    fn slot(&self, number: u32) -> Option<&AtomicU64> {
        let number = number as usize;
        let chunk = self.0.get(number / CHUNK)?;
        chunk.get_or_init(|| (0..CHUNK).map(|_| AtomicU64::new(0)).collect()).get(number % CHUNK)
    }
}

struct Counted {
    consumers: Slots,
    routes: Slots,
    /// What newcomers share where the table has no room.
    overflow: AtomicU64,
}

/// Counters in memory.
pub struct MemoryCounters {
    limits: Vec<Counted>,
    addresses: Table,
    values: Table,
    subjects: Table,
    hasher: RandomState,
}

impl MemoryCounters {
    /// How many addresses, header values and subjects each are counted apart at any time: about 7 MiB of memory.
    pub const DEFAULT_ENTRIES: usize = 131_072;

    /// Counters for limits `0..limits`, consumers `0..consumers` and routes `0..routes`, and at most `entries`
    /// addresses, as many header values and as many subjects at a time over all limits (rounded up to a power of two, at
    /// least 8).
    pub fn new(limits: usize, consumers: usize, routes: usize, entries: usize) -> MemoryCounters {
        let counted = || Counted {
            consumers: Slots::new(consumers),
            routes: Slots::new(routes),
            overflow: AtomicU64::new(0),
        };
        MemoryCounters {
            limits: (0..limits).map(|_| counted()).collect(),
            addresses: Table::new(entries),
            values: Table::new(entries),
            subjects: Table::new(entries),
            hasher: RandomState::new(),
        }
    }

    fn count_now(&self, clock: &dyn Clock, limit: &Limit, key: CountKey<'_>) -> Result<Count, Fault> {
        let unknown = || Fault { detail: "a limit, consumer or route of another plan".into() };
        let counted = self.limits.get(limit.id.0 as usize).ok_or_else(unknown)?;
        let now = || u64::try_from(clock.monotonic().as_nanos()).unwrap_or(u64::MAX);
        let rate = Rate::of(limit);
        match key {
            CountKey::Consumer(id) => {
                Ok(charge_slot(counted.consumers.slot(id.0).ok_or_else(unknown)?, rate, now))
            }
            CountKey::Route(number) => {
                Ok(charge_slot(counted.routes.slot(number).ok_or_else(unknown)?, rate, now))
            }
            CountKey::Address(address) => {
                let hash = self.hash_address(limit.id, address);
                Ok(charge_entry(&self.addresses, counted, rate, now, hash))
            }
            CountKey::Subject(key) => {
                let hash = self.hasher.hash_one((limit.id.0, key));
                Ok(charge_entry(&self.subjects, counted, rate, now, hash))
            }
            CountKey::Value(value) => {
                let hash = self.hasher.hash_one((limit.id.0, value));
                Ok(charge_entry(&self.values, counted, rate, now, hash))
            }
        }
    }

    fn hash_address(&self, limit: LimitId, address: IpAddr) -> u64 {
        // SECURITY: one customer holds a whole IPv6 /64 (an_ipv6_customer_is_one_key).
        self.hasher.hash_one((limit.0, client::fold(address)))
    }
}

fn charge_entry(table: &Table, counted: &Counted, rate: Rate, now: impl Fn() -> u64, hash: u64) -> Count {
    let charged = table.entry(hash, &now, |now, arrival| {
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

impl Counters for MemoryCounters {
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
mod tests {
    use super::*;
    use portcullis_core::ConsumerId;
    use portcullis_core::Now;
    use std::sync::Barrier;
    use std::time::{Duration, Instant};

    /// A clock that stands.
    struct At(Duration);

    impl Clock for At {
        fn now(&self) -> Now {
            Now { monotonic: self.0, unix: self.0 }
        }
    }

    /// A clock that runs.
    struct Running(Instant);

    impl Clock for Running {
        fn now(&self) -> Now {
            Now { monotonic: self.0.elapsed(), unix: Duration::ZERO }
        }
    }

    const MINUTE: Duration = Duration::from_secs(60);

    fn limit(max: u32) -> Limit {
        Limit { id: LimitId(0), max, period: MINUTE, burst: max }
    }

    fn counters(entries: usize) -> MemoryCounters {
        MemoryCounters::new(1, 5000, 2, entries)
    }

    fn allowed(counters: &MemoryCounters, seconds: f64, limit: &Limit, key: CountKey<'_>) -> bool {
        counters.count_now(&At(Duration::from_secs_f64(seconds)), limit, key).unwrap().allowed
    }

    fn address(number: u32) -> CountKey<'static> {
        CountKey::Address(IpAddr::V4(number.into()))
    }

    #[test]
    fn five_a_minute_are_five_then_one_each_twelve_seconds() {
        let (counters, limit, key) = (counters(8), limit(5), CountKey::Consumer(ConsumerId(4999)));
        for expected in [4, 3, 2, 1, 0] {
            let count = counters.count_now(&At(MINUTE), &limit, key).unwrap();
            assert_eq!((count.allowed, count.remaining), (true, expected));
        }
        let count = counters.count_now(&At(MINUTE), &limit, key).unwrap();
        assert_eq!((count.allowed, count.remaining, count.retry_after), (false, 0, Duration::from_secs(12)));
        assert_eq!(count.reset_after, MINUTE);
        assert!(!allowed(&counters, 71.9, &limit, key));
        assert!(allowed(&counters, 72.0, &limit, key));
        assert!(!allowed(&counters, 72.0, &limit, key));
        assert!(allowed(&counters, 72.0, &limit, CountKey::Consumer(ConsumerId(0))), "another has its own");
    }

    #[test]
    fn a_burst_is_smaller_than_the_limit_where_it_is_said() {
        let (counters, limit) = (counters(8), Limit { burst: 2, ..limit(60) });
        let key = CountKey::Route(1);
        assert!(allowed(&counters, 1.0, &limit, key) && allowed(&counters, 1.0, &limit, key));
        assert!(!allowed(&counters, 1.0, &limit, key));
        assert!(allowed(&counters, 2.0, &limit, key));
    }

    #[test]
    fn rounding_never_allows_one_too_many() {
        let (counters, limit, key) = (counters(8), limit(7), CountKey::Value(b"k"));
        let passed =
            (0..7000).filter(|step| allowed(&counters, 1.0 + f64::from(*step) * 0.1, &limit, key)).count();
        assert!(passed <= 7 + 7 * 700 / 60 + 1, "{passed}");
        assert!(passed >= 7 + 7 * 699 / 60 - 1, "{passed}");
    }

    #[test]
    fn threads_together_get_exactly_the_limit() {
        for key in [CountKey::Consumer(ConsumerId(1)), address(7), CountKey::Route(0)] {
            let (counters, limit, start) = (counters(64), limit(1000), Barrier::new(4));
            let passed: usize = std::thread::scope(|scope| {
                let run = || {
                    start.wait();
                    (0..1000).filter(|_| allowed(&counters, 1.0, &limit, key)).count()
                };
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
                threads.into_iter().map(|thread| thread.join().unwrap()).sum()
            });
            assert_eq!(passed, 1000, "{key:?}");
        }
    }

    /// Each thread's clock reading is its own, so one that is stopped in between must not find more owed than there is.
    #[test]
    fn every_step_down_is_told_once() {
        for key in [CountKey::Consumer(ConsumerId(1)), address(7)] {
            let (counters, limit, start) = (counters(64), limit(20_000), Barrier::new(4));
            let clock = Running(Instant::now());
            let run = || {
                start.wait();
                (0..5000).map(|_| counters.count_now(&clock, &limit, key).unwrap()).collect::<Vec<_>>()
            };
            let mut told: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
                threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
            });
            assert!(told.iter().all(|count: &Count| count.allowed), "{key:?}");
            told.sort_by_key(|count| count.remaining);
            // Three milliseconds earn one more, so few are told twice in a run of some milliseconds; none is skipped.
            let skipped = told.windows(2).filter(|pair| pair[1].remaining - pair[0].remaining > 1).count();
            assert_eq!(skipped, 0, "{key:?}");
        }
    }

    #[test]
    fn a_flood_of_addresses_resets_nobody() {
        let (counters, limit) = (counters(64), limit(3));
        for _ in 0..3 {
            assert!(allowed(&counters, 1.0, &limit, address(1)));
        }
        let strangers =
            (2..100_000).filter(|number| allowed(&counters, 1.0, &limit, address(*number))).count();
        assert!(!allowed(&counters, 1.0, &limit, address(1)), "the flood did not push it out");
        assert!(strangers <= 64 + 3, "those without an entry share one allowance: {strangers}");
        assert!(allowed(&counters, 200.0, &limit, address(5)), "and it passes");
    }

    #[test]
    fn made_up_header_values_take_nobody_elses_room() {
        let (counters, limit) = (counters(64), limit(1));
        for number in 0..10_000_u32 {
            allowed(&counters, 1.0, &limit, CountKey::Value(&number.to_be_bytes()));
        }
        let others = [address(1), address(2), CountKey::Subject(b"a"), CountKey::Subject(b"b")];
        assert!(
            others.iter().all(|key| allowed(&counters, 1.0, &limit, *key)),
            "each has an allowance of its own"
        );
        assert!(others.iter().all(|key| !allowed(&counters, 1.0, &limit, *key)));
    }

    #[test]
    fn an_ipv6_customer_is_one_key() {
        let (counters, limit) = (counters(64), limit(1));
        let key = |text: &str| CountKey::Address(text.parse().unwrap());
        assert!(allowed(&counters, 1.0, &limit, key("2001:db8:1:2::1")));
        assert!(!allowed(&counters, 1.0, &limit, key("2001:db8:1:2:ffff::9")));
        assert!(allowed(&counters, 1.0, &limit, key("2001:db8:1:3::1")));
        assert!(allowed(&counters, 1.0, &limit, key("192.0.2.1")));
        assert!(!allowed(&counters, 1.0, &limit, key("::ffff:192.0.2.1")));
    }

    #[test]
    fn what_is_of_another_plan_is_a_fault() {
        let counters = counters(8);
        let other = Limit { id: LimitId(1), ..limit(1) };
        assert!(counters.count_now(&At(MINUTE), &other, address(1)).is_err());
        assert!(
            counters.count_now(&At(MINUTE), &limit(1), CountKey::Consumer(ConsumerId(1_000_000))).is_err()
        );
    }
}
