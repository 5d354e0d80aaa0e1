//! A credential that is used from a new network while it is in use elsewhere, or from many networks at once.
//!
//! Networks are compared, and no map: whoever uses a key from one data center and from one home network within minutes has
//! given it away, or moves fast. A key whose servers move to a new network is not in use in the old one for long, and a
//! credential of a telephone comes from everywhere all the time, which is its own past.

use super::{Most, Raised, WINDOW};
use crate::detector::{Detector, Raise};
use crate::event::Event;
use crate::finding::{Severity, Subject};
use crate::table::{Entry, Table};
use std::net::IpAddr;
use std::time::Duration;

pub(crate) const NAME: &str = "shared_key";
pub(crate) const FINDS: &str =
    "A credential used from a new network while it is in use elsewhere, or from many networks at once.";
pub(crate) const THRESHOLD: &str = "10 requests from a network that is new to a credential of at least 2 hours and at most 3 networks, while the others go on for 15 minutes. Or 8 networks in 10 minutes, or 4 that go on for 30 minutes, and three times as many as ever before.";

/// How old a credential must be here before anything is remarkable.
const KNOWN: Duration = Duration::from_secs(2 * 3600);
/// A credential with more networks than this is one that travels.
const FEW: usize = 3;
/// Requests from the new network,
const NEW_REQUESTS: u32 = 10;
/// and for how long the old ones go on beside it. Servers that move are done sooner.
const BESIDE: Duration = Duration::from_secs(15 * 60);
const AT_ONCE: u32 = 8;
const TIMES: u32 = 3;
/// Fewer networks at once are remarkable if they go on for so long.
const SOME: u32 = 4;
const GOING_ON: Duration = Duration::from_secs(30 * 60);
/// How many networks of a credential are remembered.
const PLACES: usize = 24;
/// A network that was idle for so long is new again.
const FORGOTTEN: Duration = Duration::from_secs(8 * 24 * 3600);

/// A network that a credential was used from. Small, since each credential has room for many. Moments are whole seconds.
#[derive(Clone, Copy, Default)]
struct Network {
    address: Prefix,
    first: u32,
    last: u32,
    /// 0 where the place is free.
    requests: u32,
}

/// The address of a network: the first 16 bits of an IPv4 address, or the first 40 of an IPv6 one, and one bit that tells them apart.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Prefix([u16; 3]);

impl Prefix {
    const V6: u16 = 1;

    fn of(network: IpAddr) -> Prefix {
        Prefix(match network {
            IpAddr::V4(address) => {
                let [a, b, ..] = address.octets();
                [u16::from_be_bytes([a, b]), 0, 0]
            }
            IpAddr::V6(address) => {
                let [a, b, c, ..] = address.segments();
                [a, b, c & 0xff00 | Self::V6]
            }
        })
    }

    fn address(self) -> IpAddr {
        let Prefix([a, b, c]) = self;
        match c & Self::V6 {
            0 => IpAddr::from((u32::from(a) << 16).to_be_bytes()),
            _ => IpAddr::from([a, b, c & 0xff00, 0, 0, 0, 0, 0]),
        }
    }
}

fn seconds(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}

/// The time between two moments.
fn between(earlier: u32, later: u32) -> Duration {
    Duration::from_secs(later.saturating_sub(earlier).into())
}

#[derive(Default)]
struct Credential {
    first: Option<Duration>,
    last: Duration,
    requests: u32,
    networks: [Network; PLACES],
    /// The most networks within a window, before the last one.
    most: Most,
    /// Since when there are some at once, more than ever before.
    several: Option<Duration>,
    raised: Raised,
}

impl Entry for Credential {
    fn last(&self) -> Duration {
        self.last
    }

    fn weight(&self) -> u32 {
        self.requests
    }
}

impl Credential {
    /// The networks that it was used from.
    fn known(&self) -> impl Iterator<Item = &Network> {
        self.networks.iter().filter(|one| one.requests > 0)
    }

    /// The networks that it was used from within this time.
    fn active(&self, now: Duration, within: Duration) -> impl Iterator<Item = &Network> {
        let now = seconds(now);
        self.known().filter(move |one| between(one.last, now) < within)
    }

    fn at_once(&self, now: Duration) -> u32 {
        u32::try_from(self.active(now, WINDOW).count()).unwrap_or(u32::MAX)
    }

    /// Counts the network of an event.
    fn count(&mut self, address: IpAddr, now: Duration) -> Network {
        self.first.get_or_insert(now);
        self.last = now;
        self.requests = self.requests.saturating_add(1);
        let (address, now) = (Prefix::of(address), seconds(now));
        if let Some(known) = self.networks.iter_mut().find(|one| one.requests > 0 && one.address == address) {
            if between(known.last, now) >= FORGOTTEN {
                (known.first, known.requests) = (now, 0);
            }
            known.last = known.last.max(now);
            known.requests = known.requests.saturating_add(1);
            return *known;
        }
        let new = Network { address, first: now, last: now, requests: 1 };
        // A free place, or that of the network which was idle for longest.
        if let Some(place) = self.networks.iter_mut().min_by_key(|one| one.last) {
            *place = new;
        }
        new
    }
}

pub(crate) struct SharedKey {
    credentials: Table<u64, Credential>,
}

impl SharedKey {
    fn new(bytes: usize) -> SharedKey {
        SharedKey { credentials: Table::new(bytes, FORGOTTEN) }
    }
}

/// One in so many bytes.
pub(crate) fn make(bytes: usize) -> Box<dyn Detector> {
    Box::new(SharedKey::new(bytes))
}

impl Detector for SharedKey {
    fn see(&mut self, event: &Event, raise: &mut dyn FnMut(Raise)) {
        let Some(number) = event.credential else { return };
        let now = event.at.steady;
        let credential = self.credentials.entry(number, now);
        let network = credential.count(event.network(), now);
        let at_once = credential.at_once(now);
        let several = at_once >= SOME && at_once >= credential.most.get().saturating_mul(TIMES);
        if !several {
            credential.several = None;
        }
        let since = several.then(|| *credential.several.get_or_insert(now));
        let goes_on = since.is_some_and(|since| now.saturating_sub(since) >= GOING_ON);
        let remarkable = several && (at_once >= AT_ONCE || goes_on);
        credential.most.learn(now, WINDOW, at_once, several);
        let Some(first) = credential.first else { return };
        if now.saturating_sub(first) < KNOWN {
            // While it is new, everything is usual.
            credential.most.accept(at_once);
            credential.several = None;
            return;
        }
        let consumer = event.established().map(|name| name.text.as_str().to_owned());
        if remarkable && credential.raised.is_due(now) {
            raise(
                Raise::new(
                    Severity::High,
                    "One credential is used from many networks at once.",
                    Subject { consumer, ..Subject::default() },
                )
                .because("networks in 10 minutes", at_once)
                .because("most before", credential.most.get())
                .since(WINDOW),
            );
            return;
        }
        let is_new =
            between(network.first, seconds(now)) < KNOWN && between(seconds(first), network.first) >= KNOWN;
        if !is_new || network.requests < NEW_REQUESTS {
            return;
        }
        let older = |one: &&Network| one.first < network.first && one.address != network.address;
        let known = credential.known().filter(older).count();
        // Used there before the new one came, and still.
        let beside = credential
            .active(now, WINDOW)
            .filter(older)
            .filter(|one| between(network.first, one.last) >= BESIDE);
        if known <= FEW && beside.count() > 0 && credential.raised.is_due(now) {
            raise(
                Raise::new(
                    Severity::Medium,
                    "A credential is used from a network that is new for it, and goes on elsewhere.",
                    Subject { address: Some(event.source), consumer, ..Subject::default() },
                )
                .because("requests from the new network", network.requests)
                .because("new network", network.address.address())
                .because("networks before", known)
                .from(event.source)
                .since(between(network.first, seconds(now))),
            );
        }
    }

    fn bytes(&self) -> usize {
        self.credentials.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_is_kept_whole() {
        for address in ["192.0.0.0", "0.0.0.0", "255.255.0.0", "2001:db8:ff00::", "::", "ffff:ffff:ff00::"] {
            let network: IpAddr = address.parse().unwrap();
            assert_eq!(Prefix::of(network).address(), network);
        }
        assert!(Prefix::of(IpAddr::from([0; 4])) != Prefix::of(IpAddr::from([0; 16])));
    }

    #[test]
    fn many_credentials_find_a_place() {
        assert!(size_of::<Credential>() <= 640, "{}", size_of::<Credential>());
    }
}
