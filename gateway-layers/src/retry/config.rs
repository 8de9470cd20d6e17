//! [`RetryConfig`]: what is retried, how often, and how long it waits.

use std::time::Duration;

use gateway_core::replay::REPLAY_LIMIT;
use http::{Method, StatusCode};

use super::condition::Condition;

/// The most retries a request can be given: what is not there after these will not be soon.
pub const MOST_RETRIES: u32 = 10;

/// What is retried.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryConfig {
    /// Retries after the first try. Default: 1; 0 is off, and more than [`MOST_RETRIES`] are as
    /// many.
    pub max_retries: u32,
    /// The failures that are retried. Default: [`Condition::Connect`] and [`Condition::Reset`].
    pub on: Vec<Condition>,
    /// The statuses of answers that are retried. Default: 503, with which a server says that it
    /// did nothing and that another one may. A gRPC response that is nothing but a status has the
    /// HTTP status that [means the same](gateway_core::GrpcStatus::http_status): 503 for
    /// `UNAVAILABLE`.
    pub statuses: Vec<StatusCode>,
    /// Methods that may be sent twice though they are not idempotent. Default: none.
    pub methods: Vec<Method>,
    /// The wait before a retry.
    pub backoff: Backoff,
    /// The longest wait that an upstream can ask for with `Retry-After`; when it asks for more,
    /// the client gets the answer instead and can decide itself. Default: 1 s.
    pub max_wait: Duration,
    /// A body is kept for sending it again up to this many bytes. Default:
    /// [`REPLAY_LIMIT`], 64 KiB.
    pub replay_limit: usize,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            max_retries: 1,
            on: vec![Condition::Connect, Condition::Reset],
            statuses: vec![StatusCode::SERVICE_UNAVAILABLE],
            methods: Vec::new(),
            backoff: Backoff::default(),
            max_wait: Duration::from_secs(1),
            replay_limit: REPLAY_LIMIT,
        }
    }
}

/// The wait before a retry: a random time from nothing up to a limit that doubles with each retry.
/// Of requests that failed at one moment none come back at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Backoff {
    /// The limit before the first retry. Default: 25 ms.
    pub base: Duration,
    /// The limit never grows beyond this. Default: 250 ms.
    pub max: Duration,
}

impl Backoff {
    /// Waits up to `base`, twice `base` and so on, and never longer than `max`.
    pub fn new(base: Duration, max: Duration) -> Self {
        Self { base, max }
    }

    /// The wait after `retries` retries, where `draw` is random.
    pub(super) fn wait(self, retries: u32, draw: u64) -> Duration {
        let limit = self.base.saturating_mul(2_u32.saturating_pow(retries)).min(self.max);
        let scaled = (limit.as_nanos().saturating_mul(u128::from(draw))) >> u64::BITS;
        Duration::from_nanos(u64::try_from(scaled).unwrap_or(u64::MAX))
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new(Duration::from_millis(25), Duration::from_millis(250))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_doubles_up_to_its_own() {
        let backoff = Backoff::default();
        let longest: Vec<_> =
            (0..6).map(|retries| backoff.wait(retries, u64::MAX).as_micros() / 1_000).collect();
        assert_eq!(longest, [24, 49, 99, 199, 249, 249]);
        assert_eq!(backoff.wait(3, 0), Duration::ZERO);
        assert_eq!(backoff.wait(0, 1 << 63), Duration::from_micros(12_500));
        assert!(Backoff::new(Duration::MAX, Duration::MAX).wait(u32::MAX, u64::MAX) > backoff.max);
    }
}
