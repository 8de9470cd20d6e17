//! The route ring: what a route's policy puts around its target.

use gateway_core::Module;
use gateway_layers::body_limit::BodyLimitLayer;
use gateway_layers::timeout::{TimeoutLayer, TryTimeoutLayer};
use tower::ServiceBuilder;

use crate::config::Policy;

pub(crate) fn route(policy: &Policy, target: Module) -> Module {
    if policy.body_limit.is_none() && policy.timeout.is_none() && policy.try_timeout.is_none() {
        // No ring, no second allocation for the call through it.
        return target;
    }
    let ring = ServiceBuilder::new()
        // A length that says too much is refused before anything is spent on the request.
        .option_layer(policy.body_limit.map(BodyLimitLayer::new))
        // Around everything that waits: what is below draws from this one budget.
        .option_layer(policy.timeout.map(TimeoutLayer::new))
        .option_layer(policy.try_timeout.map(TryTimeoutLayer::new))
        .service(target);
    Module::from_service(ring)
}
