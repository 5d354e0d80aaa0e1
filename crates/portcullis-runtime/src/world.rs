//! The world as checks see it.

use crate::clock::SystemClock;
use portcullis_core::{
    Clock, Count, CountKey, Effects, Fault, KeyDigest, KeyRecord, KeySetId, Limit, Now, Step,
};
use portcullis_store::{Counters, Keys};
use rand::Rng;
use std::time::Duration;

/// Time, randomness, counters and keys. A store that fails is a `Fault`, which refuses the request.
pub struct World {
    clock: Box<dyn Clock>,
    counters: Box<dyn Counters>,
    keys: Box<dyn Keys>,
}

impl World {
    /// The world with these stores and the system's clock.
    pub fn new(counters: impl Counters + 'static, keys: impl Keys + 'static) -> World {
        World { clock: Box::new(SystemClock::start()), counters: Box::new(counters), keys: Box::new(keys) }
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
}
