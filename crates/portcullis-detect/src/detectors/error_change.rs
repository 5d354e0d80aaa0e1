//! A consumer whose requests suddenly fail, while those of others do not.
//!
//! A deploy or an upstream that fails concerns everybody, and is not a consumer's.

use super::{Raised, consumer_or_source, percent, share};
use crate::detector::{Detector, Raise};
use crate::event::{Ending, Event};
use crate::finding::Severity;
use crate::table::{Entry, Table};
use std::time::Duration;

pub(crate) const NAME: &str = "error_change";
pub(crate) const FINDS: &str =
    "A consumer of whose requests suddenly many fail, while those of others do not.";
pub(crate) const THRESHOLD: &str = "30 % and 30 requests of 5 minutes that a consumer known for 2 hours gets an error for, at least 3 times its largest share before, and 3 times that of the others; or 15 % and 15 in each 5 of 20 minutes.";

const SHARE: f64 = 0.3;
const ERRORS: u32 = 30;
const TIMES: f64 = 3.0;
/// Less is remarkable in so many stretches of 5 minutes in a row.
const STRETCHES: u32 = 4;
const SHARE_LONG: f64 = 0.15;
const ERRORS_LONG: u32 = 15;
const KNOWN: Duration = Duration::from_secs(2 * 3600);
const BUCKET: u64 = 300;
/// What a bucket weighs in what is usual, once it is over.
const LEARNED: f64 = 0.05;

#[derive(Clone, Copy, Default)]
struct Counted {
    bucket: u64,
    requests: u32,
    errors: u32,
    /// The bucket before.
    requests_before: u32,
    errors_before: u32,
}

impl Counted {
    /// Counts one. What the bucket was that has ended, if one has.
    fn count(&mut self, now: Duration, error: bool) -> Option<(u32, u32)> {
        let bucket = now.as_secs() / BUCKET;
        let mut ended = None;
        if bucket > self.bucket {
            ended = (self.requests > 0).then_some((self.requests, self.errors));
            let (requests, errors) =
                if bucket == self.bucket + 1 { (self.requests, self.errors) } else { (0, 0) };
            *self =
                Counted { bucket, requests_before: requests, errors_before: errors, ..Counted::default() };
        }
        self.requests = self.requests.saturating_add(1);
        self.errors = self.errors.saturating_add(u32::from(error));
        ended
    }
}

#[derive(Default)]
struct Consumer {
    first: Option<Duration>,
    last: Duration,
    counted: Counted,
    /// The largest share of a bucket with enough requests. It fades slowly.
    most: f64,
    /// Stretches in a row with a large share, without the one of now.
    run: u32,
    raised: Raised,
}

impl Entry for Consumer {
    fn last(&self) -> Duration {
        self.last
    }

    fn weight(&self) -> u32 {
        self.counted.requests.saturating_add(self.counted.requests_before)
    }
}

pub(crate) struct ErrorChange {
    consumers: Table<u64, Consumer>,
    all: Counted,
}

impl ErrorChange {
    fn new(bytes: usize) -> ErrorChange {
        ErrorChange {
            consumers: Table::new(bytes / 2, Duration::from_secs(8 * 24 * 3600)),
            all: Counted::default(),
        }
    }
}

fn is_error(event: &Event) -> Option<bool> {
    match event.ending {
        Ending::Blocked | Ending::Aborted => None,
        Ending::Served => Some(event.status >= 400),
        Ending::Failed
        | Ending::WrongCredential
        | Ending::NoCredential
        | Ending::StaleCredential
        | Ending::Replayed
        | Ending::Forbidden
        | Ending::NotOwner
        | Ending::NotFound
        | Ending::Malformed
        | Ending::Limited
        | Ending::Invalid
        | Ending::Attack
        | Ending::Other => Some(true),
    }
}

/// One in so many bytes.
pub(crate) fn make(bytes: usize) -> Box<dyn Detector> {
    Box::new(ErrorChange::new(bytes))
}

impl Detector for ErrorChange {
    fn see(&mut self, event: &Event, raise: &mut dyn FnMut(Raise)) {
        let (Some(name), Some(error)) = (event.established(), is_error(event)) else { return };
        let now = event.at.steady;
        self.all.count(now, error);
        let consumer = self.consumers.entry(name.number, now);
        consumer.last = now;
        let first = *consumer.first.get_or_insert(now);
        let ended = consumer.counted.count(now, error);
        if let Some((requests, errors)) = ended {
            let part = share(errors, requests);
            let large = errors >= ERRORS_LONG && part >= SHARE_LONG && part >= consumer.most * TIMES;
            consumer.run = if large && consumer.counted.requests_before > 0 { consumer.run + 1 } else { 0 };
        }
        if let Some((requests, errors)) = ended.filter(|(requests, _)| *requests >= 10) {
            let part = share(errors, requests);
            consumer.most = match part > consumer.most {
                // Of what is far above everything before, only a part is learned.
                true if part >= SHARE_LONG && part >= consumer.most * TIMES => {
                    consumer.most + (part - consumer.most) * LEARNED
                }
                true => part,
                false => consumer.most + (part - consumer.most) * LEARNED / 10.0,
            };
        }
        let Counted { requests, errors, .. } = consumer.counted;
        let long = consumer.run + 1 >= STRETCHES;
        let (least, least_share) = if long { (ERRORS_LONG, SHARE_LONG) } else { (ERRORS, SHARE) };
        if !error || errors < least || now.saturating_sub(first) < KNOWN {
            return;
        }
        let part = share(errors, requests);
        let others = |all: u32, own: u32| all.saturating_sub(own);
        let all = &self.all;
        let others = share(
            others(all.errors, errors) + others(all.errors_before, consumer.counted.errors_before),
            others(all.requests, requests) + others(all.requests_before, consumer.counted.requests_before),
        );
        if part >= least_share
            && part >= consumer.most * TIMES
            && part >= others * TIMES
            && consumer.raised.is_due(now)
        {
            raise(
                Raise::new(
                    Severity::Low,
                    "Many requests of one consumer suddenly fail, and those of others do not.",
                    consumer_or_source(event),
                )
                .because("share of errors in these 5 minutes", percent(part))
                .because("errors", errors)
                .because("largest share before", percent(consumer.most))
                .because("share of the others", percent(others)),
            );
        }
    }

    fn bytes(&self) -> usize {
        self.consumers.bytes()
    }
}
