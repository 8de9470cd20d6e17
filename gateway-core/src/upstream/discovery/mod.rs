//! [`Discover`]: where the endpoints of a cluster come from.
//!
//! A source publishes whole sets. Endpoints whose address stays keep their connections, counters
//! and health; those that are gone get no new request and end with their last answer. A source
//! that fails says so, and the last good set holds.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Weak};

use tokio::time::Instant;

use super::address::EndpointAddress;
use super::cluster::Shared;
use super::endpoint::EndpointSpec;
use crate::error::BoxError;

/// A source of endpoints.
///
/// ```
/// use std::time::Duration;
///
/// use gateway_core::upstream::{Discover, EndpointSpec, Publisher};
///
/// /// Asks a function every ten seconds.
/// struct Asked(fn() -> Vec<EndpointSpec>);
///
/// impl Discover for Asked {
///     fn name(&self) -> &str {
///         "asked"
///     }
///
///     async fn run(&self, publisher: Publisher) {
///         loop {
///             publisher.publish((self.0)());
///             tokio::time::sleep(Duration::from_secs(10)).await;
///         }
///     }
/// }
/// ```
pub trait Discover: Send + Sync + 'static {
    /// What status and logs call it: its kind and where it looks, such as `dns orders.svc:9000`.
    fn name(&self) -> &str;

    /// Publishes sets for as long as it is polled. It is dropped with its cluster. A source that
    /// returns has said all that it will ever say.
    fn run(&self, publisher: Publisher) -> impl Future<Output = ()> + Send;
}

/// Where a source's sets go. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Publisher {
    cluster: Weak<Shared>,
}

impl Publisher {
    pub(super) fn new(cluster: &Arc<Shared>) -> Self {
        Self { cluster: Arc::downgrade(cluster) }
    }

    /// Replaces the cluster's endpoints by `endpoints`. Of several with one address the first
    /// counts. An empty set is a set: the cluster then has nobody to send to.
    pub fn publish(&self, endpoints: Vec<EndpointSpec>) {
        if let Some(cluster) = self.cluster.upgrade() {
            cluster.publish(endpoints);
        }
    }

    /// Says that the source could not be read: the last good set holds.
    pub fn failed(&self, error: impl Into<BoxError>) {
        if let Some(cluster) = self.cluster.upgrade() {
            cluster.discovery_failed(&error.into());
        }
    }

    /// True when the cluster is gone, and with it the reason to go on.
    pub fn is_closed(&self) -> bool {
        self.cluster.strong_count() == 0
    }
}

/// True for an address that no source may name: one of `reserved`, and those that are no address of
/// an upstream (unspecified, which means this machine; link-local, with the metadata services of
/// clouds; multicast and broadcast).
pub(super) fn is_forbidden(address: &EndpointAddress, reserved: &[SocketAddr]) -> bool {
    let host = address.host().trim_matches(['[', ']']);
    let host = host.strip_suffix('.').unwrap_or(host);
    let local = host.eq_ignore_ascii_case("localhost");
    let Some(ip) = host.parse::<IpAddr>().ok().map(|ip| ip.to_canonical()) else {
        return local && reserved.iter().any(|own| own.port() == address.port());
    };
    let special = match ip {
        IpAddr::V4(ip) => ip.is_link_local() || ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    special
        || ip.is_unspecified()
        || ip.is_multicast()
        || reserved.iter().any(|own| {
            let own_ip = own.ip().to_canonical();
            let here = ip.is_loopback() && (own_ip.is_loopback() || own_ip.is_unspecified());
            own.port() == address.port() && (here || own_ip == ip)
        })
}

/// What a cluster's source last did.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct DiscoveryStatus {
    /// Its name.
    pub source: String,
    /// When it last published a set; `None`: never.
    pub published: Option<Instant>,
    /// Why it fails since then; `None`: it does not.
    pub failure: Option<String>,
}

pub(super) type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A source, erased.
pub(super) trait Erased: Send + Sync {
    fn name(&self) -> &str;
    fn run(self: Arc<Self>, publisher: Publisher) -> Running;
}

impl<D: Discover> Erased for D {
    fn name(&self) -> &str {
        Discover::name(self)
    }

    fn run(self: Arc<Self>, publisher: Publisher) -> Running {
        Box::pin(async move { Discover::run(&*self, publisher).await })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_addresses_that_are_no_upstream() {
        let reserved = ["127.0.0.1:9901".parse().unwrap()];
        let forbidden = |address: &str| is_forbidden(&address.parse().unwrap(), &reserved);
        for address in [
            "http://127.0.0.1:9901",
            "http://127.0.0.2:9901",
            "h2c://localhost:9901",
            "http://LOCALHOST.:9901",
            "http://[::1]:9901",
            "http://[::ffff:127.0.0.1]:9901",
            "http://0.0.0.0:9901",
            "http://[::]:80",
            "http://169.254.169.254:80",
            "http://[fe80::1]:80",
            "http://224.0.0.1:80",
            "http://255.255.255.255:80",
        ] {
            assert!(forbidden(address), "{address}");
        }
        for address in [
            "http://127.0.0.1:9000",
            "http://localhost:9000",
            "http://10.0.0.1:9901",
            "http://a:9901",
        ] {
            assert!(!forbidden(address), "{address}");
        }
    }
}
