//! The cluster ring: what every route to one cluster shares.

use gateway_core::{Cluster, Module};
use gateway_layers::auth::service_token::ServiceTokenFilter;
use gateway_layers::auth::signature::SignLayer;
use gateway_layers::circuit_breaker::{CircuitBreaker, CircuitBreakerLayer};
use gateway_layers::concurrency::{ConcurrencyLayer, ConcurrencyLimit};
use gateway_layers::filter::FilterLayer;
use tower::ServiceBuilder;

pub(crate) fn cluster(
    cluster: &Cluster,
    (breaker, limit): (Option<&CircuitBreaker>, Option<&ConcurrencyLimit>),
    token: Option<ServiceTokenFilter>,
    signer: Option<&SignLayer>,
) -> Module {
    let cluster = Module::new(cluster.clone());
    if breaker.is_none() && limit.is_none() && token.is_none() && signer.is_none() {
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
        // Last of all, so that each try has a time and a nonce of its own.
        .option_layer(signer.cloned())
        // Connect, try and idle timeouts are the cluster's own.
        .service(cluster);
    Module::from_service(ring)
}
