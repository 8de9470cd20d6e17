//! Upstream clusters: endpoints, balancing, connections, forwarding.

pub mod balance;
mod cluster;
mod connect;
mod endpoint;
mod forward;
mod pool;

pub use self::cluster::{Cluster, ClusterBuilder, ClusterError, ClusterTimeouts, HostPolicy};
pub use self::endpoint::{Endpoint, EndpointAddress, EndpointError, Transport};
pub use self::pool::PoolSettings;
