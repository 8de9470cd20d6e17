//! [`Cluster`]: endpoints that answer for the same thing.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use http::HeaderValue;
use tokio::time::sleep;

use super::balance::{Balance, PowerOfTwo};
use super::connect::Connector;
use super::endpoint::{Endpoint, EndpointAddress, Transport};
use super::forward;
use super::pool::PoolSettings;
use crate::error::{Error, Reason};
use crate::message::{Outcome, Request};
use crate::module::ModuleService;
use crate::observe::Observers;
use crate::task::Tasks;

/// How long a cluster waits for its endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClusterTimeouts {
    /// For a connection, TLS included. Default: 3 s.
    pub connect: Duration,
    /// For the head of an answer, from the moment an endpoint was picked. `None`: as long as the
    /// request has. Default: none.
    pub try_timeout: Option<Duration>,
    /// Between two pieces of a body in either direction. Default: 5 min.
    pub idle: Duration,
}

impl Default for ClusterTimeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(3), try_timeout: None, idle: Duration::from_secs(300) }
    }
}

/// What `Host` upstreams see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostPolicy {
    /// The client's.
    #[default]
    Preserve,
    /// The endpoint's own address.
    Endpoint,
    /// Always this one.
    Fixed(HeaderValue),
}

/// Why a cluster cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// There is nothing to forward to.
    #[error("cluster `{cluster}` has no endpoint")]
    NoEndpoint {
        /// The cluster's name.
        cluster: String,
    },
    /// An `https` endpoint, but nothing to make TLS connections with.
    #[error("endpoint `{endpoint}` needs TLS, and the cluster was given no TLS configuration")]
    NoTls {
        /// The endpoint's address.
        endpoint: String,
    },
}

/// Endpoints that answer for the same thing. Cheap to clone; clones are the same cluster.
///
/// A cluster is a [`ModuleService`]: a route leads to it as to any module.
///
/// ```
/// use gateway_core::{Cluster, Module, Route, RouteMatch};
///
/// let orders = Cluster::builder("orders")
///     .endpoint("http://127.0.0.1:9000".parse()?)
///     .endpoint("h2c://127.0.0.1:9001".parse()?)
///     .build()?;
/// let route = Route::new("orders", Module::new(orders)).matching(RouteMatch::prefix("/orders")?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Cluster {
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) name: Arc<str>,
    endpoints: Vec<Arc<Endpoint>>,
    balance: Box<dyn Balance>,
    pub(super) host: HostPolicy,
    pub(super) timeouts: ClusterTimeouts,
    pub(super) connector: Connector,
    pub(super) tasks: Tasks,
    pool: PoolSettings,
    pub(super) observers: Observers,
    sweeping: AtomicBool,
}

impl Cluster {
    /// A cluster called `name`, without endpoints yet.
    pub fn builder(name: impl Into<Arc<str>>) -> ClusterBuilder {
        ClusterBuilder {
            name: name.into(),
            endpoints: Vec::new(),
            balance: Box::new(PowerOfTwo::default()),
            host: HostPolicy::default(),
            pool: PoolSettings::default(),
            timeouts: ClusterTimeouts::default(),
            connector: Connector::default(),
            observers: Observers::default(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Its endpoints with their live state.
    pub fn endpoints(&self) -> &[Arc<Endpoint>] {
        &self.shared.endpoints
    }
}

impl Shared {
    /// The endpoint that takes the next request.
    pub(super) fn pick(&self) -> Result<&Arc<Endpoint>, Error> {
        self.balance.pick(&self.endpoints).ok_or_else(|| Reason::NoEndpoint.into())
    }

    /// Starts the one task that drops expired connections. It needs a runtime, which the builder
    /// may not have had.
    pub(super) fn start_sweeping(self: &Arc<Self>) {
        if self.sweeping.load(Ordering::Relaxed) || self.sweeping.swap(true, Ordering::Relaxed) {
            return;
        }
        let shared = Arc::downgrade(self);
        let every = (self.pool.idle_timeout / 4).clamp(Duration::from_millis(100), SWEEP_EVERY);
        self.tasks.spawn("sweep connections", sweep(shared, every));
    }
}

/// Expired connections are dropped at least this often.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

async fn sweep(shared: Weak<Shared>, every: Duration) {
    loop {
        sleep(every).await;
        let Some(shared) = shared.upgrade() else {
            return;
        };
        for endpoint in &shared.endpoints {
            endpoint.http1.sweep();
            endpoint.http2.sweep();
        }
    }
}

impl ModuleService for Cluster {
    fn call(&self, request: Request) -> impl Future<Output = Outcome> + Send {
        forward::forward(&self.shared, request)
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("name", &self.shared.name)
            .field("endpoints", &self.shared.endpoints)
            .finish_non_exhaustive()
    }
}

/// Builds a [`Cluster`].
#[derive(Debug)]
#[must_use]
pub struct ClusterBuilder {
    name: Arc<str>,
    endpoints: Vec<EndpointAddress>,
    balance: Box<dyn Balance>,
    host: HostPolicy,
    pool: PoolSettings,
    timeouts: ClusterTimeouts,
    connector: Connector,
    observers: Observers,
}

impl ClusterBuilder {
    /// Adds an endpoint.
    pub fn endpoint(mut self, address: EndpointAddress) -> Self {
        self.endpoints.push(address);
        self
    }

    /// How an endpoint is picked. Default: [`PowerOfTwo`].
    pub fn balance(mut self, balance: impl Balance) -> Self {
        self.balance = Box::new(balance);
        self
    }

    /// What `Host` upstreams see. Default: the client's.
    pub fn host(mut self, host: HostPolicy) -> Self {
        self.host = host;
        self
    }

    /// How many connections each endpoint gets.
    pub fn pool(mut self, pool: PoolSettings) -> Self {
        self.pool = pool;
        self
    }

    /// How long endpoints are waited for.
    pub fn timeouts(mut self, timeouts: ClusterTimeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// How TLS connections to `https` endpoints are made. They carry HTTP/1.1, so the
    /// configuration offers no other protocol (ALPN).
    #[cfg(feature = "tls")]
    pub fn tls(mut self, config: Arc<rustls::ClientConfig>) -> Self {
        self.connector.tls = Some(config);
        self
    }

    /// Who is told how tries at endpoints ended.
    pub fn observers(mut self, observers: Observers) -> Self {
        self.observers = observers;
        self
    }

    /// Builds the cluster. Nothing connects before the first request.
    ///
    /// # Errors
    ///
    /// Without endpoints, and for an `https` endpoint without a TLS configuration.
    pub fn build(self) -> Result<Cluster, ClusterError> {
        if self.endpoints.is_empty() {
            return Err(ClusterError::NoEndpoint { cluster: self.name.to_string() });
        }
        let needs_tls = |address: &&EndpointAddress| address.transport() == Transport::Https;
        if let Some(address) = self.endpoints.iter().find(needs_tls)
            && !self.connector.has_tls()
        {
            return Err(ClusterError::NoTls { endpoint: address.to_string() });
        }
        let pool = self.pool;
        let endpoints =
            self.endpoints.into_iter().map(|address| Arc::new(Endpoint::new(address, pool)));
        let shared = Shared {
            name: self.name,
            endpoints: endpoints.collect(),
            balance: self.balance,
            host: self.host,
            timeouts: self.timeouts,
            connector: self.connector,
            tasks: Tasks::new(),
            pool,
            observers: self.observers,
            sweeping: AtomicBool::new(false),
        };
        Ok(Cluster { shared: Arc::new(shared) })
    }
}
