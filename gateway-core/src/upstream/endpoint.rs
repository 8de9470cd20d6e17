//! [`Endpoint`]: one address of a cluster, with its live state.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::address::EndpointAddress;
use super::health::Vitals;
use super::latency::Latency;
use super::pool::{Http1Pool, Http2Pool, PoolConfig};
use crate::module::Health;
use crate::task::Tasks;

/// What is said about an endpoint: where it is, and what share it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EndpointSpec {
    /// Where it is. No two endpoints of a cluster have the same address.
    pub address: EndpointAddress,
    /// Its share beside the others, up to [`MAX_WEIGHT`]; 0: none. Default: 1.
    pub weight: u32,
    /// The zone it is in; see [`ClusterBuilder::zone`](super::ClusterBuilder::zone).
    pub zone: Option<Arc<str>>,
    /// Its group: those of the lowest number are picked, the others as far as those fail.
    /// Default: 0.
    pub priority: u32,
}

/// The largest weight of an endpoint.
pub const MAX_WEIGHT: u32 = 10_000;

impl EndpointSpec {
    /// An endpoint at `address` like any other.
    pub fn new(address: EndpointAddress) -> Self {
        Self { address, weight: 1, zone: None, priority: 0 }
    }

    /// Its share beside the others; at most [`MAX_WEIGHT`].
    #[must_use]
    pub fn weight(mut self, weight: u32) -> Self {
        self.weight = weight.min(MAX_WEIGHT);
        self
    }

    /// The zone it is in.
    #[must_use]
    pub fn zone(mut self, zone: impl Into<Arc<str>>) -> Self {
        self.zone = Some(zone.into());
        self
    }

    /// Its group; the lowest number comes first.
    #[must_use]
    pub fn priority(mut self, priority: u32) -> Self {
        self.priority = priority;
        self
    }
}

impl From<EndpointAddress> for EndpointSpec {
    fn from(address: EndpointAddress) -> Self {
        Self::new(address)
    }
}

/// One address of a cluster, with its connections and counters.
#[derive(Debug)]
pub struct Endpoint {
    address: EndpointAddress,
    name: Arc<str>,
    in_flight: AtomicUsize,
    pub(crate) vitals: Vitals,
    pub(crate) latency: Latency,
    pub(crate) http1: Http1Pool,
    pub(crate) http2: Http2Pool,
    /// What drives its connections: ends with it, not with the cluster that it was found by.
    pub(crate) tasks: Tasks,
}

impl Endpoint {
    /// An endpoint at `address` with a pool of its own.
    pub fn new(address: EndpointAddress, pool: PoolConfig) -> Self {
        Self {
            name: address.to_string().into(),
            address,
            in_flight: AtomicUsize::new(0),
            vitals: Vitals::default(),
            latency: Latency::default(),
            http1: Http1Pool::new(pool),
            http2: Http2Pool::new(pool),
            tasks: Tasks::new(),
        }
    }

    /// Where it is.
    pub fn address(&self) -> &EndpointAddress {
        &self.address
    }

    /// The address as text: what logs and metrics call it.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Requests that were sent to it and whose answers have not ended.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Connections to it, busy and idle.
    pub fn connections(&self) -> usize {
        self.http1.connections() + self.http2.connections()
    }

    /// What its health checks say; [`Health::Unknown`] before the first, and where there is none.
    pub fn health(&self) -> Health {
        self.vitals.health()
    }

    /// The moving average of its answers' delays in which peaks count; `None` where the cluster's
    /// balance does not look at it.
    pub fn latency(&self) -> Option<Duration> {
        self.latency.current()
    }

    /// Counts one request until the returned guard is dropped.
    pub(crate) fn enter(self: Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight { endpoint: self }
    }
}

/// One request on its way to an endpoint, until its answer's body has ended.
#[derive(Debug)]
pub(crate) struct InFlight {
    endpoint: Arc<Endpoint>,
}

impl InFlight {
    pub(crate) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.endpoint.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
