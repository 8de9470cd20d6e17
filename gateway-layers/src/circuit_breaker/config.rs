//! [`CircuitBreakerConfig`]: when a breaker opens, and for how long.

use std::fmt;
use std::time::Duration;

/// What a window may be long: its tenths are its resolution.
const WINDOW: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3600));

/// A bucket of the window counts so many at least.
const MOST_MIN_REQUESTS: u32 = 100_000;

/// More probes than this are no probes.
const MOST_PROBES: u32 = 1_000;

/// Longer than a day is for people to decide: [`force_open`](super::CircuitBreaker::force_open).
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// When a breaker opens, and for how long.
///
/// ```
/// use std::time::Duration;
///
/// use gateway_layers::circuit_breaker::CircuitBreakerConfig;
///
/// let mut config = CircuitBreakerConfig::default();
/// config.min_requests = 50;
/// config.open = Duration::from_secs(2);
/// assert!(config.validate().is_ok());
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CircuitBreakerConfig {
    /// It opens when this share of the calls in the window failed: above 0, at most 1. Default:
    /// 0.5. `None`: it does not open for that.
    pub failure_ratio: Option<f64>,
    /// The time over which calls are counted, in ten buckets: from 100 ms to an hour. Default:
    /// 10 s.
    pub window: Duration,
    /// With fewer calls than these in the window, no ratio is looked at: from 1 to 100,000.
    /// Default: 20.
    pub min_requests: u32,
    /// It opens after so many failures in a row as well, however few calls there were. Default:
    /// `None`.
    pub consecutive_failures: Option<u32>,
    /// It opens when too many calls are slow as well. Default: `None`.
    pub slow: Option<SlowCalls>,
    /// How long it stays open the first time: at most a day. Default: 5 s.
    pub open: Duration,
    /// Each time after that it stays open twice as long as the last time, up to this. Once it has
    /// been closed for as long as this, it begins with [`open`](Self::open) again. Default: 60 s.
    pub open_max: Duration,
    /// So many probes are let through when that time is over, and all must succeed: from 1 to
    /// 1,000. Default: 3.
    pub half_open: u32,
    /// A probe without an answer for so long has failed. It should be longer than any answer's head
    /// takes. Default: 30 s, the time that a route has in all.
    pub probe_timeout: Duration,
}

/// Which calls are slow, and how many may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SlowCalls {
    /// A call that took so long until its answer's head is slow.
    pub threshold: Duration,
    /// The breaker opens when this share of the calls in the window was slow: above 0, at most 1.
    pub ratio: f64,
}

impl Default for CircuitBreakerConfig {
    fn default() -> Self {
        Self {
            failure_ratio: Some(0.5),
            window: Duration::from_secs(10),
            min_requests: 20,
            consecutive_failures: None,
            slow: None,
            open: Duration::from_secs(5),
            open_max: Duration::from_secs(60),
            half_open: 3,
            probe_timeout: Duration::from_secs(30),
        }
    }
}

impl CircuitBreakerConfig {
    /// Whether a breaker can work so.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, at once.
    pub fn validate(&self) -> Result<(), CircuitBreakerConfigError> {
        let mut problems = Problems(Vec::new());
        if let Some(ratio) = self.failure_ratio {
            problems.ratio("failure_ratio", ratio);
        }
        if self.failure_ratio.is_none()
            && self.consecutive_failures.is_none()
            && self.slow.is_none()
        {
            let expected = "a ratio, unless `consecutive_failures` or `slow` is set: \
                            without any of them the breaker never opens";
            problems.add("failure_ratio", "nothing", expected);
        }
        problems.time("window", self.window, WINDOW);
        problems.number("min_requests", self.min_requests, MOST_MIN_REQUESTS);
        if let Some(consecutive) = self.consecutive_failures {
            problems.number("consecutive_failures", consecutive, u32::MAX);
        }
        let some_time = (Duration::from_millis(1), LONGEST);
        if let Some(slow) = self.slow {
            problems.time("slow.threshold", slow.threshold, some_time);
            problems.ratio("slow.ratio", slow.ratio);
        }
        problems.time("open", self.open, some_time);
        problems.time("open_max", self.open_max, some_time);
        if self.open_max < self.open {
            let expected = format!("at least `open`, {:?}", self.open);
            problems.add("open_max", format!("{:?}", self.open_max), expected);
        }
        problems.number("half_open", self.half_open, MOST_PROBES);
        problems.time("probe_timeout", self.probe_timeout, some_time);
        if problems.0.is_empty() {
            Ok(())
        } else {
            Err(CircuitBreakerConfigError { problems: problems.0 })
        }
    }
}

/// What is wrong with a [`CircuitBreakerConfig`]: everything, at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CircuitBreakerConfigError {
    problems: Vec<ConfigProblem>,
}

impl CircuitBreakerConfigError {
    /// One entry for each thing that is wrong; there is at least one.
    pub fn problems(&self) -> &[ConfigProblem] {
        &self.problems
    }
}

/// One thing that is wrong with a [`CircuitBreakerConfig`]. `Display` says what was found and what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigProblem {
    /// The field, as in `slow.ratio`.
    pub field: &'static str,
    /// What it says.
    pub found: String,
    /// What it could have said.
    pub expected: String,
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is {}, expected {}", self.field, self.found, self.expected)
    }
}

impl fmt::Display for CircuitBreakerConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("circuit breaker: ")?;
        for (index, problem) in self.problems.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for CircuitBreakerConfigError {}

struct Problems(Vec<ConfigProblem>);

impl Problems {
    fn add(&mut self, field: &'static str, found: impl Into<String>, expected: impl Into<String>) {
        self.0.push(ConfigProblem { field, found: found.into(), expected: expected.into() });
    }

    fn ratio(&mut self, field: &'static str, ratio: f64) {
        // So written, because every comparison with what is no number is false.
        let fits = ratio > 0.0 && ratio <= 1.0;
        if !fits {
            self.add(field, ratio.to_string(), "a number above 0 and at most 1");
        }
    }

    fn number(&mut self, field: &'static str, number: u32, most: u32) {
        if !(1..=most).contains(&number) {
            self.add(field, number.to_string(), format!("a number from 1 to {most}"));
        }
    }

    fn time(&mut self, field: &'static str, time: Duration, (least, most): (Duration, Duration)) {
        if !(least..=most).contains(&time) {
            self.add(field, format!("{time:?}"), format!("a time from {least:?} to {most:?}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(change: impl FnOnce(&mut CircuitBreakerConfig)) -> Vec<&'static str> {
        let mut config = CircuitBreakerConfig::default();
        change(&mut config);
        let problems = config.validate().err().map(|error| error.problems);
        problems.unwrap_or_default().iter().map(|problem| problem.field).collect()
    }

    #[test]
    fn the_defaults_are_good() {
        assert_eq!(fields(|_| {}), Vec::<&str>::new());
    }

    #[test]
    fn each_wrong_value_is_found() {
        for ratio in [0.0, -0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert_eq!(fields(|config| config.failure_ratio = Some(ratio)), ["failure_ratio"]);
        }
        assert_eq!(fields(|config| config.failure_ratio = None), ["failure_ratio"]);
        assert_eq!(fields(|config| config.window = Duration::ZERO), ["window"]);
        assert_eq!(fields(|config| config.min_requests = 0), ["min_requests"]);
        assert_eq!(fields(|config| config.min_requests = 100_001), ["min_requests"]);
        assert_eq!(
            fields(|config| config.consecutive_failures = Some(0)),
            ["consecutive_failures"]
        );
        assert_eq!(fields(|config| config.open = Duration::ZERO), ["open"]);
        assert_eq!(fields(|config| config.open_max = Duration::from_secs(1)), ["open_max"]);
        assert_eq!(fields(|config| config.half_open = 0), ["half_open"]);
        assert_eq!(fields(|config| config.probe_timeout = Duration::ZERO), ["probe_timeout"]);
        let slow = SlowCalls { threshold: Duration::ZERO, ratio: 2.0 };
        assert_eq!(fields(|config| config.slow = Some(slow)), ["slow.threshold", "slow.ratio"]);
    }

    #[test]
    fn one_condition_is_enough() {
        let only = |change: fn(&mut CircuitBreakerConfig)| {
            fields(|config| {
                config.failure_ratio = None;
                change(config);
            })
        };
        assert!(only(|config| config.consecutive_failures = Some(5)).is_empty());
        let slow = Some(SlowCalls { threshold: Duration::from_secs(1), ratio: 1.0 });
        assert!(
            fields(|config| {
                config.failure_ratio = None;
                config.slow = slow;
            })
            .is_empty()
        );
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let config = CircuitBreakerConfig {
            failure_ratio: Some(50.0),
            half_open: 0,
            ..CircuitBreakerConfig::default()
        };
        assert_eq!(
            config.validate().unwrap_err().to_string(),
            "circuit breaker: `failure_ratio` is 50, expected a number above 0 and at most 1; \
             `half_open` is 0, expected a number from 1 to 1000"
        );
    }
}
