//! Recent refusals, with the full reason, by request id.
//!
//! What is kept is the line of the access log, so it holds what a line may hold and nothing else. Each worker keeps its own
//! last ones; a reader joins them. The oldest leave first, and a flood of refusals pushes older ones out.

use crate::lanes::Lanes;
use crate::line;
use portcullis_core::{Code, Outcome, Plan, Record, RecordSink, RequestId};
use std::collections::VecDeque;
use std::time::Duration;

/// The most refusals that a worker keeps.
pub const MOST: usize = 1000;
/// The most bytes of lines that a worker keeps.
pub const MOST_BYTES: usize = 2 * 1024 * 1024;

/// Recent refusals of all workers.
#[derive(Default)]
pub struct Recent {
    lanes: Lanes<Lane>,
}

#[derive(Default)]
struct Lane {
    refusals: VecDeque<Refusal>,
    bytes: usize,
}

/// A request that was refused, that failed, or that would have been refused by a check that only observes.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Its id.
    pub id: RequestId,
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
                found = lane.refusals.iter().find(|one| one.id.as_str() == id).cloned();
            }
        });
        found
    }

    /// The last ones that `wanted` wants, the latest first.
    pub fn last(&self, most: usize, wanted: impl Fn(&Refusal) -> bool) -> Vec<Refusal> {
        let mut all = Vec::new();
        self.lanes.each(|lane| {
            all.extend(lane.refusals.iter().rev().filter(|one| wanted(one)).take(most).cloned());
        });
        all.sort_by_key(|one| std::cmp::Reverse(one.at));
        all.truncate(most);
        all
    }
}

impl Lane {
    fn push(&mut self, refusal: Refusal) {
        self.bytes += refusal.line.len();
        self.refusals.push_back(refusal);
        while self.refusals.len() > MOST || self.bytes > MOST_BYTES {
            let Some(oldest) = self.refusals.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(oldest.line.len());
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
        let refusal = Refusal { id: record.id, at: record.arrived.unix, code, observed, line };
        self.lanes.with(|lane| lane.push(refusal));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(number: u8, size: usize) -> Refusal {
        Refusal {
            id: RequestId::new([number; 16]),
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
        (0..5).for_each(|_| lane.push(refusal(7, MOST_BYTES / 2)));
        assert!(lane.bytes <= MOST_BYTES && lane.refusals.len() == 2, "{}", lane.refusals.len());
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
