//! The cluster ring: what every route to one cluster shares.

use gateway_core::{Cluster, Module};

pub(crate) fn cluster(cluster: Cluster) -> Module {
    // Connect, try and idle timeouts are the cluster's own; nothing stands around it yet.
    Module::new(cluster)
}
