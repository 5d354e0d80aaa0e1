//! The time.

use portcullis_core::{Clock, Now};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The operating system's clocks.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock that starts now.
    pub fn start() -> SystemClock {
        SystemClock { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Now {
        Now {
            monotonic: self.start.elapsed(),
            // SECURITY: a clock that stands before 1970 is wrong, and what expires by a wrong clock has expired.
            unix: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::MAX),
        }
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}
