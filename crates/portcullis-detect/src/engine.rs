//! Events to detectors, and what they raise to the ledger.

use crate::detector::{DETECTORS, Detector, Kind, Raise};
use crate::event::{Event, Moment, Who};
use crate::finding::Finding;
use crate::ledger::Ledger;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// What became of a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    Began(Finding),
    /// It goes on, and matters more than before.
    Grew(Finding),
    /// It is over.
    Ended(Finding),
}

/// Whose requests no detector sees.
#[derive(Clone, Default)]
pub struct Exempt {
    /// Whether requests from an address are.
    pub address: Option<Arc<dyn Fn(IpAddr) -> bool + Send + Sync>>,
    /// The names of consumers. Only requests of which it was shown that they are theirs are exempt.
    pub consumers: Vec<String>,
}

impl Exempt {
    fn covers(&self, event: &Event) -> bool {
        self.address.as_ref().is_some_and(|address| address(event.source))
            || matches!(event.who, Who::Is(name)
                if self.consumers.iter().any(|one| crate::event::Text::<48>::new(one) == name.text))
    }
}

/// The name of a route's number.
pub type RouteName = Arc<dyn Fn(u32) -> String + Send + Sync>;

/// All detectors that run, and what they have found.
pub struct Engine {
    detectors: Vec<(&'static Kind, Box<dyn Detector>)>,
    ledger: Ledger,
    exempt: Exempt,
    route_name: RouteName,
    ticked: Duration,
}

impl Engine {
    /// The detectors that `runs` says, in at most so many bytes together, with what was found before.
    pub fn new(
        bytes: usize,
        runs: impl Fn(&Kind) -> bool,
        exempt: Exempt,
        route_name: RouteName,
        ledger: Ledger,
    ) -> Engine {
        let each = bytes / DETECTORS.len().max(1);
        let detectors = DETECTORS.iter().filter(|kind| runs(kind)).map(|kind| (kind, (kind.make)(each)));
        Engine { detectors: detectors.collect(), ledger, exempt, route_name, ticked: Duration::ZERO }
    }

    /// Sees an event.
    pub fn see(&mut self, event: &Event, changed: &mut dyn FnMut(Change)) {
        if self.exempt.covers(event) {
            return;
        }
        let Engine { detectors, ledger, route_name, .. } = self;
        for (kind, detector) in detectors {
            detector.see(event, &mut |raise| {
                ledger.raise(kind.name, named(raise, route_name), event.at, changed);
            });
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Moment, changed: &mut dyn FnMut(Change)) {
        if now.steady.saturating_sub(self.ticked) < Duration::from_secs(1) {
            return;
        }
        self.ticked = now.steady;
        let Engine { detectors, ledger, route_name, .. } = self;
        for (kind, detector) in detectors {
            detector.tick(now, &mut |raise| ledger.raise(kind.name, named(raise, route_name), now, changed));
        }
        ledger.end_what_is_quiet(now, changed);
    }

    /// What was found.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The same, to change.
    pub fn ledger_mut(&mut self) -> &mut Ledger {
        &mut self.ledger
    }

    /// The bytes that it takes, findings apart, which the ledger bounds.
    pub fn bytes(&self) -> usize {
        self.detectors.iter().map(|(_, detector)| detector.bytes()).sum()
    }

    /// What it knows goes on under other rules: what it has counted stays.
    #[must_use]
    pub fn under(mut self, bytes: usize, runs: impl Fn(&Kind) -> bool, exempt: Exempt) -> Engine {
        let each = bytes / DETECTORS.len().max(1);
        let mut before = std::mem::take(&mut self.detectors);
        for kind in DETECTORS.iter().filter(|kind| runs(kind)) {
            let there = before.iter().position(|(other, _)| other.name == kind.name);
            self.detectors.push(match there {
                Some(there) => before.swap_remove(there),
                None => (kind, (kind.make)(each)),
            });
        }
        self.exempt = exempt;
        self
    }
}

fn named(mut raise: Raise, route_name: &RouteName) -> Raise {
    if raise.route != 0 {
        raise.subject.route = Some(route_name(raise.route));
    }
    raise
}
