//! [`Window`]: how many of the latest calls were bad, counted without a lock.

use std::time::Duration;

use super::sync::{AtomicU64, Ordering};

/// The window moves on by a tenth of its length at a time.
pub(super) const BUCKETS: u64 = 10;

/// Bits of a bucket's word for its number; the rest is two counts.
const TAG_BITS: u32 = 28;
const COUNT_BITS: u32 = 18;
const TAG_MASK: u64 = (1 << TAG_BITS) - 1;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;

/// A bucket whose number is ahead of a caller's by at most this is newer; by more, it has been
/// left behind for so long that its number came round again.
const MOST_AHEAD: u64 = 1 << 16;

/// Counts calls, and the bad ones among them, over a sliding time.
///
/// Each bucket is one word with the bucket's number in it, so that it is emptied and counted in by
/// one compare-and-swap, and nobody has to empty the window as time passes. Relaxed operations do:
/// every rule is about one word, whose changes have one order. Calls that end at the same instant
/// in two buckets may miss each other's count; the next call sees both.
///
/// When the count of a bucket is full, at 262,143 calls, both of its counts are halved: the ratio
/// stays, and what is new still counts.
#[derive(Debug)]
pub(super) struct Window {
    buckets: [AtomicU64; BUCKETS as usize],
    /// Nanoseconds.
    width: u64,
}

/// What a window counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) total: u32,
    pub(super) bad: u32,
}

/// The number of a bucket: its time, and the generation whose calls it counts.
///
/// A generation's numbers are ahead of those of the one before it by more than a window, so that a
/// new generation finds nothing of an older one without emptying anything, and a call of an older
/// one, however late, counts into a bucket that nobody looks at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp(u64);

impl Window {
    pub(super) fn new(length: Duration) -> Self {
        let width = (nanoseconds(length) / BUCKETS).max(1);
        Self { buckets: std::array::from_fn(|_| AtomicU64::new(0)), width }
    }

    /// The bucket of `generation` at `now`.
    pub(super) fn stamp(&self, generation: u64, now: Duration) -> Stamp {
        let tick = nanoseconds(now) / self.width;
        Stamp(tick.wrapping_add(generation.wrapping_mul(BUCKETS + 1)))
    }

    /// Counts a call.
    pub(super) fn add(&self, stamp: Stamp, bad: bool) {
        let bucket = &self.buckets[(stamp.0 % BUCKETS) as usize];
        let mut word = bucket.load(Ordering::Relaxed);
        loop {
            let counts = Counts::of(word);
            let ahead = tag(word).wrapping_sub(stamp.0) & TAG_MASK;
            let counts = match ahead {
                0 => counts,
                1..=MOST_AHEAD if counts.total > 0 => return,
                _ => Counts::default(),
            };
            let next = counts.plus(bad).word(stamp);
            match bucket.compare_exchange_weak(word, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(changed) => word = changed,
            }
        }
    }

    /// What the window that ends with this bucket counted.
    pub(super) fn sum(&self, stamp: Stamp) -> Counts {
        let mut sum = Counts::default();
        for bucket in &self.buckets {
            let word = bucket.load(Ordering::Relaxed);
            let age = stamp.0.wrapping_sub(tag(word)) & TAG_MASK;
            if age < BUCKETS {
                let counts = Counts::of(word);
                sum.total += counts.total;
                sum.bad += counts.bad;
            }
        }
        sum
    }
}

impl Counts {
    /// The share of bad ones; 0 of nothing.
    ///
    /// A quotient, because that of 7 and 100 is the same number as 0.07, while 0.07 times 100 is
    /// more than 7.
    pub(super) fn ratio(self) -> f64 {
        if self.total == 0 { 0.0 } else { f64::from(self.bad) / f64::from(self.total) }
    }

    fn of(word: u64) -> Self {
        let count = |shift: u32| ((word >> shift) & COUNT_MASK) as u32;
        Self { total: count(COUNT_BITS), bad: count(0) }
    }

    fn plus(mut self, bad: bool) -> Self {
        if u64::from(self.total) == COUNT_MASK {
            self = Self { total: self.total / 2, bad: self.bad / 2 };
        }
        Self { total: self.total + 1, bad: self.bad + u32::from(bad) }
    }

    fn word(self, stamp: Stamp) -> u64 {
        let tag = (stamp.0 & TAG_MASK) << (2 * COUNT_BITS);
        tag | u64::from(self.total) << COUNT_BITS | u64::from(self.bad)
    }
}

fn tag(word: u64) -> u64 {
    word >> (2 * COUNT_BITS)
}

/// 584 years of them fit.
pub(super) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[cfg(not(gateway_loom))]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn counts(total: u32, bad: u32) -> Counts {
        Counts { total, bad }
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten() {
        let window = Window::new(WINDOW);
        window.add(window.stamp(0, at(0)), true);
        window.add(window.stamp(0, at(5)), false);
        assert_eq!(window.sum(window.stamp(0, at(9))), counts(2, 1));
        assert_eq!(window.sum(window.stamp(0, at(10))), counts(1, 0));
        assert_eq!(window.sum(window.stamp(0, at(15))), counts(0, 0));
        window.add(window.stamp(0, at(20)), true);
        assert_eq!(window.sum(window.stamp(0, at(20))), counts(1, 1), "a bucket used again");
    }

    #[test]
    fn a_generation_finds_nothing_of_another() {
        let window = Window::new(WINDOW);
        for second in 0..100 {
            window.add(window.stamp(0, at(second)), true);
        }
        let stamp = window.stamp(1, at(99));
        assert_eq!(window.sum(stamp), counts(0, 0));
        window.add(stamp, false);
        for second in 90..=99 {
            window.add(window.stamp(0, at(second)), true);
        }
        assert_eq!(window.sum(window.stamp(1, at(99))), counts(1, 0));
    }

    #[test]
    fn a_late_caller_takes_nothing_away() {
        let window = Window::new(WINDOW);
        window.add(window.stamp(0, at(30)), true);
        window.add(window.stamp(0, at(20)), false);
        assert_eq!(window.sum(window.stamp(0, at(30))), counts(1, 1));
    }

    #[test]
    fn a_full_bucket_keeps_its_ratio_and_goes_on_counting() {
        let window = Window::new(WINDOW);
        let stamp = window.stamp(0, at(1));
        for index in 0..600_000 {
            window.add(stamp, index % 4 == 0);
        }
        let sum = window.sum(stamp);
        assert!(sum.total > 131_000 && u64::from(sum.total) <= COUNT_MASK, "{sum:?}");
        assert!((sum.ratio() - 0.25).abs() < 0.001, "{sum:?}");
        for _ in 0..300_000 {
            window.add(stamp, true);
        }
        assert!(window.sum(stamp).ratio() > 0.6);
    }

    #[test]
    fn numbers_that_come_round_again_are_no_obstacle() {
        let window = Window::new(Duration::from_nanos(10));
        window.add(window.stamp(0, Duration::from_nanos(3)), true);
        // The number of the first tick has come round, nearly and more than once.
        for tick in [(1 << TAG_BITS) - 20, (1 << TAG_BITS) + 70, 3 << TAG_BITS] {
            let stamp = window.stamp(0, Duration::from_nanos(tick));
            window.add(stamp, false);
            assert_eq!(window.sum(stamp), counts(1, 0), "{tick}");
        }
    }

    #[test]
    fn a_ratio_is_exact_where_it_was_written() {
        assert!(counts(100, 7).ratio() >= 0.07);
        assert!(counts(10, 3).ratio() >= 0.3);
        assert!(counts(0, 0).ratio() < f64::MIN_POSITIVE);
    }
}
