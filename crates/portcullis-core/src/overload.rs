//! Whether the gateway is slower than it should be, and whose requests it gives up first.
//!
//! Measured is the delay of the gateway itself: how much later than it wanted to a thread gets to its work. What upstreams and
//! stores take does not count. The pressure rises while even the least delay of a step is above the target, and falls while it is at
//! most half of it; so a short burst gives up nothing. Low priorities are given up first and in part, then all of them and normal
//! ones in part, and so on; a part of the high ones always passes. Time comes from outside.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// How soon a request is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Priority {
    /// First.
    Low,
    /// When all of those are.
    #[default]
    Normal,
    /// Last, and never all of them.
    High,
}

/// All requests of a priority, in thousandths.
const ALL: u32 = 1000;
/// What the pressure rises by in a step, in thousandths of a priority.
const RISE: u32 = 100;
/// What it falls by.
const FALL: u32 = 50;
/// The highest pressure: a tenth of the high priority passes.
const MOST: u32 = 2 * ALL + 900;

/// The delay of a gateway, and what follows from it.
#[derive(Debug)]
pub struct Overload {
    /// In nanoseconds.
    target: u64,
    pressure: AtomicU32,
    /// When the pressure was last looked at.
    stepped: AtomicU64,
    /// The longest of the delays that threads told since then.
    worst: AtomicU64,
}

impl Overload {
    /// How often the pressure changes.
    pub const STEP: Duration = Duration::from_millis(100);

    /// Nothing is given up yet.
    pub fn new(target: Duration) -> Overload {
        Overload {
            target: nanos(target),
            pressure: AtomicU32::new(0),
            stepped: AtomicU64::new(0),
            worst: AtomicU64::new(0),
        }
    }

    /// The delay above which requests are given up.
    pub fn target(&self) -> Duration {
        Duration::from_nanos(self.target)
    }

    /// At `now`, on the clock that never goes back, a thread tells the least delay that it had in the last step.
    pub fn told(&self, now: Duration, least_delay: Duration) {
        let now = nanos(now);
        self.worst.fetch_max(nanos(least_delay), Ordering::Relaxed);
        let stepped = self.stepped.load(Ordering::Relaxed);
        if now.saturating_sub(stepped) < nanos(Self::STEP)
            || self.stepped.compare_exchange(stepped, now, Ordering::Relaxed, Ordering::Relaxed).is_err()
        {
            return;
        }
        // Only the thread that took the step comes here.
        let worst = self.worst.swap(0, Ordering::Relaxed);
        let pressure = self.pressure.load(Ordering::Relaxed);
        let next = if worst > self.target {
            pressure.saturating_add(RISE).min(MOST)
        } else if worst <= self.target / 2 {
            pressure.saturating_sub(FALL)
        } else {
            pressure
        };
        if next != pressure {
            self.pressure.store(next, Ordering::Relaxed);
        }
    }

    /// Sets the pressure, in thousandths of a priority, for a rehearsal in which no time passes.
    pub fn press(&self, pressure: u32) {
        self.pressure.store(pressure.min(MOST), Ordering::Relaxed);
    }

    /// How many of a thousand requests of this priority are given up.
    pub fn share(&self, priority: Priority) -> u32 {
        let before = match priority {
            Priority::Low => 0,
            Priority::Normal => ALL,
            Priority::High => 2 * ALL,
        };
        self.pressure.load(Ordering::Relaxed).saturating_sub(before).min(ALL)
    }

    /// Whether a request of this priority is given up. `random` is asked only while some are.
    pub fn gives_up(&self, priority: Priority, random: impl FnOnce() -> u32) -> bool {
        let share = self.share(priority);
        share > 0 && random() % ALL < share
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Duration = Duration::from_millis(50);

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Tells the same delay for so many steps.
    fn steps(overload: &Overload, now: &mut u64, steps: u64, delay: u64) {
        for _ in 0..steps {
            *now += 100;
            overload.told(millis(*now), millis(delay));
        }
    }

    fn shares(overload: &Overload) -> [u32; 3] {
        [Priority::Low, Priority::Normal, Priority::High].map(|priority| overload.share(priority))
    }

    #[test]
    fn the_cheapest_are_given_up_first_and_some_of_the_best_always_pass() {
        let (overload, mut now) = (Overload::new(TARGET), 1000);
        steps(&overload, &mut now, 50, 25);
        assert_eq!(shares(&overload), [0, 0, 0], "nothing is late");
        steps(&overload, &mut now, 5, 80);
        assert_eq!(shares(&overload), [500, 0, 0]);
        steps(&overload, &mut now, 10, 80);
        assert_eq!(shares(&overload), [1000, 500, 0]);
        steps(&overload, &mut now, 10, 40);
        assert_eq!(shares(&overload), [1000, 500, 0], "between half of the target and the target it stays");
        steps(&overload, &mut now, 1000, 500);
        assert_eq!(shares(&overload), [1000, 1000, 900]);
        steps(&overload, &mut now, 18, 1);
        assert_eq!(shares(&overload), [1000, 1000, 0], "the best pass again first");
        steps(&overload, &mut now, 40, 1);
        assert_eq!(shares(&overload), [0, 0, 0]);
    }

    #[test]
    fn threads_together_step_once_and_the_slowest_counts() {
        let (overload, mut now) = (Overload::new(TARGET), 1000);
        for _ in 0..5 {
            for thread in 0..8 {
                overload.told(millis(now + thread), millis(if thread == 5 { 90 } else { 1 }));
            }
            now += 100;
        }
        // What the fifth thread tells in a step counts in the next one.
        assert_eq!(overload.share(Priority::Low), 400);
    }

    #[test]
    fn a_share_is_what_random_numbers_make_of_it() {
        let (overload, mut now) = (Overload::new(TARGET), 1000);
        assert!(!overload.gives_up(Priority::Low, || panic!("nobody is given up")));
        steps(&overload, &mut now, 3, 60);
        let refused = (0..1000).filter(|random| overload.gives_up(Priority::Low, || *random)).count();
        assert_eq!(refused, 300);
        assert!(!overload.gives_up(Priority::Normal, || 0));
    }

    #[test]
    fn a_clock_that_stands_still_or_jumps_changes_little() {
        let overload = Overload::new(TARGET);
        for _ in 0..1000 {
            overload.told(millis(5000), millis(500));
        }
        assert_eq!(overload.share(Priority::Low), 100, "one step");
        overload.told(Duration::MAX, Duration::MAX);
        overload.told(Duration::ZERO, Duration::MAX);
        assert_eq!(overload.share(Priority::Low), 200);
    }
}
