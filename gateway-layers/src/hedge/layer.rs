//! [`HedgeLayer`].

use std::sync::Arc;

use http::Method;
use tower_layer::Layer;

use super::config::{Delay, HedgeConfig};
use super::service::{Hedge, Policy, Wait};
use gateway_core::budget::RetryBudget;

/// Sends requests a second time whose answer is slow; see the [module](super). Services and clones of
/// one layer share the measured latencies and the budget.
#[derive(Clone, Debug)]
#[must_use]
pub struct HedgeLayer {
    config: HedgeConfig,
    wait: Wait,
    budget: RetryBudget,
}

impl HedgeLayer {
    /// Hedges as [`HedgeConfig::default`] says, with a budget of its own.
    pub fn new() -> Self {
        Self::from(HedgeConfig::default())
    }

    /// After which time an answer is slow. Default: the 95th percentile.
    pub fn delay(mut self, delay: Delay) -> Self {
        self.config.delay = delay;
        self.wait = Wait::of(&self.config);
        self
    }

    /// Extra tries per request. Default: 1. At most [`MOST_EXTRA`](super::MOST_EXTRA).
    pub fn max_extra(mut self, max_extra: u32) -> Self {
        self.config.max_extra = max_extra;
        self
    }

    /// How many answers a percentile needs. Default: 100.
    pub fn min_samples(mut self, min_samples: u32) -> Self {
        self.config.min_samples = min_samples;
        self.wait = Wait::of(&self.config);
        self
    }

    /// Methods that may be sent twice though they are not idempotent. Default: none.
    pub fn methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.config.methods = methods.into_iter().collect();
        self
    }

    /// The budget that extra tries come from. Default: one of the layer's own. Behind a retry with
    /// the same budget: its [`spender`](RetryBudget::spender).
    pub fn budget(mut self, budget: RetryBudget) -> Self {
        self.budget = budget;
        self
    }
}

impl Default for HedgeLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl From<HedgeConfig> for HedgeLayer {
    fn from(config: HedgeConfig) -> Self {
        Self { wait: Wait::of(&config), config, budget: RetryBudget::default() }
    }
}

impl<S> Layer<S> for HedgeLayer {
    type Service = Hedge<S>;

    fn layer(&self, inner: S) -> Hedge<S> {
        let policy = Policy::new(&self.config, self.wait.clone(), self.budget.clone());
        Hedge::new(inner, Arc::new(policy))
    }
}
