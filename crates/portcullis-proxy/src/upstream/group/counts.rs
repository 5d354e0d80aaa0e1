//! What is counted of a server: by each worker in a place of its own, which only somebody who looks adds up. So a request shares
//! nothing with another worker. What a worker counted stays when it has no longer to do with the server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// What one worker counts of a server. Only that worker writes.
#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) running: AtomicU32,
    pub(super) requests: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) retries: AtomicU64,
}

/// What all workers have counted of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that are running.
    pub running: u64,
    /// Requests that were sent, or tried to be.
    pub requests: u64,
    /// Those that failed: no connection, no answer, none in time, an answer that broke off, or 502, 503 or 504.
    pub failures: u64,
    /// Requests that had failed elsewhere before.
    pub retries: u64,
}

/// What the workers count of a server.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    all: Vec<Arc<Lane>>,
    gone: Counts,
}

impl Lane {
    /// Adds to a count that nobody else writes.
    pub(super) fn more(count: &AtomicU64) {
        count.store(count.load(Relaxed).wrapping_add(1), Relaxed);
    }
}

impl Counts {
    fn add(&mut self, lane: &Lane) {
        self.running += u64::from(lane.running.load(Relaxed));
        self.requests += lane.requests.load(Relaxed);
        self.failures += lane.failures.load(Relaxed);
        self.retries += lane.retries.load(Relaxed);
    }
}

impl Lanes {
    /// Where one more worker counts.
    pub(super) fn lane(&mut self) -> Arc<Lane> {
        self.settle();
        let lane = Arc::new(Lane::default());
        self.all.push(Arc::clone(&lane));
        lane
    }

    /// What all have counted.
    pub(super) fn sum(&mut self) -> Counts {
        self.settle();
        let mut sum = Counts { running: 0, ..self.gone };
        self.all.iter().for_each(|lane| sum.add(lane));
        sum
    }

    /// A worker that has no longer to do with the server leaves what it counted.
    fn settle(&mut self) {
        let gone = &mut self.gone;
        self.all.retain(|lane| {
            let stays = Arc::strong_count(lane) > 1;
            if !stays {
                gone.add(lane);
            }
            stays
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_a_worker_that_went_stay() {
        let mut server = Lanes::default();
        let (one, two) = (server.lane(), server.lane());
        Lane::more(&one.requests);
        Lane::more(&two.requests);
        two.running.store(1, Relaxed);
        assert_eq!(server.sum(), Counts { running: 1, requests: 2, ..Counts::default() });
        drop(two);
        assert_eq!(server.sum(), Counts { requests: 2, ..Counts::default() });
        assert_eq!(server.sum().requests, 2);
        // Reloads leave nothing behind.
        for _ in 0..100 {
            Lane::more(&server.lane().requests);
        }
        assert_eq!((server.sum().requests, server.all.len()), (102, 1));
    }
}
