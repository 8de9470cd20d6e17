//! The route ring: what a route's policy puts around its target.

use gateway_core::budget::RetryBudget;
use gateway_core::{Module, TargetEdits};
use gateway_layers::auth::Authenticate;
use gateway_layers::auth::authorize::AuthorizeFilter;
use gateway_layers::auth::external::ExternalAuth;
use gateway_layers::fallback::FallbackLayer;
use gateway_layers::filter::FilterChain;
use gateway_layers::guard::{CheckRejected, Guard, GuardChain, GuardLayer};
use gateway_layers::hedge::HedgeLayer;
use gateway_layers::mirror::MirrorLayer;
use gateway_layers::rate_limit::RateLimiter;
use gateway_layers::retry::RetryLayer;
use gateway_layers::timeout::{AttemptTimeoutLayer, ResponseHeadTimeoutLayer};
use tower::{Layer, ServiceBuilder};

use crate::config::{self, Policy};

/// What a route's policy leads to, beside its target.
#[derive(Debug, Default)]
pub(crate) struct Asides {
    pub(crate) identity: Option<Authenticate>,
    pub(crate) external_auth: Option<ExternalAuth>,
    pub(crate) rate_limit: Option<RateLimiter>,
    pub(crate) fallback: Option<FallbackLayer>,
    pub(crate) mirrors: Vec<MirrorLayer>,
    pub(crate) edits: Option<TargetEdits>,
}

/// Puts a route's policies around its target. The second value is true where they apply the edits
/// of the route.
pub(crate) fn route(policy: &Policy, target: Module, asides: &Asides) -> (Module, bool) {
    let tries = tries(policy, target);
    // Copies are made of what the client sent, not of each try.
    let mirrored = asides
        .mirrors
        .iter()
        .fold(tries, |inner, mirror| Module::from_service(mirror.layer(inner)));
    let guards = guards(policy, asides);
    let edits = asides.edits.is_some() && !guards.is_empty();
    let timeout = policy.timeout_layer();
    let bare = policy.body_limit.is_none() && timeout.is_none() && asides.fallback.is_none();
    if bare && guards.is_empty() {
        // No ring, no second allocation for the call through it.
        return (mirrored, false);
    }
    let ring = ServiceBuilder::new()
        // Around everything that can wait, guards and the fallback among it: one deadline for all.
        .option_layer(timeout)
        // Before anything is spent on the request.
        .option_layer((!guards.is_empty()).then(|| GuardLayer::new(guards)))
        // A length that says too much is rejected before anything is spent on the request.
        .option_layer(policy.body_limit)
        .option_layer(asides.fallback.clone())
        // The same deadline once more: a fallback that responds at once stands in for what is late.
        .option_layer(timeout.filter(|_| asides.fallback.is_some()))
        .service(mirrored);
    (Module::from_service(ring), edits)
}

/// Who stops requests before they go on, in order.
fn guards(policy: &Policy, asides: &Asides) -> GuardChain {
    let mut guards = GuardChain::new();
    let filters = filters(policy);
    if !filters.is_empty() {
        guards = guards.then(filters);
    }
    let limiter = asides.rate_limit.as_ref();
    if let Some(identity) = &asides.identity {
        guards = counted(guards, identity.clone(), limiter);
    }
    let external = || asides.external_auth.clone();
    let says_who = policy.external_auth.as_ref().is_some_and(config::ExternalAuth::knows_callers);
    if let Some(external) = external().filter(|_| says_who) {
        guards = counted(guards, external, limiter);
    }
    // Behind identity: who is known is counted as himself.
    if let Some(limiter) = limiter {
        guards = guards.then(limiter.clone());
    }
    // Behind the limits: who tries what he may not is counted as well.
    for requirements in policy.requirements() {
        guards = guards.then(AuthorizeFilter::new(requirements));
    }
    // Nobody else is asked about what is rejected anyway.
    if let Some(external) = external().filter(|_| !says_who) {
        guards = guards.then(external);
    }
    // Policies see what the client sent; the target sees it as the route edits it. Without
    // policies the gateway edits it.
    if let Some(edits) = asides.edits.as_ref().filter(|_| !guards.is_empty()) {
        guards = guards.then(edits.clone());
    }
    guards
}

/// With `identity`, and the limits for whom it does not know: who guesses is counted by address.
fn counted(guards: GuardChain, identity: impl Guard, limiter: Option<&RateLimiter>) -> GuardChain {
    match limiter {
        None => guards.then(identity),
        Some(limiter) => guards.then(CheckRejected::new(identity, limiter.clone())),
    }
}

/// What a head suffices for, cheapest rejections first and all before anybody asks who is calling.
fn filters(policy: &Policy) -> FilterChain {
    let mut chain = FilterChain::new();
    // First, so that it is said on whatever is answered below.
    if let Some(filter) = &policy.security_headers {
        chain = chain.then(filter.clone());
    }
    // Preflights carry no credentials: they are answered before anything asks for some.
    if let Some(filter) = &policy.cors {
        chain = chain.then(filter.clone());
    }
    if let Some(filter) = &policy.ip {
        chain = chain.then(filter.clone());
    }
    if let Some(filter) = &policy.methods {
        chain = chain.then(filter.clone());
    }
    if let Some(filter) = &policy.csrf {
        chain = chain.then(filter.clone());
    }
    if let Some(filter) = &policy.content_types {
        chain = chain.then(filter.clone());
    }
    chain
}

/// What is asked for again, and how long each time.
fn tries(policy: &Policy, target: Module) -> Module {
    let limited = policy.attempt_timeout.is_some() || policy.response_head_timeout.is_some();
    if policy.retry.is_none() && policy.hedge.is_none() && !limited {
        return target;
    }
    let budget = policy.retry.as_ref().map(|retry| RetryBudget::new(&retry.budget));
    let budget = budget.unwrap_or_default();
    // The retry stands outside and has counted the request already.
    let spender = if policy.retry.is_some() { budget.spender() } else { budget.clone() };
    let retry = policy.retry.as_ref().map(|retry| RetryLayer::from(retry.config.clone()));
    let ring = ServiceBuilder::new()
        .option_layer(policy.attempt_timeout.map(AttemptTimeoutLayer::new))
        .option_layer(policy.response_head_timeout.map(ResponseHeadTimeoutLayer::new))
        .option_layer(retry.map(|retry| retry.budget(budget)))
        .option_layer(policy.hedge.clone().map(|hedge| HedgeLayer::from(hedge).budget(spender)))
        .service(target);
    Module::from_service(ring)
}
