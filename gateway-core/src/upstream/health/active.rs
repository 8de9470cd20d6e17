//! [`HealthCheck`]: how endpoints are probed, and when.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use super::Probe;
use crate::module::Health;

/// How the endpoints of a cluster are probed, and when.
///
/// ```
/// use std::time::Duration;
///
/// use gateway_core::Cluster;
/// use gateway_core::upstream::health::{HealthCheck, HttpProbe};
///
/// let probe = HttpProbe::default().path("/ready".parse()?).status(vec!["200-204".parse()?]);
/// let check = HealthCheck::new(probe).interval(Duration::from_secs(5));
/// let orders = Cluster::builder("orders")
///     .endpoint("http://127.0.0.1:9000".parse()?)
///     .endpoint("http://127.0.0.1:9001".parse()?)
///     .health_check(check)
///     .build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct HealthCheck {
    /// What is asked. Default: `GET /healthz`, answered with 200 to 299.
    pub probe: Probe,
    /// From the beginning of one probe of an endpoint to that of the next. Default: 10 s.
    pub interval: Duration,
    /// The same for endpoints that are not healthy. Default: none, as for the others; but every
    /// second, if that is more often, while the cluster has no healthy endpoint at all.
    pub unhealthy_interval: Option<Duration>,
    /// How long a probe may take, connecting included. Default: 2 s.
    pub timeout: Duration,
    /// Each interval is longer or shorter by up to this share of it, so that the gateways of a
    /// fleet do not probe in step. Default: 0.1.
    pub jitter: f64,
    /// So many good probes in a row make an endpoint healthy; one does while the cluster has no
    /// healthy endpoint. Default: 2.
    pub rise: u32,
    /// So many bad probes in a row make an endpoint unhealthy. Default: 3.
    pub fall: u32,
    /// How many of a cluster's endpoints are probed at the same time. Default: 64.
    pub concurrency: usize,
}

impl Default for HealthCheck {
    fn default() -> Self {
        Self::new(Probe::default())
    }
}

/// While a cluster has no healthy endpoint, it looks for one this often: two probes and the way
/// there stay below three seconds.
const SEARCH_INTERVAL: Duration = Duration::from_secs(1);

/// No endpoint is probed more often, however short what is configured.
const MIN_INTERVAL: Duration = Duration::from_millis(10);

/// Nor more seldom.
const MAX_INTERVAL: Duration = Duration::from_secs(24 * 3600);

impl HealthCheck {
    /// Checks by `probe`, with the defaults for everything else.
    pub fn new(probe: impl Into<Probe>) -> Self {
        Self {
            probe: probe.into(),
            interval: Duration::from_secs(10),
            unhealthy_interval: None,
            timeout: Duration::from_secs(2),
            jitter: 0.1,
            rise: 2,
            fall: 3,
            concurrency: 64,
        }
    }

    /// From the beginning of one probe to that of the next.
    #[must_use]
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// The same for endpoints that are not healthy.
    #[must_use]
    pub fn unhealthy_interval(mut self, interval: Duration) -> Self {
        self.unhealthy_interval = Some(interval);
        self
    }

    /// How long a probe may take.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// By what share an interval may be longer or shorter.
    #[must_use]
    pub fn jitter(mut self, share: f64) -> Self {
        self.jitter = share;
        self
    }

    /// So many good probes in a row make an endpoint healthy.
    #[must_use]
    pub fn rise(mut self, probes: u32) -> Self {
        self.rise = probes;
        self
    }

    /// So many bad probes in a row make an endpoint unhealthy.
    #[must_use]
    pub fn fall(mut self, probes: u32) -> Self {
        self.fall = probes;
        self
    }

    /// How many endpoints are probed at the same time.
    #[must_use]
    pub fn concurrency(mut self, probes: usize) -> Self {
        self.concurrency = probes;
        self
    }

    /// From the beginning of one probe to that of the next. `searching`: the cluster has no
    /// healthy endpoint. `draw`: from -1 to 1, how far the jitter goes.
    pub(in crate::upstream) fn pause(
        &self,
        health: Health,
        searching: bool,
        draw: f64,
    ) -> Duration {
        let period = match self.unhealthy_interval {
            _ if health == Health::Healthy => self.interval,
            Some(interval) => interval,
            None if searching => self.interval.min(SEARCH_INTERVAL),
            None => self.interval,
        };
        let jitter = self.jitter.clamp(0.0, 1.0) * draw;
        period.min(MAX_INTERVAL).mul_f64(1.0 + jitter).max(MIN_INTERVAL)
    }
}

/// A random number from -1 to 1.
pub(in crate::upstream) fn draw() -> f64 {
    RandomState::new().hash_one(0) as f64 / u64::MAX as f64 * 2.0 - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_without_a_healthy_endpoint_looks_for_one_every_second() {
        let check = HealthCheck::default();
        let pause = |health, searching| check.pause(health, searching, 0.0).as_secs();
        assert_eq!(pause(Health::Healthy, false), 10);
        assert_eq!(pause(Health::Unhealthy, false), 10);
        assert_eq!(pause(Health::Unhealthy, true), 1);
        let check = check.unhealthy_interval(Duration::from_secs(5));
        let pause = |health, searching| check.pause(health, searching, 0.0).as_secs();
        assert_eq!(pause(Health::Unhealthy, false), 5);
        assert_eq!(pause(Health::Unhealthy, true), 5);
        assert_eq!(pause(Health::Healthy, false), 10);
    }

    #[test]
    fn jitter_stays_within_its_share_and_no_interval_is_zero() {
        let check = HealthCheck::default();
        for _ in 0..1000 {
            let pause = check.pause(Health::Healthy, false, draw());
            assert!((9_000..=11_000).contains(&pause.as_millis()), "{pause:?}");
        }
        let check = check.interval(Duration::MAX).jitter(7.0);
        assert_eq!(check.pause(Health::Healthy, false, 1.0), MAX_INTERVAL * 2);
        assert_eq!(check.pause(Health::Healthy, false, -1.0), MIN_INTERVAL);
    }
}
