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
        Now { monotonic: self.start.elapsed(), unix: since_1970(SystemTime::now()) }
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

fn since_1970(time: SystemTime) -> Duration {
    // SECURITY: a clock that stands before 1970 is wrong, and what expires by a wrong clock has expired
    // (a_clock_before_1970_lets_everything_expire).
    time.duration_since(UNIX_EPOCH).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_before_1970_lets_everything_expire() {
        let second = Duration::from_secs(1);
        assert_eq!(since_1970(UNIX_EPOCH + second), second);
        assert_eq!(since_1970(UNIX_EPOCH - second), Duration::MAX);
    }
}
