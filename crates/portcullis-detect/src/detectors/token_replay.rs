//! Proofs of possession (DPoP) that are sent a second time.
//!
//! A client that tries again after a broken connection may send one twice. Somebody who has recorded them sends many.

use super::{Raised, WINDOW};
use crate::detector::{Detector, Raise};
use crate::event::{Ending, Event};
use crate::finding::{Severity, Subject};
use crate::table::{Entry, Table};
use crate::window::Window;
use std::net::IpAddr;
use std::time::Duration;

pub(crate) const NAME: &str = "token_replay";
pub(crate) const FINDS: &str = "Proofs of possession that are used again.";
pub(crate) const THRESHOLD: &str = "6 replayed proofs from one address in 10 minutes.";

const REPLAYS: u32 = 6;

#[derive(Default)]
struct Source {
    last: Duration,
    replays: Window<u32>,
    raised: Raised,
}

impl Entry for Source {
    fn last(&self) -> Duration {
        self.last
    }

    fn weight(&self) -> u32 {
        self.replays.sum()
    }
}

pub(crate) struct TokenReplay {
    sources: Table<IpAddr, Source>,
}

impl TokenReplay {
    fn new(bytes: usize) -> TokenReplay {
        TokenReplay { sources: Table::new(bytes / 4, WINDOW * 2) }
    }
}

/// One in so many bytes.
pub(crate) fn make(bytes: usize) -> Box<dyn Detector> {
    Box::new(TokenReplay::new(bytes))
}

impl Detector for TokenReplay {
    fn see(&mut self, event: &Event, raise: &mut dyn FnMut(Raise)) {
        if event.ending != Ending::Replayed {
            return;
        }
        let now = event.at.steady;
        let source = self.sources.entry(event.source, now);
        source.last = now;
        let replays = source.replays.add(now, WINDOW);
        if replays >= REPLAYS && source.raised.is_due(now) {
            let subject = Subject { address: Some(event.source), ..Subject::default() };
            raise(
                Raise::new(
                    Severity::High,
                    "One address sends proofs of possession that were used before.",
                    subject,
                )
                .because("replayed proofs", replays)
                .from(event.source)
                .since(WINDOW),
            );
        }
    }

    fn bytes(&self) -> usize {
        self.sources.bytes()
    }
}
