//! What a request costs, and what memory a key takes, when a gateway counts or knows a million of them.
//!
//! `cargo bench -p portcullis --bench many_keys`. Requests go through the whole engine, without a network: a limit by address
//! for 1,000, 100,000 and 1,000,000 addresses, and API keys of a store with a limit by key, for 1,000 and 1,000,000 keys.
//! Keys come in random order, so that a large table is in no cache. Rounds alternate between the sizes, and ratios are taken
//! within a round, so a disturbance hits all alike. Beside each request is the bare operation: the count, or the look-up of
//! the key.
//!
//! With `-- --quick`, and among the tests, there are 1,000 to 20,000 keys and two rounds, and no bound: it shows that the
//! benchmark works, in any build.
//!
//! It fails where a bound of docs/many-gateways.md does not hold, or where a request is refused that should pass, or the
//! other way round.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark fails by panicking, and prints what it measured"
)]

use http::request::Parts;
use portcullis::keys::settings::{Place, Settings};
use portcullis::keys::{Consumer, LiveKeys, Owner, PepperSource};
use portcullis::load::Context;
use portcullis::{Code, Loaded, Record, RecordSink, State};
use portcullis_core::{
    Algorithm, Conn, CountKey, Effects, Keys, Limit, LimitId, Plan, Recording, Snapshot, Step, Transport,
    judge,
};
use portcullis_runtime::SystemClock;
use portcullis_store::MemoryCounters;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

// As in the gateway.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many times as long a request may take with a million keys as with a thousand.
const MOST_TIMES: f64 = 2.5;
/// The most bytes of an entry of a limit, and of a key of a store.
const MOST_BYTES: [usize; 2] = [64, 160];
const PEPPER: &str = "the-pepper-of-the-benchmark-0123456789";
/// Requests of a round.
const REQUESTS: usize = 65_536;
/// So many requests are made before the clock starts: their text comes from a network and is in a cache.
const AT_ONCE: usize = 256;
/// Requests in a day that each address and each key may send. Each is owed for 1.7 s, so that entries are in use.
const A_DAY: u32 = 50_000;

/// How much is measured.
struct Extent {
    sizes: [u32; 3],
    rounds: usize,
    requests: usize,
    most_times: f64,
}

impl Extent {
    const WHOLE: Extent =
        Extent { sizes: [1_000, 100_000, 1_000_000], rounds: 15, requests: REQUESTS, most_times: MOST_TIMES };
    const QUICK: Extent = Extent {
        sizes: [1_000, 10_000, 20_000],
        rounds: 2,
        requests: REQUESTS / 64,
        most_times: f64::INFINITY,
    };

    /// Entries of the tables: as full as a table is that has enough room.
    fn room(&self) -> usize {
        2 * self.sizes[2] as usize
    }
}

struct Nowhere;

impl RecordSink for Nowhere {
    fn write(&self, _: &Record, _: &Plan) {}
}

/// What a client sends to be told from others.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Address,
    Key,
}

/// Requests of so many keys.
struct Case {
    by: By,
    keys: u32,
    order: Vec<u32>,
    next: usize,
    snapshot: Snapshot,
    world: Arc<dyn Effects>,
    /// Nanoseconds of a request and of the bare operation, in each round.
    requests: Vec<f64>,
    bare: Vec<f64>,
}

fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x0a00_0000 + number)
}

/// A key of the length of those that the store makes.
fn key(number: u32) -> String {
    format!("key-of-the-benchmark-{number:036}")
}

fn rest(by: &str, authentication: &str, max: u32) -> String {
    format!(
        "listeners: [{{ bind: \"127.0.0.1:0\" }}]\n\
         security:\n  {authentication}\n  \
           rate_limiting: {{ max_requests: {max}, per: day, by: {by} }}\n\
         routes: [{{ path: /items, methods: [GET], upstream: \"http://127.0.0.1:9\""
    )
}

fn by_address(max: u32) -> String {
    format!("{}, public: \"a benchmark\" }}]\n", rest("address", "", max))
}

fn by_key(max: u32, store: &Settings) -> String {
    let Place::Sqlite(file) = &store.place else { panic!("a file") };
    let authentication =
        "authentication: { type: api_key, header: x-api-key }\n  authorization: { roles_allowed: [reader] }";
    format!(
        "store: {{ keys: {{ sqlite: \"{}\", peppers: [{{ literal: \"{PEPPER}\" }}] }} }}\n{} }}]\n",
        file.display(),
        rest("key", authentication, max)
    )
}

/// The engine with this configuration.
fn engine(text: String, state: &State, stored: Option<Arc<LiveKeys>>) -> (Snapshot, Arc<dyn Effects>) {
    let loaded = Loaded::yaml_with("many_keys.yaml", text, Context::for_code(), state);
    let blueprint = loaded.into_blueprint().unwrap_or_else(|error| panic!("{error}"));
    let world = match stored {
        Some(stored) => blueprint.world.with_stored_keys(stored),
        None => blueprint.world,
    };
    world.begin();
    let world: Arc<dyn Effects> = Arc::new(world);
    (Snapshot::new(blueprint.plan, Arc::clone(&world), Arc::new(Nowhere)), world)
}

fn request(by: By, number: u32) -> (Parts, Conn) {
    let peer = match by {
        By::Address => address(number),
        By::Key => Ipv4Addr::new(192, 0, 2, 1),
    };
    let conn = Conn {
        peer: (peer, 4711).into(),
        local: ([127, 0, 0, 1], 3000).into(),
        transport: Transport::Memory,
        certificate: None,
    };
    let mut request = http::Request::get("/items")
        .header("host", "api.example.com")
        .header("user-agent", "many_keys")
        .header("accept", "*/*");
    if by == By::Key {
        request = request.header("x-api-key", key(number));
    }
    (request.body(()).unwrap().into_parts().0, conn)
}

/// Judges a request. `None` where it may pass.
fn decide(snapshot: &Snapshot, (parts, conn): (Parts, Conn)) -> Option<Code> {
    let deciding = pin!(judge(parts, conn.clone(), Recording::open(snapshot.clone(), &conn)));
    match deciding.poll(&mut std::task::Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(cleared)) => {
            drop(black_box(cleared));
            None
        }
        Poll::Ready(Err(refused)) => Some(refused.denial.code()),
        Poll::Pending => panic!("a request waits for something"),
    }
}

/// Numbers in random order (Fisher and Yates, with the generator xorshift64 of Marsaglia).
fn shuffled(many: u32) -> Vec<u32> {
    let mut order: Vec<u32> = (0..many).collect();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for place in (1..order.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        order.swap(place, usize::try_from(state % (place as u64 + 1)).unwrap());
    }
    order
}

impl Case {
    fn new(by: By, keys: u32, (snapshot, world): (Snapshot, Arc<dyn Effects>)) -> Case {
        Case {
            by,
            keys,
            order: shuffled(keys),
            next: 0,
            snapshot,
            world,
            requests: Vec::new(),
            bare: Vec::new(),
        }
    }

    fn name(&self) -> String {
        match self.by {
            By::Address => format!("limit by address, {} addresses", self.keys),
            By::Key => format!("API key and limit by key, {} keys", self.keys),
        }
    }

    fn numbers(&mut self) -> Vec<u32> {
        let from = self.next;
        self.next = (from + AT_ONCE) % self.order.len();
        (from..from + AT_ONCE).map(|place| self.order[place % self.order.len()]).collect()
    }

    /// Nanoseconds of one of so many requests.
    fn ask(&mut self, many: usize) -> f64 {
        let mut time = Duration::ZERO;
        for _ in 0..many.div_ceil(AT_ONCE) {
            let requests: Vec<_> =
                self.numbers().into_iter().map(|number| request(self.by, number)).collect();
            let begun = Instant::now();
            for request in requests {
                let refused = decide(&self.snapshot, request);
                assert!(refused.is_none(), "{}: {refused:?}", self.name());
            }
            time += begun.elapsed();
        }
        per_one(time, many)
    }

    /// Nanoseconds of one of so many counts or look-ups.
    fn operate(&mut self, many: usize) -> f64 {
        let limit = Limit {
            id: LimitId(0),
            max: A_DAY,
            period: Duration::from_secs(86_400),
            burst: A_DAY,
            algorithm: Algorithm::Gcra,
        };
        let mut time = Duration::ZERO;
        for _ in 0..many.div_ceil(AT_ONCE) {
            let numbers = self.numbers();
            let texts: Vec<String> = match self.by {
                By::Address => Vec::new(),
                By::Key => numbers.iter().map(|number| key(*number)).collect(),
            };
            let begun = Instant::now();
            let good = match self.by {
                By::Address => numbers
                    .iter()
                    .filter(|number| {
                        let key = CountKey::Address(IpAddr::V4(address(**number)));
                        match self.world.count(&limit, &Keys::one(key), 1) {
                            Step::Ready(count) => count.unwrap().allowed,
                            Step::Later(_) => false,
                        }
                    })
                    .count(),
                By::Key => texts
                    .iter()
                    .filter(|text| self.world.stored_key(text.as_bytes()).unwrap().is_some())
                    .count(),
            };
            time += begun.elapsed();
            assert_eq!(good, AT_ONCE, "{}", self.name());
        }
        per_one(time, many)
    }
}

fn per_one(time: Duration, many: usize) -> f64 {
    time.as_secs_f64() * 1e9 / (many.div_ceil(AT_ONCE) * AT_ONCE) as f64
}

fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = figures.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// How many times as long the second takes as the first: the median of the rounds.
fn times(small: &[f64], large: &[f64]) -> f64 {
    median(small.iter().zip(large).map(|(small, large)| large / small))
}

/// Bytes of memory that this process has.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

/// The same once it stays so: what was freed goes back to the system a moment later.
fn settled() -> usize {
    let mut least = resident();
    for _ in 0..30 {
        std::thread::sleep(Duration::from_millis(100));
        least = least.min(resident());
    }
    least
}

fn settings(folder: &Path, keys: u32) -> Settings {
    Settings {
        place: Place::Sqlite(folder.join(format!("{keys}.db"))),
        peppers: PepperSource::Given(vec![PEPPER.as_bytes().to_vec().into()]),
        max_stale: Settings::MAX_STALE,
        max_memory: Settings::MAX_MEMORY,
    }
}

/// Makes a store of so many keys of a thousand consumers.
fn make_store(folder: &Path, keys: u32) {
    let mut store = portcullis::keys::KeyStore::open(&settings(folder, keys)).unwrap();
    let name = |number: u32| format!("consumer-{}", number % 1000);
    for number in 0..1000 {
        let consumer =
            Consumer { name: name(number), roles: vec!["reader".to_owned()], ..Consumer::default() };
        store.add_consumer(&consumer).unwrap();
    }
    let numbers: Vec<u32> = (0..keys).collect();
    for some in numbers.chunks(50_000) {
        let imported: Vec<_> = some
            .iter()
            .map(|number| {
                let (pepper, hash) = store.peppers().hash(key(*number).as_bytes()).unwrap();
                portcullis::keys::ImportedKey {
                    consumer: name(*number),
                    owner: Owner::Stored,
                    pepper,
                    hash,
                    settings: portcullis::keys::KeySettings::default(),
                    expires: None,
                }
            })
            .collect();
        store.import(&imported).unwrap();
    }
}

/// A folder that goes with the benchmark.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, command, folder, keys] = arguments.as_slice()
        && command == "make-store"
    {
        make_store(Path::new(folder), keys.parse().unwrap());
        return ExitCode::SUCCESS;
    }
    let has = |wanted: &str| arguments.iter().any(|argument| argument == wanted);
    // `cargo test` runs it without `--bench`.
    let quick = has("--quick") || !has("--bench");
    let extent = if quick { Extent::QUICK } else { Extent::WHOLE };
    let Extent { sizes, rounds, requests, most_times } = extent;
    let scratch = Scratch(std::env::temp_dir().join(format!("portcullis-many-keys-{}", std::process::id())));
    std::fs::create_dir_all(&scratch.0).unwrap();
    let mut holds = true;
    let mut bound = |text: String, within: bool| {
        println!("{text}{}", if within { "" } else { "  EXCEEDED" });
        holds &= within;
    };

    // What the tables and the keys take, before anything that was freed could be used for them.
    let state = State::with_room(SystemClock::start(), extent.room());
    let before = resident();
    let (addresses, world) = engine(by_address(A_DAY), &state, None);
    // Tables are made when something is first counted: one each for values, addresses and subjects.
    let entry = (resident() - before) / (3 * extent.room());
    let [single, window] = MemoryCounters::ENTRY_BYTES;
    bound(
        format!(
            "memory: {entry} bytes resident for an entry of a limit ({single} of the table, {window} for windows), at most {}",
            MOST_BYTES[0]
        ),
        // What the process itself takes is little only beside many entries.
        quick || [entry, single, window].iter().all(|bytes| *bytes <= MOST_BYTES[0]),
    );
    let mut cases: Vec<Case> = sizes
        .map(|keys| Case::new(By::Address, keys, (addresses.clone(), Arc::clone(&world))))
        .into_iter()
        .collect();
    for keys in [sizes[0], sizes[2]] {
        // By another process, whose memory is not measured.
        let made = Command::new(std::env::current_exe().unwrap())
            .args(["make-store".as_ref(), scratch.0.as_os_str(), keys.to_string().as_ref()])
            .status();
        assert!(made.unwrap().success(), "a store of {keys} keys");
        let before = settled();
        let begun = Instant::now();
        let live = LiveKeys::start(settings(&scratch.0, keys), Arc::new(|text| println!("{text}"))).unwrap();
        let read = begun.elapsed();
        let bytes = settled().saturating_sub(before) / keys as usize;
        assert_eq!(live.standing().0, keys as usize);
        if keys == sizes[2] {
            bound(
                format!(
                    "memory: {bytes} bytes resident for a cached key, at most {}; {keys} keys were read in {:.1} s",
                    MOST_BYTES[1],
                    read.as_secs_f64()
                ),
                quick || bytes <= MOST_BYTES[1],
            );
        }
        cases.push(Case::new(
            By::Key,
            keys,
            engine(by_key(A_DAY, &settings(&scratch.0, keys)), &state, Some(Arc::new(live))),
        ));
    }

    // The controls that are measured are in force.
    let narrow = State::with_room(SystemClock::start(), 1024);
    let (limited, _) = engine(by_address(5), &narrow, None);
    let refused: Vec<_> = (0..7).filter_map(|_| decide(&limited, request(By::Address, 7))).collect();
    assert_eq!(refused, [Code::RateLimited; 2]);
    for case in cases.iter().filter(|case| case.by == By::Key) {
        let refused = decide(&case.snapshot, request(By::Key, case.keys));
        assert_eq!(refused, Some(Code::CredentialUnknown), "a key that nobody has");
    }

    for case in &mut cases {
        // Every key is there and was used.
        case.ask((case.keys as usize).max(requests));
    }
    for round in 0..rounds {
        let mut turn: Vec<&mut Case> = cases.iter_mut().collect();
        // Every other round runs the other way, so that a drift favours none.
        if round % 2 == 1 {
            turn.reverse();
        }
        for case in turn {
            let (request, bare) = (case.ask(requests), case.operate(requests));
            case.requests.push(request);
            case.bare.push(bare);
        }
    }
    println!("{:<44} {:>12} {:>22}", "", "a request", "the bare operation");
    for case in &cases {
        let (request, bare) = (median(case.requests.iter().copied()), median(case.bare.iter().copied()));
        println!("{:<44} {request:>9.0} ns {bare:>19.0} ns", case.name());
    }
    let [thousand, _, million, few, many] = cases.as_slice() else { panic!("five cases") };
    for (small, large) in [(thousand, million), (few, many)] {
        let (request, bare) = (times(&small.requests, &large.requests), times(&small.bare, &large.bare));
        bound(
            format!(
                "{}: {request:.2} times as long as with {}, at most {most_times} (the bare operation: {bare:.2})",
                large.name(),
                small.keys
            ),
            request <= most_times,
        );
    }
    if holds { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
