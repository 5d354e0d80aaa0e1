//! Who has failed to authenticate, how often, and who has not.
//!
//! Each source, an address or an IPv6 /64, may fail a number of times; each failure beyond makes it wait twice as long as
//! the one before, up to a bound. The IPv6 /48 around it may fail four times as often, and then all of it waits; of one source
//! that goes on failing, it answers for the free failures alone, and its failures are forgiven one after the other. After a while
//! without failure all is forgotten. A source can be a whole office behind one address, so what was good from there before stays
//! good: a table of fingerprints remembers it.
//!
//! Memory is bounded. Where a place in the table is wanted, whoever would be free soonest gives it up; so a flood of
//! addresses frees nobody for whom waiting has just begun, and costs whoever sends it an address for each guess.

use portcullis_core::network::{Network, SITE};
use portcullis_core::{Clock, Fingerprint, Standing, head::client};
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What a source may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailurePolicy {
    /// Failures that cost nothing.
    pub free: u32,
    /// How long the first failure beyond makes a source wait; each further one doubles it.
    pub first_wait: Duration,
    /// The longest wait. A source that has not failed for twice as long is forgotten.
    pub longest_wait: Duration,
}

impl FailurePolicy {
    /// What holds where nobody says otherwise.
    pub const DEFAULT: FailurePolicy = FailurePolicy {
        free: 10,
        first_wait: Duration::from_secs(1),
        longest_wait: Duration::from_secs(300),
    };
}

impl FailurePolicy {
    /// One gateway's share of it, where so many cannot count together.
    #[must_use]
    pub fn share(self, gateways: u32) -> FailurePolicy {
        FailurePolicy { free: self.free / gateways.max(1), ..self }
    }

    /// How many failures of a source count against the site around it.
    fn counted(&self) -> u32 {
        self.free.max(1)
    }

    /// What holds for the IPv6 /48 around sources.
    fn of_a_site(&self) -> FailurePolicy {
        let addresses = u32::try_from(SITE).unwrap_or(u32::MAX);
        FailurePolicy { free: self.counted().saturating_mul(addresses), ..*self }
    }

    /// How many failures of a site are forgiven after this time: all that are free in the time after which a source is
    /// forgotten. Beside it, the time that these took.
    // What a carrier's customers mistype in one /48 never ends, so it would never be forgotten as a whole.
    fn forgiven(&self, elapsed: u64) -> (u32, u64) {
        let each = (nanos(self.longest_wait).saturating_mul(2) / u64::from(self.free.max(1))).max(1);
        let count = elapsed / each;
        (u32::try_from(count).unwrap_or(u32::MAX), count.saturating_mul(each))
    }

    /// How long a source waits after so many failures.
    fn wait(&self, failures: u32) -> Duration {
        match failures.checked_sub(self.free.saturating_add(1)) {
            None => Duration::ZERO,
            Some(doublings) => {
                let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
                self.first_wait.saturating_mul(factor).min(self.longest_wait)
            }
        }
    }
}

impl Default for FailurePolicy {
    fn default() -> Self {
        FailurePolicy::DEFAULT
    }
}

const WAYS: usize = 8;

#[derive(Clone, Copy, Default)]
struct Entry {
    source: u64,
    failures: u32,
    /// Nanoseconds on the clock that never goes back.
    last: u64,
    blocked_until: u64,
}

/// The sources that failed, and the credentials that were good. They outlive plans; what failures cost is each plan's to say.
pub struct Failures {
    sets: Box<[Mutex<[Entry; WAYS]>]>,
    /// The end of the longest wait there is: before it, and only then, a source needs to be looked up.
    busy_until: AtomicU64,
    good: Box<[AtomicU64]>,
    hasher: RandomState,
}

impl Default for Failures {
    fn default() -> Failures {
        Failures::new()
    }
}

impl Failures {
    /// Room for 32,768 sources and 65,536 credentials: about 1.5 MiB.
    pub fn new() -> Failures {
        Failures::with_room(4096, 65_536)
    }

    /// Room for `sets` times eight sources and for `good` credentials, each a power of two.
    fn with_room(sets: usize, good: usize) -> Failures {
        Failures {
            sets: (0..sets.next_power_of_two()).map(|_| Mutex::default()).collect(),
            busy_until: AtomicU64::new(0),
            good: (0..good.next_power_of_two()).map(|_| AtomicU64::new(0)).collect(),
            hasher: RandomState::new(),
        }
    }

    /// How a source stands.
    pub fn standing(&self, clock: &dyn Clock, source: IpAddr) -> Standing {
        let busy_until = self.busy_until.load(Ordering::Relaxed);
        if busy_until == 0 {
            return Standing::Free;
        }
        let now = nanos(clock.monotonic());
        if busy_until <= now {
            return Standing::Free;
        }
        let blocked_until = |source: u64| {
            self.with_set(source, |set| {
                set.iter().find(|entry| entry.source == source).map_or(0, |entry| entry.blocked_until)
            })
        };
        let site = self.site(source).map_or(0, blocked_until);
        match blocked_until(self.source(source)).max(site).saturating_sub(now) {
            0 => Standing::Free,
            wait => Standing::Blocked { wait: Duration::from_nanos(wait) },
        }
    }

    /// A credential from this source was wrong. What it waits for this is by `policy`; what it waits already stays.
    pub fn failed(&self, policy: &FailurePolicy, clock: &dyn Clock, source: IpAddr) {
        let once_more = |failures: u32| failures.saturating_add(1);
        let failures = self.count(policy, clock, self.source(source), false, once_more);
        // SECURITY: whoever has a /48 has 65,536 sources, each with free failures of its own; who goes on failing at one of them
        // makes no neighbour wait (an_ipv6_site_is_no_supply_of_free_failures).
        if failures <= policy.counted()
            && let Some(site) = self.site(source)
        {
            self.count(&policy.of_a_site(), clock, site, true, once_more);
        }
    }

    /// There were so many wrong credentials from this source at all gateways together.
    pub fn learned(&self, policy: &FailurePolicy, clock: &dyn Clock, source: IpAddr, all: u32) {
        self.count(policy, clock, self.source(source), false, |failures| failures.max(all));
    }

    /// Counts failures of a source or a site, and says how many it has.
    fn count(
        &self,
        policy: &FailurePolicy,
        clock: &dyn Clock,
        source: u64,
        is_site: bool,
        next: impl FnOnce(u32) -> u32,
    ) -> u32 {
        let now = nanos(clock.monotonic());
        let forget = nanos(policy.longest_wait).saturating_mul(2);
        let (failures, blocked_until) = self.with_set(source, |set| {
            let place = set.iter().position(|entry| entry.source == source).or_else(|| {
                let soonest =
                    set.iter().enumerate().min_by_key(|(_, entry)| (entry.blocked_until, entry.last));
                soonest.map(|(place, _)| place)
            });
            let Some(entry) = place.and_then(|place| set.get_mut(place)) else { return (0, 0) };
            if entry.source != source || entry.last.saturating_add(forget) <= now {
                *entry = Entry { source, ..Entry::default() };
            }
            if is_site && entry.failures > 0 {
                let (forgiven, took) = policy.forgiven(now.saturating_sub(entry.last));
                entry.failures = entry.failures.saturating_sub(forgiven);
                // The rest of the time counts for the next one.
                entry.last = if entry.failures == 0 { now } else { entry.last.saturating_add(took) };
            } else {
                entry.last = now;
            }
            entry.failures = next(entry.failures);
            let until = now.saturating_add(nanos(policy.wait(entry.failures)));
            entry.blocked_until = entry.blocked_until.max(until);
            (entry.failures, entry.blocked_until)
        });
        if blocked_until > now {
            self.busy_until.fetch_max(blocked_until, Ordering::Relaxed);
        }
        failures
    }

    /// Whether this credential was good when it came from this source before.
    pub fn is_known(&self, source: IpAddr, credential: Fingerprint) -> bool {
        let mark = self.mark(source, credential);
        self.place(mark).is_some_and(|place| place.load(Ordering::Relaxed) == mark)
    }

    /// This credential from this source was good. Writes only what is new, so that cores do not take turns.
    pub fn good(&self, source: IpAddr, credential: Fingerprint) {
        let mark = self.mark(source, credential);
        if let Some(place) = self.place(mark)
            && place.load(Ordering::Relaxed) != mark
        {
            place.store(mark, Ordering::Relaxed);
        }
    }

    fn with_set<T>(&self, source: u64, work: impl FnOnce(&mut [Entry; WAYS]) -> T) -> T
    where
        T: Default,
    {
        let place = usize::try_from(source >> 1).unwrap_or_default() & (self.sets.len() - 1);
        // A poisoned lock means that a thread died between two plain writes; either value is a valid state.
        self.sets
            .get(place)
            .map(|set| work(&mut set.lock().unwrap_or_else(PoisonError::into_inner)))
            .unwrap_or_default()
    }

    fn source(&self, source: IpAddr) -> u64 {
        // Never 0, which is no source.
        self.hasher.hash_one(Network::of(source)) | 1
    }

    fn site(&self, source: IpAddr) -> Option<u64> {
        Network::site(source).map(|site| self.hasher.hash_one(site) | 1)
    }

    fn mark(&self, source: IpAddr, credential: Fingerprint) -> u64 {
        self.hasher.hash_one((client::fold(source), credential.0)) | 1
    }

    fn place(&self, mark: u64) -> Option<&AtomicU64> {
        self.good.get(usize::try_from(mark >> 1).unwrap_or_default() & (self.good.len() - 1))
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_core::Now;

    struct At(f64);

    impl Clock for At {
        fn now(&self) -> Now {
            let time = Duration::from_secs_f64(self.0);
            Now { monotonic: time, unix: time }
        }
    }

    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    fn wait(failures: &Failures, at: f64, source: IpAddr) -> Option<u64> {
        match failures.standing(&At(at), source) {
            Standing::Free | Standing::Observed { .. } => None,
            Standing::Blocked { wait } => Some(wait.as_secs_f64().round() as u64),
        }
    }

    #[test]
    fn each_failure_beyond_the_free_ones_doubles_the_wait() {
        let (failures, policy) = (Failures::new(), FailurePolicy { free: 3, ..FailurePolicy::default() });
        for _ in 0..3 {
            failures.failed(&policy, &At(1.0), ONE);
            assert_eq!(wait(&failures, 1.0, ONE), None);
        }
        let mut now = 1.0;
        for expected in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
            failures.failed(&policy, &At(now), ONE);
            assert_eq!(wait(&failures, now, ONE), Some(expected));
            assert_eq!(wait(&failures, now, OTHER), None, "another source is free");
            now += expected as f64;
            assert_eq!(wait(&failures, now, ONE), None);
        }
        failures.failed(&policy, &At(now + 600.0), ONE);
        assert_eq!(wait(&failures, now + 600.0, ONE), None, "all was forgotten");
    }

    #[test]
    fn what_other_gateways_counted_counts_here() {
        let (failures, policy) = (Failures::new(), FailurePolicy { free: 3, ..FailurePolicy::default() });
        failures.failed(&policy, &At(1.0), ONE);
        failures.learned(&policy, &At(1.0), ONE, 3);
        assert_eq!(wait(&failures, 1.0, ONE), None);
        failures.failed(&policy, &At(1.0), ONE);
        assert_eq!(wait(&failures, 1.0, ONE), Some(1), "the fourth");
        failures.learned(&policy, &At(1.0), ONE, 6);
        assert_eq!(wait(&failures, 1.0, ONE), Some(4), "the sixth");
        failures.learned(&policy, &At(2.0), ONE, 1);
        assert_eq!(wait(&failures, 2.0, ONE), Some(4), "what is late to come frees nobody");
        assert_eq!((policy.share(2).free, policy.share(0).free, policy.share(9).free), (1, 3, 0));
    }

    #[test]
    fn what_was_good_from_a_source_is_known_there_and_nowhere_else() {
        let failures = Failures::new();
        failures.good(ONE, Fingerprint(7));
        assert!(failures.is_known(ONE, Fingerprint(7)));
        assert!(!failures.is_known(ONE, Fingerprint(8)));
        assert!(!failures.is_known(OTHER, Fingerprint(7)));
    }

    #[test]
    fn an_ipv6_customer_is_one_source() {
        let (failures, policy) = (Failures::new(), FailurePolicy { free: 0, ..FailurePolicy::default() });
        failures.failed(&policy, &At(1.0), "2001:db8:1:2::1".parse().unwrap());
        assert!(wait(&failures, 1.0, "2001:db8:1:2:ffff::9".parse().unwrap()).is_some());
        assert!(wait(&failures, 1.0, "2001:db8:1:3::1".parse().unwrap()).is_none());
    }

    #[test]
    fn an_ipv6_site_is_no_supply_of_free_failures() {
        let (failures, policy) = (Failures::new(), FailurePolicy { free: 3, ..FailurePolicy::default() });
        let net = |site: u16, net: u16| IpAddr::from([0x2001, 0xdb8, site, net, 0, 0, 0, 1]);
        for number in 0..12 {
            failures.failed(&policy, &At(1.0), net(1, number % 4));
        }
        assert_eq!(wait(&failures, 1.0, net(1, 9)), None, "four addresses' free failures");
        failures.failed(&policy, &At(1.0), net(1, 5));
        assert_eq!(wait(&failures, 1.0, net(1, 9)), Some(1), "one more");
        failures.failed(&policy, &At(2.0), net(1, 6));
        assert_eq!(wait(&failures, 2.0, net(1, 9)), Some(2));
        assert_eq!(wait(&failures, 2.0, net(2, 9)), None, "another site is free");
        // Who goes on failing waits alone.
        for _ in 0..100 {
            failures.failed(&policy, &At(1.0), net(3, 0));
        }
        assert_eq!(wait(&failures, 1.0, net(3, 0)), Some(300));
        assert_eq!(wait(&failures, 1.0, net(3, 1)), None);
        // An address of IPv4 is in no site.
        for number in 0..100 {
            failures.failed(&policy, &At(1.0), IpAddr::from([198, 51, 100, number]));
        }
        assert_eq!(wait(&failures, 1.0, IpAddr::from([198, 51, 100, 200])), None);
    }

    /// Each minute three of a carrier's customers mistype, for a week: nobody waits.
    #[test]
    fn what_a_site_mistypes_is_forgiven_in_time() {
        let policy = FailurePolicy::default();
        let net = |net: u16| IpAddr::from([0x2001, 0xdb8, 1, net, 0, 0, 0, 1]);
        let failures = Failures::new();
        for number in 0..30_240_u32 {
            let now = 1.0 + f64::from(number) * 20.0;
            failures.failed(&policy, &At(now), net((number % 60_000) as u16));
            assert_eq!(wait(&failures, now, net(60_001)), None, "{number}");
        }
        // Who does not wait for it is at the longest wait all the same.
        let failures = Failures::new();
        for number in 0..1000 {
            failures.failed(&policy, &At(1.0), net(number));
        }
        assert_eq!(wait(&failures, 1.0, net(60_001)), Some(300));
    }

    #[test]
    fn failures_at_once_are_all_counted() {
        let (failures, policy) = (Failures::new(), FailurePolicy { free: 795, ..FailurePolicy::default() });
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..100).for_each(|_| failures.failed(&policy, &At(1.0), ONE)));
            }
        });
        assert_eq!(wait(&failures, 1.0, ONE), Some(16), "the fifth beyond the free ones");
    }

    /// The time of day may jump, and NTP may set it; who waits does so on the clock that never goes back.
    #[test]
    fn a_jump_of_the_time_of_day_frees_nobody() {
        struct Jumps(u64);
        impl Clock for Jumps {
            fn now(&self) -> Now {
                Now { monotonic: Duration::from_secs(1), unix: Duration::from_secs(self.0) }
            }
        }
        let (failures, policy) = (Failures::new(), FailurePolicy { free: 0, ..FailurePolicy::default() });
        failures.failed(&policy, &Jumps(1_800_000_000), ONE);
        for time in [0, 1, 1_000_000_000, 1_800_000_000, 9_999_999_999] {
            assert_ne!(failures.standing(&Jumps(time), ONE), Standing::Free, "{time}");
        }
    }

    #[test]
    fn the_longest_times_and_counts_do_not_overflow() {
        let longest = Duration::from_secs(u64::MAX);
        let policy = FailurePolicy { free: 0, first_wait: longest, longest_wait: longest };
        let failures = Failures::new();
        for _ in 0..100 {
            failures.failed(&policy, &At(1e9), ONE);
        }
        assert!(policy.wait(u32::MAX) == longest && wait(&failures, 1e9, ONE).is_some());
        let (failures, policy) =
            (Failures::new(), FailurePolicy { free: u32::MAX, ..FailurePolicy::default() });
        failures.failed(&policy, &At(1.0), ONE);
        assert_eq!(wait(&failures, 1.0, ONE), None);
    }

    /// A hundred thousand addresses with eleven guesses each: the table stays as it is, those who wait longest keep waiting,
    /// what was good stays known, and an address that never failed is free.
    #[test]
    fn a_flood_of_a_hundred_thousand_sources_costs_no_memory_and_locks_nobody_out() {
        let (failures, policy) = (Failures::new(), FailurePolicy::default());
        // Each with a place of its own: of two that share one, the later is known.
        let mut places_taken = std::collections::HashSet::new();
        let mut fresh = |credential: &u64| {
            let mark = failures.mark(ONE, Fingerprint(*credential));
            places_taken.insert(failures.place(mark).map(std::ptr::from_ref))
        };
        let known: Vec<u64> = (0..).filter(|credential| fresh(credential)).take(100).collect();
        known.iter().for_each(|credential| failures.good(ONE, Fingerprint(*credential)));
        for _ in 0..20 {
            failures.failed(&policy, &At(1.0), OTHER);
        }
        let places = failures.sets.len() * WAYS;
        for number in 0..100_000_u32 {
            for _ in 0..11 {
                failures.failed(&policy, &At(1.0), IpAddr::V4((0x0a00_0000 + number).into()));
            }
        }
        assert_eq!((failures.sets.len() * WAYS, failures.good.len()), (places, 65_536));
        assert!(places * size_of::<Entry>() + 65_536 * 8 <= 2 * 1024 * 1024);
        assert_eq!(wait(&failures, 1.0, OTHER), Some(300), "whoever waits longest goes on waiting");
        assert_eq!(wait(&failures, 1.0, ONE), None);
        assert!(known.iter().all(|credential| failures.is_known(ONE, Fingerprint(*credential))));
        let newest = IpAddr::V4((0x0a00_0000 + 99_999_u32).into());
        assert!(wait(&failures, 1.0, newest).is_some(), "a newcomer waits as well");
    }

    #[test]
    fn a_flood_of_sources_frees_nobody_who_has_just_begun_to_wait() {
        let (failures, policy) =
            (Failures::with_room(4, 64), FailurePolicy { free: 1, ..FailurePolicy::default() });
        for _ in 0..10 {
            failures.failed(&policy, &At(1.0), ONE);
        }
        for number in 0..100_000_u32 {
            failures.failed(&policy, &At(1.0), IpAddr::V4((0x0a00_0000 + number).into()));
        }
        assert!(wait(&failures, 1.0, ONE).is_some());
    }
}
