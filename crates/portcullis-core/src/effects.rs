//! What a check may ask of the world, and nothing else.
//!
//! Everything here can fail, and a failure is a [`Fault`], which refuses the request: no check can mistake a store
//! that is down for one that has no entry.

use crate::principal::ConsumerId;
use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::time::Duration;

/// The answer of a check: there already, or later.
///
/// A check that needs nothing of the world answers `Ready`, which costs neither an allocation nor a suspension.
pub enum Step<'a, T> {
    /// Known now.
    Ready(T),
    /// Known when the future is done.
    Later(Pin<Box<dyn Future<Output = T> + Send + 'a>>),
}

impl<'a, T: 'a> Step<'a, T> {
    /// The answer that `next` makes of this one, as soon as it is there.
    pub fn map<U>(self, next: impl FnOnce(T) -> U + Send + 'a) -> Step<'a, U> {
        match self {
            Step::Ready(value) => Step::Ready(next(value)),
            Step::Later(future) => Step::Later(Box::pin(async move { next(future.await) })),
        }
    }

    /// Waits for the answer; does not suspend where it is there.
    pub async fn resolve(self) -> T {
        match self {
            Step::Ready(value) => value,
            Step::Later(future) => future.await,
        }
    }
}

/// A moment on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Time since a fixed moment of this process; never goes back. Limits and durations are measured on it.
    pub monotonic: Duration,
    /// Time since 1970-01-01T00:00:00Z. May jump; expiry dates and log lines are told on it.
    pub unix: Duration,
}

/// A source of time, so that a test need not wait for time to pass.
pub trait Clock: Send + Sync {
    /// This moment.
    fn now(&self) -> Now;

    /// Only the clock that never goes back.
    fn monotonic(&self) -> Duration {
        self.now().monotonic
    }
}

/// A dependency, or the gateway itself, failed. Always refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What failed and how, for the record.
    pub detail: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Fault {}

/// Which declared limit is meant. A limit that is declared once and inherited by many routes is one limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LimitId(pub u32);

/// A limit: at most `burst` at once, and `max` in each `period` over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Which one.
    pub id: LimitId,
    /// Requests in a period, at least 1.
    pub max: u32,
    /// The period.
    pub period: Duration,
    /// Requests that may come at once, at least 1 and at most `max`.
    pub burst: u32,
}

/// Whose requests are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountKey<'a> {
    /// A consumer of the plan.
    Consumer(ConsumerId),
    /// An address: an IPv4 address, or the /64 of an IPv6 one.
    Address(IpAddr),
    /// The value of a header field.
    Value(&'a [u8]),
    /// A route of the plan.
    Route(u32),
}

/// The state of a limit after a request was counted, or refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Whether the request is within the limit. A refused request is not counted.
    pub allowed: bool,
    /// How many more could come right now.
    pub remaining: u32,
    /// Until one more is allowed; zero where `remaining` is not.
    pub retry_after: Duration,
    /// Until the whole burst is there again.
    pub reset_after: Duration,
}

/// Which set of keys is meant: the consumers' own, or one that a single authentication statement lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeySetId(pub u32);

/// A key after hashing, which is all that is kept of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyDigest(pub [u8; 32]);

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyDigest(•••)")
    }
}

/// What is known of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    /// Whose it is.
    pub consumer: ConsumerId,
    /// Time since 1970 from which on it is no longer valid.
    pub expires: Option<Duration>,
}

/// What a check may ask of the world.
pub trait Effects: Send + Sync {
    /// The time.
    fn now(&self) -> Now;

    /// Only the clock that never goes back.
    fn monotonic(&self) -> Duration {
        self.now().monotonic
    }

    /// Sixteen random bytes from a cryptographically secure generator.
    fn random(&self) -> [u8; 16];

    /// Counts one request of `key` against `limit`.
    fn count<'a>(&'a self, limit: &'a Limit, key: CountKey<'a>) -> Step<'a, Result<Count, Fault>>;

    /// Looks a key up in a set. `Ok(None)` only where the store answered that it has none.
    fn key(&self, set: KeySetId, digest: KeyDigest) -> Step<'_, Result<Option<KeyRecord>, Fault>>;
}
