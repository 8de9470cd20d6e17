//! [`RateLimitLayer`].

use tower_layer::Layer;

use super::config::{RateLimitConfig, RateLimitConfigError};
use super::limiter::RateLimiter;
use crate::guard::{GuardLayer, GuardService};

/// Keeps requests to limits; see the [module](super).
///
/// Services that one layer makes, and clones of it, count together.
#[derive(Clone, Debug)]
#[must_use]
pub struct RateLimitLayer {
    limiter: RateLimiter,
}

impl RateLimitLayer {
    /// Requests keep to these limits, counted in a memory of their own. For another store make the
    /// limits with [`RateLimiter::builder`].
    ///
    /// # Errors
    ///
    /// When the limits cannot work, with everything that is wrong.
    pub fn new(limits: impl Into<RateLimitConfig>) -> Result<Self, RateLimitConfigError> {
        RateLimiter::new(limits).map(Self::from)
    }

    /// The limits, to look at them or to share them.
    pub fn limiter(&self) -> &RateLimiter {
        &self.limiter
    }
}

impl From<RateLimiter> for RateLimitLayer {
    fn from(limiter: RateLimiter) -> Self {
        Self { limiter }
    }
}

impl<S> Layer<S> for RateLimitLayer {
    type Service = GuardService<S, RateLimiter>;

    fn layer(&self, inner: S) -> Self::Service {
        GuardLayer::new(self.limiter.clone()).layer(inner)
    }
}
