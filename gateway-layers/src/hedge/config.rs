//! [`HedgeConfig`]: which answers are slow, and how often is asked again.

use std::time::Duration;

use http::Method;

/// The most extra tries a request can be given.
pub const MOST_EXTRA: u32 = 4;

/// What is hedged.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct HedgeConfig {
    /// After which time an answer is slow. Default: the 95th percentile.
    pub delay: Delay,
    /// Extra tries per request, each one `delay` after the one before. Default: 1; 0 is off, and
    /// more than [`MOST_EXTRA`] are as many.
    pub max_extra: u32,
    /// As long as fewer answers than this were seen, there is no percentile and nothing is hedged.
    /// Default: 100.
    pub min_samples: u32,
    /// Methods that may be sent twice though they are not idempotent. Default: none.
    pub methods: Vec<Method>,
}

impl Default for HedgeConfig {
    fn default() -> Self {
        Self { delay: Delay::Percentile(95.0), max_extra: 1, min_samples: 100, methods: Vec::new() }
    }
}

/// After which time an answer is slow.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Delay {
    /// Always this one.
    Fixed(Duration),
    /// The time in which this share of the latest answers came, in percent (0 to 100). The latest
    /// are 1,024 to 2,048; the time is known to an eighth of itself, and rounded up.
    Percentile(f64),
}
