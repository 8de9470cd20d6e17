//! [`RequestContext`]: what is known about one request.
//!
//! It is the only extension the gateway puts into a request, written on the way in and read by
//! everyone inside: layers, modules, the forwarder, observers.

mod connection;
mod interim;
mod params;
mod record;
mod route;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, OnceLock};

use tokio::time::Instant;

pub use self::connection::{ConnectionInfo, ListenerInfo, Scheme};
pub use self::interim::{Interim, InterimSink};
pub use self::params::PathParams;
pub use self::record::{Attempt, Record};
pub use self::route::{Metadata, RouteInfo};

/// What is known about one request. Cheap to clone; clones are the same context.
#[derive(Clone)]
pub struct RequestContext {
    inner: Arc<Inner>,
}

struct Inner {
    connection: Arc<ConnectionInfo>,
    started: Instant,
    client_ip: IpAddr,
    from_trusted_peer: bool,
    generation: u64,
    route: Option<Arc<RouteInfo>>,
    params: PathParams,
    after_prefix: Option<usize>,
    watched: bool,
    interim: Option<Interim>,
    deadline: OnceLock<Instant>,
    record: Record,
}

impl RequestContext {
    /// The context of a request that has just arrived on `connection`.
    pub fn new(connection: Arc<ConnectionInfo>) -> Self {
        let client_ip = connection
            .peer_ip()
            .unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        let inner = Inner {
            connection,
            started: Instant::now(),
            client_ip,
            from_trusted_peer: false,
            generation: 0,
            route: None,
            params: PathParams::default(),
            after_prefix: None,
            watched: false,
            interim: None,
            deadline: OnceLock::new(),
            record: Record::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The connection the request came on.
    pub fn connection(&self) -> &Arc<ConnectionInfo> {
        &self.inner.connection
    }

    /// When the request's head was complete.
    pub fn started(&self) -> Instant {
        self.inner.started
    }

    /// The address of the client: the peer's, or what trusted proxies in front of the gateway say.
    /// `0.0.0.0` for a peer without an address (a Unix socket).
    pub fn client_ip(&self) -> IpAddr {
        self.inner.client_ip
    }

    /// True when the peer is a proxy whose `X-Forwarded-*` fields are believed.
    pub fn from_trusted_peer(&self) -> bool {
        self.inner.from_trusted_peer
    }

    /// The generation of the snapshot that decides about this request.
    pub fn generation(&self) -> u64 {
        self.inner.generation
    }

    /// The route that took the request.
    pub fn route(&self) -> Option<&Arc<RouteInfo>> {
        self.inner.route.as_ref()
    }

    /// The value of the path parameter `name`, as it stands in `path` (still percent-encoded).
    /// `path` must be the path the route matched: the request's before any rewrite.
    pub fn param<'a>(&self, path: &'a str, name: &str) -> Option<&'a str> {
        self.inner.params.value(path, name)
    }

    /// The path parameters.
    pub fn params(&self) -> &PathParams {
        &self.inner.params
    }

    /// Where interim answers (103) to this request's client go; `None` when its protocol cannot
    /// carry them.
    pub fn interim(&self) -> Option<&Interim> {
        self.inner.interim.as_ref()
    }

    /// The moment at which the request is out of time; `None` without a timeout.
    pub fn deadline(&self) -> Option<Instant> {
        self.inner.deadline.get().copied()
    }

    /// Sets the deadline, unless an outer layer has set one: the first one holds.
    pub fn set_deadline(&self, deadline: Instant) -> Instant {
        *self.inner.deadline.get_or_init(|| deadline)
    }

    /// True when whoever polls this request's future polls it again at its deadline: a layer that
    /// waits for the deadline then needs no timer of its own.
    pub fn is_woken_at_deadline(&self) -> bool {
        self.inner.watched
    }

    /// What happened to the request so far.
    pub fn record(&self) -> &Record {
        &self.inner.record
    }

    /// Where in the path the part behind the matched prefix begins; `None` when the route was not
    /// matched by a prefix.
    pub(crate) fn after_prefix(&self) -> Option<usize> {
        self.inner.after_prefix
    }

    /// Says that the request's future is polled at its deadline.
    pub(crate) fn watched(mut self) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            inner.watched = true;
        }
        self
    }

    /// Adds the way back for interim answers. Without effect once the context is shared.
    pub(crate) fn with_interim(mut self, interim: Interim) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            inner.interim = Some(interim);
        }
        self
    }

    /// Writes down what the gateway found out about the request. Without effect once the context
    /// is shared, which it is not before the gateway handed the request on.
    pub(crate) fn admit(&mut self, admitted: Admitted) {
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            inner.client_ip = admitted.client_ip;
            inner.from_trusted_peer = admitted.from_trusted_peer;
            inner.generation = admitted.generation;
            inner.route = admitted.route;
            inner.params = admitted.params;
            inner.after_prefix = admitted.after_prefix;
        }
    }
}

/// What the gateway finds out about a request before it hands it on.
pub(crate) struct Admitted {
    pub(crate) client_ip: IpAddr,
    pub(crate) from_trusted_peer: bool,
    pub(crate) generation: u64,
    pub(crate) route: Option<Arc<RouteInfo>>,
    pub(crate) params: PathParams,
    pub(crate) after_prefix: Option<usize>,
}

impl fmt::Debug for RequestContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestContext")
            .field("client_ip", &self.inner.client_ip)
            .field("route", &self.inner.route)
            .field("record", &self.inner.record)
            .finish_non_exhaustive()
    }
}
