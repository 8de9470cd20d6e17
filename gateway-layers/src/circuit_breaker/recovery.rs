//! [`RecoveryObserver`]: ends the open time when an endpoint recovers.

use gateway_core::{Observer, StateChanged};

use super::breaker::CircuitBreaker;

/// Ends the open time of a cluster's breaker when a health check finds that an endpoint of the
/// cluster has recovered. An observer of the cluster, whose name is the breaker's.
///
/// ```
/// use std::sync::Arc;
///
/// use gateway_core::{Cluster, Observers};
/// use gateway_layers::circuit_breaker::{CircuitBreaker, CircuitBreakerConfig, RecoveryObserver};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let breaker = CircuitBreaker::new("orders", CircuitBreakerConfig::default())?;
/// let recovery = RecoveryObserver::new(breaker.clone());
/// let orders = Cluster::builder("orders")
///     .endpoint("http://127.0.0.1:9000".parse()?)
///     .observers(Observers::new(vec![Arc::new(recovery)]))
///     .build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct RecoveryObserver {
    breaker: CircuitBreaker,
}

impl RecoveryObserver {
    /// The observer that ends the open time of `breaker`.
    pub fn new(breaker: CircuitBreaker) -> Self {
        Self { breaker }
    }
}

impl Observer for RecoveryObserver {
    fn state_changed(&self, event: &StateChanged<'_>) {
        let recovered = event.subject == "endpoint"
            && (event.from, event.to) == ("unhealthy", "healthy")
            && event.within == Some(self.breaker.name());
        if recovered {
            self.breaker.end_open_time();
        }
    }
}
