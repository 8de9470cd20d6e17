//! [`RetryLayer`].

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use gateway_core::{Clock, SystemClock};
use http::{Method, StatusCode};
use tower_layer::Layer;

use super::condition::Condition;
use super::config::{Backoff, RetryConfig};
use super::policy::Policy;
use super::service::Retry;
use gateway_core::budget::RetryBudget;

/// Sends requests again that failed; see the [module](super).
#[derive(Clone)]
#[must_use]
pub struct RetryLayer {
    config: RetryConfig,
    budget: RetryBudget,
    seed: Option<u64>,
    clock: Arc<dyn Clock>,
}

impl RetryLayer {
    /// Retries as [`RetryConfig::default`] says, with a budget of its own.
    pub fn new() -> Self {
        Self::from(RetryConfig::default())
    }

    /// How often a request is retried. Default: once. At most
    /// [`MOST_RETRIES`](super::MOST_RETRIES).
    pub fn max_retries(mut self, max_retries: u32) -> Self {
        self.config.max_retries = max_retries;
        self
    }

    /// The failures that are retried. Default: [`Condition::Connect`] and [`Condition::Reset`].
    pub fn on(mut self, on: impl IntoIterator<Item = Condition>) -> Self {
        self.config.on = on.into_iter().collect();
        self
    }

    /// The statuses of answers that are retried. Default: 503.
    pub fn statuses(mut self, statuses: impl IntoIterator<Item = StatusCode>) -> Self {
        self.config.statuses = statuses.into_iter().collect();
        self
    }

    /// Methods that may be sent twice though they are not idempotent. Default: none.
    pub fn methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.config.methods = methods.into_iter().collect();
        self
    }

    /// The wait before a retry. Default: up to 25 ms, doubling up to 250 ms.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.config.backoff = backoff;
        self
    }

    /// The longest wait that an upstream can ask for with `Retry-After` (RFC 9110, section
    /// 10.2.3). Default: 1 s.
    pub fn max_wait(mut self, max_wait: Duration) -> Self {
        self.config.max_wait = max_wait;
        self
    }

    /// A body is kept for sending it again up to this many bytes. Default: 64 KiB.
    ///
    /// Nothing is read ahead: what passes to the first try is remembered. A body that says that it
    /// is larger is not wrapped at all; one that turns out to be is forgotten and streams on. Of
    /// requests that may not be sent twice nothing is remembered: they are retried when the failed
    /// try took nothing of the body.
    pub fn replay_limit(mut self, replay_limit: usize) -> Self {
        self.config.replay_limit = replay_limit;
        self
    }

    /// The budget that retries come from. Default: one of the layer's own.
    pub fn budget(mut self, budget: RetryBudget) -> Self {
        self.budget = budget;
        self
    }

    /// Draws waits from `seed` on: the same seed, the same waits. Default: random.
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The clock that dates in `Retry-After` are compared with. Default: the system's.
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }
}

impl Default for RetryLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl From<RetryConfig> for RetryLayer {
    fn from(config: RetryConfig) -> Self {
        let budget = RetryBudget::default();
        Self { config, budget, seed: None, clock: Arc::new(SystemClock) }
    }
}

impl fmt::Debug for RetryLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryLayer")
            .field("config", &self.config)
            .field("budget", &self.budget)
            .finish_non_exhaustive()
    }
}

impl<S> Layer<S> for RetryLayer {
    type Service = Retry<S>;

    fn layer(&self, inner: S) -> Retry<S> {
        let seed = self.seed.unwrap_or_else(|| RandomState::new().hash_one(0));
        let clock = Arc::clone(&self.clock);
        let policy = Policy::new(&self.config, self.budget.clone(), seed, clock);
        Retry::new(inner, Arc::new(policy))
    }
}
