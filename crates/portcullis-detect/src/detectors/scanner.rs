//! One address looks for what might be there: many different paths that nothing has, or requests that look like attacks.

use super::{Examples, Pace, Paced, Raised, percent, share};
use crate::detector::{Detector, Raise};
use crate::event::{Ending, Event};
use crate::finding::{Severity, Subject};
use crate::table::{Entry, Table};
use crate::window::{Distinct, Window};
use std::net::IpAddr;
use std::time::Duration;

pub(crate) const NAME: &str = "scanner";
pub(crate) const FINDS: &str =
    "One address asks for many different paths that do not exist, or sends requests that look like attacks.";
pub(crate) const THRESHOLD: &str = "25 different paths without a route, with 404 or with a malformed or suspicious request from one address without a credential in 10 minutes, or twice as many in an hour, at least half of its requests.";

const DIFFERENT: u32 = 25;
const SHARE: f64 = 0.5;

#[derive(Default)]
struct Source {
    last: Duration,
    requests: Window<u32>,
    missed: Window<u32>,
    paths: Window<Distinct>,
    attacks: Window<u32>,
    examples: Examples,
    raised: Raised,
}

impl Entry for Source {
    fn last(&self) -> Duration {
        self.last
    }

    fn weight(&self) -> u32 {
        self.missed.sum()
    }
}

pub(crate) struct Scanner {
    pace: Pace,
    sources: Table<IpAddr, Source>,
}

impl Scanner {
    fn at(bytes: usize, pace: Pace) -> Scanner {
        Scanner { pace, sources: Table::new(bytes, pace.window * 2) }
    }
}

fn is_miss(event: &Event) -> bool {
    match event.ending {
        Ending::NotFound | Ending::Malformed | Ending::Attack => true,
        Ending::Served => event.status == 404,
        Ending::WrongCredential
        | Ending::NoCredential
        | Ending::StaleCredential
        | Ending::Replayed
        | Ending::Forbidden
        | Ending::NotOwner
        | Ending::Limited
        | Ending::Invalid
        | Ending::Blocked
        | Ending::Failed
        | Ending::Aborted
        | Ending::Other => false,
    }
}

/// At both paces.
pub(crate) fn make(bytes: usize) -> Box<dyn Detector> {
    Box::new(Paced::of(bytes, Scanner::at))
}

impl Detector for Scanner {
    fn see(&mut self, event: &Event, raise: &mut dyn FnMut(Raise)) {
        let pace = self.pace;
        let (now, miss) = (event.at.steady, event.credential.is_none() && is_miss(event));
        let source = match miss {
            true => self.sources.entry(event.source, now),
            false => match self.sources.find(&event.source) {
                Some(source) => source,
                None => return,
            },
        };
        source.last = now;
        let requests = source.requests.add(now, pace.window);
        if !miss {
            return;
        }
        let missed = source.missed.add(now, pace.window);
        if event.ending == Ending::Attack {
            source.attacks.add(now, pace.window);
        }
        let new = source.paths.now(now, pace.window).see(event.path);
        source.examples.add(event.path_text);
        if missed < pace.many(DIFFERENT) || !new {
            return;
        }
        let (different, part) = (source.paths.count(), share(missed, requests));
        if different >= pace.many(DIFFERENT) && part >= SHARE && source.raised.is_due(now) {
            let attacks = source.attacks.sum();
            let subject = Subject { address: Some(event.source), ..Subject::default() };
            raise(
                Raise::new(Severity::Medium, "One address looks for paths that do not exist.", subject)
                    .because("different paths", different)
                    .because("share of its requests", percent(part))
                    .because("requests that look like attacks", attacks)
                    .from(event.source)
                    .because("examples", source.examples.list())
                    .since(pace.window),
            );
        }
    }

    fn bytes(&self) -> usize {
        self.sources.bytes()
    }
}
