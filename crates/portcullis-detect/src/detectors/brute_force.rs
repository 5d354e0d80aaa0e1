//! Many different wrong credentials for one consumer's name, from however many addresses.
//!
//! Anybody can send a name, so the consumer itself is never blocked for it. Somebody who mistypes tries few, and a program
//! with an old password tries one.

use super::credential_stuffing::number;
use super::{Pace, Paced, Raised};
use crate::detector::{Detector, Raise};
use crate::event::{Ending, Event, Who};
use crate::finding::{Severity, Subject};
use crate::table::{Entry, Table};
use crate::window::{Distinct, Window};
use std::net::IpAddr;
use std::time::Duration;

pub(crate) const NAME: &str = "brute_force";
pub(crate) const FINDS: &str = "Many different wrong credentials for one consumer's name.";
pub(crate) const THRESHOLD: &str = "20 different wrong credentials for one name in 10 minutes, or twice as many in an hour, from any number of addresses.";

const DIFFERENT: u32 = 20;

#[derive(Default)]
struct Target {
    last: Duration,
    tries: Window<u32>,
    wrong: Window<Distinct>,
    from: Window<Distinct>,
    raised: Raised,
}

impl Entry for Target {
    fn last(&self) -> Duration {
        self.last
    }

    fn weight(&self) -> u32 {
        self.tries.sum()
    }
}

pub(crate) struct BruteForce {
    pace: Pace,
    targets: Table<u64, Target>,
}

impl BruteForce {
    fn at(bytes: usize, pace: Pace) -> BruteForce {
        BruteForce { pace, targets: Table::new(bytes, pace.window * 2) }
    }
}

/// At both paces.
pub(crate) fn make(bytes: usize) -> Box<dyn Detector> {
    Box::new(Paced::of(bytes, BruteForce::at))
}

impl Detector for BruteForce {
    fn see(&mut self, event: &Event, raise: &mut dyn FnMut(Raise)) {
        let pace = self.pace;
        let (Ending::WrongCredential, Some(tried), Who::Claims(name)) =
            (event.ending, event.tried, event.who)
        else {
            return;
        };
        let now = event.at.steady;
        let target = self.targets.entry(name.number, now);
        target.last = now;
        target.from.now(now, pace.window).see(number(event.source));
        let tries = target.tries.add(now, pace.window);
        let new = target.wrong.now(now, pace.window).see(tried);
        if tries < pace.many(DIFFERENT) || !new {
            return;
        }
        let (different, addresses) = (target.wrong.count(), target.from.count());
        if different >= pace.many(DIFFERENT) && target.raised.is_due(now) {
            // With one address the sender is known; with several, none of them alone is.
            let address: Option<IpAddr> = (addresses <= 1).then_some(event.source);
            let target_name = Some(name.text.as_str().to_owned());
            let subject = Subject { address, target: target_name, ..Subject::default() };
            let found =
                Raise::new(Severity::High, "Somebody tries many credentials for one consumer.", subject)
                    .because("different wrong credentials", different)
                    .because("addresses", addresses)
                    .since(pace.window);
            // SECURITY: the address alone, and never the consumer, whose name anybody can send
            // (a_name_that_was_only_tried_blocks_no_consumer).
            raise(match address {
                Some(address) => found.from(address),
                None => found,
            });
        }
    }

    fn bytes(&self) -> usize {
        self.targets.bytes()
    }
}
