//! What a decision of a limit costs: in this process, and shared by gateways in a real Redis.
//!
//! `cargo bench -p portcullis-store`. It needs `redis-server`; without it, only the local figures are printed. It asserts in
//! the same run that a limit refuses, and that the bounds of the documentation hold.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark fails by panicking, and prints what it measured"
)]

use portcullis_core::{Algorithm, Charging, Clock, ConsumerId, CountKey, Keys, Limit, LimitId, Now, Step};
use portcullis_store::shared::{Endpoint, OnFailure, SharedSettings, SharedStore, Sync, Tls};
use portcullis_store::{CountNames, CounterStore, Counters, MemoryCounters, NamedLimit};
use std::hint::black_box;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The clock of a gateway.
struct System(Instant);

impl Clock for System {
    fn now(&self) -> Now {
        let unix = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        Now { monotonic: self.monotonic(), unix }
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed() + Duration::from_secs(1000)
    }
}

/// Decisions in one measurement.
const DECISIONS: u32 = 1_000_000;
/// Consumers that all send requests.
const HOT: u32 = 100;

fn limit(max: u32) -> Limit {
    Limit { id: LimitId(0), max, period: Duration::from_secs(1), burst: max, algorithm: Algorithm::Gcra }
}

fn names(limit: Limit) -> CountNames {
    CountNames {
        limits: vec![NamedLimit { name: Arc::from("bench"), limit, calendar: None }],
        consumers: (0..HOT).map(|number| Arc::from(format!("consumer {number}"))).collect(),
        routes: Vec::new(),
    }
}

fn decide(counters: &dyn Counters, clock: &System, limit: &Limit, key: CountKey<'_>) -> bool {
    match counters.count(clock, limit, &Keys::one(key), 1) {
        Step::Ready(count) => count.unwrap().allowed,
        Step::Later(_) => panic!("memory answers at once"),
    }
}

/// The time of a decision for so many addresses, in random order.
fn local(keys: u32) -> Duration {
    let (clock, limit) = (System(Instant::now()), limit(1_000_000));
    let store = MemoryCounters::new(2 * keys as usize);
    let counters = store.of_plan(names(limit), &clock);
    let mut number = 1_u32;
    let mut next = || {
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        CountKey::Address(Ipv4Addr::from(0x0a00_0000 + (number >> 8) % keys).into())
    };
    for _ in 0..keys * 3 {
        assert!(decide(&*counters, &clock, &limit, next()));
    }
    let mut best = Duration::MAX;
    for _ in 0..3 {
        let begun = Instant::now();
        for _ in 0..DECISIONS {
            black_box(decide(&*counters, &clock, &limit, next()));
        }
        best = best.min(begun.elapsed());
    }
    best / DECISIONS
}

/// Decisions in a second by so many threads, each for a thousand addresses.
fn together(threads: u32) -> f64 {
    let (clock, limit) = (System(Instant::now()), limit(1_000_000_000));
    let store = MemoryCounters::new(MemoryCounters::DEFAULT_ENTRIES);
    let counters = store.of_plan(names(limit), &clock);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (counters, clock) = (&counters, &clock);
            scope.spawn(move || {
                for number in 0..DECISIONS {
                    let key = CountKey::Address(Ipv4Addr::from(number % 1000 * 7 + thread).into());
                    black_box(decide(&**counters, clock, &limit, key));
                }
            });
        }
    });
    f64::from(threads) * f64::from(DECISIONS) / begun.elapsed().as_secs_f64()
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = figures.collect();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// A Redis server that ends with the benchmark.
struct Redis(Child, u16);

impl Redis {
    fn start() -> Option<Redis> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .ok()?;
        let redis = Redis(child, port);
        for _ in 0..500 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some(redis);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The time of a decision for a hundred consumers, with so many requests at once, and how many of so many with a limit of
/// `max` pass.
async fn shared(redis: &Redis, sync: Sync, max: u32, at_once: u32, decisions: u32) -> (Duration, u32) {
    let clock = System(Instant::now());
    let limit = limit(max);
    let settings = SharedSettings {
        endpoint: Endpoint::Single { url: format!("redis://127.0.0.1:{}/0", redis.1), tls: Tls::default() },
        sync,
        on_failure: OnFailure::Deny,
        deadline: Duration::from_secs(2),
        prefix: format!("bench-{sync:?}-{max}-{at_once}"),
    };
    let store = Arc::new(SharedStore::new(settings));
    let local = MemoryCounters::new(1024);
    let counters = store.of_plan(&local, names(limit), &clock);
    counters.begin(&clock);
    while !store.answers() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (counters, clock, limit) = (counters.as_ref(), &clock, &limit);
    let one = |number: u32| async move {
        let keys = Keys::one(CountKey::Consumer(ConsumerId(number % HOT)));
        let mut charges = [Charging { limit, keys, cost: 1, enforced: true, count: None }];
        counters.count_all(clock, &mut charges).resolve().await.unwrap();
        u32::from(charges[0].count.unwrap().allowed)
    };
    // Leases come with use.
    for number in 0..HOT * 20 {
        one(number).await;
    }
    let begun = Instant::now();
    let mut passed = 0;
    for round in 0..decisions / at_once {
        let all = (0..at_once).map(|number| one(round * at_once + number));
        passed += all_of(all).await;
    }
    (begun.elapsed() / decisions, passed)
}

/// Runs these at once and adds up what they give.
async fn all_of(all: impl Iterator<Item = impl Future<Output = u32>>) -> u32 {
    let mut running: Vec<_> = all.map(|one| (Box::pin(one), None)).collect();
    std::future::poll_fn(|cx| {
        let mut pending = false;
        for (one, done) in &mut running {
            if done.is_none() {
                match one.as_mut().poll(cx) {
                    std::task::Poll::Ready(passed) => *done = Some(passed),
                    std::task::Poll::Pending => pending = true,
                }
            }
        }
        if pending { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
    running.into_iter().filter_map(|(_, done)| done).sum()
}

fn main() {
    let entry = MemoryCounters::ENTRY_BYTES;
    println!("an entry takes {} bytes, {} for windows", entry[0], entry[1]);
    assert!(entry.iter().all(|bytes| *bytes <= 64));
    let times = [1_000, 100_000, 1_000_000].map(|keys| {
        let time = local(keys);
        println!("local, {keys} addresses: {time:?} a decision");
        time
    });
    println!(
        "a million addresses take {:.2} times as long as a thousand",
        times[2].as_secs_f64() / times[0].as_secs_f64()
    );
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    // In turn, so that a disturbance hits both alike.
    // `cargo test` runs it without `--bench`, to see that it works.
    let many = if std::env::args().any(|argument| argument == "--bench") { 9 } else { 1 };
    let rounds: Vec<(f64, f64)> = (0..many).map(|_| (together(1), together(2))).collect();
    let (one, two) = (median(rounds.iter().map(|each| each.0)), median(rounds.iter().map(|each| each.1)));
    let times = median(rounds.iter().map(|(one, two)| two / one));
    println!(
        "local, one thread: {:.1} M/s; two, each with addresses of its own: {:.1} M/s, {times:.2} times as many on {cores} cores",
        one / 1e6,
        two / 1e6,
    );

    let clock = System(Instant::now());
    let narrow = limit(5);
    let memory = MemoryCounters::new(1024);
    let counters = memory.of_plan(names(narrow), &clock);
    let passed = (0..100).filter(|_| decide(&*counters, &clock, &narrow, CountKey::Gateway)).count();
    assert!((5..=6).contains(&passed), "{passed} of 100 passed a limit of 5 in a second");

    let Some(redis) = Redis::start() else {
        println!("redis-server does not start: what is shared is not measured");
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (leased, _) = shared(&redis, Sync::Leased, 4_000_000_000, 1, DECISIONS).await;
        println!("leased, {HOT} hot consumers: {leased:?} a decision");
        for at_once in [1, 64] {
            let (strict, _) =
                shared(&redis, Sync::Strict, 4_000_000_000, at_once, 20_000 / at_once * at_once).await;
            println!("strict, {HOT} hot consumers, {at_once} at once: {strict:?} a decision");
        }
        let (_, passed) = shared(&redis, Sync::Strict, 1, 8, 800).await;
        assert!(passed < 800, "a limit refuses");
    });
}
