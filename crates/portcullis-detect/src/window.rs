//! Counts over the last minutes, in a fixed number of bytes.

use std::time::Duration;

/// What was counted in this stretch of time and in the one before. Together they cover at least one whole stretch up to now,
/// and less than two.
#[derive(Clone, Copy, Debug, Default)]
pub struct Window<T> {
    stretch: u32,
    this: T,
    before: T,
}

impl<T: Copy + Default> Window<T> {
    /// What is counted now, when a stretch is this long. Time that goes back counts as now.
    pub fn now(&mut self, now: Duration, length: Duration) -> &mut T {
        let stretch = u32::try_from(now.as_millis() / length.as_millis().max(1)).unwrap_or(u32::MAX);
        match stretch.checked_sub(self.stretch) {
            None | Some(0) => {}
            Some(1) => {
                self.before = self.this;
                self.this = T::default();
                self.stretch = stretch;
            }
            Some(_) => {
                self.before = T::default();
                self.this = T::default();
                self.stretch = stretch;
            }
        }
        &mut self.this
    }

    /// Both stretches, as they were at the last [`Window::now`].
    pub fn both(&self) -> [&T; 2] {
        [&self.this, &self.before]
    }
}

impl Window<u32> {
    /// Counts one more, and answers with the sum.
    pub fn add(&mut self, now: Duration, length: Duration) -> u32 {
        let count = self.now(now, length);
        *count = count.saturating_add(1);
        self.sum()
    }

    /// The sum of both stretches.
    pub fn sum(&self) -> u32 {
        self.this.saturating_add(self.before)
    }
}

/// An estimate of how many different numbers were seen: linear counting (Whang and others, 1990) in 1024 bits. Exact enough
/// up to a few hundred, within a few per cent; never more than 3000.
#[derive(Clone, Copy, Debug, Default)]
pub struct Distinct([u64; 16]);

impl Distinct {
    const BITS: u64 = 1024;

    /// Sees a number. Whether that changed anything.
    pub fn see(&mut self, number: u64) -> bool {
        // Numbers may be small and in sequence; this spreads them (a step of SplitMix64).
        let mut bits = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        let place = bits % Self::BITS;
        let Some(word) = usize::try_from(place / 64).ok().and_then(|word| self.0.get_mut(word)) else {
            return false;
        };
        let new = *word & (1 << (place % 64)) == 0;
        *word |= 1 << (place % 64);
        new
    }

    fn estimate(set: u32) -> u32 {
        let all = f64::from(u32::try_from(Self::BITS).unwrap_or(u32::MAX));
        let empty = all - f64::from(set);
        if empty < 1.0 {
            return 3000;
        }
        let estimate = (all * (all / empty).ln()).round() as u32;
        estimate.min(3000)
    }

    /// How many there were, about.
    pub fn count(&self) -> u32 {
        Self::estimate(self.0.iter().map(|word| word.count_ones()).sum())
    }
}

impl Window<Distinct> {
    /// How many there were in both stretches, about.
    pub fn count(&self) -> u32 {
        let [this, before] = self.both();
        Distinct::estimate(
            this.0.iter().zip(before.0).map(|(this, before)| (this | before).count_ones()).sum(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_covers_at_least_its_length() {
        let (mut window, length) = (Window::<u32>::default(), Duration::from_secs(60));
        for second in 0..60 {
            window.add(Duration::from_secs(30 + second), length);
        }
        assert_eq!(window.sum(), 60, "a minute across the border between two stretches");
        window.now(Duration::from_secs(300), length);
        assert_eq!(window.sum(), 0);
        window.add(Duration::from_secs(10), length);
        assert_eq!(window.sum(), 1, "time that goes back is now");
    }

    #[test]
    fn different_numbers_are_counted_well_enough() {
        for many in [0_u64, 1, 5, 20, 40, 100, 300, 600] {
            let mut distinct = Distinct::default();
            for number in 0..many {
                distinct.see(number);
                distinct.see(number);
            }
            let (count, many) = (f64::from(distinct.count()), f64::from(u32::try_from(many).unwrap()));
            assert!((count - many).abs() <= 1.0 + many * 0.07, "{many}: {count}");
        }
        let mut full = Distinct::default();
        (0..1_000_000).for_each(|number| {
            full.see(number);
        });
        assert_eq!(full.count(), 3000);
    }
}
