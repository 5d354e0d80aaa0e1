//! Counting in windows: fixed ones, and one that slides.
//!
//! A window begins at a multiple of its period since 1970, or by a calendar, so that all gateways mean the same one. Of a
//! sliding window the count of the one before is kept as well, and counts in proportion to how much of it still lies in
//! the period up to now. A clock that is put back changes no count: what was counted is then counted in the window of now.

use super::NamedLimit;
use super::table::State;
use portcullis_core::{Algorithm, Count};
use std::time::Duration;

const SECOND: u64 = 1_000_000_000;

/// A window in nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) begin: u64,
    pub(crate) end: u64,
}

impl Bounds {
    /// The window of this limit that has this moment.
    pub(crate) fn of(limit: &NamedLimit, now: u64) -> Bounds {
        match &limit.calendar {
            Some(calendar) => {
                let (begin, end) = calendar.window(now / SECOND);
                Bounds { begin: begin.saturating_mul(SECOND), end: end.saturating_mul(SECOND) }
            }
            None => {
                let period = u64::try_from(limit.limit.period.as_nanos()).unwrap_or(u64::MAX).max(1);
                let begin = now - now % period;
                Bounds { begin, end: begin.saturating_add(period) }
            }
        }
    }
}

/// What is counted of a key. 24 bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    begin: u64,
    /// When none of it counts any more.
    until: u64,
    current: u32,
    previous: u32,
}

impl State for Window {
    fn is_free(&self, now: u64) -> bool {
        self.until <= now
    }
}

/// What counts in windows.
#[derive(Clone, Copy, Debug)]
pub(super) struct WindowRate {
    pub(super) max: u32,
    pub(super) slides: bool,
}

impl WindowRate {
    pub(super) fn of(limit: &NamedLimit) -> WindowRate {
        WindowRate { max: limit.limit.max, slides: limit.limit.algorithm == Algorithm::SlidingWindow }
    }

    /// This rate divided among so many gateways; at least one request is left to each.
    pub(super) fn share(self, gateways: u32) -> WindowRate {
        WindowRate { max: (self.max / gateways.max(1)).max(1), ..self }
    }
}

impl Window {
    fn roll(&mut self, bounds: Bounds, slides: bool) {
        if bounds.begin > self.begin {
            let length = bounds.end - bounds.begin;
            // The window that ended where this one begins, if anything was counted in it.
            let follows = self.until > bounds.begin && self.begin.saturating_add(length) >= bounds.begin;
            self.previous = if slides && follows { self.current } else { 0 };
            self.current = 0;
        }
        self.begin = bounds.begin;
        let length = bounds.end - bounds.begin;
        self.until = if slides { bounds.end.saturating_add(length) } else { bounds.end };
    }

    /// How much of the window before counts now, rounded up.
    fn carried(&self, bounds: Bounds, now: u64) -> u32 {
        let (left, length) = (bounds.end.saturating_sub(now), (bounds.end - bounds.begin).max(1));
        let carried = u128::from(self.previous) * u128::from(left);
        u32::try_from(carried.div_ceil(u128::from(length))).unwrap_or(u32::MAX)
    }

    /// Charges a request, if it is within the limit; at a cost of 0, tells whether one more would be.
    pub(super) fn charge(&mut self, rate: WindowRate, bounds: Bounds, now: u64, cost: u32) -> Count {
        self.roll(bounds, rate.slides);
        let used = self.carried(bounds, now).saturating_add(self.current);
        let wanted = cost.max(1);
        let allowed = used.checked_add(wanted).is_some_and(|used| used <= rate.max);
        if allowed {
            self.current += cost;
        }
        let used = if allowed { used + cost } else { used };
        let remaining = rate.max.saturating_sub(used);
        let end = Duration::from_nanos(bounds.end.saturating_sub(now));
        let retry_after =
            if remaining >= wanted { Duration::ZERO } else { self.wait(rate, bounds, now, wanted) };
        Count { allowed, remaining, retry_after, reset_after: end }
    }

    /// Until so much is allowed.
    fn wait(&self, rate: WindowRate, bounds: Bounds, now: u64, wanted: u32) -> Duration {
        let (end, length) = (bounds.end.saturating_sub(now), bounds.end - bounds.begin);
        if !rate.slides {
            return Duration::from_nanos(end);
        }
        // The part of a count that may still count, as time before the end of the window that carries it.
        let time = |count: u32, room: u32| {
            let time = u128::from(length) * u128::from(room) / u128::from(count.max(1));
            u64::try_from(time).unwrap_or(u64::MAX)
        };
        match rate.max.checked_sub(self.current.saturating_add(wanted)) {
            Some(room) => Duration::from_nanos(end.saturating_sub(time(self.previous, room))),
            None => {
                let room = rate.max.saturating_sub(wanted);
                let further = length.saturating_sub(time(self.current, room));
                Duration::from_nanos(end.saturating_add(further))
            }
        }
    }

    /// Counts this, whatever is allowed.
    pub(super) fn debit(&mut self, rate: WindowRate, bounds: Bounds, cost: u32) {
        self.roll(bounds, rate.slides);
        self.current = self.current.saturating_add(cost);
    }

    /// Does not count this after all, if the window is still the same.
    pub(super) fn refund(&mut self, bounds: Bounds, cost: u32) {
        if self.begin == bounds.begin {
            self.current = self.current.saturating_sub(cost);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { begin: 100 * SECOND, end: 110 * SECOND };
    const NEXT: Bounds = Bounds { begin: 110 * SECOND, end: 120 * SECOND };

    fn allowed(window: &mut Window, rate: WindowRate, bounds: Bounds, now: u64, times: u32) -> u32 {
        (0..times).filter(|_| window.charge(rate, bounds, now * SECOND, 1).allowed).count() as u32
    }

    #[test]
    fn a_fixed_window_begins_anew_at_its_end() {
        let (mut window, rate) = (Window::default(), WindowRate { max: 5, slides: false });
        assert_eq!(allowed(&mut window, rate, BOUNDS, 101, 9), 5);
        let count = window.charge(rate, BOUNDS, 104 * SECOND, 1);
        assert_eq!((count.allowed, count.remaining, count.retry_after.as_secs()), (false, 0, 6));
        assert_eq!(allowed(&mut window, rate, NEXT, 110, 9), 5);
    }

    #[test]
    fn a_sliding_window_remembers_the_one_before() {
        let (mut window, rate) = (Window::default(), WindowRate { max: 10, slides: true });
        assert_eq!(allowed(&mut window, rate, BOUNDS, 109, 20), 10);
        assert_eq!(allowed(&mut window, rate, NEXT, 110, 20), 0, "all of it lies in the last ten seconds");
        assert_eq!(allowed(&mut window, rate, NEXT, 115, 20), 5);
        let count = window.charge(rate, NEXT, 115 * SECOND, 1);
        assert_eq!((count.allowed, count.retry_after.as_secs()), (false, 1));
        assert_eq!(allowed(&mut window, rate, NEXT, 116, 20), 1);
    }

    #[test]
    fn a_clock_that_is_put_back_gives_nothing_anew() {
        for slides in [false, true] {
            let (mut window, rate) = (Window::default(), WindowRate { max: 5, slides });
            assert_eq!(allowed(&mut window, rate, NEXT, 111, 9), 5);
            assert_eq!(allowed(&mut window, rate, BOUNDS, 101, 9), 0);
            assert_eq!(allowed(&mut window, rate, BOUNDS, 109, 9), 0);
        }
    }

    #[test]
    fn a_cost_is_all_or_nothing_and_can_be_taken_back() {
        let (mut window, rate) = (Window::default(), WindowRate { max: 10, slides: false });
        assert!(window.charge(rate, BOUNDS, 101 * SECOND, 7).allowed);
        let count = window.charge(rate, BOUNDS, 101 * SECOND, 4);
        assert_eq!((count.allowed, count.remaining), (false, 3));
        assert!(window.charge(rate, BOUNDS, 101 * SECOND, 0).allowed);
        window.refund(BOUNDS, 7);
        assert!(window.charge(rate, BOUNDS, 101 * SECOND, 10).allowed);
        assert!(!window.charge(rate, BOUNDS, 101 * SECOND, 0).allowed, "one more would be too many");
        window.debit(rate, NEXT, u32::MAX);
        assert!(!window.charge(rate, NEXT, 111 * SECOND, 1).allowed);
    }
}
