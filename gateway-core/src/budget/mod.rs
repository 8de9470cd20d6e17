//! [`RetryBudget`]: how much more than its clients ask for a gateway may ask of its upstreams.
//!
//! Retries and hedges help while few requests fail, and finish off a server that is in trouble:
//! with two retries each, an upstream that fails everything gets three times its load. A budget
//! ends that. Extra attempts are a share of the requests that came in, and a small reserve for
//! times of few requests; when both are used up, requests keep what their first attempt brought.
//!
//! One budget belongs to all that sends to one upstream. Of two layers that draw from it, the
//! outer one counts the requests, and the inner one is given a [spender](RetryBudget::spender).
//!
//! ```
//! use gateway_core::budget::{RetryBudgetConfig, RetryBudget};
//!
//! let mut config = RetryBudgetConfig::default();
//! config.ratio = 0.5;
//! config.min_per_second = 0;
//! let budget = RetryBudget::new(&config);
//! budget.deposit();
//! assert!(!budget.withdraw());
//! budget.deposit();
//! assert!(budget.withdraw());
//! ```

mod counts;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use self::counts::{BUCKETS, Ledger};

/// What [`counts`] is made of.
mod sync {
    pub(super) use std::sync::atomic::{AtomicU64, Ordering, fence};
}

/// The shortest and the longest window; others are taken for the nearer one.
const WINDOWS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3600));

/// How many extra attempts there may be.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct RetryBudgetConfig {
    /// Extra attempts per request. Default: 0.2, a fifth. Less than 0 is 0.
    pub ratio: f64,
    /// Extra attempts a second that are allowed however few requests there are. Default: 10. They
    /// are a reserve for the whole window, and may be used up at once.
    pub min_per_second: u32,
    /// What is counted: the requests and extra attempts of this time. Default: 10 s, from 1 s to
    /// 1 h.
    pub window: Duration,
}

impl Default for RetryBudgetConfig {
    fn default() -> Self {
        Self { ratio: 0.2, min_per_second: 10, window: Duration::from_secs(10) }
    }
}

/// How many extra attempts are left. Clones share one budget.
///
/// An extra attempt is granted while, with it, those of the last `window` are at most `ratio` of
/// the requests of that time, and `min_per_second * window`. This holds for every window that ends
/// with an extra attempt, whatever threads do. Time is counted in tenths of a window, and rounded
/// so that the promise is kept: a request counts for nine to ten tenths of a window, an extra
/// attempt for ten to eleven.
///
/// On atomics only: nobody waits, and a request costs one addition.
#[derive(Clone)]
pub struct RetryBudget {
    shared: Arc<Shared>,
    earns: bool,
}

struct Shared {
    ledger: Ledger,
    start: Instant,
    /// The length of a bucket, in nanoseconds.
    bucket: u64,
}

impl RetryBudget {
    /// A budget of its own.
    pub fn new(config: &RetryBudgetConfig) -> Self {
        const MILLION: f64 = 1e6;
        let window = config.window.clamp(WINDOWS.0, WINDOWS.1);
        // A cast from `f64` saturates, and takes what is no number for 0.
        let per_million = (config.ratio * MILLION).round() as u64;
        let reserve = u128::from(config.min_per_second) * window.as_millis() / 1_000;
        let shared = Shared {
            ledger: Ledger::new(per_million, u64::try_from(reserve).unwrap_or(u64::MAX)),
            start: Instant::now(),
            bucket: nanoseconds(window) / u64::from(BUCKETS),
        };
        Self { shared: Arc::new(shared), earns: true }
    }

    /// The same budget for a layer behind one that counts the requests already: its
    /// [`deposit`](Self::deposit) does nothing, so that no request counts twice.
    #[must_use]
    pub fn spender(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), earns: false }
    }

    /// Counts a request.
    pub fn deposit(&self) {
        if self.earns {
            self.deposit_at(Instant::now());
        }
    }

    /// Counts a request that came at `now`, for who has read the clock already.
    pub(crate) fn deposit_at(&self, now: Instant) {
        self.shared.ledger.deposit(self.bucket(now));
    }

    /// Takes an extra attempt out of the budget. False when there is none left.
    pub fn withdraw(&self) -> bool {
        self.shared.ledger.withdraw(self.bucket(Instant::now()))
    }

    /// How many extra attempts would be granted at this moment.
    pub fn available(&self) -> u64 {
        self.shared.ledger.available(self.bucket(Instant::now()))
    }

    /// The number of the bucket of `now`.
    fn bucket(&self, now: Instant) -> u32 {
        let passed = nanoseconds(now.saturating_duration_since(self.shared.start));
        u32::try_from(passed / self.shared.bucket).unwrap_or(u32::MAX)
    }
}

/// Words, not the double words of [`Duration`]: they are divided for every request.
fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Default for RetryBudget {
    /// A budget of its own, of the [default](RetryBudgetConfig) size.
    fn default() -> Self {
        Self::new(&RetryBudgetConfig::default())
    }
}

impl fmt::Debug for RetryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryBudget").field("available", &self.available()).finish_non_exhaustive()
    }
}
