//! [`ConsulDiscovery`]: endpoints from a Consul agent.
//!
//! It asks for the instances of a service whose checks pass and lets the agent hold the answer
//! until something changes (a blocking query, `GET /v1/health/service/NAME`). An instance is
//! reached at its service's address, or else its node's; its weight is what its service says for
//! passing checks. A list without instances empties the set: the agent has answered.
//!
//! ```
//! use gateway_core::Cluster;
//! use gateway_layers::discovery::{ConsulConfig, ConsulDiscovery};
//!
//! let config = ConsulConfig::new("http://127.0.0.1:8500".parse()?, "orders");
//! let orders = Cluster::builder("orders").discovery(ConsulDiscovery::new(config)?).build()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! With a tag, a token, and the zone from the metadata of nodes:
//!
//! ```
//! # use gateway_layers::discovery::{ConsulConfig, ConsulDiscovery};
//! let mut config = ConsulConfig::new("http://127.0.0.1:8500".parse()?, "orders");
//! config.tag = Some("v2".to_owned());
//! config.token = Some("b1gs33cr3t".into());
//! config.zone_meta = Some("zone".to_owned());
//! let source = ConsulDiscovery::new(config)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod config;
mod instance;
mod source;
#[cfg(test)]
mod tests;

pub use self::config::ConsulConfig;
pub use self::source::ConsulDiscovery;
