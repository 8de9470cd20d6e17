//! [`Backoff`]: how long a source that failed waits before it asks again.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// How long a source that failed waits before it asks again.
///
/// The wait is drawn anew each time, between a tenth of `first` and a limit that begins at `first`
/// and doubles with every further failure: many gateways that lost one registry do not come back to
/// it at the same moment.
///
/// ```
/// use std::time::Duration;
///
/// use gateway_layers::discovery::Backoff;
///
/// let patient = Backoff::new(Duration::from_secs(5), Duration::from_secs(60));
/// assert_eq!(Backoff::default().max, Duration::from_secs(30));
/// # let _ = patient;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backoff {
    /// The longest wait after the first failure. Default: 1 s.
    pub first: Duration,
    /// The longest wait ever. Default: 30 s.
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new(Duration::from_secs(1), Duration::from_secs(30))
    }
}

impl Backoff {
    /// Waits up to `first` after the first failure, and never more than `max`.
    pub fn new(first: Duration, max: Duration) -> Self {
        Self { first, max }
    }

    /// The wait after so many failures in a row.
    pub(super) fn delay(&self, failures: u32) -> Duration {
        self.at(failures, random_share())
    }

    fn at(&self, failures: u32, share: f64) -> Duration {
        // More doublings than this pass any limit there is.
        let doublings = failures.saturating_sub(1).min(31);
        let limit = self.first.saturating_mul(1 << doublings).min(self.max);
        limit.mul_f64(share).max(self.first.min(self.max) / 10)
    }
}

/// A random number from 0 to 1. It spreads waits, and guards nothing.
pub(super) fn random_share() -> f64 {
    f64::from(RandomState::new().hash_one(0_u8) as u32) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_limit_doubles_until_it_is_reached() {
        let backoff = Backoff::default();
        let most: Vec<_> = (1..=7).map(|failures| backoff.at(failures, 1.0).as_secs()).collect();
        assert_eq!(most, [1, 2, 4, 8, 16, 30, 30]);
    }

    proptest! {
        #[test]
        fn a_wait_is_never_too_short_nor_too_long(failures in any::<u32>(), share in 0.0..=1.0) {
            let backoff = Backoff::default();
            let wait = backoff.at(failures, share);
            prop_assert!(wait >= backoff.first / 10 && wait <= backoff.max);
        }
    }

    #[test]
    fn waits_differ() {
        let backoff = Backoff::default();
        let first = backoff.delay(5);
        assert!((0..100).any(|_| backoff.delay(5) != first));
    }
}
