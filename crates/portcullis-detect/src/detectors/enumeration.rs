//! One consumer walks through ids that are not its own (BOLA, broken object level authorization).
//!
//! What shows is not a request that is refused but many different paths of one route that are. A client with broken links
//! asks for few of them, again and again. One that looks whether something is there before it sends it has had that share
//! of misses all along.

use super::{Examples, Pace, Paced, Raised, consumer_or_source, percent, share};
use crate::detector::{Detector, Raise};
use crate::event::{Ending, Event};
use crate::finding::Severity;
use crate::table::{Entry, Table};
use crate::window::{Distinct, Window};
use std::time::Duration;

pub(crate) const NAME: &str = "enumeration";
pub(crate) const FINDS: &str =
    "One consumer asks for many different ids of a route that it may not see, or that do not exist.";
pub(crate) const THRESHOLD: &str = "40 different paths of one route with 403 or 404 in 10 minutes, or twice as many in an hour, at least 30 % of the consumer's requests there, and three times its usual share; 80 % in the first 2 hours after a start.";

const DIFFERENT: u32 = 40;
const SHARE: f64 = 0.3;
const TIMES_USUAL: f64 = 3.0;
/// So long after the start of the process, what is usual is only learned,
const YOUNG: Duration = Duration::from_secs(2 * 3600);
/// and only somebody who misses this share of requests is remarkable.
const YOUNG_SHARE: f64 = 0.8;

#[derive(Default)]
struct Walk {
    last: Duration,
    requests: Window<u32>,
    missed: Window<u32>,
    paths: Window<Distinct>,
    examples: Examples,
    raised: Raised,
    /// The share of misses that is usual, learned of each window.
    usual: f64,
    learned: Option<Duration>,
}

impl Entry for Walk {
    fn last(&self) -> Duration {
        self.last
    }

    fn weight(&self) -> u32 {
        self.missed.sum()
    }
}

pub(crate) struct Enumeration {
    pace: Pace,
    walks: Table<(u64, u32), Walk>,
    /// When the first event came.
    began: Option<Duration>,
}

impl Enumeration {
    fn at(bytes: usize, pace: Pace) -> Enumeration {
        Enumeration { pace, walks: Table::new(bytes, Duration::from_secs(24 * 3600)), began: None }
    }
}

fn is_miss(event: &Event) -> bool {
    match event.ending {
        Ending::NotOwner | Ending::Forbidden => true,
        Ending::Served => matches!(event.status, 403 | 404 | 410),
        // A document knows no such path: its operations are walked, and not its ids.
        Ending::NotFound
        | Ending::WrongCredential
        | Ending::NoCredential
        | Ending::StaleCredential
        | Ending::Replayed
        | Ending::Malformed
        | Ending::Limited
        | Ending::Invalid
        | Ending::Attack
        | Ending::Blocked
        | Ending::Failed
        | Ending::Aborted
        | Ending::Other => false,
    }
}

/// At both paces.
pub(crate) fn make(bytes: usize) -> Box<dyn Detector> {
    Box::new(Paced::of(bytes, Enumeration::at))
}

impl Detector for Enumeration {
    fn see(&mut self, event: &Event, raise: &mut dyn FnMut(Raise)) {
        let pace = self.pace;
        let Some(name) = event.established() else { return };
        if event.route == 0 {
            return;
        }
        let (key, now, miss) = ((name.number, event.route), event.at.steady, is_miss(event));
        // Who misses nothing is not kept; what it was served before its first miss is not missed either.
        let walk = match miss {
            true => self.walks.entry(key, now),
            false => match self.walks.find(&key) {
                Some(walk) => walk,
                None => return,
            },
        };
        walk.last = now;
        // In the beginning nothing is known of anybody, so whatever they do is taken for usual.
        let young = now.saturating_sub(*self.began.get_or_insert(now)) < YOUNG;
        walk.learn(now, pace.window, young);
        let requests = walk.requests.add(now, pace.window);
        if !miss {
            return;
        }
        let missed = walk.missed.add(now, pace.window);
        let new = walk.paths.now(now, pace.window).see(event.path);
        walk.examples.add(event.path_text);
        if missed < pace.many(DIFFERENT) || !new {
            return;
        }
        let (different, part) = (walk.paths.count(), share(missed, requests));
        let expected = if young { YOUNG_SHARE } else { SHARE };
        if different >= pace.many(DIFFERENT)
            && part >= f64::max(expected, walk.usual * TIMES_USUAL).min(0.95)
            && part > walk.usual + 0.1
            && walk.raised.is_due(now)
        {
            raise(
                Raise::new(
                    Severity::High,
                    "One consumer asks for many ids of a route that are not there or not its own.",
                    consumer_or_source(event),
                )
                .because("different paths refused or not found", different)
                .because("share of its requests there", percent(part))
                .because("usual share", percent(walk.usual))
                .because("from", event.source)
                .from(event.source)
                .because("examples", walk.examples.list())
                .on(event.route)
                .since(pace.window),
            );
        }
    }

    fn bytes(&self) -> usize {
        self.walks.bytes()
    }
}

impl Walk {
    /// Learns once in each window; each counts for a tenth, and the first ones more.
    fn learn(&mut self, now: Duration, window: Duration, young: bool) {
        let due = self.learned.is_none_or(|before| now.saturating_sub(before) >= window);
        if !due {
            return;
        }
        if self.learned.is_some() {
            let part = share(self.missed.sum(), self.requests.sum());
            self.usual = match young {
                true if part < YOUNG_SHARE => self.usual.max(part),
                true | false => self.usual + (part - self.usual) / 10.0,
            };
        }
        self.learned = Some(now);
        self.examples = Examples::default();
    }
}
