//! [`Pace`]: how fast permits come back, and what follows for those who were rejected.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::gate::{Occupancy, RELEASED_WRAP};

/// `Retry-After` says at least this: its unit is a second.
const LEAST: Duration = Duration::from_secs(1);

/// And at most this: what is further off is not known.
const MOST: Duration = Duration::from_secs(60);

/// Permits are counted for at least this long before the count says anything.
const INTERVAL: Duration = Duration::from_secs(1);

/// A count that is older says nothing about now.
const STALE: Duration = Duration::from_secs(10);

/// How fast permits come back. Looked at only when a request is rejected: what is not rejected costs
/// nothing here.
#[derive(Debug, Default)]
pub(super) struct Pace {
    seen: Mutex<Option<Seen>>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    at: Instant,
    released: u64,
    /// Permits that came back in a second; `None` before an interval has passed.
    rate: Option<f64>,
}

impl Pace {
    /// When a rejected request would be admitted, should nobody else come: as many permits must
    /// come back as requests are before it, at the pace of the last interval.
    pub(super) fn retry_after(&self, now: Occupancy, threshold: u32) -> Duration {
        let before =
            f64::from(now.in_use()) + f64::from(now.waiting()) - f64::from(threshold) + 1.0;
        let rate = self.rate(now.released(), Instant::now());
        rate.map_or(LEAST, |rate| {
            let seconds = before.max(1.0) / rate;
            Duration::from_secs_f64(seconds.clamp(LEAST.as_secs_f64(), MOST.as_secs_f64()))
        })
    }

    /// Permits that come back in a second, above 0; `None` where that is not known.
    fn rate(&self, released: u64, now: Instant) -> Option<f64> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(last) = *seen else {
            *seen = Some(Seen { at: now, released, rate: None });
            return None;
        };
        let elapsed = now.saturating_duration_since(last.at);
        if elapsed < INTERVAL {
            return last.rate;
        }
        let count = released.wrapping_sub(last.released) % RELEASED_WRAP;
        // Where none came back, one may at any moment: no less is known than that.
        let rate = (elapsed < STALE).then(|| count.max(1) as f64 / elapsed.as_secs_f64());
        *seen = Some(Seen { at: now, released, rate });
        rate
    }
}
