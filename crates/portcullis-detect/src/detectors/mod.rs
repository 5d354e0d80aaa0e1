//! A detector in each file. Each names what it finds and from when on; documentation says the same, and a test compares.

pub(crate) mod brute_force;
pub(crate) mod credential_stuffing;
pub(crate) mod data_volume;
pub(crate) mod enumeration;
pub(crate) mod error_change;
pub(crate) mod limit_grinding;
pub(crate) mod public_credentials;
pub(crate) mod scanner;
pub(crate) mod schema_probing;
pub(crate) mod shared_key;
pub(crate) mod token_replay;
pub(crate) mod volume_change;

use crate::detector::{Detector, Raise};
use crate::event::{Event, Moment, Text};
use crate::finding::Subject;
use std::time::Duration;

/// The window of most detectors.
pub(crate) const WINDOW: Duration = Duration::from_secs(600);

/// How fast something must come to be counted together: much in a short time, or half as fast for a long one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// What is counted together.
    pub(crate) window: Duration,
    times: u32,
    /// What a share of everybody's requests must be, of what it must be at full speed.
    part: f64,
}

impl Pace {
    const QUICK: Pace = Pace { window: WINDOW, times: 1, part: 1.0 };
    /// Twice as much in six times the time, which is a third of the speed.
    const SLOW: Pace = Pace { window: Duration::from_secs(3600), times: 2, part: 0.5 };

    /// How many there must be in the window, if there must be so many in 10 minutes.
    pub(crate) fn many(self, count: u32) -> u32 {
        count.saturating_mul(self.times)
    }

    /// What a share must be that the sender alone does not decide.
    pub(crate) fn part(self, share: f64) -> f64 {
        share * self.part
    }
}

/// A detector at both paces.
pub(crate) struct Paced<D>([D; 2]);

impl<D: Detector> Paced<D> {
    /// Each in half of the bytes.
    pub(crate) fn of(bytes: usize, make: fn(usize, Pace) -> D) -> Paced<D> {
        Paced([Pace::QUICK, Pace::SLOW].map(|pace| make(bytes / 2, pace)))
    }
}

impl<D: Detector> Detector for Paced<D> {
    fn see(&mut self, event: &Event, raise: &mut dyn FnMut(Raise)) {
        self.0.iter_mut().for_each(|paced| paced.see(event, raise));
    }

    fn tick(&mut self, now: Moment, raise: &mut dyn FnMut(Raise)) {
        self.0.iter_mut().for_each(|paced| paced.tick(now, raise));
    }

    fn bytes(&self) -> usize {
        self.0.iter().map(Detector::bytes).sum()
    }
}
/// How often a finding that goes on is raised again.
pub(crate) const AGAIN: Duration = Duration::from_secs(60);

/// When something was raised, so that it is not raised for every event.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Raised(Option<Duration>);

impl Raised {
    /// Whether it is time to raise it, which is noted.
    pub(crate) fn is_due(&mut self, now: Duration) -> bool {
        let due = self.0.is_none_or(|before| now.saturating_sub(before) >= AGAIN);
        if due {
            self.0 = Some(now);
        }
        due
    }
}

/// The most that there ever was of something within a window. What is new counts after two more windows, so that an attack that
/// begins slowly is not usual before it is seen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Most {
    most: u32,
    waiting: [u32; 2],
    learned: Duration,
}

impl Most {
    /// Learns what there is within the window up to now, once for each window. What is remarkable is never usual.
    pub(crate) fn learn(&mut self, now: Duration, window: Duration, value: u32, remarkable: bool) {
        if now.saturating_sub(self.learned) < window {
            return;
        }
        self.learned = now;
        if remarkable {
            self.waiting = [0; 2];
            return;
        }
        let [first, second] = self.waiting;
        self.most = self.most.max(first);
        self.waiting = [second, value];
    }

    /// Takes this as usual at once.
    pub(crate) fn accept(&mut self, value: u32) {
        self.most = self.most.max(value);
    }

    /// The most there was.
    pub(crate) fn get(&self) -> u32 {
        self.most
    }
}

/// A few paths, for people.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Examples {
    texts: [Text<64>; 3],
    count: u8,
}

impl Examples {
    pub(crate) fn add(&mut self, text: Text<64>) {
        let known = self.texts.iter().take(usize::from(self.count)).any(|known| *known == text);
        if let Some(place) = self.texts.get_mut(usize::from(self.count))
            && !known
        {
            *place = text;
            self.count += 1;
        }
    }

    pub(crate) fn list(&self) -> String {
        let texts: Vec<_> =
            self.texts.iter().take(usize::from(self.count)).map(|text| printable(text.as_str())).collect();
        texts.join(", ")
    }
}

/// A text of a client, without what is no visible ASCII character.
pub(crate) fn printable(text: &str) -> String {
    text.escape_default().to_string()
}

/// Whom an event is about: who sent it, and from where.
pub(crate) fn sender(event: &Event) -> Subject {
    Subject {
        address: Some(event.source),
        consumer: event.established().map(|name| name.text.as_str().to_owned()),
        ..Subject::default()
    }
}

/// Whom an event is about: the consumer if it was established, whatever its address, and the address otherwise.
pub(crate) fn consumer_or_source(event: &Event) -> Subject {
    match event.established() {
        Some(name) => Subject { consumer: Some(name.text.as_str().to_owned()), ..Subject::default() },
        None => Subject { address: Some(event.source), ..Subject::default() },
    }
}

/// How much a part is of a whole.
pub(crate) fn share(part: u32, whole: u32) -> f64 {
    f64::from(part) / f64::from(whole.max(1))
}

/// A share in per cent.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}
