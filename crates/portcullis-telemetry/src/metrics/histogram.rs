//! Durations, counted by how long they took.

use std::time::Duration;

/// The upper bound of a bucket.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    /// In microseconds, inclusive.
    micros: u64,
    /// In seconds, as it is written.
    pub(super) text: &'static str,
}

const fn bound(micros: u64, text: &'static str) -> Bound {
    Bound { micros, text }
}

/// The buckets: from what a decision takes to what a slow upstream takes.
pub(super) const BOUNDS: [Bound; 15] = [
    bound(50, "0.00005"),
    bound(100, "0.0001"),
    bound(250, "0.00025"),
    bound(500, "0.0005"),
    bound(1_000, "0.001"),
    bound(2_500, "0.0025"),
    bound(5_000, "0.005"),
    bound(10_000, "0.01"),
    bound(25_000, "0.025"),
    bound(50_000, "0.05"),
    bound(100_000, "0.1"),
    bound(250_000, "0.25"),
    bound(1_000_000, "1"),
    bound(5_000_000, "5"),
    bound(30_000_000, "30"),
];

/// How often durations of which length were seen.
#[derive(Clone, Debug, Default)]
pub struct Histogram {
    counts: [u64; BOUNDS.len()],
    count: u64,
    sum_micros: u64,
}

impl Histogram {
    /// Counts a duration.
    pub fn observe(&mut self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        if let Some(count) = BOUNDS
            .iter()
            .position(|bound| micros <= bound.micros)
            .and_then(|place| self.counts.get_mut(place))
        {
            *count += 1;
        }
        self.count += 1;
        self.sum_micros = self.sum_micros.saturating_add(micros);
    }

    /// Adds what another one counted.
    pub fn add(&mut self, other: &Histogram) {
        self.counts.iter_mut().zip(other.counts).for_each(|(mine, theirs)| *mine += theirs);
        self.count += other.count;
        self.sum_micros = self.sum_micros.saturating_add(other.sum_micros);
    }

    /// What was counted since this one was `before`.
    #[must_use]
    pub fn since(&self, before: &Histogram) -> Histogram {
        let mut counts = self.counts;
        counts.iter_mut().zip(before.counts).for_each(|(now, then)| *now = now.saturating_sub(then));
        Histogram {
            counts,
            count: self.count.saturating_sub(before.count),
            sum_micros: self.sum_micros.saturating_sub(before.sum_micros),
        }
    }

    /// How often, for each bucket by itself.
    pub(super) fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// The upper bounds of the buckets in seconds, and how many durations each has; the last has no bound.
    pub(super) fn buckets(&self) -> (Vec<f64>, Vec<u64>) {
        let bounds = BOUNDS.iter().map(|bound| Duration::from_micros(bound.micros).as_secs_f64()).collect();
        let within: u64 = self.counts.iter().sum();
        let counts = self.counts.iter().copied().chain([self.count.saturating_sub(within)]).collect();
        (bounds, counts)
    }

    /// How many durations there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// All of them together, in seconds.
    pub fn sum_seconds(&self) -> f64 {
        Duration::from_micros(self.sum_micros).as_secs_f64()
    }

    /// A duration, in seconds, that this share of them does not exceed: the bound of the bucket in which it lies. `None` where there
    /// were none, infinity beyond the last bound.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        if self.count == 0 {
            return None;
        }
        let wanted = super::number(self.count) * share;
        let mut so_far = 0;
        for (count, bound) in self.counts.iter().zip(BOUNDS) {
            so_far += count;
            if super::number(so_far) >= wanted {
                return Some(Duration::from_micros(bound.micros).as_secs_f64());
            }
        }
        Some(f64::INFINITY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_at_a_bound_is_within_it() {
        let mut histogram = Histogram::default();
        for micros in [0, 50, 51, 30_000_000, 30_000_001] {
            histogram.observe(Duration::from_micros(micros));
        }
        assert_eq!(histogram.counts()[..2], [2, 1]);
        assert_eq!(histogram.counts()[14], 1);
        assert_eq!(histogram.count(), 5);
        assert_eq!(histogram.quantile(0.4), Some(0.00005));
        assert_eq!(histogram.quantile(1.0), Some(f64::INFINITY));
        assert_eq!(Histogram::default().quantile(0.5), None);
    }

    #[test]
    fn what_is_written_of_a_bound_is_its_value() {
        for bound in BOUNDS {
            let written: f64 = bound.text.parse().unwrap();
            assert!((written * 1e6 - f64::from(u32::try_from(bound.micros).unwrap())).abs() < 1e-6);
        }
    }
}
