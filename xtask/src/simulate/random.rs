//! Numbers that look random, and are the same for the same seed.

/// SplitMix64 (Steele, Lea and Flood, 2014).
#[derive(Clone)]
pub(super) struct Random(u64);

impl Random {
    /// Numbers for this seed and this purpose.
    pub(super) fn new(seed: u64, purpose: u64) -> Random {
        let mut random = Random(seed ^ purpose.wrapping_mul(0xd134_2543_de82_ef95));
        random.next();
        random
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// A number below this one.
    pub(super) fn below(&mut self, most: u64) -> u64 {
        self.next() % most.max(1)
    }

    /// From 0 to 1.
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Whether something happens that does so with this probability.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// How often something happened that does so this often on average (Poisson).
    pub(super) fn poisson(&mut self, mean: f64) -> u64 {
        if mean > 30.0 {
            // Close enough to a normal distribution.
            let normal: f64 = (0..12).map(|_| self.unit()).sum::<f64>() - 6.0;
            return (mean + normal * mean.sqrt()).round().max(0.0) as u64;
        }
        let (mut count, mut product, least) = (0, self.unit(), (-mean).exp());
        while product > least {
            count += 1;
            product *= self.unit();
        }
        count
    }
}
