//! [`OutlierDetectionConfig`]: when an endpoint that fails is left out, and for how long.

use std::time::Duration;

/// When an endpoint that fails is left out for a while.
///
/// What counts as a failure is what [`HealthSignal`](crate::HealthSignal) says.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct OutlierDetectionConfig {
    /// After so many failures in a row; `None`: however many. Default: 5.
    pub consecutive_failures: Option<u32>,
    /// How often success rates are compared. Default: 10 s.
    pub interval: Duration,
    /// For how long, the first time; each further time as long again. Default: 30 s.
    pub base_ejection_time: Duration,
    /// The longest time. Default: 300 s.
    pub max_ejection_time: Duration,
    /// The largest share of a cluster's endpoints that is left out; one always stays.
    /// Default: 0.5.
    pub max_ejected_ratio: f64,
    /// Also those whose success rate is far below the others'. Default: not.
    pub success_rate: Option<SuccessRateConfig>,
}

impl Default for OutlierDetectionConfig {
    fn default() -> Self {
        Self {
            consecutive_failures: Some(5),
            interval: Duration::from_secs(10),
            base_ejection_time: Duration::from_secs(30),
            max_ejection_time: Duration::from_secs(300),
            max_ejected_ratio: 0.5,
            success_rate: None,
        }
    }
}

impl OutlierDetectionConfig {
    /// For how long an endpoint is left out that was left out `times` times before.
    pub(crate) fn duration(&self, times: u32) -> Duration {
        self.base_ejection_time.saturating_mul(times.saturating_add(1)).min(self.max_ejection_time)
    }

    /// How many of `count` endpoints may be left out at the same time.
    pub(crate) fn most(&self, count: usize) -> usize {
        let share = (count as f64 * self.max_ejected_ratio.clamp(0.0, 1.0)) as usize;
        share.min(count.saturating_sub(1))
    }
}

/// When a success rate is far below the others'.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct SuccessRateConfig {
    /// Endpoints with fewer requests in an interval are not compared. Default: 100.
    pub min_requests: u32,
    /// With fewer endpoints to compare, nobody is left out. Default: 3.
    pub min_endpoints: usize,
    /// Left out is whose rate is more than so many standard deviations below the mean, both of
    /// the others' rates; a deviation counts for at least 10 points. Default: 1.9.
    pub deviations: f64,
}

impl Default for SuccessRateConfig {
    fn default() -> Self {
        Self { min_requests: 100, min_endpoints: 3, deviations: 1.9 }
    }
}

/// Where all others succeed alike, one that fails now and then is not far below them yet; and of
/// 100 requests that are as likely to fail as not, chance alone lets 5 more or less succeed.
const LEAST_DEVIATION: f64 = 0.1;

impl SuccessRateConfig {
    /// What each of `rates` is not to be below; nothing when there are too few.
    ///
    /// Each is compared to the others, without itself: an endpoint that draws the mean down and
    /// the deviation up would otherwise never be 1.9 deviations off among fewer than six.
    pub(crate) fn expected(&self, rates: &[f64]) -> Vec<f64> {
        if rates.len() < self.min_endpoints.max(2) {
            return Vec::new();
        }
        let others = (rates.len() - 1) as f64;
        let sum: f64 = rates.iter().sum();
        let squares: f64 = rates.iter().map(|rate| rate * rate).sum();
        let expected = |rate: &f64| {
            let mean = (sum - rate) / others;
            let variance = (squares - rate * rate) / others - mean * mean;
            let deviation = variance.max(0.0).sqrt().max(LEAST_DEVIATION);
            mean - self.deviations * deviation
        };
        rates.iter().map(expected).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of `rates` are too low.
    fn low(rates: &[f64]) -> Vec<usize> {
        let expected = SuccessRateConfig::default().expected(rates);
        (0..expected.len()).filter(|&at| rates[at] < expected[at]).collect()
    }

    #[test]
    fn one_that_is_far_below_the_others_is_found_among_three() {
        assert_eq!(low(&[1.0, 0.5, 1.0]), [1]);
        assert_eq!(low(&[0.9, 0.95, 0.92, 0.3, 0.91]), [3]);
        assert_eq!(low(&[1.0, 1.0, 0.4, 1.0, 0.5, 1.0, 1.0, 1.0]), [2, 4]);
    }

    #[test]
    fn where_all_do_alike_nobody_is() {
        for rate in [0.0, 0.3, 1.0] {
            assert!(low(&[rate; 5]).is_empty());
        }
        assert!(low(&[1.0, 0.95, 1.0, 0.99]).is_empty());
        assert!(low(&[0.5, 0.6, 0.4, 0.55]).is_empty());
        assert!(low(&[1.0, 0.0]).is_empty(), "too few to say who is right");
    }
}
