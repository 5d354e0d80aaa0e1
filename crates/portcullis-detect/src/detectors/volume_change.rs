//! A consumer that suddenly sends far more than it ever did.

use super::{Raised, consumer_or_source};
use crate::detector::{Detector, Raise};
use crate::event::Event;
use crate::finding::Severity;
use crate::history::Histories;

pub(crate) const NAME: &str = "volume_change";
pub(crate) const FINDS: &str = "A consumer that suddenly sends far more requests than it ever did.";
pub(crate) const THRESHOLD: &str = "5 times the most requests that a consumer known for a day has sent in any 5 minutes of the last 8 days, at least 300 more, where others have not grown alike.";

const TIMES: f64 = 5.0;
const MORE: u64 = 300;

pub(crate) struct VolumeChange {
    histories: Histories,
    raised: Raised,
    about: u64,
}

impl VolumeChange {
    pub(crate) fn new(bytes: usize) -> VolumeChange {
        VolumeChange { histories: Histories::new(bytes), raised: Raised::default(), about: 0 }
    }
}

impl Detector for VolumeChange {
    fn see(&mut self, event: &Event, raise: &mut dyn FnMut(Raise)) {
        let Some(name) = event.established() else { return };
        let Some(compared) = self.histories.count(name, event.at.steady, 1) else { return };
        if compared.times < TIMES || compared.now - compared.most < MORE {
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
        self.histories.bytes()
    }
}
