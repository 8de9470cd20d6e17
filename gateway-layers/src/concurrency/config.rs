//! What can be set.

use std::time::Duration;

use super::Priority;

/// What a [`ConcurrencyLimit`](super::ConcurrencyLimit) allows.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ConcurrencyConfig {
    /// Requests under way at the same time; without meaning where `adaptive` is set. Between 1 and
    /// 4,194,303; what is beyond is taken as the nearest of them. Default: 512.
    pub limit: usize,
    /// Requests that wait for a permit; one more is rejected. 0: nobody waits. At most 65,535.
    /// Default: 128, a quarter of the limit: a longer queue adds latency and no throughput.
    pub queue: usize,
    /// How long a request waits for a permit, if its deadline does not end the wait before. Zero:
    /// nobody waits. Default: 100 ms.
    pub queue_timeout: Duration,
    /// The limit follows the latency. Default: it is fixed.
    pub adaptive: Option<AdaptiveConfig>,
    /// Less important requests are rejected before the limit is reached. Default: none is.
    pub shed: Option<ShedConfig>,
}

impl Default for ConcurrencyConfig {
    fn default() -> Self {
        Self {
            limit: 512,
            queue: 128,
            queue_timeout: Duration::from_millis(100),
            adaptive: None,
            shed: None,
        }
    }
}

/// The share of the limit at which a class of requests is no longer admitted: from 0 to 1, where
/// 1 is the whole limit.
///
/// A class with less than the whole limit does not wait: it is admitted or shed. One with the whole
/// limit waits as it does without shedding. A class has room for one request at least, so that a
/// share of a small limit is not nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct ShedConfig {
    /// For [`Priority::Critical`]. Default: 1.
    pub critical: f64,
    /// For [`Priority::High`]. Default: 1.
    pub high: f64,
    /// For [`Priority::Normal`]. Default: 0.9.
    pub normal: f64,
    /// For [`Priority::Low`]. Default: 0.7.
    pub low: f64,
}

impl Default for ShedConfig {
    fn default() -> Self {
        Self { critical: 1.0, high: 1.0, normal: 0.9, low: 0.7 }
    }
}

impl ShedConfig {
    /// The share of `priority`.
    pub fn share(&self, priority: Priority) -> f64 {
        match priority {
            Priority::Critical => self.critical,
            Priority::High => self.high,
            Priority::Normal => self.normal,
            Priority::Low => self.low,
        }
    }
}

/// A limit that follows the latency.
///
/// Two latencies are compared, both from the permit until the head of the answer: what requests
/// take *now* (the mean of a window), and what they take when nothing is in their way (the
/// baseline). Their quotient, `baseline * tolerance / now`, between a half and 1, is the gradient.
/// After each window the limit takes a step towards `limit * gradient + sqrt(limit)`: while nothing
/// queues behind it, it grows by its root; latency beyond the tolerance is a queue somewhere, and
/// shrinks it. `smoothing` says how much of such a step is taken at once.
///
/// - The limit begins at `min`, so that the baseline is learned without a crowd, and doubles with
///   every window until the first queue is seen.
/// - The limit does not grow while less than a half of it is used: an idle gateway learns nothing
///   about what its upstream can take.
/// - A window in which a tenth of the requests or more failed
///   ([`HealthSignal::Failure`](gateway_core::HealthSignal), timeouts of the gateway's own) shrinks the limit
///   by a tenth, whatever the latency.
/// - The baseline falls quickly and rises slowly; while the limit itself is what holds requests
///   back it does not rise at all, or a queue that lasts would become what is normal. Instead the
///   limit, when it was held down for 120 windows in a row, is lowered for two of them to
///   `limit / (2 * tolerance)`. No queue outlasts that: what requests take then is the new
///   baseline.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct AdaptiveConfig {
    /// The limit never falls below. Default: 10.
    pub min: usize,
    /// The limit never rises above. Default: 1,000.
    pub max: usize,
    /// The share of each step that is taken: above 0, at most 1. Default: 0.2.
    pub smoothing: f64,
    /// Latency up to so many times the baseline is not taken for a queue. At least 1. Default:
    /// 1.5.
    pub tolerance: f64,
    /// The limit is reckoned anew after this time, if enough requests ended. Default: 500 ms.
    pub window: Duration,
    /// A window has at least as many requests, or it goes on. Default: 10.
    pub window_requests: usize,
}

impl Default for AdaptiveConfig {
    fn default() -> Self {
        Self {
            min: 10,
            max: 1000,
            smoothing: 0.2,
            tolerance: 1.5,
            window: Duration::from_millis(500),
            window_requests: 10,
        }
    }
}
