//! [`DnsDiscovery`]: endpoints from DNS.
//!
//! Either the addresses of a name (A and AAAA records) with a port that is given, or the targets of
//! its SRV records (RFC 2782) with their ports: the priority of a record is the endpoint's, and so
//! is its weight, of which 0 counts as 1. Answers are asked for anew when the shortest of their
//! times to live is over, but not within a second and not later than after five minutes.
//!
//! A name without addresses keeps the last set, as every failure does: names vanish by mistake.
//! SRV records whose only target is `.` say that there is nobody, and that is believed. A target
//! that has no address is left out, and the source says so.
//!
//! Endpoints are addresses, not names: with [`Transport::Https`](gateway_core::upstream::Transport)
//! certificates have to be valid for those.
//!
//! ```
//! use gateway_core::Cluster;
//! use gateway_layers::discovery::{DnsConfig, DnsDiscovery};
//!
//! let config = DnsConfig::new("orders.svc", 9000);
//! let orders = Cluster::builder("orders").discovery(DnsDiscovery::new(config)?).build()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! SRV records, from name servers that are given:
//!
//! ```
//! # use gateway_layers::discovery::{DnsConfig, DnsDiscovery};
//! let mut config = DnsConfig::srv("_http._tcp.orders.svc");
//! config.servers = vec!["10.0.0.53:53".parse()?];
//! let source = DnsDiscovery::new(config)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod config;
mod lookup;
mod source;
#[cfg(test)]
mod tests;

pub use self::config::{DnsConfig, DnsRecords};
pub use self::source::DnsDiscovery;
