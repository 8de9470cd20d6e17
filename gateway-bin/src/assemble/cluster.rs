//! A cluster of a document into one that forwards.

use gateway_core::upstream::balance::{PowerOfTwo, RoundRobin};
use gateway_core::{Cluster, ClusterError, Observers};

use crate::config::{self, Balance};

pub(super) fn build(
    cluster: &config::Cluster,
    observers: &Observers,
) -> Result<Cluster, ClusterError> {
    let mut builder = Cluster::builder(cluster.name.as_str());
    for endpoint in &cluster.endpoints {
        builder = builder.endpoint(endpoint.clone());
    }
    let builder = match cluster.balance {
        Balance::RoundRobin => builder.balance(RoundRobin::default()),
        Balance::PowerOfTwo => builder.balance(PowerOfTwo::default()),
    };
    builder
        .host(cluster.host.clone())
        .pool(cluster.pool)
        .timeouts(cluster.timeouts)
        .observers(observers.clone())
        .build()
}
