//! What is known of the servers of a group, by all workers and across configurations.
//!
//! Whoever picks a server reads a few atomic values that change when a server fails, comes back or is checked, and no lock.
//! What changes with every request is counted by each worker on its own, see `counts`.
//! Times are counted from the start of the process by a clock that never jumps.

use super::budget::Budget;
use super::counts::{Counts, Lane, Lanes};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{
    AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release,
};
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
    pub(super) budget: Budget,
    /// Counts how often the addresses of a server's name have changed.
    changes: AtomicU64,
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
            budget: Budget::default(),
            changes: AtomicU64::new(0),
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
    /// How many answers in a row have broken off after their head.
    broken: AtomicU32,
    /// How often in a row it was left out.
    ejections: AtomicU32,
    /// How often it was left out in all.
    pub(super) ejected: AtomicU64,
    /// Whether it is new in a group that serves.
    new: AtomicBool,
    /// Its connections, where they are bounded.
    connections: Arc<AtomicU32>,
    lanes: Mutex<Lanes>,
    /// What was learned by the last checks.
    learned: Mutex<Learned>,
    /// The addresses of its name, each of which is a server of its own; none where the name is one server.
    addresses: Mutex<Vec<(SocketAddr, Arc<ServerState>)>>,
}

/// What was learned by the last checks of a server, so that a reload does not begin anew.
#[derive(Clone, Debug, Default)]
pub(super) struct Learned {
    /// How it was checked, in any words that differ where the checks do.
    pub(super) by: String,
    /// When the last check began.
    pub(super) at: Option<Instant>,
    /// How many checks in a row were good.
    pub(super) good: u32,
    /// How many were not.
    pub(super) bad: u32,
    /// What the last one found, in a few words; empty where it was good.
    pub(super) found: String,
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

    /// How often the addresses of a server's name have changed.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Acquire)
    }

    /// The name of the server at this URL has these addresses from now on; none where it is one server.
    pub(super) fn resolved(&self, url: &str, server: &ServerState, addresses: &[SocketAddr]) {
        let same = lock(&server.addresses).iter().map(|(address, _)| address).eq(addresses);
        if same {
            return;
        }
        let states =
            addresses.iter().map(|address| (*address, self.server(&url_at(url, *address)))).collect();
        *lock(&server.addresses) = states;
        self.changes.fetch_add(1, Release);
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

    /// Leaves a server out, if no more than allowed of `all` would be out then, which are `asked` whether they are well or not.
    pub(super) fn eject<'a>(
        &self,
        server: &ServerState,
        (all, asked): (impl ExactSizeIterator<Item = &'a Arc<ServerState>>, bool),
        eject: &Eject,
        now: Instant,
    ) -> bool {
        // Whoever comes at the same time leaves nobody out now: two at once could be one too many.
        let Ok(_turn) = self.ejecting.try_lock() else { return false };
        let count = all.len();
        let out =
            all.filter(|other| !std::ptr::eq(Arc::as_ptr(other), server) && other.is_out(asked, now)).count();
        let most = count.saturating_mul(usize::from(eject.at_most)) / 100;
        if out >= most {
            return false;
        }
        server.leave_out(eject, now);
        true
    }
}

/// What one address of a server's name is called.
pub(super) fn url_at(url: &str, address: SocketAddr) -> String {
    format!("{url} ({})", address.ip())
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
            broken: AtomicU32::new(0),
            ejections: AtomicU32::new(0),
            ejected: AtomicU64::new(0),
            new: AtomicBool::new(new),
            connections: Arc::default(),
            lanes: Mutex::default(),
            learned: Mutex::default(),
            addresses: Mutex::default(),
        }
    }

    fn millis(&self, now: Instant) -> u64 {
        millis(now.saturating_duration_since(self.base))
    }

    /// Whether it gets requests. What checks said counts only where it is `asked`: a reload may have ended them.
    pub(super) fn standing(&self, asked: bool, now: Instant) -> Standing {
        if asked && self.checked() == Checked::Ill {
            return Standing::Ill;
        }
        match self.out_until.load(Relaxed) {
            0 => Standing::In,
            until if self.millis(now) < until => Standing::Ejected,
            _ => Standing::HalfOpen,
        }
    }

    fn is_out(&self, asked: bool, now: Instant) -> bool {
        self.standing(asked, now) != Standing::In
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
        lock(&self.learned).found.clone()
    }

    /// What was learned so far by the checks that are called so.
    pub(super) fn learned(&self, by: &str) -> Learned {
        let learned = lock(&self.learned);
        if learned.by == by { learned.clone() } else { Learned { by: by.to_owned(), ..Learned::default() } }
    }

    /// This was learned.
    pub(super) fn learn(&self, learned: Learned) {
        *lock(&self.learned) = learned;
    }

    /// The addresses of its name, each with what is known of it; none where it is one server.
    pub(super) fn addresses(&self) -> Vec<(SocketAddr, Arc<ServerState>)> {
        lock(&self.addresses).clone()
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
        self.broken.store(0, Relaxed);
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

    /// An answer came to its end.
    pub(super) fn completed(&self) {
        if self.broken.load(Relaxed) != 0 {
            self.broken.store(0, Relaxed);
        }
    }

    /// An answer broke off after its head. Whether the server is to be left out.
    pub(super) fn broke_off(&self, most: u32) -> bool {
        self.broken.fetch_add(1, Relaxed).saturating_add(1) >= most
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

    /// Where a worker counts its requests at this server.
    pub(super) fn lane(&self) -> Arc<Lane> {
        lock(&self.lanes).lane()
    }

    /// What all workers have counted.
    pub fn counts(&self) -> Counts {
        lock(&self.lanes).sum()
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
        let eject = |one: usize| group.eject(&servers[one], (servers.iter(), true), &EJECT, now);
        assert!(eject(0) && eject(1));
        assert!(!eject(2), "half are out");
        assert!(eject(1), "one that is out already takes nobody's place");
        servers[0].succeeded(true, now);
        assert!(eject(2) && !eject(3));
        // What checks leave out counts, and is bounded by none.
        servers[3].check(Checked::Ill, now);
        assert_eq!(servers[3].standing(true, now), Standing::Ill);
        assert_eq!(servers[3].standing(false, now), Standing::In, "nobody asks any more");
        assert!(!eject(0));
        let alone = [group.server("alone")];
        assert!(!group.eject(&alone[0], (alone.iter(), true), &EJECT, now));
    }

    #[test]
    fn a_server_is_left_out_twice_as_long_each_time() {
        let group = GroupState::default();
        let servers = [group.server("a"), group.server("b")];
        let mut now = 1000;
        for wait in [1000, 2000, 4000, 8000, 10_000, 10_000] {
            assert!(group.eject(&servers[0], (servers.iter(), true), &EJECT, at(&group, now)));
            assert_eq!(servers[0].standing(true, at(&group, now + wait - 1)), Standing::Ejected, "{wait}");
            now += wait;
            assert_eq!(servers[0].standing(true, at(&group, now)), Standing::HalfOpen, "{wait}");
            assert!(servers[0].probe() && !servers[0].probe());
            assert!(servers[0].failed(true, 3), "one failure is enough here");
            servers[0].probed();
        }
        servers[0].succeeded(true, at(&group, now));
        assert_eq!(servers[0].standing(true, at(&group, now)), Standing::In);
        assert!(!servers[0].failed(false, 3) && !servers[0].failed(false, 3));
        servers[0].succeeded(false, at(&group, now));
        assert!(!servers[0].failed(false, 3) && !servers[0].failed(false, 3) && servers[0].failed(false, 3));
        now += 10_001;
        assert!(group.eject(&servers[0], (servers.iter(), true), &EJECT, at(&group, now)));
        assert_eq!(
            servers[0].standing(true, at(&group, now + 1000)),
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
}
