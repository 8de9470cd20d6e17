//! A cluster of a document into one that forwards.

use gateway_core::{BoxError, Cluster, Observers};

use crate::config;

/// Builds `cluster`; endpoints that `before` has too keep their state.
pub(super) fn build(
    cluster: &config::Cluster,
    observers: &Observers,
    before: Option<&Cluster>,
) -> Result<Cluster, BoxError> {
    let mut builder = Cluster::builder(cluster.name.as_str());
    for endpoint in &cluster.endpoints {
        builder = builder.endpoint_spec(endpoint.clone());
    }
    if let Some(before) = before {
        builder = builder.inherit(before);
    }
    if let Some(zone) = &cluster.zone {
        builder = builder.zone(zone.as_str());
    }
    if let Some(ejection) = cluster.ejection {
        builder = builder.ejection(ejection);
    }
    if let Some(limit) = cluster.endpoint_limit {
        builder = builder.endpoint_limit(limit);
    }
    let mut builder = cluster.balance.apply(builder);
    if let Some(sticky) = &cluster.sticky {
        builder = builder.sticky(sticky.clone());
    }
    #[cfg(feature = "tls")]
    let builder = if cluster.endpoints.iter().any(is_https) {
        builder.tls(super::tls::client()?)
    } else {
        builder
    };
    Ok(builder
        .host(cluster.host.clone())
        .pool(cluster.pool)
        .timeouts(cluster.timeouts)
        .slow_start(cluster.slow_start)
        .panic_threshold(cluster.panic_threshold)
        .observers(observers.clone())
        .build()?)
}

#[cfg(feature = "tls")]
fn is_https(endpoint: &gateway_core::upstream::EndpointSpec) -> bool {
    endpoint.address.transport() == gateway_core::upstream::Transport::Https
}
