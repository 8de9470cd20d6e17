//! [`ClusterBuilder`].

use std::collections::HashSet;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::shared::{Settings, Shared};
use super::{Cluster, ClusterError, ClusterTimeouts, HostPolicy, ResponseLimits};
use crate::observe::Observers;
use crate::upstream::address::{EndpointAddress, Transport};
use crate::upstream::affinity::Affinity;
use crate::upstream::balance::{Balance, PowerOfTwo};
use crate::upstream::connect::{Connect, Connector};
use crate::upstream::discovery::{self, Discover};
use crate::upstream::endpoint::EndpointSpec;
use crate::upstream::health::{HealthCheck, OutlierDetectionConfig};
use crate::upstream::pool::PoolConfig;
use crate::upstream::sticky::Sticky;

/// Builds a [`Cluster`].
#[must_use]
pub struct ClusterBuilder {
    name: Arc<str>,
    endpoints: Vec<EndpointSpec>,
    discovery: Option<Arc<dyn discovery::Erased>>,
    settings: Settings,
    connector: Connector,
    observers: Observers,
    predecessor: Option<Cluster>,
}

impl ClusterBuilder {
    pub(super) fn new(name: Arc<str>) -> Self {
        Self {
            name,
            endpoints: Vec::new(),
            discovery: None,
            settings: Settings {
                balance: Arc::new(PowerOfTwo::default()),
                host: HostPolicy::default(),
                pool: PoolConfig::default(),
                timeouts: ClusterTimeouts::default(),
                response_limits: ResponseLimits::default(),
                health_check: None,
                outlier_detection: None,
                panic_threshold: Some(0.0),
                slow_start: Duration::ZERO,
                zone: None,
                endpoint_limit: usize::MAX,
                affinity: None,
                sticky: None,
                reserved: Vec::new(),
            },
            connector: Connector::default(),
            observers: Observers::default(),
            predecessor: None,
        }
    }

    /// Adds an endpoint like any other.
    pub fn endpoint(self, address: EndpointAddress) -> Self {
        self.endpoint_spec(EndpointSpec::new(address))
    }

    /// Adds an endpoint with its weight, zone and priority.
    pub fn endpoint_spec(mut self, spec: EndpointSpec) -> Self {
        self.endpoints.push(spec);
        self
    }

    /// Where the endpoints come from. Those that are [given](Self::endpoint) are used until the
    /// source has published its first set.
    pub fn discovery(mut self, source: impl Discover) -> Self {
        self.discovery = Some(Arc::new(source));
        self
    }

    /// How an endpoint is picked. Default: [`PowerOfTwo`].
    pub fn balance(mut self, balance: impl Balance) -> Self {
        self.settings.balance = Arc::new(balance);
        self
    }

    /// What requests are kept together by, where the balancer or the levels of the cluster go by
    /// it. Default: nothing.
    pub fn affinity(mut self, affinity: Affinity) -> Self {
        self.settings.affinity = Some(affinity);
        self
    }

    /// Clients come back to the endpoint that answered them, by a cookie. Default: they do not.
    pub fn sticky(mut self, sticky: Sticky) -> Self {
        self.settings.sticky = Some(sticky.for_cluster(&self.name));
        self
    }

    /// What `Host` upstreams see. Default: the client's.
    pub fn host(mut self, host: HostPolicy) -> Self {
        self.settings.host = host;
        self
    }

    /// How many connections each endpoint gets.
    pub fn pool(mut self, pool: PoolConfig) -> Self {
        self.settings.pool = pool;
        self
    }

    /// How long endpoints are waited for.
    pub fn timeouts(mut self, timeouts: ClusterTimeouts) -> Self {
        self.settings.timeouts = timeouts;
        self
    }

    /// How much of the head of a response is accepted.
    pub fn response_limits(mut self, limits: ResponseLimits) -> Self {
        self.settings.response_limits = limits;
        self
    }

    /// Endpoints are asked how they are: those that are unhealthy are not picked, those that
    /// nobody has asked yet only when none is healthy. Default: nobody asks, all are picked.
    pub fn health_check(mut self, check: HealthCheck) -> Self {
        self.settings.health_check = Some(Arc::new(check));
        self
    }

    /// Endpoints that fail are not picked for a while. Default: they are picked all the same.
    pub fn outlier_detection(mut self, config: OutlierDetectionConfig) -> Self {
        self.settings.outlier_detection = Some(config);
        self
    }

    /// When the share of endpoints that may be picked is not above this, all of them are picked:
    /// the health that leaves nobody is probably wrong. `None`: never, requests are then answered
    /// with [`Reason::NoEndpoint`](crate::Reason::NoEndpoint). Default: 0, when none is left.
    pub fn panic_threshold(mut self, share: Option<f64>) -> Self {
        self.settings.panic_threshold = share;
        self
    }

    /// For how long an endpoint that has come or recovered takes less than its share: from a
    /// tenth of it up to the whole. Default: 0, off.
    pub fn slow_start(mut self, window: Duration) -> Self {
        self.settings.slow_start = window;
        self
    }

    /// The zone that requests are kept in as far as its endpoints are well: those of the same
    /// priority in other zones are picked as far as they are not. Default: none, zones do not
    /// matter.
    pub fn zone(mut self, zone: impl Into<Arc<str>>) -> Self {
        self.settings.zone = Some(zone.into());
        self
    }

    /// Addresses of this process, such as its admin listener, that a source must not name as
    /// endpoints: they are excluded from what it publishes. Endpoints that are given in code are not
    /// looked at. Default: none.
    pub fn reserved(mut self, addresses: impl IntoIterator<Item = SocketAddr>) -> Self {
        self.settings.reserved.extend(addresses);
        self
    }

    /// How many requests an endpoint may have at the same time. When all have as many, requests
    /// are answered with [`Reason::EndpointsBusy`](crate::Reason::EndpointsBusy). Default: as many
    /// as its connections carry.
    pub fn endpoint_limit(mut self, requests: usize) -> Self {
        self.settings.endpoint_limit = requests;
        self
    }

    /// How TLS connections to `https` endpoints are made. They carry HTTP/1.1, so the
    /// configuration offers no other protocol (ALPN).
    #[cfg(feature = "tls")]
    pub fn tls(mut self, config: Arc<rustls::ClientConfig>) -> Self {
        self.connector.tls = Some(config);
        self
    }

    /// The name that `https` endpoints are asked for (SNI) and that their certificates must have.
    /// Default: the host of each endpoint's address, which for one that was found by DNS is an IP
    /// address.
    #[cfg(feature = "tls")]
    pub fn tls_server_name(mut self, name: rustls::pki_types::ServerName<'static>) -> Self {
        self.connector.server_name = Some(name);
        self
    }

    /// How connections are made. Default: over TCP and Unix sockets.
    pub fn connector(mut self, connector: impl Connect) -> Self {
        self.connector.custom = Some(Arc::new(connector));
        self
    }

    /// Who is told how tries at endpoints ended, and what became of endpoints.
    pub fn observers(mut self, observers: Observers) -> Self {
        self.observers = observers;
        self
    }

    /// Takes over the live state of `predecessor` (connections, counters, health) for endpoints
    /// that both have, and its discovered set until the own source has published. Where pool or
    /// TLS settings or the limits of responses differ, connections are made anew.
    pub fn inherit(mut self, predecessor: &Cluster) -> Self {
        self.predecessor = Some(predecessor.clone());
        self
    }

    /// Builds the cluster. Nothing connects before it is [started](Cluster::start) or has its
    /// first request.
    ///
    /// # Errors
    ///
    /// Without endpoints and without a source of them, for two endpoints with one address, and for
    /// an `https` endpoint without a TLS configuration or with a gRPC health check.
    pub fn build(self) -> Result<Cluster, ClusterError> {
        if self.endpoints.is_empty() && self.discovery.is_none() {
            return Err(ClusterError::NoEndpoint { cluster: self.name.to_string() });
        }
        let mut seen = HashSet::new();
        for spec in &self.endpoints {
            let endpoint = || spec.address.to_string();
            if !seen.insert(endpoint()) {
                return Err(ClusterError::Twice { endpoint: endpoint() });
            }
            if !can_reach(&self.connector, &spec.address) {
                return Err(ClusterError::NoTls { endpoint: endpoint() });
            }
            let check = self.settings.health_check.as_ref();
            if check.is_some_and(|check| !check.probe.can_ask(&spec.address)) {
                return Err(ClusterError::GrpcOverTls { endpoint: endpoint() });
            }
        }
        let shared = Shared::new(
            self.name,
            self.settings,
            self.connector,
            self.observers,
            self.discovery,
            self.predecessor.as_ref().map(|cluster| &*cluster.shared),
            self.endpoints,
        );
        Ok(Cluster { shared: Arc::new(shared) })
    }
}

/// False for an `https` endpoint and nothing to make TLS connections with.
pub(super) fn can_reach(connector: &Connector, address: &EndpointAddress) -> bool {
    address.transport() != Transport::Https || connector.has_tls()
}

impl fmt::Debug for ClusterBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterBuilder")
            .field("name", &self.name)
            .field("endpoints", &self.endpoints)
            .finish_non_exhaustive()
    }
}
