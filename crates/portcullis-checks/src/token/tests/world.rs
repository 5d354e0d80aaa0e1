//! A world whose clock stands still until a test moves it, and whose network is a list of documents.

use crate::rehearsal::Doubles;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use portcullis_core::pool::Client;
use portcullis_core::{
    Count, Effects, Fault, Fetch, Fetched, Fingerprint, KeyDigest, KeyRecord, KeySetId, Keys, Limit, Now,
    Standing, Step, Wait,
};
use std::collections::HashMap;
use std::future::poll_fn;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

/// The time at which every test begins, in seconds since 1970.
pub(crate) const START: u64 = 1_800_000_000;
/// The same moment on the clock that never goes back.
const MONOTONIC: u64 = 1_000;

/// What was kept for other gateways under a name, and for how long.
type Kept = (Vec<u8>, Duration);

#[derive(Default)]
pub(crate) struct World {
    /// Milliseconds since the start.
    passed: Arc<AtomicU64>,
    /// How often randomness was asked for.
    drawn: AtomicU64,
    /// Seconds by which the wall clock was set forward.
    forward: AtomicU64,
    /// Whether answers of the network are held back.
    held: Arc<AtomicBool>,
    pages: Mutex<HashMap<String, Fetched>>,
    asked: Mutex<Vec<Fetch>>,
    used: Mutex<HashMap<[u8; 32], Duration>>,
    forgetful: AtomicBool,
    pub(crate) kept: Mutex<HashMap<[u8; 32], Kept>>,
    notices: Mutex<Vec<String>>,
    warnings: Mutex<Vec<String>>,
    known: Mutex<Vec<Fingerprint>>,
    /// How every source stands; free where nothing is said.
    source: Mutex<Option<Standing>>,
    failed: AtomicUsize,
    /// Who answers for servers of a rehearsal.
    doubles: Option<Arc<Doubles>>,
}

impl World {
    /// One in which doubles answer for servers.
    pub(crate) fn rehearsed(doubles: &Arc<Doubles>) -> World {
        World { doubles: Some(Arc::clone(doubles)), ..World::default() }
    }

    /// Lets time pass on both clocks.
    pub(crate) fn pass(&self, time: Duration) {
        self.passed.fetch_add(u64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst);
    }

    /// The same in seconds.
    pub(crate) fn pass_seconds(&self, seconds: u64) {
        self.pass(Duration::from_secs(seconds));
    }

    /// Sets the wall clock forward; the other one goes on as it did.
    pub(crate) fn set_forward(&self, seconds: u64) {
        self.forward.store(seconds, Ordering::SeqCst);
    }

    /// Holds answers of the network back, or lets them come.
    pub(crate) fn hold(&self, held: bool) {
        self.held.store(held, Ordering::SeqCst);
    }

    /// From here on, this stands at `url`, with a lifetime of ten minutes.
    pub(crate) fn publish(&self, url: &str, body: &str) {
        self.answer(url, 200, &[("cache-control", "max-age=600")], body);
    }

    /// From here on, this is the answer at `url`.
    pub(crate) fn answer(&self, url: &str, status: u16, fields: &[(&str, &str)], body: &str) {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap());
        }
        let status = StatusCode::from_u16(status).unwrap();
        let body = Bytes::copy_from_slice(body.as_bytes());
        self.pages.lock().unwrap().insert(url.to_owned(), Fetched { status, headers, body });
    }

    /// From here on, nobody answers at `url`.
    pub(crate) fn take_down(&self, url: &str) {
        self.pages.lock().unwrap().remove(url);
    }

    /// What was asked since the last call, in order.
    pub(crate) fn asked(&self) -> Vec<Fetch> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    /// The URLs of it.
    pub(crate) fn asked_urls(&self) -> Vec<String> {
        self.asked().iter().map(|fetch| fetch.url.to_string()).collect()
    }

    /// From here on, nobody can tell what was used before.
    pub(crate) fn forget(&self) {
        self.forgetful.store(true, Ordering::SeqCst);
    }

    /// Until when each used proof is remembered, in seconds after the start.
    pub(crate) fn remembered(&self) -> Vec<u64> {
        self.used.lock().unwrap().values().map(|until| until.as_secs() - START).collect()
    }

    /// From here on, this credential was good before, from wherever it comes.
    pub(crate) fn know(&self, credential: Fingerprint) {
        self.known.lock().unwrap().push(credential);
    }

    /// From here on, every source stands like this.
    pub(crate) fn stand(&self, source: Standing) {
        *self.source.lock().unwrap() = Some(source);
    }

    /// How many credentials were wrong.
    pub(crate) fn failures(&self) -> usize {
        self.failed.load(Ordering::SeqCst)
    }

    /// What the operator was told since the last call.
    pub(crate) fn notices(&self) -> Vec<String> {
        std::mem::take(&mut self.notices.lock().unwrap())
    }

    /// What the operator was warned of since the last call.
    pub(crate) fn warnings(&self) -> Vec<String> {
        std::mem::take(&mut self.warnings.lock().unwrap())
    }
}

/// The field of a request of the gateway.
pub(crate) fn field(fetch: &Fetch, wanted: &HeaderName) -> Option<String> {
    let (_, value) = fetch.headers.iter().find(|(name, _)| name == wanted)?;
    Some(value.to_str().unwrap().to_owned())
}

/// The version that a request of the gateway says it has.
pub(crate) fn known_version(fetch: &Fetch) -> Option<String> {
    field(fetch, &header::IF_NONE_MATCH)
}

impl Effects for World {
    fn now(&self) -> Now {
        let passed = Duration::from_millis(self.passed.load(Ordering::SeqCst));
        let forward = self.forward.load(Ordering::SeqCst);
        Now {
            monotonic: Duration::from_secs(MONOTONIC) + passed,
            unix: Duration::from_secs(START + forward) + passed,
        }
    }
    fn random(&self) -> [u8; 16] {
        let mut random = [7; 16];
        random[..8].copy_from_slice(&self.drawn.fetch_add(1, Ordering::SeqCst).to_be_bytes());
        random
    }
    fn count<'a>(&'a self, _: &'a Limit, _: &'a Keys<'a>, _: u32) -> Step<'a, Result<Count, Fault>> {
        Step::Ready(Err(Fault { detail: "no counters here".into() }))
    }
    fn key(&self, _: KeySetId, _: KeyDigest) -> Step<'_, Result<Option<KeyRecord>, Fault>> {
        Step::Ready(Err(Fault { detail: "no keys here".into() }))
    }
    fn sleep(&self, time: Duration) -> Wait<'static, ()> {
        let passed = Arc::clone(&self.passed);
        let until = Duration::from_millis(passed.load(Ordering::SeqCst)).saturating_add(time);
        Box::pin(poll_fn(move |_| match Duration::from_millis(passed.load(Ordering::SeqCst)) >= until {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }))
    }
    fn fetch(&self, fetch: Fetch) -> Wait<'static, Result<Fetched, Fault>> {
        let url = fetch.url.to_string();
        let double = self.doubles.as_ref().and_then(|doubles| doubles.answer(&fetch));
        self.asked.lock().unwrap().push(fetch);
        let page = self.pages.lock().unwrap().get(&url).cloned();
        let answer = page.or(double);
        let answer = answer.ok_or_else(|| Fault { detail: format!("nobody answers at {url}") });
        let held = Arc::clone(&self.held);
        Box::pin(poll_fn(move |_| match held.load(Ordering::SeqCst) {
            true => Poll::Pending,
            false => Poll::Ready(answer.clone()),
        }))
    }
    fn first_use(&self, _: IpAddr, digest: [u8; 32], until: Duration) -> Step<'_, Result<bool, Fault>> {
        if self.forgetful.load(Ordering::SeqCst) {
            return Step::Ready(Err(Fault { detail: "the memory is away".into() }));
        }
        Step::Ready(Ok(self.used.lock().unwrap().insert(digest, until).is_none()))
    }
    fn unused(&self, digest: [u8; 32]) -> Step<'_, Result<(), Fault>> {
        self.used.lock().unwrap().remove(&digest);
        Step::Ready(Ok(()))
    }
    fn recall(&self, name: [u8; 32]) -> Step<'_, Option<Vec<u8>>> {
        Step::Ready(self.kept.lock().unwrap().get(&name).map(|(value, _)| value.clone()))
    }
    fn keep(&self, name: [u8; 32], value: Vec<u8>, life: Duration) {
        self.kept.lock().unwrap().insert(name, (value, life));
    }
    fn password(&self, _: Client, _: &str, _: &[u8]) -> Wait<'static, Result<bool, Fault>> {
        Box::pin(async { Err(Fault { detail: "no passwords here".into() }) })
    }
    fn standing(&self, _: IpAddr) -> Standing {
        self.source.lock().unwrap().unwrap_or(Standing::Free)
    }
    fn credential_failed(&self, _: IpAddr) {
        self.failed.fetch_add(1, Ordering::SeqCst);
    }
    fn is_known(&self, _: IpAddr, credential: Fingerprint) -> bool {
        self.known.lock().unwrap().contains(&credential)
    }
    fn credential_good(&self, _: IpAddr, _: Fingerprint) {}
    fn notice(&self, about: &str, detail: &str) {
        self.notices.lock().unwrap().push(format!("{about}: {detail}"));
    }
    fn warn(&self, about: &str, detail: &str) {
        self.warnings.lock().unwrap().push(format!("{about}: {detail}"));
    }
}
