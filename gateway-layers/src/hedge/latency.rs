//! [`Latencies`]: how long the latest answers took, in bounded memory and without a lock.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// Each power of two is divided into this many buckets, so that a time is known to an eighth.
const PARTS: u64 = 8;

/// Longer times, over an hour, are all alike.
const LONGEST: u64 = u32::MAX as u64;

/// From 0 to [`LONGEST`] microseconds.
const BUCKETS: usize = 240;

/// Samples of one generation; the current one and the one before count.
const GENERATION: u64 = 1_024;

/// The percentile is computed anew after this many samples.
const REFRESH: u64 = 32;

/// The latest latencies. Threads that sample at one moment may lose a sample to each other when
/// generations change; the percentile does not notice.
#[derive(Debug)]
pub(super) struct Latencies {
    generations: [Box<[AtomicU32]>; 2],
    seen: AtomicU64,
    min_samples: u64,
    percentile: f64,
    /// The percentile in microseconds; 0 while there is none.
    current: AtomicU64,
}

impl Latencies {
    pub(super) fn new(percentile: f64, min_samples: u32) -> Self {
        let generation = || (0..BUCKETS).map(|_| AtomicU32::new(0)).collect();
        Self {
            generations: [generation(), generation()],
            seen: AtomicU64::new(0),
            min_samples: u64::from(min_samples).max(1),
            percentile: percentile.clamp(0.0, 100.0),
            current: AtomicU64::new(0),
        }
    }

    /// The percentile; `None` while there are too few samples.
    pub(super) fn percentile(&self) -> Option<Duration> {
        let current = self.current.load(Ordering::Relaxed);
        (current > 0).then(|| Duration::from_micros(current))
    }

    /// One answer took `latency`.
    pub(super) fn note(&self, latency: Duration) {
        let before = self.seen.fetch_add(1, Ordering::Relaxed);
        let [even, odd] = &self.generations;
        let generation = if (before / GENERATION).is_multiple_of(2) { even } else { odd };
        if before.is_multiple_of(GENERATION) {
            generation.iter().for_each(|count| count.store(0, Ordering::Relaxed));
        }
        let microseconds = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        if let Some(count) = generation.get(index(microseconds)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let seen = before + 1;
        let is_due = seen.is_multiple_of(REFRESH) && seen > self.min_samples;
        if is_due || seen == self.min_samples {
            self.current.store(self.compute(), Ordering::Relaxed);
        }
    }

    fn compute(&self) -> u64 {
        let [even, odd] = &self.generations;
        let counts = even.iter().zip(odd).map(|(even, odd)| {
            u64::from(even.load(Ordering::Relaxed)) + u64::from(odd.load(Ordering::Relaxed))
        });
        let counts: [u64; BUCKETS] = {
            let mut list = [0; BUCKETS];
            list.iter_mut().zip(counts).for_each(|(place, count)| *place = count);
            list
        };
        let total: u64 = counts.iter().sum();
        let wanted = ((total as f64 * self.percentile / 100.0).ceil() as u64).max(1);
        let mut sum = 0;
        let found = counts.iter().position(|count| {
            sum += count;
            sum >= wanted
        });
        found.map_or(0, upper_edge)
    }
}

/// The bucket of a time in microseconds.
fn index(microseconds: u64) -> usize {
    let time = microseconds.min(LONGEST);
    let shift = u64::from(time.max(PARTS).ilog2() - PARTS.ilog2());
    (shift * PARTS + (time >> shift)) as usize
}

/// Every time of bucket `index` is less than this one.
fn upper_edge(index: usize) -> u64 {
    let index = index as u64;
    let shift = (index / PARTS).saturating_sub(1);
    (index - shift * PARTS + 1) << shift
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn noted(latencies: &Latencies, times: impl IntoIterator<Item = u64>) {
        times.into_iter().for_each(|time| latencies.note(Duration::from_micros(time)));
    }

    #[test]
    fn few_samples_are_no_percentile() {
        let latencies = Latencies::new(50.0, 10);
        noted(&latencies, [100; 9]);
        assert_eq!(latencies.percentile(), None);
        noted(&latencies, [100]);
        assert_eq!(latencies.percentile(), Some(Duration::from_micros(104)));
    }

    #[test]
    fn what_was_long_ago_is_forgotten() {
        let latencies = Latencies::new(95.0, 10);
        noted(&latencies, [1_000_000; 1_024]);
        noted(&latencies, [100; 1_024]);
        assert!(latencies.percentile() > Some(Duration::from_secs(1)));
        noted(&latencies, [100; 32]);
        assert_eq!(latencies.percentile(), Some(Duration::from_micros(104)));
    }

    #[test]
    fn no_time_is_out_of_range() {
        assert_eq!(index(u64::MAX), BUCKETS - 1);
        let latencies = Latencies::new(f64::MAX, 0);
        latencies.note(Duration::MAX);
        assert_eq!(latencies.percentile(), Some(Duration::from_micros(1 << 32)));
    }

    proptest! {
        #[test]
        fn an_edge_is_above_and_near(time in 0..LONGEST) {
            let edge = upper_edge(index(time));
            prop_assert!(time < edge && edge <= time + time / PARTS + 1, "{edge}");
        }

        #[test]
        fn the_percentile_is_that_of_a_sorted_list(
            mut times in proptest::collection::vec(0..10_000_000u64, 32..=32),
            percentile in 1u32..=100,
        ) {
            let latencies = Latencies::new(f64::from(percentile), 32);
            noted(&latencies, times.iter().copied());
            times.sort_unstable();
            let rank = (32 * percentile).div_ceil(100) as usize;
            let edge = upper_edge(index(times[rank - 1]));
            prop_assert_eq!(latencies.percentile(), Some(Duration::from_micros(edge)));
        }
    }
}
