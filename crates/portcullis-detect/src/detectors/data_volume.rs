//! A consumer that suddenly takes far more data than it ever did.

use super::{Raised, consumer_or_source};
use crate::detector::{Detector, Raise};
use crate::event::Event;
use crate::finding::Severity;
use crate::history::Histories;

pub(crate) const NAME: &str = "data_volume";
pub(crate) const FINDS: &str = "A consumer that suddenly takes far more data than it ever did.";
pub(crate) const THRESHOLD: &str = "5 times the most data that a consumer known for a day was sent in any 5 minutes of the last 8 days, at least 10 MB more, where others have not grown alike.";

const TIMES: f64 = 5.0;
const MORE: u64 = 10_000_000;

pub(crate) struct DataVolume {
    histories: Histories,
    raised: Raised,
    about: u64,
}

impl DataVolume {
    fn new(bytes: usize) -> DataVolume {
        DataVolume { histories: Histories::new(bytes), raised: Raised::default(), about: 0 }
    }
}

/// One in so many bytes.
pub(crate) fn make(bytes: usize) -> Box<dyn Detector> {
    Box::new(DataVolume::new(bytes))
}

impl Detector for DataVolume {
    fn see(&mut self, event: &Event, raise: &mut dyn FnMut(Raise)) {
        let Some(name) = event.established() else { return };
        let Some(compared) = self.histories.count(name.number, event.at.steady, event.sent) else { return };
        if compared.times < TIMES || compared.now - compared.most < MORE {
            return;
        }
        let other = std::mem::replace(&mut self.about, name.number) != name.number;
        if other || self.raised.is_due(event.at.steady) {
            raise(
                Raise::new(
                    Severity::High,
                    "A consumer takes far more data than it ever did.",
                    consumer_or_source(event),
                )
                .because("bytes in these 5 minutes", compared.now)
                .because("most in 5 minutes before", compared.most)
                .because("from", event.source)
                .from(event.source),
            );
        }
    }

    fn bytes(&self) -> usize {
        self.histories.bytes()
    }
}
