//! A cluster of a document into one that forwards.

use std::net::SocketAddr;

use gateway_core::{BoxError, Cluster, Observers};

use gateway_layers::auth::service_token::ServiceTokenFilter;
use gateway_layers::circuit_breaker::{CircuitBreaker, RecoveryObserver};
use gateway_layers::concurrency::ConcurrencyLimit;

use super::parts::ClusterPart;
use super::registry::RegistryPart;
use super::source::source;
use super::upstream_tls::UpstreamTls;
use crate::{config, rings};

/// Builds `config` with its ring. What did not change of `before` keeps its state.
pub(super) fn part(
    config: &config::Cluster,
    reserved: &[SocketAddr],
    observers: &Observers,
    registry: Option<&RegistryPart>,
    tls: Option<UpstreamTls>,
    before: Option<&ClusterPart>,
) -> Result<ClusterPart, BoxError> {
    let same = |before: &&ClusterPart| before.config.circuit_breaker == config.circuit_breaker;
    let breaker = match (&config.circuit_breaker, before.filter(same)) {
        (_, Some(before)) => before.breaker.clone(),
        (None, None) => None,
        (Some(settings), None) => {
            let (name, observers) = (config.name.as_str(), observers.clone());
            Some(CircuitBreaker::observed(name, settings.clone(), observers)?)
        }
    };
    let observers = match &breaker {
        Some(breaker) => &observers.with(RecoveryObserver::new(breaker.clone())),
        None => observers,
    };
    let before_cluster = before.map(|before| &before.cluster);
    let cluster = build(config, reserved, observers, registry, tls, before_cluster)?;
    let same = |before: &&ClusterPart| before.config.concurrency == config.concurrency;
    let limit = match (&config.concurrency, before.filter(same)) {
        (_, Some(before)) => before.limit.clone(),
        (settings, None) => settings.clone().map(ConcurrencyLimit::new),
    };
    let token = match &config.service_token {
        Some(token) => {
            let filter = ServiceTokenFilter::new(token.token.reveal())?;
            Some(filter.header(token.header.clone()))
        }
        None => None,
    };
    let signer = super::signature::signer(config)?;
    let limits = (breaker.as_ref(), limit.as_ref());
    let module = rings::cluster(&cluster, limits, token, signer.as_ref());
    Ok(ClusterPart { config: config.clone(), cluster, breaker, limit, module })
}

/// Builds `cluster`; endpoints that `before` has too keep their state.
fn build(
    cluster: &config::Cluster,
    reserved: &[SocketAddr],
    observers: &Observers,
    registry: Option<&RegistryPart>,
    tls: Option<UpstreamTls>,
    before: Option<&Cluster>,
) -> Result<Cluster, BoxError> {
    let mut builder = Cluster::builder(cluster.name.as_str()).reserved(reserved.iter().copied());
    for endpoint in &cluster.endpoints {
        builder = builder.endpoint_spec(endpoint.clone());
    }
    if let Some(discover) = &cluster.discovery {
        builder = source(builder, discover, registry)?;
    }
    if let Some(before) = before {
        builder = builder.inherit(before);
    }
    if let Some(zone) = &cluster.zone {
        builder = builder.zone(zone.as_str());
    }
    if let Some(ejection) = cluster.outlier_detection {
        builder = builder.outlier_detection(ejection);
    }
    if let Some(check) = &cluster.health {
        builder = builder.health_check(check.clone());
    }
    if let Some(limit) = cluster.endpoint_limit {
        builder = builder.endpoint_limit(limit);
    }
    let mut builder = cluster.balance.apply(builder);
    if let Some(sticky) = &cluster.sticky {
        builder = builder.sticky(sticky.clone());
    }
    let builder = match tls {
        Some(tls) => tls.secure(builder),
        None => builder,
    };
    Ok(builder
        .host(cluster.host.clone())
        .pool(cluster.pool)
        .timeouts(cluster.timeouts)
        .response_limits(cluster.limits)
        .slow_start(cluster.slow_start)
        .panic_threshold(cluster.panic_threshold)
        .observers(observers.clone())
        .build()?)
}
