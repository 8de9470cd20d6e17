//! [`GatewayBuilder`].

use std::net::SocketAddr;
use std::sync::Arc;

use http::{Extensions, HeaderName};

use super::{Gateway, Shared, Snapshot};
use crate::context::{ConnectionInfo, ListenerInfo};
use crate::module::{Module, ModuleService};
use crate::observe::{Observer, Observers};
use crate::route::{Route, TableProblems};
use crate::swap::Swap;

/// Builds a [`Gateway`].
#[derive(Default)]
#[must_use]
pub struct GatewayBuilder {
    routes: Vec<Route<Module>>,
    fallback: Option<Module>,
    observers: Vec<Arc<dyn Observer>>,
    listener: ListenerInfo,
    owned: Vec<HeaderName>,
    peer_from: Option<PeerFrom>,
}

/// Finds the peer's address in the extensions of a request of another server.
pub(super) type PeerFrom = Box<dyn Fn(&Extensions) -> Option<SocketAddr> + Send + Sync>;

impl GatewayBuilder {
    /// Adds a route. The order of routes decides between those that are equal otherwise.
    pub fn route(mut self, route: Route<Module>) -> Self {
        self.routes.push(route);
        self
    }

    /// Adds routes.
    pub fn routes(mut self, routes: impl IntoIterator<Item = Route<Module>>) -> Self {
        self.routes.extend(routes);
        self
    }

    /// What no route takes goes to `module`. Default: 404, or 405 where only the method is wrong.
    pub fn fallback(mut self, module: impl ModuleService) -> Self {
        self.fallback = Some(Module::new(module));
        self
    }

    /// Adds an observer.
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observers.push(Arc::new(observer));
        self
    }

    /// Fields that nobody but the gateway says to upstreams and modules, such as those that tell
    /// who is calling: what clients send under these names is removed from every request, from its
    /// head and its trailers, in every spelling, before anything else is done with it. Default:
    /// none but those of [`is_reserved`](crate::forwarded::is_reserved).
    pub fn reserved_headers(mut self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        self.owned.extend(names);
        self
    }

    /// How requests are understood that come from another server than ours. Default: paths are
    /// normalised as on any listener, nobody is trusted about the client.
    pub fn embedded(mut self, listener: ListenerInfo) -> Self {
        self.listener = listener;
        self
    }

    /// Finds the address of the client's connection in the extensions of a request of another
    /// server, where there is no [`PeerAddr`](crate::PeerAddr) among them. Default: none; the
    /// client's address is then unknown, and policies that need it reject the request with
    /// [`Reason::ClientAddressUnknown`](crate::Reason::ClientAddressUnknown).
    ///
    /// For axum, which must serve with `into_make_service_with_connect_info::<SocketAddr>()`:
    ///
    /// ```ignore
    /// Gateway::builder()
    ///     .peer_from(|extensions| extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0))
    /// ```
    pub fn peer_from<F>(mut self, function: F) -> Self
    where
        F: Fn(&Extensions) -> Option<SocketAddr> + Send + Sync + 'static,
    {
        self.peer_from = Some(Box::new(function));
        self
    }

    /// Builds the gateway.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the routes, at once: duplicates, ambiguities, rewrites that
    /// do not fit.
    pub fn build(self) -> Result<Gateway, TableProblems> {
        let snapshot = Snapshot::build(self.routes, self.fallback)?.reserved_headers(self.owned);
        let shared = Shared {
            snapshot: Swap::new(snapshot),
            observers: Observers::new(self.observers),
            peer_from: self.peer_from,
            foreign: Arc::new(ConnectionInfo::new(Arc::new(self.listener), None, None)),
        };
        Ok(Gateway { shared: Arc::new(shared) })
    }
}

impl std::fmt::Debug for GatewayBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GatewayBuilder").field("routes", &self.routes.len()).finish_non_exhaustive()
    }
}
