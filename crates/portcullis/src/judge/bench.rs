//! What a plan that is only tried shares with the process: nothing.
//!
//! A [`State`] of its own, so that no counter, failed credential or remembered value of a serving gateway is touched, on a
//! clock that stands still.

use portcullis_checks::rehearsal::Doubles;
use portcullis_core::{Clock, Now};
use portcullis_runtime::State;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where plans are tried. Its clones are the same.
#[derive(Clone)]
pub struct Bench {
    clock: BenchClock,
    state: State,
    doubles: Option<Arc<Doubles>>,
}

impl Default for Bench {
    fn default() -> Bench {
        Bench::new()
    }
}

impl Bench {
    /// One on which nothing was tried yet. Its time is this moment.
    pub fn new() -> Bench {
        let clock = BenchClock::default();
        clock.set(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
        Bench { state: State::isolated(clock.clone()), clock, doubles: None }
    }

    /// One for rehearsals: with doubles of the secrets of others.
    pub fn for_rehearsals() -> Bench {
        let bench = Bench::new();
        let doubles = Some(Arc::new(Doubles::new(bench.state.secret())));
        Bench { doubles, ..bench }
    }

    /// Another one of the same time with the same doubles, on which nothing was tried yet.
    pub(crate) fn again(&self) -> Bench {
        let clock = BenchClock::default();
        clock.set(self.time());
        Bench { state: State::isolated(clock.clone()), clock, doubles: self.doubles.clone() }
    }

    /// The doubles, on a bench for rehearsals.
    pub fn doubles(&self) -> Option<&Arc<Doubles>> {
        self.doubles.as_ref()
    }

    /// What a plan is compiled against to be tried here.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The time that it is here, since 1970.
    pub fn time(&self) -> Duration {
        self.clock.now().unix
    }

    pub(super) fn clock(&self) -> &impl Clock {
        &self.clock
    }

    /// From now on it is this time. `None` leaves it.
    pub(super) fn set_time(&self, time: Option<Duration>) {
        if let Some(time) = time {
            self.clock.set(time);
        }
    }

    /// So much time passes for limits and waits, and none by the calendar.
    pub(super) fn pass(&self, time: Duration) {
        self.clock.pass(time);
    }
}

/// Nanoseconds since 1970, and on the clock that never goes back.
#[derive(Clone, Default)]
struct BenchClock(Arc<(AtomicU64, AtomicU64)>);

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl BenchClock {
    fn set(&self, unix: Duration) {
        self.0.0.store(nanos(unix), Ordering::Relaxed);
    }

    fn pass(&self, time: Duration) {
        self.0.1.fetch_add(nanos(time), Ordering::Relaxed);
    }
}

impl Clock for BenchClock {
    fn now(&self) -> Now {
        let read = |time: &AtomicU64| Duration::from_nanos(time.load(Ordering::Relaxed));
        Now { unix: read(&self.0.0), monotonic: Duration::from_secs(1000) + read(&self.0.1) }
    }
}
