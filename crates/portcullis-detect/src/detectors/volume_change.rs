//! A consumer that suddenly sends far more than it ever did.

use super::{Raised, consumer_or_source};
use crate::detector::{Detector, Raise};
use crate::event::Event;
use crate::finding::Severity;
use crate::history::{BUCKET, Histories};
use crate::table::{Entry, Table};
use std::time::Duration;

pub(crate) const NAME: &str = "volume_change";
pub(crate) const FINDS: &str = "A consumer that suddenly sends far more requests than it ever did.";
pub(crate) const THRESHOLD: &str = "5 times the most requests that a consumer known for a day has sent in any 5 minutes of the last 8 days, at least 300 more; or 2.8 times and 150 more in each 5 of 20 minutes; where others have not grown alike.";

const TIMES: f64 = 5.0;
const MORE: u64 = 300;
/// Less is remarkable in so many stretches of 5 minutes in a row.
const STRETCHES: u32 = 4;
const TIMES_LONG: f64 = 2.8;
const MORE_LONG: u64 = 150;

pub(crate) struct VolumeChange {
    histories: Histories,
    runs: Table<u64, Run>,
    raised: Raised,
    about: u64,
}

/// Stretches in a row in which a consumer had more than ever before.
#[derive(Default)]
struct Run {
    last: Duration,
    stretch: u64,
    count: u32,
}

impl Entry for Run {
    fn last(&self) -> Duration {
        self.last
    }

    fn weight(&self) -> u32 {
        self.count
    }
}

impl Run {
    /// Counts this stretch once; how many there are in a row.
    fn go_on(&mut self, now: Duration) -> u32 {
        let stretch = now.as_secs() / BUCKET.as_secs();
        if stretch != self.stretch {
            self.count = if stretch == self.stretch + 1 { self.count + 1 } else { 1 };
            self.stretch = stretch;
        }
        self.last = now;
        self.count
    }
}

impl VolumeChange {
    fn new(bytes: usize) -> VolumeChange {
        let runs = Table::new(bytes / 8, BUCKET * 2);
        VolumeChange { histories: Histories::new(bytes / 8 * 7), runs, raised: Raised::default(), about: 0 }
    }
}

/// One in so many bytes.
pub(crate) fn make(bytes: usize) -> Box<dyn Detector> {
    Box::new(VolumeChange::new(bytes))
}

impl Detector for VolumeChange {
    fn see(&mut self, event: &Event, raise: &mut dyn FnMut(Raise)) {
        let Some(name) = event.established() else { return };
        let Some(compared) = self.histories.count(name.number, event.at.steady, 1) else { return };
        let more = compared.now - compared.most;
        if compared.times < TIMES_LONG || more < MORE_LONG {
            return;
        }
        let run = self.runs.entry(name.number, event.at.steady).go_on(event.at.steady);
        if (compared.times < TIMES || more < MORE) && run < STRETCHES {
            return;
        }
        let other = std::mem::replace(&mut self.about, name.number) != name.number;
        if other || self.raised.is_due(event.at.steady) {
            raise(
                Raise::new(
                    Severity::Medium,
                    "A consumer sends far more requests than it ever did.",
                    consumer_or_source(event),
                )
                .because("requests in these 5 minutes", compared.now)
                .because("most in 5 minutes before", compared.most)
                .because("from", event.source),
            );
        }
    }

    fn bytes(&self) -> usize {
        self.histories.bytes() + self.runs.bytes()
    }
}
