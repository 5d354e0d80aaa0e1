//! The time of a test: the system's, and as much more as the test says.

use portcullis_core::{Clock, Now};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A clock that can be put forward. Its copies are the same clock.
#[derive(Clone)]
pub struct TestClock {
    start: Instant,
    /// In milliseconds.
    passed: Arc<AtomicU64>,
    /// In milliseconds.
    stayed: Arc<AtomicU64>,
}

impl Default for TestClock {
    fn default() -> TestClock {
        TestClock { start: Instant::now(), passed: Arc::default(), stayed: Arc::default() }
    }
}

impl TestClock {
    /// So much time passes.
    pub fn pass(&self, time: Duration) {
        self.passed.fetch_add(u64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst);
    }

    /// So much time passes while the calendar stands still, so that no token ends by it.
    pub fn pass_by_no_calendar(&self, time: Duration) {
        self.pass(time);
        self.stayed.fetch_add(u64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Now {
        let passed = self.passed.load(Ordering::SeqCst) - self.stayed.load(Ordering::SeqCst);
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Now { monotonic: self.monotonic(), unix: unix + Duration::from_millis(passed) }
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed() + Duration::from_millis(self.passed.load(Ordering::SeqCst))
    }
}
