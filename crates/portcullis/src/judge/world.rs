//! What checks may ask where nothing real may be touched.
//!
//! Counters, failed credentials and remembered values are those of the bench. What would have to be fetched is not there,
//! and that it was asked for is told, unless a double answers in its place. Nobody waits: time passes at once.

use super::bench::Bench;
use portcullis_checks::rehearsal::Doubles;
use portcullis_core::pool::Client;
use portcullis_core::{
    Count, Effects, Fault, Fetch, Fetched, Fingerprint, KeyDigest, KeyRecord, KeySetId, Keys, KeysBuf, Limit,
    Now, Standing, Step, Wait,
};
use portcullis_runtime::World;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The longest that an answer is remembered: the decision of a policy server.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// Which limits others have used up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UsedUp {
    /// None.
    #[default]
    Nothing,
    /// All.
    All,
    /// The one that is charged as this one, counted from 0.
    Only(usize),
    /// None, and none ever is: nothing is counted.
    Never,
}

/// The world of a plan that is tried.
pub(super) struct JudgeWorld {
    world: World,
    bench: Bench,
    doubles: Option<Arc<Doubles>>,
    /// How long it takes until a source that failed may try again.
    longest_wait: Duration,
    /// How much time must pass until nothing is owed any more, in nanoseconds.
    owed: AtomicU64,
    used_up: Mutex<UsedUp>,
    /// What was counted, to be taken back.
    counted: Mutex<Vec<(Limit, KeysBuf, u32)>>,
    /// How many limits this request was charged to so far.
    charged: AtomicUsize,
    missing: Mutex<Vec<String>>,
}

impl JudgeWorld {
    pub(super) fn new(world: World, bench: Bench, longest_wait: Duration) -> JudgeWorld {
        world.begin();
        JudgeWorld {
            world,
            doubles: bench.doubles().cloned(),
            bench,
            longest_wait,
            owed: AtomicU64::new(0),
            used_up: Mutex::default(),
            counted: Mutex::default(),
            charged: AtomicUsize::new(0),
            missing: Mutex::default(),
        }
    }

    /// Another request begins.
    pub(super) fn begin(&self) {
        self.missed().clear();
        self.charged.store(0, Ordering::Relaxed);
    }

    /// What was asked for and is not there.
    pub(super) fn missing(&self) -> Vec<String> {
        self.missed().clone()
    }

    fn missed(&self) -> MutexGuard<'_, Vec<String>> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn miss(&self, what: String) {
        let mut missed = self.missed();
        if !missed.contains(&what) {
            missed.push(what);
        }
    }

    /// Lets so much time pass that nothing is owed any more.
    pub(super) fn forget(&self) {
        let counted = std::mem::take(&mut *self.counted.lock().unwrap_or_else(PoisonError::into_inner));
        for (limit, keys, cost) in counted {
            if let Some(keys) = keys.keys() {
                self.world.uncount(&limit, &keys, cost);
            }
        }
        let owed = self.owed.swap(0, Ordering::Relaxed);
        if owed > 0 {
            self.bench.pass(Duration::from_nanos(owed) + Duration::from_secs(1));
        }
    }

    pub(super) fn use_up(&self, used_up: UsedUp) {
        *self.used_up.lock().unwrap_or_else(PoisonError::into_inner) = used_up;
    }

    /// Threads are late, or were never.
    pub(super) fn be_slow(&self, priorities: u32) {
        if let Some(overload) = self.world.overload() {
            overload.press(priorities.saturating_mul(1000));
        }
    }

    /// How many limits the last request was charged to.
    pub(super) fn charged(&self) -> usize {
        self.charged.load(Ordering::Relaxed)
    }

    /// Whether the limit that is charged next is used up by others.
    fn is_used_up(&self) -> bool {
        let number = self.charged.fetch_add(1, Ordering::Relaxed);
        match *self.used_up.lock().unwrap_or_else(PoisonError::into_inner) {
            UsedUp::Nothing | UsedUp::Never => false,
            UsedUp::All => true,
            UsedUp::Only(limit) => limit == number,
        }
    }

    fn owe(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.owed.fetch_max(nanos, Ordering::Relaxed);
    }
}

impl Effects for JudgeWorld {
    fn now(&self) -> Now {
        self.world.now()
    }

    fn random(&self) -> [u8; 16] {
        self.world.random()
    }

    fn count<'a>(
        &'a self,
        limit: &'a Limit,
        keys: &'a Keys<'a>,
        cost: u32,
    ) -> Step<'a, Result<Count, Fault>> {
        if self.is_used_up() {
            let wait = limit.period / limit.max.max(1);
            let count = Count { allowed: false, remaining: 0, retry_after: wait, reset_after: limit.period };
            return Step::Ready(Ok(count));
        }
        if *self.used_up.lock().unwrap_or_else(PoisonError::into_inner) == UsedUp::Never {
            let none = Duration::ZERO;
            let count = Count { allowed: true, remaining: limit.max, retry_after: none, reset_after: none };
            return Step::Ready(Ok(count));
        }
        let counted = self.world.count(limit, keys, cost);
        let is_counted = matches!(&counted, Step::Ready(Ok(count)) if count.allowed && cost > 0);
        // Taken back in `forget`. Were time to pass until it is forgotten, a day's limits on some thousand routes would take more
        // of it than a clock has (limits_of_a_day_are_forgotten_without_time).
        if is_counted {
            let entry = (*limit, KeysBuf::from(keys), cost);
            self.counted.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
        }
        counted
    }

    fn uncount(&self, limit: &Limit, keys: &Keys<'_>, cost: u32) {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = counted.iter().rposition(|(known, _, _)| known.id == limit.id) {
            counted.remove(at);
        }
        drop(counted);
        self.world.uncount(limit, keys, cost);
    }

    fn key(&self, set: KeySetId, digest: KeyDigest) -> Step<'_, Result<Option<KeyRecord>, Fault>> {
        self.world.key(set, digest)
    }

    fn sleep(&self, _: Duration) -> Wait<'static, ()> {
        if self.doubles.is_none() {
            self.miss("keys that an issuer's server has, and that were not fetched here".to_owned());
        }
        Box::pin(std::future::ready(()))
    }

    fn fetch(&self, fetch: Fetch) -> Wait<'static, Result<Fetched, Fault>> {
        if let Some(answer) = self.doubles.as_ref().and_then(|doubles| doubles.answer(&fetch)) {
            // What is remembered of it is forgotten before the next case.
            self.owe(REMEMBERED);
            return Box::pin(std::future::ready(Ok(answer)));
        }
        self.miss(format!("the answer of {}", fetch.url));
        Box::pin(std::future::ready(Err(Fault { detail: "nothing is fetched here".into() })))
    }

    fn first_use(&self, client: IpAddr, digest: [u8; 32], until: Duration) -> Step<'_, Result<bool, Fault>> {
        self.world.first_use(client, digest, until)
    }

    fn unused(&self, digest: [u8; 32]) -> Step<'_, Result<(), Fault>> {
        self.world.unused(digest)
    }

    fn password(&self, client: Client, hash: &str, password: &[u8]) -> Wait<'static, Result<bool, Fault>> {
        match &self.doubles {
            Some(doubles) => Box::pin(std::future::ready(Ok(doubles.is_password(hash, password)))),
            None => self.world.password(client, hash, password),
        }
    }

    fn standing(&self, source: IpAddr) -> Standing {
        self.world.standing(source)
    }

    fn credential_failed(&self, source: IpAddr) {
        self.owe(self.longest_wait.saturating_mul(2));
        self.world.credential_failed(source);
    }

    fn is_known(&self, source: IpAddr, credential: Fingerprint) -> bool {
        self.world.is_known(source, credential)
    }

    fn credential_good(&self, source: IpAddr, credential: Fingerprint) {
        self.world.credential_good(source, credential);
    }

    fn notice(&self, _: &str, _: &str) {}
}
