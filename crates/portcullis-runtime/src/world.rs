//! The world as checks see it.

use crate::clock::SystemClock;
use crate::fetch::Outbound;
use crate::password::Passwords;
use portcullis_core::pool::Client;
use portcullis_core::{
    Clock, Count, CountKey, Effects, Fault, Fetch, Fetched, Fingerprint, KeyDigest, KeyRecord, KeySetId,
    Limit, Mode, Now, Standing, Step, Wait,
};
use portcullis_store::{Counters, FailurePolicy, Failures, Keys, MemoryReplay, Replay};
use rand::Rng;
use std::net::IpAddr;
use std::time::Duration;

/// Time, randomness, counters and keys. A store that fails is a `Fault`, which refuses the request.
pub struct World {
    clock: Box<dyn Clock>,
    counters: Box<dyn Counters>,
    keys: Box<dyn Keys>,
    replay: Box<dyn Replay>,
    failures: Option<(Mode, Failures)>,
    passwords: Passwords,
    notices: Box<Notices>,
    outbound: Option<Outbound>,
}

/// Takes what concerns no single request: what it is about, and what happened.
pub type Notices = dyn Fn(&str, &str) + Send + Sync;

impl World {
    /// The world with these stores and the system's clock.
    pub fn new(counters: impl Counters + 'static, keys: impl Keys + 'static) -> World {
        World {
            clock: Box::new(SystemClock::start()),
            counters: Box::new(counters),
            keys: Box::new(keys),
            replay: Box::new(MemoryReplay::new(MemoryReplay::DEFAULT_ENTRIES)),
            failures: None,
            passwords: Passwords::default(),
            notices: Box::new(|_, _| {}),
            outbound: None,
        }
    }

    /// Sources of wrong credentials must wait, by this policy; or would have to, where it is only observed.
    #[must_use]
    pub fn with_failures(mut self, policy: FailurePolicy, mode: Mode) -> World {
        self.failures = match mode {
            Mode::Enforce | Mode::Observe => Some((mode, Failures::new(policy))),
            Mode::Off => None,
        };
        self
    }

    /// What the gateway itself asks of other servers goes this way.
    #[must_use]
    pub fn with_outbound(mut self, outbound: Outbound) -> World {
        self.outbound = Some(outbound);
        self
    }

    /// Gives what concerns no single request to `notices`.
    #[must_use]
    pub fn with_notices(mut self, notices: Box<Notices>) -> World {
        self.notices = notices;
        self
    }

    /// With another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock + 'static) -> World {
        self.clock = Box::new(clock);
        self
    }
}

impl Effects for World {
    fn now(&self) -> Now {
        self.clock.now()
    }

    fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }

    fn random(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        rand::rng().fill_bytes(&mut bytes);
        bytes
    }

    fn count<'a>(&'a self, limit: &'a Limit, key: CountKey<'a>) -> Step<'a, Result<Count, Fault>> {
        self.counters.count(self.clock.as_ref(), limit, key)
    }

    fn key(&self, set: KeySetId, digest: KeyDigest) -> Step<'_, Result<Option<KeyRecord>, Fault>> {
        self.keys.find(set, digest)
    }

    fn sleep(&self, time: Duration) -> Wait<'static, ()> {
        Box::pin(tokio::time::sleep(time))
    }

    fn fetch(&self, fetch: Fetch) -> Wait<'static, Result<Fetched, Fault>> {
        match &self.outbound {
            Some(outbound) => outbound.fetch(fetch),
            None => Box::pin(async { Err(Fault { detail: "the gateway has no way out".into() }) }),
        }
    }

    fn first_use(&self, digest: [u8; 32], until: Duration) -> Step<'_, Result<bool, Fault>> {
        self.replay.first_use(self.clock.now().unix, digest, until)
    }

    fn unused(&self, digest: [u8; 32]) -> Step<'_, Result<(), Fault>> {
        self.replay.forget(digest)
    }

    fn password(&self, client: Client, hash: &str, password: &[u8]) -> Wait<'static, Result<bool, Fault>> {
        self.passwords.verify(client, hash, password)
    }

    fn standing(&self, source: IpAddr) -> Standing {
        let Some((mode, failures)) = &self.failures else { return Standing::Free };
        match (failures.standing(self.clock.as_ref(), source), mode) {
            (Standing::Blocked { wait }, Mode::Observe | Mode::Off) => Standing::Observed { wait },
            (standing, Mode::Enforce | Mode::Observe | Mode::Off) => standing,
        }
    }

    fn credential_failed(&self, source: IpAddr) {
        if let Some((_, failures)) = &self.failures {
            failures.failed(self.clock.as_ref(), source);
        }
    }

    fn is_known(&self, source: IpAddr, credential: Fingerprint) -> bool {
        self.failures.as_ref().is_some_and(|(_, failures)| failures.is_known(source, credential))
    }

    fn credential_good(&self, source: IpAddr, credential: Fingerprint) {
        if let Some((_, failures)) = &self.failures {
            failures.good(source, credential);
        }
    }

    fn notice(&self, about: &str, detail: &str) {
        (self.notices)(about, detail);
    }
}
