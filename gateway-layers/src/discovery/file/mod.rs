//! [`FileDiscovery`]: endpoints from a JSON file.
//!
//! The file is a list. An entry is a URL, or an object with all that is said about an endpoint:
//!
//! ```json
//! [
//!   { "url": "http://10.0.0.1:9000", "weight": 3, "zone": "a", "priority": 0 },
//!   "http://10.0.0.2:9000"
//! ]
//! ```
//!
//! It is looked at every second, by its path and through every link on the way, so that a file
//! that is renamed over it and a directory link that is turned are both seen. What cannot be read
//! as a whole, a file that is gone or half written, changes nothing and is reported; an empty list
//! is a set like any other. Unknown keys and addresses that are given twice are rejected.
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
//! Looked at less often:
//!
//! ```
//! # use std::time::Duration;
//! # use gateway_layers::discovery::{FileConfig, FileDiscovery};
//! let mut config = FileConfig::new("endpoints.json");
//! config.interval = Duration::from_secs(30);
//! let source = FileDiscovery::from(config);
//! ```

mod source;
#[cfg(test)]
mod tests;

pub use self::source::{FileConfig, FileDiscovery};
