//! Somebody tries out what an operation accepts: many requests that are wrong, each in another way.
//!
//! A client with a mistake makes the same mistake each time.

use super::{Pace, Paced, Raised, percent, sender, share};
use crate::detector::{Detector, Raise};
use crate::event::{Ending, Event, Sender};
use crate::finding::Severity;
use crate::table::{Entry, Table};
use crate::window::{Distinct, Window};
use std::time::Duration;

pub(crate) const NAME: &str = "schema_probing";
pub(crate) const FINDS: &str = "Many requests to one route that are invalid, each in another way.";
pub(crate) const THRESHOLD: &str = "20 different mistakes in requests with 400, 415 or 422 to one route by one consumer or address in 10 minutes, or twice as many in an hour, at least half of its requests there.";

const DIFFERENT: u32 = 20;
const SHARE: f64 = 0.5;

#[derive(Default)]
struct Probe {
    last: Duration,
    requests: Window<u32>,
    invalid: Window<u32>,
    mistakes: Window<Distinct>,
    raised: Raised,
}

impl Entry for Probe {
    fn last(&self) -> Duration {
        self.last
    }

    fn weight(&self) -> u32 {
        self.invalid.sum()
    }
}

pub(crate) struct SchemaProbing {
    pace: Pace,
    probes: Table<(Sender, u32), Probe>,
}

impl SchemaProbing {
    fn at(bytes: usize, pace: Pace) -> SchemaProbing {
        SchemaProbing { pace, probes: Table::new(bytes, pace.window * 2) }
    }
}

/// At both paces.
pub(crate) fn make(bytes: usize) -> Box<dyn Detector> {
    Box::new(Paced::of(bytes, SchemaProbing::at))
}

impl Detector for SchemaProbing {
    fn see(&mut self, event: &Event, raise: &mut dyn FnMut(Raise)) {
        let pace = self.pace;
        if event.route == 0 {
            return;
        }
        let invalid = event.ending == Ending::Invalid
            || event.ending == Ending::Served && matches!(event.status, 400 | 415 | 422);
        let (key, now) = ((event.sender(), event.route), event.at.steady);
        let probe = match invalid {
            true => self.probes.entry(key, now),
            false => match self.probes.find(&key) {
                Some(probe) => probe,
                None => return,
            },
        };
        probe.last = now;
        let requests = probe.requests.add(now, pace.window);
        if !invalid {
            return;
        }
        let count = probe.invalid.add(now, pace.window);
        let new = probe.mistakes.now(now, pace.window).see(event.mistake);
        if count < pace.many(DIFFERENT) || !new {
            return;
        }
        let (different, part) = (probe.mistakes.count(), share(count, requests));
        if different >= pace.many(DIFFERENT) && part >= SHARE && probe.raised.is_due(now) {
            raise(
                Raise::new(
                    Severity::Medium,
                    "Somebody tries out what an operation accepts: many invalid requests, each in another way.",
                    sender(event),
                )
                .because("different mistakes", different)
                .because("invalid requests", count)
.from(event.source)
                .because("share of its requests there", percent(part))
                .on(event.route)
                .since(pace.window),
            );
        }
    }

    fn bytes(&self) -> usize {
        self.probes.bytes()
    }
}
