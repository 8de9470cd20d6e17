//! Upstream clusters: endpoints, where they come from, how they are, which one is picked,
//! connections, forwarding.

mod address;
mod affinity;
pub mod balance;
mod cluster;
mod connect;
mod cookie;
mod discovery;
mod endpoint;
mod forward;
pub(crate) mod hash;
pub mod health;
mod latency;
mod pool;
mod race;
mod sticky;

pub use self::address::{EndpointAddress, EndpointError, Transport};
pub use self::affinity::{Affinity, HashKey, HashKeyError};
pub use self::cluster::{
    Cluster, ClusterBuilder, ClusterError, ClusterStatus, ClusterTimeouts, EndpointStatus,
    HostPolicy, PickMode, ResponseLimits,
};
pub use self::connect::Connect;
pub use self::discovery::{Discover, DiscoveryStatus, Publisher};
pub use self::endpoint::{Endpoint, EndpointSpec, MAX_WEIGHT};
pub use self::pool::PoolConfig;
pub use self::sticky::{OnUnavailable, SameSite, Sticky, StickyError};
