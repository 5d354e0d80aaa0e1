//! What a check may ask of the world, and nothing else.
//!
//! Everything here can fail, and a failure is a [`Fault`], which refuses the request: no check can mistake a store
//! that is down for one that has no entry.

use crate::overload::Overload;
use crate::pool::Client;
use crate::principal::{ConsumerId, CountedCredential, Fingerprint, StoredKey};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
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

/// How requests are counted over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Algorithm {
    /// The generic cell rate algorithm (ITU-T I.371): `burst` at once, then one more for each `period / max`.
    #[default]
    Gcra,
    /// `max` in each window; all of it is there again when the next window begins.
    FixedWindow,
    /// `max` in the `period` up to now. The window before counts in proportion to how much of it still lies in that period.
    SlidingWindow,
}

/// A limit: at most `burst` at once, and `max` in each `period` over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Which one.
    pub id: LimitId,
    /// Requests in a period, at least 1.
    pub max: u32,
    /// The period.
    pub period: Duration,
    /// Requests that may come at once, at least 1 and at most `max`. Windows have no burst of their own.
    pub burst: u32,
    /// How they are counted.
    pub algorithm: Algorithm,
}

/// What requests are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CountKey<'a> {
    /// A consumer of the plan.
    Consumer(ConsumerId),
    /// A subject, by issuer and name.
    Subject(&'a [u8]),
    /// An address: an IPv4 address, or the /64 of an IPv6 one.
    Address(IpAddr),
    /// The value of a header field.
    Value(&'a [u8]),
    /// A route of the plan.
    Route(u32),
    /// The credential that a request came with.
    Credential(CountedCredential),
    /// A claim's value, and the issuer that vouches for it.
    Claim {
        /// Who vouches for it.
        issuer: &'a str,
        /// What the claim says.
        value: &'a str,
    },
    /// An operation of an OpenAPI document.
    Operation {
        /// What the document is called.
        document: &'a str,
        /// Its method.
        method: &'a str,
        /// Its path, as the document writes it.
        path: &'a str,
    },
    /// Everything that the process serves.
    Gateway,
}

/// One to [`Keys::MOST`] keys; requests are counted together where all of them agree.
#[derive(Clone, Copy, Debug)]
pub struct Keys<'a> {
    parts: [CountKey<'a>; Keys::MOST],
    len: usize,
}

impl<'a> Keys<'a> {
    /// The most parts of a combination.
    pub const MOST: usize = 3;

    /// One key.
    pub fn one(key: CountKey<'a>) -> Keys<'a> {
        Keys { parts: [key, CountKey::Gateway, CountKey::Gateway], len: 1 }
    }

    /// A combination. `None` where there are none, or too many.
    pub fn several(keys: impl IntoIterator<Item = CountKey<'a>>) -> Option<Keys<'a>> {
        let mut all = Keys { parts: [CountKey::Gateway; Keys::MOST], len: 0 };
        for key in keys {
            *all.parts.get_mut(all.len)? = key;
            all.len += 1;
        }
        (all.len > 0).then_some(all)
    }

    /// The parts, in their order.
    pub fn parts(&self) -> &[CountKey<'a>] {
        self.parts.get(..self.len).unwrap_or_default()
    }
}

/// A key that outlives the request, for what is charged when its answer is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeysBuf(Vec<PartBuf>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum PartBuf {
    Consumer(ConsumerId),
    Subject(Box<[u8]>),
    Address(IpAddr),
    Value(Box<[u8]>),
    Route(u32),
    Credential(CountedCredential),
    Claim(Box<str>, Box<str>),
    Operation(Box<str>, Box<str>, Box<str>),
    Gateway,
}

impl KeysBuf {
    /// The same keys, borrowed.
    pub fn keys(&self) -> Option<Keys<'_>> {
        Keys::several(self.0.iter().map(|part| match part {
            PartBuf::Consumer(id) => CountKey::Consumer(*id),
            PartBuf::Subject(key) => CountKey::Subject(key),
            PartBuf::Address(address) => CountKey::Address(*address),
            PartBuf::Value(value) => CountKey::Value(value),
            PartBuf::Route(id) => CountKey::Route(*id),
            PartBuf::Credential(credential) => CountKey::Credential(*credential),
            PartBuf::Claim(issuer, value) => CountKey::Claim { issuer, value },
            PartBuf::Operation(document, method, path) => CountKey::Operation { document, method, path },
            PartBuf::Gateway => CountKey::Gateway,
        }))
    }
}

impl From<&Keys<'_>> for KeysBuf {
    fn from(keys: &Keys<'_>) -> KeysBuf {
        let owned = |part: &CountKey<'_>| match *part {
            CountKey::Consumer(id) => PartBuf::Consumer(id),
            CountKey::Subject(key) => PartBuf::Subject(key.into()),
            CountKey::Address(address) => PartBuf::Address(address),
            CountKey::Value(value) => PartBuf::Value(value.into()),
            CountKey::Route(id) => PartBuf::Route(id),
            CountKey::Credential(credential) => PartBuf::Credential(credential),
            CountKey::Claim { issuer, value } => PartBuf::Claim(issuer.into(), value.into()),
            CountKey::Operation { document, method, path } => {
                PartBuf::Operation(document.into(), method.into(), path.into())
            }
            CountKey::Gateway => PartBuf::Gateway,
        };
        KeysBuf(keys.parts().iter().map(owned).collect())
    }
}

/// One counter that a request is charged to.
#[derive(Clone, Copy, Debug)]
pub struct Charging<'a> {
    /// The limit.
    pub limit: &'a Limit,
    /// Whose counter.
    pub keys: Keys<'a>,
    /// How much. 0 asks whether one more would be allowed, and counts nothing.
    pub cost: u32,
    /// Whether a request beyond the limit is refused, and not only noted.
    pub enforced: bool,
    /// What came of it.
    pub count: Option<Count>,
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
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyDigest(pub [u8; 32]);

impl KeyDigest {
    /// A number that stands for it.
    pub fn fingerprint(&self) -> Fingerprint {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        Fingerprint(u64::from_le_bytes([a, b, c, d, e, f, g, h]))
    }
}

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
    /// What its uses are counted under.
    pub counted_as: [u8; 16],
    /// Time since 1970 from which on it is no longer valid.
    pub expires: Option<Duration>,
}

/// A future that a check waits for.
pub type Wait<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A request that the gateway itself sends, to an authorization server for instance.
#[derive(Clone)]
pub struct Fetch {
    /// Its method.
    pub method: Method,
    /// Where it goes: `https`, or `http` to this machine.
    pub url: Uri,
    /// Its fields. May hold secrets.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Its body. May hold secrets.
    pub body: Bytes,
    /// The largest answer in bytes; a larger one is a fault.
    pub max_bytes: usize,
    /// From the start to the last byte of the answer; beyond it, a fault.
    pub timeout: Duration,
    /// Certificates in DER of the only authorities that are believed; `None` for the system's and the operator's.
    pub authorities: Option<Arc<[Bytes]>>,
    /// Whether it may go in clear to another machine, since the operator says so.
    pub insecure_plaintext: bool,
    /// The client because of whose request it is sent, so that clients share what can be sent at once; `None` for
    /// what the gateway needs for itself.
    pub client: Option<Client>,
}

impl Fetch {
    /// A `GET` of `url` for an answer of at most 256 KiB within 5 s.
    pub fn get(url: Uri) -> Fetch {
        Fetch {
            method: Method::GET,
            url,
            headers: Vec::new(),
            body: Bytes::new(),
            max_bytes: 256 * 1024,
            timeout: Duration::from_secs(5),
            insecure_plaintext: false,
            authorities: None,
            client: None,
        }
    }
}

impl fmt::Debug for Fetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fetch({} {})", self.method, self.url)
    }
}

/// The answer to a [`Fetch`]. A redirect is an answer like any other, and is not followed.
#[derive(Clone)]
pub struct Fetched {
    /// Its status.
    pub status: StatusCode,
    /// Its fields.
    pub headers: HeaderMap,
    /// Its whole body. May hold secrets.
    pub body: Bytes,
}

impl fmt::Debug for Fetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fetched({}, {} bytes)", self.status, self.body.len())
    }
}

/// Something that goes on beside requests, such as keeping an issuer's keys fresh.
pub trait Job: Send + Sync {
    /// What it is for, in a few words.
    fn name(&self) -> String;

    /// Runs until the gateway ends, which drops the future.
    fn run<'a>(&'a self, effects: &'a dyn Effects) -> Wait<'a, ()>;
}

/// How a source of failed credentials stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It may go on.
    Free,
    /// It failed too often, and must wait.
    Blocked {
        /// For so long.
        wait: Duration,
    },
    /// It failed too often, and would have to wait if failures were not only observed.
    Observed {
        /// For so long.
        wait: Duration,
    },
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

    /// Counts a request of `keys` against `limit`, at this cost. A cost of 0 asks whether one more would be allowed, and
    /// counts nothing.
    fn count<'a>(&'a self, limit: &'a Limit, keys: &'a Keys<'a>, cost: u32)
    -> Step<'a, Result<Count, Fault>>;

    /// Whether all limits of a request are asked about in one go, by [`count_all`](Effects::count_all): so where the
    /// counters are not in this process.
    fn counts_together(&self) -> bool {
        false
    }

    /// Charges a request to all of these, or to none where any that is enforced refuses it. Each gets its count.
    fn count_all<'a>(&'a self, charges: &'a mut [Charging<'_>]) -> Step<'a, Result<(), Fault>> {
        let _ = charges;
        Step::Ready(Err(Fault { detail: "nothing here counts".into() }))
    }

    /// Takes back what was counted: the request was refused by another limit.
    fn uncount(&self, limit: &Limit, keys: &Keys<'_>, cost: u32) {
        let _ = (limit, keys, cost);
    }

    /// Charges what came to be known after the request was let through, whether or not it is within the limit.
    fn charge_late(&self, limit: &Limit, keys: &Keys<'_>, cost: u32) {
        let _ = (limit, keys, cost);
    }

    /// What the store of keys says of a key, as the client sent it. `Ok(None)` only where it is certain that the store has no
    /// such key. Answered from memory. A world without a store, which is the default, has none.
    fn stored_key(&self, key: &[u8]) -> Result<Option<StoredKey>, Fault> {
        let _ = key;
        Ok(None)
    }

    /// The same for a key that was found before, by its hash.
    fn stored_key_again(&self, hash: KeyDigest) -> Result<Option<StoredKey>, Fault> {
        let _ = hash;
        Ok(None)
    }

    /// Looks a key up in a set. `Ok(None)` only where the store answered that it has none.
    fn key(&self, set: KeySetId, digest: KeyDigest) -> Step<'_, Result<Option<KeyRecord>, Fault>>;

    /// Waits, on the clock that never goes back.
    fn sleep(&self, time: Duration) -> Wait<'static, ()>;

    /// Sends a request of the gateway's own. TLS is verified, and addresses of private networks are refused unless the
    /// operator listed them. An answer of any status is one; a [`Fault`] is that there was none.
    ///
    /// A world without a network, which is the default, has no answer.
    fn fetch(&self, fetch: Fetch) -> Wait<'static, Result<Fetched, Fault>> {
        Box::pin(async move { Err(Fault { detail: format!("no network to reach {} by", fetch.url) }) })
    }

    /// Whether `digest` is seen for the first time. It is remembered until `until`, time since 1970, in the share of the
    /// client that brought it. A world without a memory, which is the default, cannot tell.
    fn first_use(&self, client: IpAddr, digest: [u8; 32], until: Duration) -> Step<'_, Result<bool, Fault>> {
        let _ = (client, digest, until);
        Step::Ready(Err(Fault { detail: "nothing remembers what was used".into() }))
    }

    /// Forgets that `digest` was used: nothing came of its use, and it may be tried again.
    fn unused(&self, digest: [u8; 32]) -> Step<'_, Result<(), Fault>> {
        let _ = digest;
        Step::Ready(Err(Fault { detail: "nothing remembers what was used".into() }))
    }

    /// Whether sessions that have one of these names and began at `begun`, time since 1970, were ended by any of the gateways that
    /// share a store with this one. A world without a shared store, which is the default, has heard of none.
    fn has_ended(&self, names: &[&str], begun: Duration) -> Step<'_, Result<bool, Fault>> {
        let _ = (names, begun);
        Step::Ready(Ok(false))
    }

    /// Tells the gateways that share a store with this one that the sessions with this name have ended that began at
    /// `begun_by` or earlier. It is remembered until `until`. Both are time since 1970.
    fn end_session(&self, name: &str, begun_by: Duration, until: Duration) -> Step<'_, Result<(), Fault>> {
        let _ = (name, begun_by, until);
        Step::Ready(Ok(()))
    }

    /// What a gateway of those that share a store has kept under this name for the others. Nothing of it can be trusted that does
    /// not prove itself. Where the store does not answer, there is nothing, as in a world without one, which is the default.
    fn recall(&self, name: [u8; 32]) -> Step<'_, Option<Vec<u8>>> {
        let _ = name;
        Step::Ready(None)
    }

    /// Keeps something under this name for the gateways that share a store with this one, for so long. Does not wait.
    fn keep(&self, name: [u8; 32], value: Vec<u8>, life: Duration) {
        let _ = (name, value, life);
    }

    /// Whether `password` belongs to `hash`, a PHC string of argon2id. Takes tens of milliseconds, elsewhere. It waits in a
    /// short queue, in which addresses take turns and known clients go first.
    /// A world without the means, which is the default, cannot tell.
    fn password(&self, client: Client, hash: &str, password: &[u8]) -> Wait<'static, Result<bool, Fault>> {
        let _ = (client, hash, password);
        Box::pin(async { Err(Fault { detail: "nothing here verifies passwords".into() }) })
    }

    /// The delay of the gateway itself, where requests are given up for it. A world without, which is the default, gives up none.
    fn overload(&self) -> Option<&Overload> {
        None
    }

    /// Whether an operator has blocked this client for now. A world without operators, which is the default, blocks nobody.
    fn is_blocked(&self, client: IpAddr) -> bool {
        let _ = client;
        false
    }

    /// Whether this client is blocked for now, as this consumer or subject alone.
    fn is_blocked_as(&self, client: IpAddr, name: &str) -> bool {
        let _ = (client, name);
        false
    }

    /// How a source of credentials stands.
    fn standing(&self, source: IpAddr) -> Standing;

    /// A credential from this source was wrong.
    fn credential_failed(&self, source: IpAddr);

    /// Whether this credential was good when it came from this source before.
    fn is_known(&self, source: IpAddr, credential: Fingerprint) -> bool;

    /// This credential from this source was good.
    fn credential_good(&self, source: IpAddr, credential: Fingerprint);

    /// Tells the operator of something that concerns no single request. Must hold no secret.
    fn notice(&self, about: &str, detail: &str);

    /// The same of something that an operator may have to mend.
    fn warn(&self, about: &str, detail: &str) {
        self.notice(about, detail);
    }
}
