//! [`EjectionSettings`]: when an endpoint that fails is left out, and for how long.

use std::time::Duration;

/// When an endpoint that fails is left out for a while.
///
/// What counts as a failure is what [`Verdict`](crate::Verdict) says.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct EjectionSettings {
    /// After so many failures in a row; `None`: however many. Default: 5.
    pub consecutive: Option<u32>,
    /// How often success rates are compared. Default: 10 s.
    pub interval: Duration,
    /// For how long, the first time; each further time as long again. Default: 30 s.
    pub base: Duration,
    /// The longest time. Default: 300 s.
    pub max: Duration,
    /// The largest share of a cluster's endpoints that is left out; one always stays.
    /// Default: 0.5.
    pub max_share: f64,
    /// Also those whose success rate is far below the others'. Default: not.
    pub success_rate: Option<SuccessRateSettings>,
}

impl Default for EjectionSettings {
    fn default() -> Self {
        Self {
            consecutive: Some(5),
            interval: Duration::from_secs(10),
            base: Duration::from_secs(30),
            max: Duration::from_secs(300),
            max_share: 0.5,
            success_rate: None,
        }
    }
}

impl EjectionSettings {
    /// For how long an endpoint is left out that was left out `times` times before.
    pub(crate) fn duration(&self, times: u32) -> Duration {
        self.base.saturating_mul(times.saturating_add(1)).min(self.max)
    }

    /// How many of `count` endpoints may be left out at the same time.
    pub(crate) fn most(&self, count: usize) -> usize {
        let share = (count as f64 * self.max_share.clamp(0.0, 1.0)) as usize;
        share.min(count.saturating_sub(1))
    }
}

/// When a success rate is far below the others'.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct SuccessRateSettings {
    /// Endpoints with fewer requests in an interval are not compared. Default: 100.
    pub min_requests: u32,
    /// With fewer endpoints to compare, nobody is left out. Default: 3.
    pub min_endpoints: usize,
    /// Left out is whose rate is more than so many standard deviations below the mean.
    /// Default: 1.9.
    pub deviations: f64,
}

impl Default for SuccessRateSettings {
    fn default() -> Self {
        Self { min_requests: 100, min_endpoints: 3, deviations: 1.9 }
    }
}
