//! A consumer's own past: how much of something it had at most, in five minutes, in each two hours of the last eight days.
//!
//! A day and a night, a weekend and a Monday are all within that past, so only what never was is remarkable. And it is
//! compared with what happens to everybody else at the same time, so that a marketing peak or a deploy, which all consumers
//! have together, is not remarkable either.

use crate::table::{Entry, Table};
use std::time::Duration;

/// The stretch of time in which something is counted.
pub const BUCKET: Duration = Duration::from_secs(300);
/// How many buckets a slot of the past has.
const PER_SLOT: u32 = 24;
/// How many slots there are: eight days.
const SLOTS: usize = 96;
/// How many buckets wait before they are past: half an hour.
const WAITING: usize = 6;
/// Who never had so much does not show what happens to all.
const ENOUGH: u64 = 10;
/// If this share of the others that are busy has twice its most as well, something happens to all of them,
const ALL: f64 = 0.3;
/// and an amount is so many times less remarkable, also for those who begin their day in the next three hours.
const SHARED: f64 = 3.0;
const LASTING: u32 = 36;
/// A consumer with a shorter past is not judged.
pub const YOUNG: Duration = Duration::from_secs(24 * 3600);

/// The past of one consumer, and its bucket of now.
#[derive(Clone)]
pub struct Past {
    first: Option<Duration>,
    last: Duration,
    bucket: u32,
    now: u64,
    slot: u32,
    slots: [Short; SLOTS],
    /// How many slots have something, which a full table asks of everybody.
    known: u32,
    /// Buckets that have ended and are no past yet, so that an attack is not measured against its own beginning.
    waiting: [u64; WAITING],
    /// The last bucket in which it had half its most, and the last one in which it had twice its most.
    busy_in: Option<u32>,
    grown_in: Option<u32>,
}

impl Default for Past {
    fn default() -> Past {
        Past {
            first: None,
            last: Duration::ZERO,
            bucket: 0,
            now: 0,
            slot: 0,
            slots: [Short::default(); SLOTS],
            known: 0,
            waiting: [0; WAITING],
            busy_in: None,
            grown_in: None,
        }
    }
}

/// A count in two bytes, of which a gateway with many consumers has many: exact below 2,048, and beyond that less than a
/// thousandth too low. The larger count is never the smaller one here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Short(u16);

impl Short {
    /// The bits of a count that are kept, the highest included.
    const BITS: u32 = 11;

    fn of(count: u64) -> Short {
        let dropped = (u64::BITS - count.leading_zeros()).saturating_sub(Self::BITS);
        // The highest bit of what is kept adds one to what stands above it.
        let code = (u64::from(dropped) << (Self::BITS - 1)) + (count >> dropped);
        Short(u16::try_from(code).unwrap_or(u16::MAX))
    }

    fn get(self) -> u64 {
        let code = u64::from(self.0);
        let dropped = (code >> (Self::BITS - 1)).saturating_sub(1);
        (code - (dropped << (Self::BITS - 1))) << dropped
    }
}

impl Entry for Past {
    fn last(&self) -> Duration {
        self.last
    }

    fn weight(&self) -> u32 {
        // A long past is what would be missed.
        self.known
    }
}

fn bucket_of(now: Duration) -> u32 {
    u32::try_from(now.as_secs() / BUCKET.as_secs()).unwrap_or(u32::MAX)
}

impl Past {
    fn count(&mut self, now: Duration, amount: u64) {
        let bucket = bucket_of(now);
        if self.first.is_none() {
            // Nothing is past yet.
            (self.first, self.bucket, self.slot) = (Some(now), bucket, bucket / PER_SLOT);
        }
        self.last = self.last.max(now);
        if bucket > self.bucket {
            self.close(bucket - self.bucket);
            self.bucket = bucket;
            let slot = bucket / PER_SLOT;
            let passed = usize::try_from(slot - self.slot).unwrap_or(SLOTS).min(SLOTS);
            for step in 0..passed {
                let emptied = slot - u32::try_from(step).unwrap_or(0);
                if let Some(place) = self.slots.get_mut(emptied as usize % SLOTS) {
                    *place = Short::default();
                }
            }
            self.slot = slot;
            let known = self.slots.iter().filter(|slot| **slot > Short::default()).count();
            self.known = u32::try_from(known).unwrap_or(u32::MAX);
        }
        self.now = self.now.saturating_add(amount);
    }

    /// Puts the bucket of now behind those that wait, and what has waited long enough into the past. So many buckets have passed.
    fn close(&mut self, passed: u32) {
        for step in 0..passed.min(u32::try_from(WAITING + 1).unwrap_or(u32::MAX)) {
            let [oldest, ..] = self.waiting;
            if let Some(place) = self.slots.get_mut(self.slot as usize % SLOTS) {
                *place = (*place).max(Short::of(oldest));
            }
            self.waiting.rotate_left(1);
            if let Some(last) = self.waiting.last_mut() {
                *last = if step == 0 { self.now } else { 0 };
            }
        }
        self.now = 0;
    }

    /// The most that it ever had in a bucket before this one.
    fn most(&self) -> u64 {
        self.slots.iter().copied().max().unwrap_or_default().get()
    }

    fn age(&self, now: Duration) -> Duration {
        self.first.map_or(Duration::ZERO, |first| now.saturating_sub(first))
    }
}

/// How a consumer's bucket of now compares.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Compared {
    /// How much there is of it in this bucket.
    pub now: u64,
    /// The most that there was in a bucket of its past.
    pub most: u64,
    /// How many times its most that is, after what became of everybody else is taken out.
    pub times: f64,
}

/// How many consumers had half their most in a bucket, and how many of them had twice their most. At night, those who sleep
/// do not count.
#[derive(Clone, Copy, Default)]
struct Crowd {
    busy: u32,
    grown: u32,
}

impl Crowd {
    /// Whether many others have grown beside one that has.
    fn is_shared(self) -> bool {
        let (others, grown) = (self.busy.saturating_sub(1), self.grown.saturating_sub(1));
        grown >= 2 && f64::from(grown) >= f64::from(others) * ALL
    }
}

/// The past of everybody, of one measure.
pub struct Histories {
    each: Table<u64, Past>,
    bucket: u32,
    crowd: Crowd,
    before: Crowd,
    /// The last bucket in which something happened to many.
    shared_in: Option<u32>,
}

impl Histories {
    /// In at most so many bytes.
    pub fn new(bytes: usize) -> Histories {
        Histories {
            each: Table::new(bytes, Duration::from_secs(8 * 24 * 3600)),
            bucket: 0,
            crowd: Crowd::default(),
            before: Crowd::default(),
            shared_in: None,
        }
    }

    fn turn(&mut self, bucket: u32) {
        if bucket > self.bucket {
            self.before = if bucket == self.bucket + 1 { self.crowd } else { Crowd::default() };
            (self.bucket, self.crowd) = (bucket, Crowd::default());
        }
    }

    /// Counts what the consumer of this number had, and how that compares. `None` while the past is too short to say.
    pub fn count(&mut self, consumer: u64, now: Duration, amount: u64) -> Option<Compared> {
        let bucket = bucket_of(now);
        self.turn(bucket);
        let past = self.each.entry(consumer, now);
        let known = past.age(now) >= YOUNG;
        past.count(now, amount);
        if !known {
            return None;
        }
        let most = past.most();
        if most >= ENOUGH && past.now >= most / 2 && past.busy_in != Some(bucket) {
            past.busy_in = Some(bucket);
            self.crowd.busy += 1;
        }
        if past.now <= most {
            return None;
        }
        if most >= ENOUGH && past.now >= most.saturating_mul(2) && past.grown_in != Some(bucket) {
            past.grown_in = Some(bucket);
            self.crowd.grown += 1;
        }
        // Whatever happens to many at once, such as a marketing peak, is nobody's own. One that is far beyond the others is.
        if self.crowd.is_shared() || self.before.is_shared() {
            self.shared_in = Some(bucket);
        }
        let shared = self.shared_in.is_some_and(|last| bucket.saturating_sub(last) < LASTING);
        let times = ratio(past.now, most.max(1)) / if shared { SHARED } else { 1.0 };
        Some(Compared { now: past.now, most, times })
    }

    /// The bytes that it takes.
    pub fn bytes(&self) -> usize {
        self.each.bytes()
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many for each of ten minutes from then on, for these consumers. The largest ratio of the first of them.
    fn play(histories: &mut Histories, from: u64, names: &[u64], per_minute: u64) -> f64 {
        let mut most: f64 = 0.0;
        for minute in 0..10 {
            for number in names {
                let now = Duration::from_secs(from + minute * 60);
                let compared = histories.count(*number, now, per_minute);
                if *number == names[0] {
                    most = most.max(compared.map_or(0.0, |compared| compared.times));
                }
            }
        }
        most
    }

    #[test]
    fn only_what_never_was_is_remarkable() {
        let mut histories = Histories::new(1 << 20);
        let (day, everybody) = (24 * 3600, [1, 2, 3, 4]);
        for hour in 0..(3 * 24) {
            // Nothing at night.
            let rate = if (8..20).contains(&(hour % 24)) { 100 } else { 0 };
            assert!(play(&mut histories, hour * 3600, &everybody, rate) < 5.0, "hour {hour}");
        }
        assert!(play(&mut histories, 3 * day + 9 * 3600, &everybody, 800) < 5.0, "everybody has it");
        assert!(play(&mut histories, 3 * day + 12 * 3600, &[1], 10_000) > 5.0, "one alone");
    }

    #[test]
    fn a_short_count_is_nearly_the_count() {
        for count in 0..2_048 {
            assert_eq!(Short::of(count).get(), count);
        }
        let mut before = 0;
        for bits in 10..64 {
            for count in [1_u64 << bits, (1 << bits) + (1 << (bits - 3)) + 1, u64::MAX >> (63 - bits)] {
                let short = Short::of(count).get();
                assert!(short <= count && count - short <= count / 1_000, "{count} is {short}");
                assert!(short >= before, "{count}");
                before = short;
            }
        }
    }

    #[test]
    fn many_consumers_find_a_place() {
        assert!(size_of::<Past>() <= 320, "{}", size_of::<Past>());
    }

    #[test]
    fn a_short_past_says_nothing() {
        let mut histories = Histories::new(1 << 20);
        assert!(play(&mut histories, 0, &[1], 1) == 0.0);
        assert!(play(&mut histories, 3600, &[1], 10_000) == 0.0);
    }
}
