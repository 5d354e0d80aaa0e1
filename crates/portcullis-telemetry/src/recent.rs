//! Recent refusals, with the full reason, by request id.
//!
//! What is kept is the line of the access log, so it holds what a line may hold and nothing else. Each worker keeps its own
//! last ones; a reader joins them. The oldest leave first. An address that has its share pushes out its own refusals and
//! nobody else's.

use crate::lanes::Lanes;
use crate::line;
use portcullis_core::head::client::fold;
use portcullis_core::{Code, Outcome, Plan, Record, RecordSink, RequestId};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

/// The most refusals that a worker keeps.
pub const MOST: usize = 1000;
/// The most bytes of lines that a worker keeps.
pub const MOST_BYTES: usize = 2 * 1024 * 1024;
/// One address has at most this part of both.
pub const SHARE: usize = 10;

/// Recent refusals of all workers.
#[derive(Default)]
pub struct Recent {
    lanes: Lanes<Lane>,
}

#[derive(Default)]
struct Lane {
    /// In the order in which they came.
    refusals: BTreeMap<u64, Refusal>,
    by_source: HashMap<IpAddr, Source>,
    bytes: usize,
    next: u64,
}

/// What a lane keeps of one address.
#[derive(Default)]
struct Source {
    numbers: VecDeque<u64>,
    bytes: usize,
}

/// A request that was refused, that failed, or that would have been refused by a check that only observes.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Its id.
    pub id: RequestId,
    /// The client's address, or the /64 of an IPv6 one.
    pub source: IpAddr,
    /// When it arrived, since 1970.
    pub at: Duration,
    /// Why; the first observed reason where it was served.
    pub code: Code,
    /// Whether it was only observed.
    pub observed: bool,
    /// Its line of the access log: JSON.
    pub line: Box<str>,
}

impl Recent {
    /// The refusal of this request, if it is still there.
    pub fn find(&self, id: &str) -> Option<Refusal> {
        let mut found = None;
        self.lanes.each(|lane| {
            if found.is_none() {
                found = lane.refusals.values().find(|one| one.id.as_str() == id).cloned();
            }
        });
        found
    }

    /// The last ones that `wanted` wants, the latest first.
    pub fn last(&self, most: usize, wanted: impl Fn(&Refusal) -> bool) -> Vec<Refusal> {
        let mut all = Vec::new();
        self.lanes.each(|lane| {
            all.extend(lane.refusals.values().rev().filter(|one| wanted(one)).take(most).cloned());
        });
        all.sort_by_key(|one| std::cmp::Reverse(one.at));
        all.truncate(most);
        all
    }
}

impl Lane {
    // SECURITY: whoever is refused often must not hide why others are (one_address_leaves_the_refusals_of_others).
    fn push(&mut self, refusal: Refusal) {
        let address = refusal.source;
        let number = self.next;
        self.next += 1;
        let source = self.by_source.entry(address).or_default();
        source.numbers.push_back(number);
        source.bytes += refusal.line.len();
        self.bytes += refusal.line.len();
        self.refusals.insert(number, refusal);
        while self.has_more_than_its_share(address) {
            self.drop_oldest_of(address);
        }
        while self.refusals.len() > MOST || self.bytes > MOST_BYTES {
            let Some(oldest) = self.refusals.values().next().map(|oldest| oldest.source) else { break };
            self.drop_oldest_of(oldest);
        }
    }

    fn has_more_than_its_share(&self, address: IpAddr) -> bool {
        self.by_source.get(&address).is_some_and(|source| {
            let many = source.numbers.len() > MOST / SHARE || source.bytes > MOST_BYTES / SHARE;
            // The last one stays, however long it is.
            many && source.numbers.len() > 1
        })
    }

    fn drop_oldest_of(&mut self, address: IpAddr) {
        let Some(source) = self.by_source.get_mut(&address) else { return };
        if let Some(refusal) = source.numbers.pop_front().and_then(|oldest| self.refusals.remove(&oldest)) {
            source.bytes = source.bytes.saturating_sub(refusal.line.len());
            self.bytes = self.bytes.saturating_sub(refusal.line.len());
        }
        if source.numbers.is_empty() {
            self.by_source.remove(&address);
        }
    }
}

impl RecordSink for Recent {
    fn write(&self, record: &Record, plan: &Plan) {
        let (code, observed) = match &record.outcome {
            Outcome::Refused(denial) | Outcome::Failed(denial) => (denial.code(), false),
            Outcome::Served | Outcome::Aborted => match record.observed.first() {
                Some(denial) => (denial.code(), true),
                None => return,
            },
        };
        let mut text = Vec::new();
        // Writing into memory cannot fail, and a line is ASCII.
        let _ = line::write(record, plan, &mut text);
        let line = String::from_utf8_lossy(&text).trim_end().into();
        let source = fold(record.client.unwrap_or(record.peer.ip()));
        let refusal = Refusal { id: record.id, source, at: record.arrived.unix, code, observed, line };
        self.lanes.with(|lane| lane.push(refusal));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(number: u8, size: usize) -> Refusal {
        Refusal {
            id: RequestId::new([number; 16]),
            source: IpAddr::from([192, 0, 2, number]),
            at: Duration::from_secs(u64::from(number)),
            code: Code::RateLimited,
            observed: false,
            line: "x".repeat(size).into(),
        }
    }

    #[test]
    fn the_oldest_leave_by_number_and_by_bytes() {
        let mut lane = Lane::default();
        (0..1200).for_each(|number| lane.push(refusal((number % 250) as u8, 10)));
        assert_eq!((lane.refusals.len(), lane.bytes), (MOST, MOST * 10));
        (0..5).for_each(|number| lane.push(refusal(number, MOST_BYTES / 2)));
        assert!(lane.bytes <= MOST_BYTES && lane.refusals.len() == 2, "{}", lane.refusals.len());
        assert_eq!(lane.by_source.len(), 2);
    }

    #[test]
    fn one_address_leaves_the_refusals_of_others() {
        let mut lane = Lane::default();
        lane.push(refusal(1, 10));
        (0..100_000).for_each(|_| lane.push(refusal(2, 10)));
        (0..100).for_each(|_| lane.push(refusal(3, MOST_BYTES / 100)));
        let of = |lane: &Lane, number| {
            lane.refusals.values().filter(|one| one.source == IpAddr::from([192, 0, 2, number])).count()
        };
        assert_eq!((of(&lane, 1), of(&lane, 2), of(&lane, 3)), (1, MOST / SHARE, SHARE));
        // A single long one is kept.
        lane.push(refusal(4, MOST_BYTES / 2));
        assert_eq!((of(&lane, 4), of(&lane, 1)), (1, 1));
    }

    #[test]
    fn a_reader_sees_the_latest_first() {
        let recent = Recent::default();
        // Both threads are there at once, so that each has its own lane.
        let both = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            for number in [3, 1] {
                let (recent, both) = (&recent, &both);
                scope.spawn(move || {
                    recent.lanes.with(|lane| lane.push(refusal(number, 1)));
                    both.wait();
                });
            }
        });
        // This thread may have got one of the two lanes that are free now: what is in a lane is in the order of time.
        recent.lanes.with(|lane| lane.push(refusal(4, 1)));
        let seconds: Vec<_> = recent.last(2, |_| true).iter().map(|one| one.at.as_secs()).collect();
        assert_eq!(seconds, [4, 3]);
        assert!(recent.find(RequestId::new([1; 16]).as_str()).is_some());
        assert!(recent.find("1").is_none());
    }
}
