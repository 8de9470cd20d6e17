//! A cluster of a document into one that forwards.

use gateway_core::upstream::balance::{PowerOfTwo, RoundRobin};
use gateway_core::{BoxError, Cluster, Observers};

use crate::config::{self, Balance};

pub(super) fn build(cluster: &config::Cluster, observers: &Observers) -> Result<Cluster, BoxError> {
    let mut builder = Cluster::builder(cluster.name.as_str());
    for endpoint in &cluster.endpoints {
        builder = builder.endpoint(endpoint.clone());
    }
    let builder = match cluster.balance {
        Balance::RoundRobin => builder.balance(RoundRobin::default()),
        Balance::PowerOfTwo => builder.balance(PowerOfTwo::default()),
    };
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
        .observers(observers.clone())
        .build()?)
}

#[cfg(feature = "tls")]
fn is_https(endpoint: &gateway_core::EndpointAddress) -> bool {
    endpoint.transport() == gateway_core::upstream::Transport::Https
}
