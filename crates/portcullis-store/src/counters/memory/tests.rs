//! What is counted, by whom, and across plans.

use super::*;
use portcullis_core::Now;
use portcullis_core::{ConsumerId, LimitId};
use std::net::IpAddr;
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
    Limit { id: LimitId(0), max, period: MINUTE, burst: max, algorithm: Algorithm::Gcra }
}

fn named(name: &str, limit: Limit) -> crate::NamedLimit {
    crate::NamedLimit { name: Arc::from(name), limit, calendar: None }
}

fn plan(store: &MemoryCounters, seconds: f64, limits: &[(&str, Limit)], consumers: u32) -> Box<dyn Counters> {
    let names = CountNames {
        limits: limits.iter().map(|(name, limit)| named(name, *limit)).collect(),
        consumers: (0..consumers).map(|number| Arc::from(format!("c{number}"))).collect(),
        routes: vec![Arc::from("/a"), Arc::from("/b")],
    };
    store.of_plan(names, &At(Duration::from_secs_f64(seconds)))
}

fn counters(entries: usize, limit: Limit) -> Box<dyn Counters> {
    plan(&MemoryCounters::new(entries), 0.0, &[("one", limit)], 5000)
}

fn count(
    counters: &dyn Counters,
    clock: &dyn Clock,
    limit: &Limit,
    key: CountKey<'_>,
) -> Result<Count, Fault> {
    match counters.count(clock, limit, &Keys::one(key), 1) {
        Step::Ready(count) => count,
        Step::Later(_) => panic!("memory answers at once"),
    }
}

fn allowed(counters: &dyn Counters, seconds: f64, limit: &Limit, key: CountKey<'_>) -> bool {
    count(counters, &At(Duration::from_secs_f64(seconds)), limit, key).unwrap().allowed
}

fn address(number: u32) -> CountKey<'static> {
    CountKey::Address(IpAddr::V4(number.into()))
}

#[test]
fn five_a_minute_are_five_then_one_each_twelve_seconds() {
    let (counters, limit, key) = (counters(8, limit(5)), limit(5), CountKey::Consumer(ConsumerId(4999)));
    for expected in [4, 3, 2, 1, 0] {
        let count = count(&*counters, &At(MINUTE), &limit, key).unwrap();
        assert_eq!((count.allowed, count.remaining), (true, expected));
    }
    let count = count(&*counters, &At(MINUTE), &limit, key).unwrap();
    assert_eq!((count.allowed, count.remaining, count.retry_after), (false, 0, Duration::from_secs(12)));
    assert_eq!(count.reset_after, MINUTE);
    assert!(!allowed(&*counters, 71.9, &limit, key));
    assert!(allowed(&*counters, 72.0, &limit, key));
    assert!(!allowed(&*counters, 72.0, &limit, key));
    assert!(allowed(&*counters, 72.0, &limit, CountKey::Consumer(ConsumerId(0))), "another has its own");
}

#[test]
fn a_burst_is_smaller_than_the_limit_where_it_is_said() {
    let (counters, limit) = (counters(8, Limit { burst: 2, ..limit(60) }), Limit { burst: 2, ..limit(60) });
    let key = CountKey::Route(1);
    assert!(allowed(&*counters, 1.0, &limit, key) && allowed(&*counters, 1.0, &limit, key));
    assert!(!allowed(&*counters, 1.0, &limit, key));
    assert!(allowed(&*counters, 2.0, &limit, key));
}

#[test]
fn rounding_never_allows_one_too_many() {
    let (counters, limit, key) = (counters(8, limit(7)), limit(7), CountKey::Value(b"k"));
    let passed =
        (0..7000).filter(|step| allowed(&*counters, 1.0 + f64::from(*step) * 0.1, &limit, key)).count();
    assert!(passed <= 7 + 7 * 700 / 60 + 1, "{passed}");
    assert!(passed >= 7 + 7 * 699 / 60 - 1, "{passed}");
}

#[test]
fn threads_together_get_exactly_the_limit() {
    for key in [CountKey::Consumer(ConsumerId(1)), address(7), CountKey::Route(0)] {
        let (counters, limit, start) = (counters(64, limit(1000)), limit(1000), Barrier::new(4));
        let passed: usize = std::thread::scope(|scope| {
            let run = || {
                start.wait();
                (0..1000).filter(|_| allowed(&*counters, 1.0, &limit, key)).count()
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
        let (counters, limit, start) = (counters(64, limit(20_000)), limit(20_000), Barrier::new(4));
        let clock = Running(Instant::now());
        let run = || {
            start.wait();
            (0..5000).map(|_| count(&*counters, &clock, &limit, key).unwrap()).collect::<Vec<_>>()
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
    let (counters, limit) = (counters(64, limit(3)), limit(3));
    for _ in 0..3 {
        assert!(allowed(&*counters, 1.0, &limit, address(1)));
    }
    let strangers = (2..100_000).filter(|number| allowed(&*counters, 1.0, &limit, address(*number))).count();
    assert!(!allowed(&*counters, 1.0, &limit, address(1)), "the flood did not push it out");
    // Ten sets of seven entries, the least that has room for 64.
    assert!(strangers <= 70 + 3, "those without an entry share one allowance: {strangers}");
    assert!(allowed(&*counters, 200.0, &limit, address(5)), "and it passes");
}

#[test]
fn made_up_header_values_take_nobody_elses_room() {
    let (counters, limit) = (counters(64, limit(1)), limit(1));
    for number in 0..10_000_u32 {
        allowed(&*counters, 1.0, &limit, CountKey::Value(&number.to_be_bytes()));
    }
    let others = [address(1), address(2), CountKey::Subject(b"a"), CountKey::Subject(b"b")];
    assert!(
        others.iter().all(|key| allowed(&*counters, 1.0, &limit, *key)),
        "each has an allowance of its own"
    );
    assert!(others.iter().all(|key| !allowed(&*counters, 1.0, &limit, *key)));
}

#[test]
fn an_ipv6_customer_is_one_key() {
    let (counters, limit) = (counters(64, limit(1)), limit(1));
    let key = |text: &str| CountKey::Address(text.parse().unwrap());
    assert!(allowed(&*counters, 1.0, &limit, key("2001:db8:1:2::1")));
    assert!(!allowed(&*counters, 1.0, &limit, key("2001:db8:1:2:ffff::9")));
    assert!(allowed(&*counters, 1.0, &limit, key("2001:db8:1:3::1")));
    assert!(allowed(&*counters, 1.0, &limit, key("192.0.2.1")));
    assert!(!allowed(&*counters, 1.0, &limit, key("::ffff:192.0.2.1")));
}

#[test]
fn what_is_of_another_plan_is_a_fault() {
    let counters = counters(8, limit(1));
    let other = Limit { id: LimitId(1), ..limit(1) };
    assert!(count(&*counters, &At(MINUTE), &other, address(1)).is_err());
    assert!(count(&*counters, &At(MINUTE), &limit(1), CountKey::Consumer(ConsumerId(1_000_000))).is_err());
}

const ALICE: CountKey<'_> = CountKey::Consumer(ConsumerId(0));

fn used_up(counters: &dyn Counters, seconds: f64, limit: &Limit, key: CountKey<'_>) -> u32 {
    (0..).take_while(|_| allowed(counters, seconds, limit, key)).count() as u32
}

#[test]
fn another_plan_finds_what_was_counted_under_the_same_names() {
    let store = MemoryCounters::new(64);
    let before = plan(&store, 1.0, &[("one", limit(3)), ("two", limit(3))], 2);
    let keys = [ALICE, address(1), CountKey::Value(b"v"), CountKey::Subject(b"s"), CountKey::Route(1)];
    for key in keys {
        assert_eq!(used_up(&*before, 1.0, &limit(3), key), 3, "{key:?}");
    }
    // The same limit under another number, and a new one in its place.
    let after = plan(&store, 1.0, &[("new", limit(3)), ("one", limit(3))], 2);
    after.begin(&At(Duration::from_secs(1)));
    let one = Limit { id: LimitId(1), ..limit(3) };
    for key in keys {
        assert_eq!(used_up(&*after, 1.0, &one, key), 0, "{key:?}");
        assert_eq!(used_up(&*after, 1.0, &limit(3), key), 3, "{key:?}");
        assert!(allowed(&*after, 30.0, &one, key), "{key:?}");
    }
}

#[test]
fn a_consumer_keeps_its_count_whatever_its_place_in_the_file() {
    let store = MemoryCounters::new(8);
    let names = |consumers: &[&str]| CountNames {
        limits: vec![named("one", limit(2))],
        consumers: consumers.iter().map(|name| Arc::from(*name)).collect(),
        routes: Vec::new(),
    };
    let clock = At(Duration::from_secs(1));
    let before = store.of_plan(names(&["alice", "bob"]), &clock);
    assert_eq!(used_up(&*before, 1.0, &limit(2), ALICE), 2);
    let after = store.of_plan(names(&["zoe", "alice"]), &clock);
    drop(before);
    assert_eq!(used_up(&*after, 1.0, &limit(2), CountKey::Consumer(ConsumerId(1))), 0);
    assert_eq!(used_up(&*after, 1.0, &limit(2), ALICE), 2, "a newcomer has an allowance of its own");
    // Whoever is taken away and comes back within the period has used up what it had used up.
    drop(after);
    drop(store.of_plan(names(&[]), &At(Duration::from_secs(2))));
    let back = store.of_plan(names(&["x", "y", "z", "alice"]), &At(Duration::from_secs(3)));
    assert_eq!(used_up(&*back, 3.0, &limit(2), CountKey::Consumer(ConsumerId(3))), 0);
}

#[test]
fn a_limit_that_allows_something_else_keeps_the_requests_that_count() {
    for key in [ALICE, CountKey::Route(0), address(1), CountKey::Value(b"v"), CountKey::Subject(b"s")] {
        let store = MemoryCounters::new(64);
        let sixty = plan(&store, 1.0, &[("one", limit(60))], 1);
        assert_eq!(used_up(&*sixty, 1.0, &limit(60), key), 60);
        // Not yet begun: the running plan counts as before.
        let raised = plan(&store, 1.0, &[("one", limit(100))], 1);
        assert!(!allowed(&*sixty, 1.0, &limit(60), key));
        raised.begin(&At(Duration::from_secs(1)));
        assert_eq!(used_up(&*raised, 1.0, &limit(100), key), 40, "{key:?}");
        let lowered = plan(&store, 1.0, &[("one", limit(10))], 1);
        lowered.begin(&At(Duration::from_secs(1)));
        assert!(!allowed(&*lowered, 6.9, &limit(10), key), "{key:?}");
        assert!(allowed(&*lowered, 7.0, &limit(10), key), "at most the limit counts: {key:?}");
        let hour = Limit { period: Duration::from_secs(3600), ..limit(100) };
        let hourly = plan(&store, 7.0, &[("one", hour)], 1);
        hourly.begin(&At(Duration::from_secs(7)));
        assert_eq!(used_up(&*hourly, 7.0, &hour, key), 90, "{key:?}");
    }
}

#[test]
fn plans_that_come_and_go_leave_nothing_behind() {
    let store = MemoryCounters::new(64);
    for number in 0..1000_u32 {
        let name = format!("limit {number}");
        let plan = plan(&store, f64::from(number), &[(&name, limit(60))], 3);
        allowed(&*plan, f64::from(number), &limit(60), ALICE);
    }
    let named = store.0.named();
    assert!(named.limits.len() <= 62, "{}", named.limits.len());
}

/// Prints what an entry and a decision take. A million addresses take no more memory than the tables have from the start.
#[test]
fn entries_are_small_and_a_million_keys_take_no_more() {
    assert!(
        MemoryCounters::ENTRY_BYTES.iter().all(|bytes| *bytes <= 64),
        "{:?}",
        MemoryCounters::ENTRY_BYTES
    );
    let kinds = [Algorithm::Gcra, Algorithm::FixedWindow, Algorithm::SlidingWindow];
    for (algorithm, bytes) in kinds.into_iter().zip([0, 1, 1]) {
        let limit = Limit { algorithm, ..limit(5) };
        let counters = counters(MemoryCounters::DEFAULT_ENTRIES, limit);
        let honest = CountKey::Address("203.0.113.9".parse().unwrap());
        for _ in 0..3 {
            assert!(allowed(&*counters, 1.0, &limit, honest));
        }
        for keys in [1_000_u32, 100_000, 1_000_000] {
            let begun = Instant::now();
            for number in 0..keys {
                let _ = allowed(&*counters, 1.0, &limit, address(number));
            }
            let each = begun.elapsed().as_nanos() / u128::from(keys);
            let entry = MemoryCounters::ENTRY_BYTES[bytes];
            println!("{algorithm:?}: {keys} keys, {each} ns for each decision, {entry} bytes for an entry");
        }
        let count = count(&*counters, &At(Duration::from_secs(1)), &limit, honest).unwrap();
        assert_eq!((count.allowed, count.remaining), (true, 1), "the flood has moved nobody: {algorithm:?}");
    }
}

#[test]
fn combinations_windows_and_costs_are_counted_apart() {
    for algorithm in [Algorithm::Gcra, Algorithm::FixedWindow, Algorithm::SlidingWindow] {
        let limit = Limit { algorithm, ..limit(6) };
        let counters = counters(64, limit);
        let clock = At(MINUTE * 100);
        let charge = |keys: &Keys<'_>, cost| match counters.count(&clock, &limit, keys, cost) {
            Step::Ready(count) => count.unwrap(),
            Step::Later(_) => panic!("memory answers at once"),
        };
        let pair = |consumer, route| {
            Keys::several([CountKey::Consumer(ConsumerId(consumer)), CountKey::Route(route)]).unwrap()
        };
        assert!(charge(&pair(1, 0), 4).allowed);
        assert!(!charge(&pair(1, 0), 3).allowed, "{algorithm:?}");
        assert_eq!(charge(&pair(1, 0), 0).remaining, 2);
        assert!(charge(&pair(1, 1), 6).allowed && charge(&pair(2, 0), 6).allowed);
        assert!(charge(&Keys::one(CountKey::Consumer(ConsumerId(1))), 6).allowed);
        counters.uncount(&clock, &limit, &pair(1, 0), 4);
        assert!(charge(&pair(1, 0), 6).allowed);
        counters.charge_late(&clock, &limit, &pair(3, 0), 1000);
        assert!(!charge(&pair(3, 0), 0).allowed);
    }
}
