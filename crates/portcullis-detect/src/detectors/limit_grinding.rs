//! Somebody who stays at a limit: refused many times in each minute, for many minutes, and never waits.
//!
//! A client that honors `Retry-After` is refused now and then, also in a peak.

use super::{Raised, percent, share};
use crate::detector::{Detector, Raise};
use crate::event::{Ending, Event, Name, Sender};
use crate::finding::{Severity, Subject};
use crate::table::{Entry, Table};
use std::time::Duration;

pub(crate) const NAME: &str = "limit_grinding";
pub(crate) const FINDS: &str =
    "A consumer or address that is refused by a limit all the time and does not slow down.";
pub(crate) const THRESHOLD: &str = "10 minutes in a row, each with at least 6 requests beyond a limit that are at least 20 % of all; or 30 minutes in a row, each with at least 3.";

const MINUTES: u32 = 10;
const EACH: u32 = 6;
/// Half as many, for three times as long.
const LONG: u32 = 30;
const EACH_OF_LONG: u32 = 3;
const SHARE: f64 = 0.2;
const MINUTE: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Grinder {
    last: Duration,
    minute: u64,
    requests: u32,
    limited: u32,
    /// Minutes in a row that were bad, and those that were half as bad.
    run: u32,
    long: u32,
    /// What was refused in the longer of the two.
    refused: u32,
    raised: Raised,
}

impl Entry for Grinder {
    fn last(&self) -> Duration {
        self.last
    }

    fn weight(&self) -> u32 {
        self.refused.saturating_add(self.limited)
    }
}

impl Grinder {
    fn is_bad(&self, each: u32) -> bool {
        self.limited >= each && share(self.limited, self.requests) >= SHARE
    }

    fn turn(&mut self, minute: u64) {
        if minute <= self.minute {
            return;
        }
        let next = minute == self.minute + 1;
        self.run = if next && self.is_bad(EACH) { self.run + 1 } else { 0 };
        if next && self.is_bad(EACH_OF_LONG) {
            self.long += 1;
            self.refused = self.refused.saturating_add(self.limited);
        } else {
            (self.long, self.refused) = (0, 0);
        }
        (self.minute, self.requests, self.limited) = (minute, 0, 0);
    }
}

pub(crate) struct LimitGrinding {
    grinders: Table<Sender, Grinder>,
}

impl LimitGrinding {
    fn new(bytes: usize) -> LimitGrinding {
        LimitGrinding { grinders: Table::new(bytes, Duration::from_secs(1800)) }
    }
}

/// One in so many bytes.
pub(crate) fn make(bytes: usize) -> Box<dyn Detector> {
    Box::new(LimitGrinding::new(bytes))
}

impl Detector for LimitGrinding {
    fn see(&mut self, event: &Event, raise: &mut dyn FnMut(Raise)) {
        let (now, limited) = (event.at.steady, event.ending == Ending::Limited);
        let key = event.sender();
        let grinder = match limited {
            true => self.grinders.entry(key, now),
            false => match self.grinders.find(&key) {
                Some(grinder) => grinder,
                None => return,
            },
        };
        grinder.last = now;
        grinder.turn(now.as_secs() / MINUTE.as_secs());
        grinder.requests = grinder.requests.saturating_add(1);
        grinder.limited = grinder.limited.saturating_add(u32::from(limited));
        // The minute that runs counts once it is bad.
        let quick = grinder.run + 1 >= MINUTES && grinder.is_bad(EACH);
        let long = grinder.long + 1 >= LONG && grinder.is_bad(EACH_OF_LONG);
        if limited && (quick || long) && grinder.raised.is_due(now) {
            let name: Option<Name> = event.established();
            let subject = match name {
                Some(name) => Subject { consumer: Some(name.text.as_str().to_owned()), ..Subject::default() },
                None => Subject { address: Some(event.source), ..Subject::default() },
            };
            raise(
                Raise::new(
                    Severity::Low,
                    "Somebody stays at a limit: refused again and again, and does not slow down.",
                    subject,
                )
                .because("minutes in a row", grinder.long + 1)
                .because("refused in them", grinder.refused.saturating_add(grinder.limited))
                .because("share in this minute", percent(share(grinder.limited, grinder.requests)))
                .on(event.route)
                .since(MINUTE * grinder.long),
            );
        }
    }

    fn bytes(&self) -> usize {
        self.grinders.bytes()
    }
}
