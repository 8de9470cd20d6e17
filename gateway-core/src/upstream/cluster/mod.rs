//! [`Cluster`]: endpoints that answer for the same thing.

mod available;
mod builder;
mod ejection;
mod prober;
mod recovery;
mod shared;
mod status;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;

pub use self::available::PickMode;
pub use self::builder::ClusterBuilder;
pub(super) use self::shared::Shared;
pub use self::status::{ClusterStatus, EndpointStatus};
use super::endpoint::{Endpoint, EndpointSpec};
use super::forward;
use crate::http1::head::HeadLimits;
use crate::message::{Outcome, Request};
use crate::module::{Health, ModuleService};

/// How long a cluster waits for its endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClusterTimeouts {
    /// For a connection, TLS included. Default: 3 s.
    pub connect: Duration,
    /// For one attempt until the head of its response, connecting included. The time in which the
    /// gateway waits for the client's body does not count. `None`: as long as the request has.
    /// Default: none.
    pub attempt_timeout: Option<Duration>,
    /// For the head of the response, from the moment the whole request has been sent. `None`: no
    /// such limit. Default: 30 s.
    pub response_head: Option<Duration>,
    /// Between two pieces of a body in either direction. Default: 5 min.
    pub idle: Duration,
}

/// Longer than what an interactive client waits for, and short enough that a hung upstream is
/// noticed; it does not cut downloads, uploads or streams.
const RESPONSE_HEAD: Duration = Duration::from_secs(30);

impl Default for ClusterTimeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            attempt_timeout: None,
            response_head: Some(RESPONSE_HEAD),
            idle: Duration::from_secs(300),
        }
    }
}

/// How much of the head of a response is accepted. What is over it is answered with 502
/// [`UpstreamHeadersTooLarge`](crate::Reason::UpstreamHeadersTooLarge).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ResponseLimits {
    /// Bytes of the status line and all headers. Default: 64 KiB.
    pub headers: usize,
    /// Number of headers. Default: 200.
    pub header_count: usize,
}

impl ResponseLimits {
    pub(in crate::upstream) fn head(self) -> HeadLimits {
        HeadLimits { uri: usize::MAX, bytes: self.headers, fields: self.header_count }
    }
}

impl Default for ResponseLimits {
    fn default() -> Self {
        Self { headers: 64 * 1024, header_count: 200 }
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
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// There is nothing to forward to.
    #[error("cluster `{cluster}` has no endpoint, and nothing to discover any")]
    NoEndpoint {
        /// The cluster's name.
        cluster: String,
    },
    /// Two endpoints have one address.
    #[error("endpoint `{endpoint}` is given twice")]
    Twice {
        /// The endpoint's address.
        endpoint: String,
    },
    /// An `https` endpoint, but nothing to make TLS connections with.
    #[error("endpoint `{endpoint}` needs TLS, and the cluster was given no TLS configuration")]
    NoTls {
        /// The endpoint's address.
        endpoint: String,
    },
    /// An `https` endpoint that is to be asked over gRPC.
    #[error("endpoint `{endpoint}` cannot be asked over gRPC: HTTP/2 over TLS is not spoken")]
    GrpcOverTls {
        /// The endpoint's address.
        endpoint: String,
    },
}

/// As `Display`, for a `main` that returns the error.
impl fmt::Debug for ClusterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Endpoints that answer for the same thing. Cheap to clone; clones are the same cluster.
///
/// A cluster is a [`ModuleService`]: a route leads to it as to any module.
///
/// Its endpoints are given, or [discovered](super::Discover); what is known of their health
/// decides which of them are [picked](super::balance).
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

impl Cluster {
    /// A cluster called `name`, without endpoints yet.
    pub fn builder(name: impl Into<Arc<str>>) -> ClusterBuilder {
        ClusterBuilder::new(name.into())
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Its endpoints as of now, with their live state.
    pub fn endpoints(&self) -> Vec<Arc<Endpoint>> {
        self.shared.members().iter().map(|member| Arc::clone(&member.endpoint)).collect()
    }

    /// Everything about its endpoints as of now: for people and metrics.
    pub fn status(&self) -> ClusterStatus {
        self.shared.status()
    }

    /// Starts what a cluster does in the background: discovery, health checks, the upkeep of
    /// connections. The first request does it otherwise. Ends with the last clone of the cluster.
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime.
    pub fn start(&self) {
        self.shared.start();
    }

    /// Waits until the first set of endpoints was discovered and each of them was probed once.
    /// May wait for ever: give it a timeout. Needs [`start`](Self::start) first.
    pub async fn ready(&self) {
        self.shared.ready().await;
    }

    /// Replaces its endpoints by `endpoints`; see [`Publisher::publish`](super::Publisher::publish).
    pub fn replace_endpoints(&self, endpoints: Vec<EndpointSpec>) {
        self.shared.publish(endpoints);
    }

    #[cfg(test)]
    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Waits for the next change of what may be picked.
    pub async fn changed(&self) {
        self.shared.changed().await;
    }
}

impl ModuleService for Cluster {
    fn call(&self, request: Request) -> impl Future<Output = Outcome> + Send {
        forward::forward(&self.shared, request)
    }

    async fn health(&self) -> Health {
        self.shared.health()
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("name", &self.shared.name)
            .field("endpoints", &self.endpoints())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
