//! [`KubernetesDiscovery`]: endpoints from the `EndpointSlice`s of a Kubernetes service.
//!
//! The slices (`discovery.k8s.io/v1`) are listed once and then watched; when the API server has
//! forgotten the version they are watched from, they are listed anew. Endpoints that are ready
//! make the set. When none is, those that are terminating and still serve do, as in the cluster's
//! own network. The zone is what the slice says. A service without endpoints, or none of that name,
//! empties the set: the API server has answered.
//!
//! The gateway speaks to pods, so ports are those of pods: the name that the service gives its
//! port, or the number that the containers listen on.
//!
//! ```
//! use gateway_core::Cluster;
//! use gateway_layers::discovery::{KubernetesConfig, KubernetesDiscovery};
//!
//! // What `kubectl proxy` offers.
//! let mut config = KubernetesConfig::new("http://127.0.0.1:8001".parse()?, "shop", "orders");
//! config.port = "http".parse()?;
//! let orders = Cluster::builder("orders").discovery(KubernetesDiscovery::new(config)?).build()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Inside of a pod, where the API server wants TLS and the service account's token. The TLS
//! configuration trusts the authority in [`CA_FILE`]:
//!
//! ```no_run
//! use gateway_core::Cluster;
//! use gateway_layers::discovery::{KubernetesConfig, KubernetesDiscovery};
//!
//! # fn tls(builder: gateway_core::ClusterBuilder) -> gateway_core::ClusterBuilder { builder }
//! let host = std::env::var("KUBERNETES_SERVICE_HOST")?;
//! let port = std::env::var("KUBERNETES_SERVICE_PORT")?.parse()?;
//! let config = KubernetesConfig::in_cluster(&host, port, "orders")?;
//! let client = tls(Cluster::builder("kubernetes")); // ClusterBuilder::tls
//! let source = KubernetesDiscovery::with_client(config, client)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The service account needs `get`, `list` and `watch` on `endpointslices` of the group
//! `discovery.k8s.io` in the namespace.

mod config;
mod slice;
mod source;
#[cfg(test)]
mod tests;
mod token;

pub use self::config::{CA_FILE, KubernetesConfig, KubernetesPort, NAMESPACE_FILE, TOKEN_FILE};
pub use self::source::KubernetesDiscovery;
