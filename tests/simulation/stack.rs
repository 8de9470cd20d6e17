//! [`Stack`]: the layers as a gateway puts them around a cluster.

use std::time::Duration;

use gateway_core::budget::{self, RetryBudget};
use gateway_core::upstream::balance::PowerOfTwo;
use gateway_core::upstream::health::{HealthCheck, OutlierDetectionConfig};
use gateway_core::{Cluster, ClusterBuilder, Module};
use gateway_layers::circuit_breaker::{self, CircuitBreaker, CircuitBreakerLayer};
use gateway_layers::concurrency::{ConcurrencyConfig, ConcurrencyLayer, ConcurrencyLimit};
use gateway_layers::retry::RetryLayer;
use gateway_layers::timeout::{AttemptTimeoutLayer, TimeoutLayer};
use tower::ServiceBuilder;

use crate::network::Network;

/// What is set; the defaults are the layers' own.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) timeout: Duration,
    pub(crate) attempt_timeout: Option<Duration>,
    pub(crate) max_retries: u32,
    pub(crate) budget: budget::RetryBudgetConfig,
    pub(crate) breaker: circuit_breaker::CircuitBreakerConfig,
    pub(crate) concurrency: ConcurrencyConfig,
    pub(crate) ejection: Option<OutlierDetectionConfig>,
    pub(crate) health_check: Option<HealthCheck>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(3),
            attempt_timeout: Some(Duration::from_secs(1)),
            max_retries: 1,
            budget: budget::RetryBudgetConfig::default(),
            breaker: circuit_breaker::CircuitBreakerConfig::default(),
            concurrency: ConcurrencyConfig::default(),
            ejection: Some(OutlierDetectionConfig::default()),
            health_check: None,
        }
    }
}

/// A route to a cluster with everything that keeps it up.
pub(crate) struct Stack {
    pub(crate) module: Module,
    pub(crate) cluster: Cluster,
    pub(crate) breaker: CircuitBreaker,
    pub(crate) limit: ConcurrencyLimit,
}

impl Stack {
    /// Before the upstreams of `network`.
    pub(crate) fn new(network: &Network, seed: u64, settings: &Settings) -> Self {
        let endpoints = network.addresses().into_iter();
        let mut builder = endpoints.fold(Cluster::builder("orders"), ClusterBuilder::endpoint);
        builder = builder.balance(PowerOfTwo::with_seed(seed)).connector(network.clone());
        if let Some(ejection) = settings.ejection {
            builder = builder.outlier_detection(ejection);
        }
        if let Some(check) = &settings.health_check {
            builder = builder.health_check(check.clone());
        }
        let cluster = builder.build().expect("a cluster");
        let breaker = CircuitBreaker::new("orders", settings.breaker.clone()).expect("a breaker");
        let limit = ConcurrencyLimit::new(settings.concurrency.clone());
        let retry = RetryLayer::new()
            .max_retries(settings.max_retries)
            .budget(RetryBudget::new(&settings.budget))
            .with_seed(seed);
        let ring = ServiceBuilder::new()
            .layer(CircuitBreakerLayer::new(breaker.clone()))
            .layer(ConcurrencyLayer::new(limit.clone()))
            .service(Module::new(cluster.clone()));
        let route = ServiceBuilder::new()
            .layer(TimeoutLayer::new(settings.timeout))
            .option_layer(settings.attempt_timeout.map(AttemptTimeoutLayer::new))
            .layer(retry)
            .service(Module::from_service(ring));
        Self { module: Module::from_service(route), cluster, breaker, limit }
    }
}
