//! The world of a trial: a clock that stands until the test moves it, real counters, and servers that answer what they are told.

use super::at_once;
use http::{HeaderMap, StatusCode};
use portcullis_core::pool::Client;
use portcullis_core::{
    Clock, Count, Effects, Fault, Fetch, Fetched, Fingerprint, KeyDigest, KeyRecord, KeySetId, Keys, Limit,
    Now, Standing, Step, StoredKey, Wait,
};
use portcullis_store::{CountNames, CounterStore, Counters, Keys as KeyStore, MemoryCounters, MemoryKeys};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

/// A clock that stands still. Both its readings begin at 2026-01-01T00:00:00Z and an hour.
#[derive(Clone)]
struct Stopped(Arc<Mutex<Now>>);

impl Clock for Stopped {
    fn now(&self) -> Now {
        *self.0.lock().unwrap()
    }
}

/// The world.
pub(crate) struct World {
    clock: Stopped,
    counters: Box<dyn Counters>,
    keys: MemoryKeys,
    answers: Mutex<VecDeque<Result<Fetched, Fault>>>,
    asked: Mutex<Vec<Fetch>>,
    /// The passwords that are right, each with its hash. `None`: nobody can verify any.
    pub(crate) passwords: Mutex<Option<Vec<(String, String)>>>,
    verified: Mutex<Vec<(Client, String)>>,
    /// The keys that a store has, each as a client sends it. `None`: the store does not answer.
    pub(crate) stored_keys: Mutex<Option<Vec<(String, StoredKey)>>>,
    /// Whether every credential was good before.
    pub(crate) knows_all: Mutex<bool>,
    /// What every random byte is.
    pub(crate) random: Mutex<[u8; 16]>,
    /// The counters do not answer.
    pub(crate) counters_are_down: Mutex<bool>,
}

impl World {
    pub(super) fn new(names: CountNames, keys: MemoryKeys) -> World {
        let start = Now { monotonic: Duration::from_secs(3600), unix: Duration::from_secs(1_767_225_600) };
        let clock = Stopped(Arc::new(Mutex::new(start)));
        World {
            counters: MemoryCounters::new(64).of_plan(names, &clock),
            clock,
            keys,
            answers: Mutex::default(),
            asked: Mutex::default(),
            passwords: Mutex::new(Some(Vec::new())),
            verified: Mutex::default(),
            stored_keys: Mutex::new(Some(Vec::new())),
            knows_all: Mutex::new(false),
            random: Mutex::new([0; 16]),
            counters_are_down: Mutex::new(false),
        }
    }

    /// The time.
    pub(crate) fn moment(&self) -> Now {
        self.clock.now()
    }

    /// So much time passes.
    pub(crate) fn pass(&self, time: Duration) {
        let mut now = self.clock.0.lock().unwrap();
        now.monotonic += time;
        now.unix += time;
    }

    /// It is this moment by the calendar, such as `2024-02-29T23:59:59Z`. The other clock goes on by a second.
    pub(crate) fn be(&self, moment: &str) {
        let moment: jiff::Timestamp = moment.parse().expect("a moment");
        let mut now = self.clock.0.lock().unwrap();
        now.monotonic += Duration::from_secs(1);
        now.unix = Duration::from_secs(moment.as_second().try_into().expect("a moment after 1970"));
    }

    /// The next server that is asked answers this.
    pub(crate) fn answer(&self, status: u16, body: &str) {
        let status = StatusCode::from_u16(status).expect("a status");
        let fetched = Fetched { status, headers: HeaderMap::new(), body: body.to_owned().into() };
        self.answers.lock().unwrap().push_back(Ok(fetched));
    }

    /// The next server that is asked does not answer.
    pub(crate) fn fail(&self) {
        self.answers.lock().unwrap().push_back(Err(Fault { detail: "no answer in time".to_owned() }));
    }

    /// What was asked of servers since this was called last.
    pub(crate) fn asked(&self) -> Vec<Fetch> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    /// For whom passwords were verified since this was called last, and with which hash.
    pub(crate) fn verified(&self) -> Vec<(Client, String)> {
        std::mem::take(&mut self.verified.lock().unwrap())
    }

    fn stored(&self, is: impl Fn(&(String, StoredKey)) -> bool) -> Result<Option<StoredKey>, Fault> {
        let keys = self.stored_keys.lock().unwrap();
        let keys = keys.as_ref().ok_or_else(|| Fault { detail: "the store is down".to_owned() })?;
        Ok(keys.iter().find(|key| is(key)).map(|(_, key)| key.clone()))
    }

    /// Counts.
    pub(super) fn counted(&self, limit: &Limit, keys: &Keys<'_>, cost: u32) -> Count {
        at_once(self.count(limit, keys, cost).resolve()).expect("a counter")
    }
}

impl Effects for World {
    fn now(&self) -> Now {
        self.moment()
    }

    fn random(&self) -> [u8; 16] {
        *self.random.lock().unwrap()
    }

    fn count<'a>(
        &'a self,
        limit: &'a Limit,
        keys: &'a Keys<'a>,
        cost: u32,
    ) -> Step<'a, Result<Count, Fault>> {
        if *self.counters_are_down.lock().unwrap() {
            return Step::Ready(Err(Fault { detail: "the counters are down".to_owned() }));
        }
        self.counters.count(&self.clock, limit, keys, cost)
    }

    fn uncount(&self, limit: &Limit, keys: &Keys<'_>, cost: u32) {
        self.counters.uncount(&self.clock, limit, keys, cost);
    }

    fn charge_late(&self, limit: &Limit, keys: &Keys<'_>, cost: u32) {
        self.counters.charge_late(&self.clock, limit, keys, cost);
    }

    fn key(&self, set: KeySetId, digest: KeyDigest) -> Step<'_, Result<Option<KeyRecord>, Fault>> {
        self.keys.find(set, digest)
    }

    fn stored_key(&self, key: &[u8]) -> Result<Option<StoredKey>, Fault> {
        self.stored(|(text, _)| text.as_bytes() == key)
    }

    fn stored_key_again(&self, hash: KeyDigest) -> Result<Option<StoredKey>, Fault> {
        self.stored(|(_, key)| key.hash == hash)
    }

    fn password(&self, client: Client, hash: &str, password: &[u8]) -> Wait<'static, Result<bool, Fault>> {
        self.verified.lock().unwrap().push((client, hash.to_owned()));
        let right = self.passwords.lock().unwrap();
        let is = |(of, text): &(String, String)| of == hash && text.as_bytes() == password;
        let said = right.as_ref().map(|right| right.iter().any(is));
        Box::pin(async move { said.ok_or_else(|| Fault { detail: "too many passwords wait".to_owned() }) })
    }

    /// Ends when it is polled and the time has come.
    fn sleep(&self, time: Duration) -> Wait<'static, ()> {
        let clock = self.clock.clone();
        let end = clock.monotonic() + time;
        Box::pin(poll_fn(move |_| match clock.monotonic() < end {
            true => Poll::Pending,
            false => Poll::Ready(()),
        }))
    }

    fn fetch(&self, fetch: Fetch) -> Wait<'static, Result<Fetched, Fault>> {
        self.asked.lock().unwrap().push(fetch);
        let answer = self.answers.lock().unwrap().pop_front();
        Box::pin(async { answer.unwrap_or_else(|| Err(Fault { detail: "nobody listens there".to_owned() })) })
    }

    fn standing(&self, _: IpAddr) -> Standing {
        Standing::Free
    }

    fn credential_failed(&self, _: IpAddr) {}

    fn is_known(&self, _: IpAddr, _: Fingerprint) -> bool {
        *self.knows_all.lock().unwrap()
    }

    fn credential_good(&self, _: IpAddr, _: Fingerprint) {}

    fn notice(&self, _: &str, _: &str) {}
}
