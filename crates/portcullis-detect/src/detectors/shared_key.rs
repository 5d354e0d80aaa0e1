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

#[derive(Clone, Copy)]
struct Network {
    address: IpAddr,
    first: Duration,
    last: Duration,
    requests: u32,
}

#[derive(Default)]
struct Credential {
    first: Option<Duration>,
    last: Duration,
    requests: u32,
    networks: [Option<Network>; PLACES],
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
    /// The networks that it was used from within this time.
    fn active(&self, now: Duration, within: Duration) -> impl Iterator<Item = &Network> {
        self.networks.iter().flatten().filter(move |one| now.saturating_sub(one.last) < within)
    }

    fn at_once(&self, now: Duration) -> u32 {
        u32::try_from(self.active(now, WINDOW).count()).unwrap_or(u32::MAX)
    }

    /// Counts the network of an event.
    fn count(&mut self, address: IpAddr, now: Duration) -> Network {
        self.first.get_or_insert(now);
        self.last = now;
        self.requests = self.requests.saturating_add(1);
        if let Some(known) = self.networks.iter_mut().flatten().find(|one| one.address == address) {
            if now.saturating_sub(known.last) >= FORGOTTEN {
                (known.first, known.requests) = (now, 0);
            }
            known.last = known.last.max(now);
            known.requests = known.requests.saturating_add(1);
            return *known;
        }
        let new = Network { address, first: now, last: now, requests: 1 };
        // A free place, or that of the network which was idle for longest.
        let place = self.networks.iter_mut().min_by_key(|place| place.map_or(Duration::ZERO, |one| one.last));
        if let Some(place) = place {
            *place = Some(new);
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
            now.saturating_sub(network.first) < KNOWN && network.first.saturating_sub(first) >= KNOWN;
        if !is_new || network.requests < NEW_REQUESTS {
            return;
        }
        let older = |one: &&Network| one.first < network.first && one.address != network.address;
        let known = credential.networks.iter().flatten().filter(older).count();
        // Used there before the new one came, and still.
        let beside = credential
            .active(now, WINDOW)
            .filter(older)
            .filter(|one| one.last.saturating_sub(network.first) >= BESIDE);
        if known <= FEW && beside.count() > 0 && credential.raised.is_due(now) {
            raise(
                Raise::new(
                    Severity::Medium,
                    "A credential is used from a network that is new for it, and goes on elsewhere.",
                    Subject { address: Some(event.source), consumer, ..Subject::default() },
                )
                .because("requests from the new network", network.requests)
                .because("new network", network.address)
                .because("networks before", known)
                .from(event.source)
                .since(now.saturating_sub(network.first)),
            );
        }
    }

    fn bytes(&self) -> usize {
        self.credentials.bytes()
    }
}
