//! The cluster ring: what every route to one cluster shares.

use gateway_core::{Cluster, Module};
use gateway_layers::auth::service_token::ServiceTokenFilter;
use gateway_layers::circuit_breaker::{CircuitBreaker, CircuitBreakerLayer};
use gateway_layers::concurrency::{ConcurrencyLayer, ConcurrencyLimit};
use gateway_layers::filter::FilterLayer;
use tower::ServiceBuilder;

pub(crate) fn cluster(
    cluster: &Cluster,
    breaker: Option<&CircuitBreaker>,
    limit: Option<&ConcurrencyLimit>,
    token: Option<ServiceTokenFilter>,
) -> Module {
    let cluster = Module::new(cluster.clone());
    if breaker.is_none() && limit.is_none() && token.is_none() {
        // No ring, no second allocation for the call through it.
        return cluster;
    }
    let ring = ServiceBuilder::new()
        // Before anything waits for a cluster that is in trouble.
        .option_layer(breaker.cloned().map(CircuitBreakerLayer::new))
        // Until the answer's body has ended.
        .option_layer(limit.cloned().map(ConcurrencyLayer::new))
        // Whatever route it comes from, and nothing that a client says in its place.
        .option_layer(token.map(FilterLayer::new))
        // Connect, try and idle timeouts are the cluster's own.
        .service(cluster);
    Module::from_service(ring)
}
