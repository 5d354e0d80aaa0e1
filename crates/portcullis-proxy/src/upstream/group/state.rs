//! What is known of the servers of a group, by all workers and across configurations.
//!
//! Whoever picks a server reads a few atomic values that change when a server fails, comes back or is checked, and no lock.
//! What changes with every request is counted by each worker on its own, in a [`Lane`], which only somebody who looks adds up.
//! Times are counted from the start of the process by a clock that never jumps.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// How often a server is left out twice as long as before.
const LONGEST: u32 = 10;

/// When a server that fails is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Eject {
    /// How many requests in a row must fail.
    pub failures: u32,
    /// For how long it is left out; each time in a row twice as long, up to ten times that.
    pub time: Duration,
    /// The most servers that may be out, in percent of the group.
    pub at_most: u8,
}

/// What outlives a configuration of a group: the state of its servers, by their URLs.
#[derive(Debug)]
pub struct GroupState {
    base: Instant,
    servers: Mutex<HashMap<String, Weak<ServerState>>>,
    /// Requests that are running.
    pub(super) running: AtomicU32,
    /// Whether it has served already, so that a server which comes later is new.
    serves: AtomicBool,
    /// Held by whoever leaves a server out. Nobody waits for it.
    ejecting: Mutex<()>,
}

impl Default for GroupState {
    fn default() -> GroupState {
        GroupState {
            base: Instant::now(),
            servers: Mutex::default(),
            running: AtomicU32::new(0),
            serves: AtomicBool::new(false),
            ejecting: Mutex::default(),
        }
    }
}

/// What is known of a server.
#[derive(Debug)]
pub struct ServerState {
    base: Instant,
    /// What the last check said: a [`Checked`].
    checked: AtomicU8,
    /// Until when it is left out, in milliseconds; 0 where it is not.
    out_until: AtomicU64,
    /// Whether a request finds out if it is well again.
    probing: AtomicBool,
    /// Since when it is back, in milliseconds; 0 where it has its whole weight.
    back_since: AtomicU64,
    /// How many requests have failed in a row.
    failures: AtomicU32,
    /// How often in a row it was left out.
    ejections: AtomicU32,
    /// How often it was left out in all.
    pub(super) ejected: AtomicU64,
    /// Whether it is new in a group that serves.
    new: AtomicBool,
    /// Its connections, where they are bounded.
    connections: Arc<AtomicU32>,
    lanes: Mutex<Lanes>,
    /// What the last check found.
    pub(super) found: Mutex<String>,
}

#[derive(Debug, Default)]
struct Lanes {
    all: Vec<Arc<Lane>>,
    gone: Counts,
}

/// What one worker counts of a server. Only that worker writes.
#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) running: AtomicU32,
    pub(super) requests: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) retries: AtomicU64,
}

/// What all workers have counted of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that are running.
    pub running: u64,
    /// Requests that were sent, or tried to be.
    pub requests: u64,
    /// Those that failed: no connection, no answer, none in time, or 502, 503 or 504.
    pub failures: u64,
    /// Requests that had failed elsewhere before.
    pub retries: u64,
}

/// What checks say of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// Nothing yet, or it is not checked.
    Unknown,
    /// It is well.
    Well,
    /// It is not.
    Ill,
}

/// Whether a server gets requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It does.
    In,
    /// It was left out, and one request at a time finds out whether it is well again.
    HalfOpen,
    /// It is left out after failures.
    Ejected,
    /// Its checks fail.
    Ill,
}

impl Standing {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Standing::In => "healthy",
            Standing::HalfOpen => "half_open",
            Standing::Ejected => "ejected",
            Standing::Ill => "unhealthy",
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A poisoned lock means that a thread died between two plain writes; either value is a valid state.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl GroupState {
    /// The state of the server at this URL, made if no configuration has it.
    pub fn server(&self, url: &str) -> Arc<ServerState> {
        let mut servers = lock(&self.servers);
        if let Some(there) = servers.get(url).and_then(Weak::upgrade) {
            return there;
        }
        servers.retain(|_, state| state.strong_count() > 0);
        let new = self.serves.load(Relaxed);
        let state = Arc::new(ServerState::new(self.base, new));
        servers.insert(url.to_owned(), Arc::downgrade(&state));
        state
    }

    /// It serves from now on.
    pub(super) fn serve(&self) {
        self.serves.store(true, Relaxed);
    }

    pub(super) fn millis(&self, now: Instant) -> u64 {
        millis(now.saturating_duration_since(self.base))
    }

    /// Whether a request may begin, where there may be so many; it is counted then.
    pub(super) fn enter(&self, most: u32) -> bool {
        self.running.try_update(Relaxed, Relaxed, |running| (running < most).then(|| running + 1)).is_ok()
    }

    /// Leaves a server out, if no more than allowed of `all` would be out then.
    pub(super) fn eject<'a>(
        &self,
        server: &ServerState,
        all: impl ExactSizeIterator<Item = &'a Arc<ServerState>>,
        eject: &Eject,
        now: Instant,
    ) -> bool {
        // Whoever comes at the same time leaves nobody out now: two at once could be one too many.
        let Ok(_turn) = self.ejecting.try_lock() else { return false };
        let count = all.len();
        let out = all.filter(|other| !std::ptr::eq(Arc::as_ptr(other), server) && other.is_out(now)).count();
        let most = count.saturating_mul(usize::from(eject.at_most)) / 100;
        if out >= most {
            return false;
        }
        server.leave_out(eject, now);
        true
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).max(1)
}

impl ServerState {
    fn new(base: Instant, new: bool) -> ServerState {
        ServerState {
            base,
            checked: AtomicU8::new(Checked::Unknown as u8),
            out_until: AtomicU64::new(0),
            probing: AtomicBool::new(false),
            back_since: AtomicU64::new(0),
            failures: AtomicU32::new(0),
            ejections: AtomicU32::new(0),
            ejected: AtomicU64::new(0),
            new: AtomicBool::new(new),
            connections: Arc::default(),
            lanes: Mutex::default(),
            found: Mutex::default(),
        }
    }

    fn millis(&self, now: Instant) -> u64 {
        millis(now.saturating_duration_since(self.base))
    }

    /// Whether it gets requests.
    pub fn standing(&self, now: Instant) -> Standing {
        if self.checked() == Checked::Ill {
            return Standing::Ill;
        }
        match self.out_until.load(Relaxed) {
            0 => Standing::In,
            until if self.millis(now) < until => Standing::Ejected,
            _ => Standing::HalfOpen,
        }
    }

    fn is_out(&self, now: Instant) -> bool {
        self.standing(now) != Standing::In
    }

    /// What checks say of it.
    pub fn checked(&self) -> Checked {
        match self.checked.load(Relaxed) {
            1 => Checked::Well,
            2 => Checked::Ill,
            _ => Checked::Unknown,
        }
    }

    /// What the last check found, in a few words.
    pub fn found(&self) -> String {
        lock(&self.found).clone()
    }

    /// Its connections, where they are bounded.
    pub fn connections(&self) -> Arc<AtomicU32> {
        Arc::clone(&self.connections)
    }

    /// How often it was left out after failures.
    pub fn ejected(&self) -> u64 {
        self.ejected.load(Relaxed)
    }

    /// A check says this of it from now on.
    pub(super) fn check(&self, checked: Checked, now: Instant) {
        let before = self.checked.swap(checked as u8, Relaxed);
        if before == Checked::Ill as u8 && checked == Checked::Well {
            self.come_back(now);
        }
    }

    /// It was new when the group served already: it begins slowly.
    pub(super) fn begin(&self, now: Instant) {
        if self.new.swap(false, Relaxed) {
            self.come_back(now);
        }
    }

    fn come_back(&self, now: Instant) {
        self.back_since.store(self.millis(now), Relaxed);
    }

    fn leave_out(&self, eject: &Eject, now: Instant) {
        let now = self.millis(now);
        let time = millis(eject.time);
        // One that was well for long enough begins anew.
        let last = self.out_until.load(Relaxed).max(self.back_since.load(Relaxed));
        if now.saturating_sub(last) > time.saturating_mul(u64::from(LONGEST)) {
            self.ejections.store(0, Relaxed);
        }
        let before = self.ejections.fetch_add(1, Relaxed);
        let factor = 1_u64.checked_shl(before).unwrap_or(u64::MAX).min(u64::from(LONGEST));
        self.failures.store(0, Relaxed);
        self.ejected.fetch_add(1, Relaxed);
        self.out_until.store(now.saturating_add(time.saturating_mul(factor)), Relaxed);
    }

    /// Takes the one request that finds out whether it is well again. `false` where another one does so already.
    pub(super) fn probe(&self) -> bool {
        !self.probing.swap(true, Relaxed)
    }

    /// The request that was to find out has ended.
    pub(super) fn probed(&self) {
        self.probing.store(false, Relaxed);
    }

    /// A request was answered.
    pub(super) fn succeeded(&self, probe: bool, now: Instant) {
        if self.failures.load(Relaxed) != 0 {
            self.failures.store(0, Relaxed);
        }
        if probe {
            self.come_back(now);
            self.out_until.store(0, Relaxed);
        }
    }

    /// A request failed. Whether the server is to be left out.
    pub(super) fn failed(&self, probe: bool, most: u32) -> bool {
        let failures = self.failures.fetch_add(1, Relaxed).saturating_add(1);
        probe || failures >= most
    }

    /// Its weight in hundredths, which grows from a tenth to all of it while it is back for less than `slow_start`.
    pub(super) fn weight(&self, weight: u32, slow_start: Duration, now: Instant) -> u64 {
        let whole = u64::from(weight).saturating_mul(100);
        let since = self.back_since.load(Relaxed);
        if since == 0 || slow_start.is_zero() {
            return whole;
        }
        let passed = self.millis(now).saturating_sub(since);
        let all = millis(slow_start);
        if passed >= all {
            return whole;
        }
        let part = passed.saturating_mul(100) / all;
        u64::from(weight).saturating_mul(part.max(10))
    }

    pub(super) fn lane(&self) -> Arc<Lane> {
        let lane = Arc::new(Lane::default());
        lock(&self.lanes).all.push(Arc::clone(&lane));
        lane
    }

    /// What all workers have counted.
    pub fn counts(&self) -> Counts {
        let mut lanes = lock(&self.lanes);
        let Lanes { all, gone } = &mut *lanes;
        // A worker that has no longer to do with it leaves what it counted.
        all.retain(|lane| {
            let stays = Arc::strong_count(lane) > 1;
            if !stays {
                gone.add(lane);
            }
            stays
        });
        let mut sum = Counts { running: 0, ..*gone };
        all.iter().for_each(|lane| sum.add(lane));
        sum
    }
}

impl Counts {
    fn add(&mut self, lane: &Lane) {
        self.running += u64::from(lane.running.load(Relaxed));
        self.requests += lane.requests.load(Relaxed);
        self.failures += lane.failures.load(Relaxed);
        self.retries += lane.retries.load(Relaxed);
    }
}

impl Lane {
    /// Adds to a count that nobody else writes.
    pub(super) fn more(count: &AtomicU64) {
        count.store(count.load(Relaxed).wrapping_add(1), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EJECT: Eject = Eject { failures: 3, time: Duration::from_secs(1), at_most: 50 };

    fn at(state: &GroupState, millis: u64) -> Instant {
        state.base + Duration::from_millis(millis)
    }

    #[test]
    fn no_more_than_the_cap_are_out() {
        let group = GroupState::default();
        let servers: Vec<_> = ["a", "b", "c", "d"].iter().map(|url| group.server(url)).collect();
        let now = at(&group, 100);
        let eject = |one: usize| group.eject(&servers[one], servers.iter(), &EJECT, now);
        assert!(eject(0) && eject(1));
        assert!(!eject(2), "half are out");
        assert!(eject(1), "one that is out already takes nobody's place");
        servers[0].succeeded(true, now);
        assert!(eject(2) && !eject(3));
        // What checks leave out counts, and is bounded by none.
        servers[3].check(Checked::Ill, now);
        assert_eq!(servers[3].standing(now), Standing::Ill);
        assert!(!eject(0));
        let alone = [group.server("alone")];
        assert!(!group.eject(&alone[0], alone.iter(), &EJECT, now));
    }

    #[test]
    fn a_server_is_left_out_twice_as_long_each_time() {
        let group = GroupState::default();
        let servers = [group.server("a"), group.server("b")];
        let mut now = 1000;
        for wait in [1000, 2000, 4000, 8000, 10_000, 10_000] {
            assert!(group.eject(&servers[0], servers.iter(), &EJECT, at(&group, now)));
            assert_eq!(servers[0].standing(at(&group, now + wait - 1)), Standing::Ejected, "{wait}");
            now += wait;
            assert_eq!(servers[0].standing(at(&group, now)), Standing::HalfOpen, "{wait}");
            assert!(servers[0].probe() && !servers[0].probe());
            assert!(servers[0].failed(true, 3), "one failure is enough here");
            servers[0].probed();
        }
        servers[0].succeeded(true, at(&group, now));
        assert_eq!(servers[0].standing(at(&group, now)), Standing::In);
        assert!(!servers[0].failed(false, 3) && !servers[0].failed(false, 3));
        servers[0].succeeded(false, at(&group, now));
        assert!(!servers[0].failed(false, 3) && !servers[0].failed(false, 3) && servers[0].failed(false, 3));
        now += 10_001;
        assert!(group.eject(&servers[0], servers.iter(), &EJECT, at(&group, now)));
        assert_eq!(
            servers[0].standing(at(&group, now + 1000)),
            Standing::HalfOpen,
            "forgotten after a while"
        );
    }

    #[test]
    fn a_server_that_comes_back_begins_with_a_tenth() {
        let group = GroupState::default();
        let server = group.server("a");
        let weight = |millis| server.weight(2, Duration::from_secs(10), at(&group, millis));
        assert_eq!(weight(50), 200, "at the start of the process");
        server.check(Checked::Ill, at(&group, 100));
        server.check(Checked::Well, at(&group, 1000));
        assert_eq!([1000, 2000, 6000, 11_000].map(weight), [20, 20, 100, 200]);
        assert_eq!(server.weight(2, Duration::ZERO, at(&group, 1000)), 200);
        group.serve();
        let new = group.server("b");
        new.begin(at(&group, 1000));
        assert_eq!(new.weight(1, Duration::from_secs(10), at(&group, 6000)), 50);
    }

    #[test]
    fn a_state_is_found_by_its_url_as_long_as_it_is_used() {
        let group = GroupState::default();
        let first = group.server("a");
        first.check(Checked::Ill, Instant::now());
        assert_eq!(group.server("a").checked(), Checked::Ill);
        drop(first);
        assert_eq!(group.server("a").checked(), Checked::Unknown);
    }

    #[test]
    fn counts_of_a_worker_that_went_stay() {
        let server = GroupState::default().server("a");
        let (one, two) = (server.lane(), server.lane());
        Lane::more(&one.requests);
        Lane::more(&two.requests);
        two.running.store(1, Relaxed);
        assert_eq!(server.counts(), Counts { running: 1, requests: 2, ..Counts::default() });
        drop(two);
        assert_eq!(server.counts(), Counts { requests: 2, ..Counts::default() });
        assert_eq!(server.counts().requests, 2);
    }
}
