//! [`CircuitBreakerLayer`].

use tower_layer::Layer;

use super::breaker::CircuitBreaker;
use super::service::CircuitBreakerService;

/// Puts services behind a breaker, all of them behind the same one; see the [module](super).
#[derive(Clone, Debug)]
#[must_use]
pub struct CircuitBreakerLayer {
    breaker: CircuitBreaker,
}

impl CircuitBreakerLayer {
    /// The layer of `breaker`.
    pub fn new(breaker: CircuitBreaker) -> Self {
        Self { breaker }
    }
}

impl<S> Layer<S> for CircuitBreakerLayer {
    type Service = CircuitBreakerService<S>;

    fn layer(&self, inner: S) -> CircuitBreakerService<S> {
        CircuitBreakerService::new(inner, self.breaker.clone())
    }
}
