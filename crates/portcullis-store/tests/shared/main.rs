//! Counters that gateways share, in real Redis servers that each test starts: what is counted, and what happens when the
//! store is slow, killed, started anew, somebody else's, a cluster, or watched by sentinels.

#![allow(
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, and a test binary has no outside"
)]

mod clocks;
mod cluster;
mod outages;
mod redis;
mod servers;

use portcullis_core::{Algorithm, Charging, Clock, Count, CountKey, Fault, Keys, Limit, LimitId, Now, Step};
use portcullis_store::shared::{Endpoint, OnFailure, SharedSettings, SharedStore, Sync, Tls};
use portcullis_store::{Calendar, CalendarUnit, CountNames, Counters, MemoryCounters, NamedLimit};
use redis::Redis;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Who brings what is used once.
pub const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The clock of a gateway, which may go wrong by so much.
pub struct Skewed(i64);

static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Clock for Skewed {
    fn now(&self) -> Now {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let unix = Duration::from_secs(unix.as_secs().saturating_add_signed(self.0));
        Now { monotonic: BEGUN.elapsed() + Duration::from_secs(1000), unix }
    }
}

pub fn settings(endpoint: Endpoint) -> SharedSettings {
    SharedSettings {
        endpoint,
        sync: Sync::Strict,
        on_failure: OnFailure::LocalShare,
        deadline: Duration::from_millis(500),
        prefix: "test".to_owned(),
    }
}

pub fn single(redis: &Redis) -> SharedSettings {
    settings(Endpoint::Single { url: redis.url(), tls: Tls::default() })
}

pub fn limit(id: u32, max: u32, algorithm: Algorithm) -> NamedLimit {
    let limit = Limit { id: LimitId(id), max, period: Duration::from_secs(86_400), burst: max, algorithm };
    NamedLimit { name: Arc::from(format!("limit {id}")), limit, calendar: None }
}

/// A gateway: its store, and the counters of its plan.
pub struct Gateway {
    pub store: Arc<SharedStore>,
    pub counters: Box<dyn Counters>,
    pub limits: Vec<NamedLimit>,
    pub clock: Skewed,
    _local: MemoryCounters,
}

impl Gateway {
    pub fn new(settings: SharedSettings, limits: Vec<NamedLimit>) -> Gateway {
        let (store, local) = (Arc::new(SharedStore::new(settings)), MemoryCounters::new(1024));
        let names = CountNames {
            limits: limits.clone(),
            consumers: vec![Arc::from("consumer alice"), Arc::from("consumer bob")],
            routes: vec![Arc::from("/a")],
        };
        let clock = Skewed(0);
        let counters = store.of_plan(&local, names, &clock);
        counters.begin(&clock);
        Gateway { store, counters, limits, clock, _local: local }
    }

    /// The same, once the store answers.
    pub async fn ready(settings: SharedSettings, limits: Vec<NamedLimit>) -> Gateway {
        let gateway = Gateway::new(settings, limits);
        gateway.wait_until(true).await;
        gateway
    }

    pub async fn wait_until(&self, answers: bool) {
        wait_for(&self.store, answers).await;
    }

    /// Charges one request to every limit.
    pub async fn charge(&self, key: CountKey<'_>, cost: u32) -> Result<Vec<Count>, Fault> {
        let charge = |limit: &NamedLimit| limit.limit;
        let limits: Vec<Limit> = self.limits.iter().map(charge).collect();
        let mut charges: Vec<Charging<'_>> = limits
            .iter()
            .map(|limit| Charging { limit, keys: Keys::one(key), cost, enforced: true, count: None })
            .collect();
        self.counters.count_all(&self.clock, &mut charges).resolve().await?;
        Ok(charges.into_iter().filter_map(|charge| charge.count).collect())
    }

    pub async fn allowed(&self, key: CountKey<'_>) -> bool {
        self.charge(key, 1).await.unwrap().iter().all(|count| count.allowed)
    }
}

async fn wait_for(store: &SharedStore, answers: bool) {
    let begun = Instant::now();
    while store.answers() != answers {
        assert!(begun.elapsed() < Duration::from_secs(20), "it does not come to answer: {answers}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// How many of so many requests pass, sent by eight tasks to all gateways in turn.
pub async fn passing(gateways: &[Arc<Gateway>], requests: usize, key: &'static [u8]) -> usize {
    let mut tasks = Vec::new();
    for number in 0..8 {
        let gateway = Arc::clone(&gateways[number % gateways.len()]);
        let share = requests / 8;
        tasks.push(tokio::spawn(async move {
            let mut passed = 0;
            for _ in 0..share {
                passed += usize::from(gateway.allowed(CountKey::Value(key)).await);
            }
            passed
        }));
    }
    let mut passed = 0;
    for task in tasks {
        passed += task.await.unwrap();
    }
    passed
}

async fn gateways(redis: &Redis, many: usize, sync: Sync, limits: &[NamedLimit]) -> Vec<Arc<Gateway>> {
    let mut all = Vec::new();
    for _ in 0..many {
        let settings = SharedSettings { sync, ..single(redis) };
        all.push(Arc::new(Gateway::ready(settings, limits.to_vec()).await));
    }
    all
}

#[tokio::test]
async fn gateways_together_get_exactly_the_limit() {
    let redis = Redis::start(&[]);
    for (number, algorithm) in
        [Algorithm::Gcra, Algorithm::FixedWindow, Algorithm::SlidingWindow].into_iter().enumerate()
    {
        let key: [&'static [u8]; 3] = [b"gcra", b"fixed", b"sliding"];
        let all = gateways(&redis, 4, Sync::Strict, &[limit(0, 100, algorithm)]).await;
        assert_eq!(passing(&all, 400, key[number]).await, 100, "{algorithm:?}");
    }
}

#[tokio::test]
async fn leases_keep_to_their_formula() {
    let redis = Redis::start(&[]);
    for many in [1, 2, 4] {
        let keys: [&'static [u8]; 5] = [b"", b"one", b"two", b"", b"four"];
        let all = gateways(&redis, many, Sync::Leased, &[limit(0, 400, Algorithm::Gcra)]).await;
        let passed = passing(&all, 1600, keys[many]).await;
        // A twentieth of the limit for each gateway.
        let slack = many * 400 / 20;
        assert!((400 - slack..=400).contains(&passed), "{passed} of 400 at {many} gateways");
    }
}

#[tokio::test]
async fn a_request_is_charged_to_all_limits_or_to_none() {
    let redis = Redis::start(&[]);
    let limits = vec![limit(0, 10, Algorithm::Gcra), limit(1, 3, Algorithm::FixedWindow)];
    let gateway = Gateway::ready(single(&redis), limits).await;
    let alice = CountKey::Consumer(portcullis_core::ConsumerId(0));
    for _ in 0..3 {
        assert!(gateway.allowed(alice).await);
    }
    for _ in 0..20 {
        assert!(!gateway.allowed(alice).await);
    }
    let wide = Gateway::ready(single(&redis), vec![limit(0, 10, Algorithm::Gcra)]).await;
    let counts = wide.charge(alice, 0).await.unwrap();
    assert_eq!((counts[0].allowed, counts[0].remaining), (true, 7), "refused requests cost nothing");
}

#[tokio::test]
async fn costs_are_charged_late_and_taken_back() {
    let redis = Redis::start(&[]);
    for algorithm in [Algorithm::Gcra, Algorithm::FixedWindow] {
        let gateway = Gateway::ready(single(&redis), vec![limit(0, 10, algorithm)]).await;
        let (limit, keys) = (gateway.limits[0].limit, Keys::one(CountKey::Route(0)));
        assert_eq!(gateway.charge(CountKey::Route(0), 4).await.unwrap()[0].remaining, 6);
        assert!(!gateway.charge(CountKey::Route(0), 7).await.unwrap()[0].allowed);
        gateway.counters.charge_late(&gateway.clock, &limit, &keys, 6);
        until(async || !gateway.charge(CountKey::Route(0), 0).await.unwrap()[0].allowed).await;
        gateway.counters.uncount(&gateway.clock, &limit, &keys, 10);
        until(async || gateway.charge(CountKey::Route(0), 0).await.unwrap()[0].remaining == 10).await;
        redis.say(&["FLUSHALL"]);
    }
}

async fn until(test: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !test().await {
        assert!(begun.elapsed() < Duration::from_secs(5), "it does not come");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Windows begin and end on the store's clock: a gateway whose clock is days off counts in the same one.
#[tokio::test]
async fn a_gateway_with_a_wrong_clock_counts_with_the_others() {
    let redis = Redis::start(&[]);
    let calendar = Calendar::new(CalendarUnit::Day, "Europe/Berlin").unwrap();
    let daily = NamedLimit { calendar: Some(calendar), ..limit(0, 5, Algorithm::FixedWindow) };
    let mut all = Vec::new();
    for skew in [0, 3 * 86_400, -40 * 86_400] {
        let mut gateway = Gateway::ready(single(&redis), vec![daily.clone()]).await;
        gateway.clock = Skewed(skew);
        all.push(gateway);
    }
    let mut passed = 0;
    for _ in 0..5 {
        for gateway in &all {
            passed += usize::from(gateway.allowed(CountKey::Gateway).await);
        }
    }
    assert_eq!(passed, 5);
}

#[tokio::test]
async fn a_proof_is_used_once_at_all_gateways() {
    let redis = Redis::start(&[]);
    let one = Gateway::ready(single(&redis), Vec::new()).await;
    let other = Gateway::ready(single(&redis), Vec::new()).await;
    let (now, until) = (Duration::from_secs(1000), Duration::from_secs(1060));
    assert_eq!(one.store.first_use(now, CLIENT, [7; 32], until).resolve().await, Ok(true));
    assert_eq!(other.store.first_use(now, CLIENT, [7; 32], until).resolve().await, Ok(false));
    assert_eq!(one.store.first_use(now, CLIENT, [7; 32], until).resolve().await, Ok(false));
    assert_eq!(other.store.first_use(now, CLIENT, [8; 32], until).resolve().await, Ok(true));
    one.store.forget([7; 32]).resolve().await.unwrap();
    assert_eq!(other.store.first_use(now, CLIENT, [7; 32], until).resolve().await, Ok(true));
    // It is forgotten when it could not be used any more.
    let soon = now + Duration::from_millis(30);
    assert_eq!(one.store.first_use(now, CLIENT, [9; 32], soon).resolve().await, Ok(true));
    tokio::time::sleep(Duration::from_millis(80)).await;
    assert_eq!(other.store.first_use(now, CLIENT, [9; 32], soon).resolve().await, Ok(true));
}

#[tokio::test]
async fn an_address_has_a_share_of_what_is_remembered() {
    let redis = Redis::start(&[]);
    let other = Gateway::ready(single(&redis), Vec::new()).await;
    let store = SharedStore::with_room(single(&redis), 64 * 8);
    store.connect();
    wait_for(&store, true).await;
    let (now, until) = (Duration::from_secs(1000), Duration::from_secs(1060));
    let numbered = |number: u16| {
        let mut digest = [0; 32];
        digest[..2].copy_from_slice(&number.to_be_bytes());
        digest
    };
    let (greedy, honest) = (CLIENT, IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)));
    let mut kept = Vec::new();
    for number in 0..2000 {
        if let Ok(first) = store.first_use(now, greedy, numbered(number), until).resolve().await {
            kept.push((number, first));
        }
    }
    assert_eq!(kept.len(), 64 * 4, "half of the room");
    assert!(kept.iter().all(|(_, first)| *first), "{kept:?}");
    assert_eq!(store.first_use(now, greedy, numbered(kept[0].0), until).resolve().await, Ok(false));
    assert_eq!(other.store.first_use(now, greedy, numbered(kept[0].0), until).resolve().await, Ok(false));
    // Half of each of 64 places is left, of which the other address can have half: two, which a few may find taken.
    let mut let_in = 0;
    for number in 3000..3020 {
        let first = store.first_use(now, honest, numbered(number), until).resolve().await;
        let_in += u32::from(first == Ok(true));
    }
    assert!(let_in >= 15, "{let_in} of 20");
}

/// What the store did not come to remember takes no room, and is not taken for used.
#[tokio::test]
async fn what_a_store_that_is_away_does_not_remember_takes_no_room() {
    let nowhere = settings(Endpoint::Single { url: "redis://127.0.0.1:1/0".to_owned(), tls: Tls::default() });
    let store = SharedStore::with_room(nowhere, 64 * 8);
    let (now, until) = (Duration::from_secs(1000), Duration::from_secs(1060));
    for number in 0..=255 {
        for _ in 0..2 {
            assert!(store.first_use(now, CLIENT, [number; 32], until).resolve().await.is_err());
        }
    }
}

#[tokio::test]
async fn a_session_that_ended_is_over_at_all_gateways() {
    let mut redis = Redis::start(&[]);
    let one = Gateway::ready(single(&redis), Vec::new()).await;
    let other = Gateway::ready(single(&redis), Vec::new()).await;
    let seconds = Duration::from_secs;
    let (now, begun) = (seconds(1000), seconds(900));
    assert_eq!(other.store.has_ended(&["seven"], begun).resolve().await, Ok(false));
    one.store.end_session(now, "seven", seconds(u64::MAX), now + seconds(60)).resolve().await.unwrap();
    assert_eq!(other.store.has_ended(&["seven"], begun).resolve().await, Ok(true));
    assert_eq!(one.store.has_ended(&["eight"], begun).resolve().await, Ok(false));
    // Those of one name that began up to a moment, by whichever of their names.
    one.store.end_session(now, "alice", begun, now + seconds(60)).resolve().await.unwrap();
    for (names, begun, ended) in [
        (&["six", "alice"][..], seconds(900), true),
        (&["alice", "six", "bob"][..], seconds(1), true),
        (&["six", "alice"][..], seconds(901), false),
        (&["six", "bob"][..], seconds(900), false),
        (&[][..], seconds(900), false),
    ] {
        assert_eq!(other.store.has_ended(names, begun).resolve().await, Ok(ended), "{names:?} {begun:?}");
    }
    redis.kill();
    assert!(other.store.has_ended(&["eight"], begun).resolve().await.is_err(), "nobody can tell");
    let told = one.store.end_session(now, "nine", now, now * 2).resolve().await;
    assert!(told.is_err(), "nobody would hear of it");
    redis.run();
    other.wait_until(true).await;
    assert_eq!(other.store.has_ended(&["eight"], begun).resolve().await, Ok(false));
}

#[tokio::test]
async fn what_one_gateway_keeps_another_recalls() {
    let mut redis = Redis::start(&[]);
    let one = Gateway::ready(single(&redis), Vec::new()).await;
    let other = Gateway::ready(single(&redis), Vec::new()).await;
    assert_eq!(other.store.recall([7; 32]).resolve().await, None);
    one.store.keep([7; 32], b"\x00value".to_vec(), Duration::from_millis(300));
    until(async || other.store.recall([7; 32]).resolve().await.is_some()).await;
    assert_eq!(other.store.recall([8; 32]).resolve().await, None);
    until(async || other.store.recall([7; 32]).resolve().await.is_none()).await;
    redis.kill();
    assert_eq!(other.store.recall([7; 32]).resolve().await, None);
    let begun = Instant::now();
    for _ in 0..100 {
        other.store.keep([7; 32], vec![1], Duration::from_secs(9));
        assert_eq!(other.store.recall([7; 32]).resolve().await, None);
    }
    assert!(begun.elapsed() < Duration::from_secs(1), "nobody waits for it");
    redis.run();
}

#[tokio::test]
async fn wrong_credentials_at_all_gateways_are_counted_together() {
    let mut redis = Redis::start(&[]);
    let one = Gateway::ready(single(&redis), Vec::new()).await;
    let other = Gateway::ready(single(&redis), Vec::new()).await;
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let fail = |gateway: &Gateway, source: &str| {
        let tell = tell.clone();
        gateway.store.failed(source.parse().unwrap(), Duration::from_secs(9), move |all| {
            tell.send(all).unwrap();
        });
    };
    for (gateway, expected) in [(&one, 1), (&other, 2), (&one, 3)] {
        fail(gateway, "2001:db8:1:2::1");
        assert_eq!(told.recv().await, Some(expected));
    }
    fail(&one, "2001:db8:1:3::1");
    assert_eq!(told.recv().await, Some(1), "another network");
    redis.kill();
    let begun = Instant::now();
    for _ in 0..100 {
        fail(&one, "2001:db8:1:2::1");
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "nobody waits for it");
    redis.run();
    one.wait_until(true).await;
    fail(&one, "2001:db8:1:2::1");
    assert_eq!(told.recv().await, Some(1), "the store has forgotten, and nothing else was told");
}

/// What stands in the store: few bytes for a key, each with an end, and nothing that a client sent.
#[tokio::test]
async fn entries_of_the_store_are_small_and_end() {
    let redis = Redis::start(&[]);
    let gateway = Gateway::ready(single(&redis), vec![limit(0, 10, Algorithm::Gcra)]).await;
    let long = vec![b'x'; 50_000];
    assert!(gateway.allowed(CountKey::Value(&long)).await);
    assert!(gateway.allowed(CountKey::Value(b"secret-api-key")).await);
    assert_eq!(redis.say(&["DBSIZE"]), ":3", "two counters, and who is there");
    let script = "local most = 0 for _, key in ipairs(redis.call('KEYS', '*')) do
        if redis.call('TTL', key) < 0 then return 'no end' end
        most = math.max(most, redis.call('MEMORY', 'USAGE', key)) end return most";
    let most: u64 = redis.say(&["EVAL", script, "0"]).trim_start_matches(':').parse().unwrap();
    assert!(most <= 400, "{most} bytes");
}

/// Answers that are known at once need no turn of the runtime; others do.
#[tokio::test]
async fn a_lease_needs_no_round_trip() {
    let redis = Redis::start(&[]);
    let settings = SharedSettings { sync: Sync::Leased, ..single(&redis) };
    let gateway = Gateway::ready(settings, vec![limit(0, 100_000, Algorithm::Gcra)]).await;
    for _ in 0..50 {
        assert!(gateway.allowed(CountKey::Route(0)).await);
    }
    let before = commands(&redis);
    for _ in 0..2000 {
        assert!(gateway.allowed(CountKey::Route(0)).await);
    }
    let sent = commands(&redis) - before;
    assert!(sent < 100, "{sent} commands for 2000 requests");
}

fn commands(redis: &Redis) -> u64 {
    let script = "return string.match(redis.call('INFO', 'commandstats'), 'cmdstat_evalsha:calls=(%d+)')";
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", redis.port)).unwrap();
    std::io::Write::write_all(&mut stream, format!("EVAL \"{script}\" 0\r\n").as_bytes()).unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(stream));
    assert!(lines.next().unwrap().unwrap().starts_with('$'));
    lines.next().unwrap().unwrap().parse().unwrap()
}

/// Only for tests that look at one step.
pub fn at_once<T>(step: Step<'_, T>) -> Option<T> {
    match step {
        Step::Ready(value) => Some(value),
        Step::Later(_) => None,
    }
}
