//! Where endpoints come from: sources that find and watch them.
//!
//! A source is a [`Discover`](gateway_core::upstream::Discover). It is given to a cluster, which
//! runs it:
//!
//! ```
//! use gateway_core::Cluster;
//! use gateway_layers::discovery::FileDiscovery;
//!
//! let orders = Cluster::builder("orders")
//!     .discovery(FileDiscovery::new("endpoints.json"))
//!     .build()?;
//! # Ok::<(), gateway_core::ClusterError>(())
//! ```
//!
//! | source | feature | finds |
//! | --- | --- | --- |
//! | [`FileDiscovery`] | `discovery` | what a JSON file lists |
//! | `DnsDiscovery` | `dns` | the addresses of a name, or its SRV records |
//! | `ConsulDiscovery` | `consul` | the healthy instances of a service |
//! | `EtcdDiscovery` | `etcd` | the keys below a prefix |
//! | `KubernetesDiscovery` | `kubernetes` | the ready endpoints of a service |
//!
//! All of them keep to these rules:
//!
//! - A failure changes nothing: the last good set holds, and the cluster's status, its log and its
//!   observers say what failed and when it works again. Only an answer that says that there is
//!   nobody empties a set. A name without an address is a failure: names vanish by mistake.
//! - After a failure a source waits before it asks again; see [`Backoff`].
//! - A set has at most [`MAX_ENDPOINTS`] endpoints. A larger one is a failure, never cut.
//! - What peers send is limited in size, and nobody is waited for without a deadline.
//!
//! A source of one's own is thirty lines:
//!
//! ```
//! use std::time::Duration;
//!
//! use gateway_core::upstream::{Discover, EndpointSpec, Publisher};
//!
//! /// Alternates between two sites.
//! struct Sites([EndpointSpec; 2]);
//!
//! impl Discover for Sites {
//!     fn name(&self) -> &str {
//!         "sites"
//!     }
//!
//!     async fn run(&self, publisher: Publisher) {
//!         for site in self.0.iter().cycle() {
//!             publisher.publish(vec![site.clone()]);
//!             tokio::time::sleep(Duration::from_secs(3600)).await;
//!         }
//!     }
//! }
//! ```

mod backoff;
#[cfg(any(feature = "consul", feature = "etcd", feature = "kubernetes"))]
mod client;
#[cfg(feature = "consul")]
pub mod consul;
#[cfg(feature = "dns")]
pub mod dns;
mod entry;
mod error;
#[cfg(feature = "etcd")]
pub mod etcd;
mod failure;
#[cfg(any(feature = "dns", feature = "kubernetes"))]
mod family;
mod feed;
pub mod file;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;
#[cfg(any(feature = "etcd", feature = "kubernetes"))]
mod lines;
#[cfg(test)]
#[allow(dead_code, reason = "not every source is built, and not every one needs all of it")]
mod testing;

pub use self::backoff::Backoff;
#[cfg(feature = "consul")]
pub use self::consul::{ConsulConfig, ConsulDiscovery};
#[cfg(feature = "dns")]
pub use self::dns::{DnsConfig, DnsDiscovery};
pub use self::error::DiscoveryError;
#[cfg(feature = "etcd")]
pub use self::etcd::{EtcdConfig, EtcdDiscovery};
#[cfg(any(feature = "dns", feature = "kubernetes"))]
pub use self::family::Family;
pub use self::file::{FileConfig, FileDiscovery};
#[cfg(feature = "kubernetes")]
pub use self::kubernetes::{KubernetesConfig, KubernetesDiscovery};
#[cfg(any(feature = "consul", feature = "etcd", feature = "kubernetes"))]
pub use crate::secret::Secret;

/// The most endpoints of one set. A source that finds more fails and says so: a registry that
/// lists so many lists something else than one service.
pub const MAX_ENDPOINTS: usize = 10_000;
