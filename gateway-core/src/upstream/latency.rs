//! [`Latency`]: how long an endpoint takes to answer, as a moving average in which peaks count.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// After this time without an answer, what was measured counts for a third (1/e).
const DECAY_NANOSECONDS: u64 = 10_000_000_000;

/// A failure counts as an answer that took this long: an endpoint that fails quickly would else
/// be the most attractive of all.
const FAILURE_PENALTY: Duration = Duration::from_secs(5);

/// An exponentially weighted moving average that jumps up with a peak and comes down slowly.
///
/// Two words that are read and written without a lock: of two answers that come at the same
/// moment one may be lost, which an average bears.
#[derive(Debug, Default)]
pub(crate) struct Latency {
    /// Nanoseconds, as the bits of an `f64`; 0: nothing measured.
    average: AtomicU64,
    /// When it was measured, in nanoseconds since `epoch`.
    measured: AtomicU64,
}

impl Latency {
    /// Takes in an answer, or a failure, that took `delay`.
    pub(crate) fn observe(&self, delay: Duration, failed: bool, now: Instant) {
        let sample = if failed { delay.max(FAILURE_PENALTY) } else { delay };
        let sample = sample.as_nanos() as f64;
        let now = nanoseconds(now);
        let before = self.measured.swap(now, Ordering::Relaxed);
        let average = f64::from_bits(self.average.load(Ordering::Relaxed));
        let average = if sample >= average || before == 0 {
            sample
        } else {
            let share = share_left(now.saturating_sub(before));
            average.mul_add(share, sample * (1.0 - share))
        };
        self.average.store(average.to_bits(), Ordering::Relaxed);
    }

    /// What a request would cost as of `now`, in nanoseconds: 0 when nothing was measured.
    /// What was measured fades, so that an endpoint that nobody dares to pick is tried again.
    pub(crate) fn cost(&self, now: u64) -> f64 {
        let average = f64::from_bits(self.average.load(Ordering::Relaxed));
        if average == 0.0 {
            return 0.0;
        }
        let before = self.measured.load(Ordering::Relaxed);
        average * share_left(now.saturating_sub(before))
    }

    /// True when nothing was measured lately: what there is says little.
    pub(crate) fn is_stale(&self, now: u64) -> bool {
        let measured = self.measured.load(Ordering::Relaxed);
        measured == 0 || now.saturating_sub(measured) > DECAY_NANOSECONDS
    }

    /// The average as of its last measurement.
    pub(crate) fn current(&self) -> Option<Duration> {
        let measured = self.measured.load(Ordering::Relaxed) > 0;
        let average = f64::from_bits(self.average.load(Ordering::Relaxed));
        measured.then(|| Duration::from_nanos(average as u64))
    }
}

fn share_left(elapsed: u64) -> f64 {
    // Multiplied, not divided: done twice for each pick.
    const RATE: f64 = -1.0 / DECAY_NANOSECONDS as f64;
    (elapsed as f64 * RATE).exp()
}

/// `now` on the scale of [`Latency::cost`], never 0.
pub(crate) fn nanoseconds(now: Instant) -> u64 {
    use std::sync::OnceLock;
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    let epoch = *EPOCH.get_or_init(|| now);
    let elapsed = now.saturating_duration_since(epoch);
    let seconds = elapsed.as_secs().saturating_mul(1_000_000_000);
    seconds.saturating_add(u64::from(elapsed.subsec_nanos())).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const DECAY: Duration = Duration::from_nanos(DECAY_NANOSECONDS);

    #[tokio::test(start_paused = true)]
    async fn peaks_count_at_once_and_fade() {
        let latency = Latency::default();
        assert_eq!(latency.current(), None);
        latency.observe(MS, false, Instant::now());
        latency.observe(100 * MS, false, Instant::now());
        assert_eq!(latency.current(), Some(100 * MS));
        tokio::time::advance(DECAY).await;
        latency.observe(MS, false, Instant::now());
        let faded = latency.current().unwrap();
        assert!(faded > 35 * MS && faded < 39 * MS, "{faded:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn failures_cost_and_are_forgiven() {
        let latency = Latency::default();
        latency.observe(MS, true, Instant::now());
        assert_eq!(latency.current(), Some(FAILURE_PENALTY));
        tokio::time::advance(10 * DECAY).await;
        assert!(latency.cost(nanoseconds(Instant::now())) < MS.as_nanos() as f64);
    }
}
