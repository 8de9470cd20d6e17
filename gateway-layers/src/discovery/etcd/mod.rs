//! [`EtcdDiscovery`]: endpoints from the keys below a prefix in etcd.
//!
//! A value is what an entry of an endpoint file is, a URL or an object with `url`, `weight`, `zone`
//! and `priority`; the key only tells one from another. Keys that go, by hand or with their lease,
//! take their endpoints with them. A value that cannot be read is left out, and the source says so; a Unix
//! socket is left out too, since whoever may write to etcd is not to reach this machine's.
//!
//! The keys are read once and then watched from the next revision on, over the JSON form of etcd's
//! API (`/v3/kv/range` and `/v3/watch`), which every member serves on its client address since
//! etcd 3.4. When the revision is compacted away, the keys are read anew; and now and then anyway,
//! see [`EtcdConfig::resync`].
//!
//! ```
//! use gateway_core::Cluster;
//! use gateway_layers::discovery::{EtcdConfig, EtcdDiscovery};
//!
//! let config = EtcdConfig::new(["http://127.0.0.1:2379".parse()?], "/services/orders/");
//! let orders = Cluster::builder("orders").discovery(EtcdDiscovery::new(config)?).build()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! With a user:
//!
//! ```
//! # use gateway_layers::discovery::{EtcdConfig, EtcdDiscovery};
//! let mut config = EtcdConfig::new(["http://127.0.0.1:2379".parse()?], "/services/orders/");
//! config.user = Some("gateway".to_owned());
//! config.password = Some("b1gs33cr3t".into());
//! let source = EtcdDiscovery::new(config)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod config;
mod keys;
mod source;
#[cfg(test)]
mod tests;
mod wire;

pub use self::config::EtcdConfig;
pub use self::source::EtcdDiscovery;
