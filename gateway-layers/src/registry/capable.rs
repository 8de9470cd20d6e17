//! [`CapabilityModule`]: requests go to whoever takes them.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gateway_core::context::Metadata;
use gateway_core::{
    Cluster, ClusterBuilder, Error, Health, Module, ModuleService, Outcome, Reason, Request,
};
use gateway_core::{RequestContext, RequestExt};
use http::header::HeaderName;
use http::request;
use tokio::time::timeout;

use super::query;
use super::registry::Registry;
use super::source::RegistrySource;
use super::view::ServiceView;

/// A module of this process says within this time how it is, or counts as unwell.
const HEALTH_WITHIN: Duration = Duration::from_secs(1);

/// Which of several services that take a request gets it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Choice {
    /// The one with the fewest requests under way for each of its instances; one after the other
    /// among equals.
    #[default]
    LeastLoaded,
    /// The first by name.
    First,
}

/// Forwards each request to a service that is well and takes it.
///
/// What a request asks for are names and values, as [`Capabilities`](super::Capabilities) are:
/// from the request's route and from the request itself, as configured. Without configuration it
/// is everything in the route's metadata. A request that asks for nothing, or lacks something that
/// is to be asked for, goes nowhere: [`Reason::NoEndpoint`], as when nobody takes it.
///
/// Services at addresses are forwarded to by a [`Cluster`] each, which the registry keeps; whether
/// they are well is what the registry's checks last found. Modules of this process are asked for
/// their health right before.
///
/// ```
/// use gateway_core::{Module, Route, RouteMatch};
/// use gateway_layers::registry::{CapabilityModule, Registry};
///
/// let registry = Registry::builder().build();
/// let target = CapabilityModule::new(&registry).param("resource_type", "type");
/// let route = Route::new("resources", Module::new(target))
///     .matching(RouteMatch::path("/resources/{type}")?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct CapabilityModule {
    registry: Registry,
    asked: Vec<(String, Origin)>,
    choice: Choice,
    turn: AtomicUsize,
}

/// Where a value that is asked for stands.
enum Origin {
    Metadata,
    Param(String),
    Header(HeaderName),
    Query(String),
}

impl CapabilityModule {
    /// Forwards to the services of `registry`.
    pub fn new(registry: &Registry) -> Self {
        let turn = AtomicUsize::new(0);
        Self { registry: registry.clone(), asked: Vec::new(), choice: Choice::default(), turn }
    }

    /// Asks for `name` with the value that the route's metadata has under the same name.
    #[must_use]
    pub fn metadata(self, name: impl Into<String>) -> Self {
        self.ask(name, Origin::Metadata)
    }

    /// Asks for `name` with the value of the route's path parameter `param`.
    #[must_use]
    pub fn param(self, name: impl Into<String>, param: impl Into<String>) -> Self {
        self.ask(name, Origin::Param(param.into()))
    }

    /// Asks for `name` with the value of the request's `header`.
    #[must_use]
    pub fn header(self, name: impl Into<String>, header: HeaderName) -> Self {
        self.ask(name, Origin::Header(header))
    }

    /// Asks for `name` with the value of the request's query parameter `parameter`, the first one
    /// of that name.
    #[must_use]
    pub fn query(self, name: impl Into<String>, parameter: impl Into<String>) -> Self {
        self.ask(name, Origin::Query(parameter.into()))
    }

    /// Which of several services gets a request. Default: the least loaded.
    #[must_use]
    pub fn choice(mut self, choice: Choice) -> Self {
        self.choice = choice;
        self
    }

    fn ask(mut self, name: impl Into<String>, origin: Origin) -> Self {
        self.asked.push((name.into(), origin));
        self
    }

    /// What the request asks for.
    fn asked(&self, head: &request::Parts, route: &Metadata) -> Result<Metadata, Error> {
        let mut asked = Metadata::default();
        for (name, origin) in &self.asked {
            let value = value(origin, name, head, route)
                .ok_or_else(|| no_endpoint(format!("the request does not say its `{name}`")))?;
            asked.insert(name.clone(), value);
        }
        if self.asked.is_empty() {
            asked = route.clone();
        }
        if asked.is_empty() {
            return Err(no_endpoint("the route asks for no capability"));
        }
        Ok(asked)
    }

    /// The services that take the request, the best first.
    fn candidates(
        &self,
        head: &request::Parts,
        asked: &Metadata,
        route: &Metadata,
    ) -> Vec<Arc<ServiceView>> {
        let view = self.registry.shared.view.load();
        let takes = |service: &&Arc<ServiceView>| service.takes_for(head, asked, route);
        let mut found: Vec<_> = view.values().filter(takes).cloned().collect();
        if self.choice == Choice::LeastLoaded && found.len() > 1 {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed) % found.len();
            found.rotate_left(turn);
            found.sort_by_cached_key(|service| service.load());
        }
        found
    }

    async fn forward(&self, request: Request) -> Outcome {
        self.registry.start();
        let (head, body) = request.into_parts();
        let none = Metadata::default();
        let route = head.context().and_then(RequestContext::route);
        let route = route.map_or(&none, |route| &route.metadata);
        let asked = self.asked(&head, route)?;
        for service in self.candidates(&head, &asked, route) {
            match service.module() {
                None => {
                    let request = Request::from_parts(head, body);
                    return self.cluster(&service)?.call(request).await;
                }
                Some(module) if is_healthy(module).await => {
                    return call(module, &service, Request::from_parts(head, body)).await;
                }
                Some(_) => {}
            }
        }
        Err(no_endpoint("no service that is well takes this request"))
    }

    /// What forwards to the instances of `service`.
    fn cluster<'a>(&self, service: &'a ServiceView) -> Result<&'a Cluster, Error> {
        let made = &service.live.cluster;
        if let Some(cluster) = made.get() {
            return Ok(cluster);
        }
        let shared = &self.registry.shared;
        let source = RegistrySource::within(shared, Arc::clone(&service.name));
        let builder = Cluster::builder(Arc::clone(&service.name)).discovery(source);
        let builder = builder.observers(shared.observers.clone());
        let endpoints = service.endpoints().into_iter();
        let builder = endpoints.fold(builder, ClusterBuilder::endpoint_spec);
        let cluster = (shared.tune)(builder).build();
        let cluster = cluster.map_err(|error| Error::new(Reason::NoEndpoint).with_source(error))?;
        Ok(made.get_or_init(|| cluster))
    }
}

impl ModuleService for CapabilityModule {
    fn call(&self, request: Request) -> impl Future<Output = Outcome> + Send {
        self.forward(request)
    }

    async fn health(&self) -> Health {
        let view = self.registry.shared.view.load();
        let well = view.values().any(|service| !service.active.is_empty());
        if well { Health::Healthy } else { Health::Unhealthy }
    }
}

impl fmt::Debug for CapabilityModule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.asked.iter().map(|(name, _)| name).collect();
        f.debug_struct("CapabilityModule").field("asked", &names).finish_non_exhaustive()
    }
}

fn no_endpoint(detail: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(Reason::NoEndpoint).with_detail(detail)
}

/// The value that is asked for under `name`.
fn value(origin: &Origin, name: &str, head: &request::Parts, route: &Metadata) -> Option<String> {
    match origin {
        Origin::Metadata => route.value(name).map(str::to_owned),
        Origin::Param(param) => query::decoded(head.context()?.param(param)?, false),
        Origin::Header(header) => {
            let mut values = head.headers.get_all(header).iter();
            let only = values.next().filter(|_| values.next().is_none())?;
            only.to_str().ok().map(str::to_owned)
        }
        Origin::Query(parameter) => {
            let mut pairs = query::pairs(head.uri.query().unwrap_or_default());
            pairs.find_map(|pair| pair.filter(|(name, _)| name == parameter)).map(|pair| pair.1)
        }
    }
}

async fn is_healthy(module: &Module) -> bool {
    timeout(HEALTH_WITHIN, module.health()).await.is_ok_and(|health| health == Health::Healthy)
}

/// Calls a module of this process, which counts as busy until its answer's body has ended.
async fn call(module: &Module, service: &ServiceView, request: Request) -> Outcome {
    let busy = Busy::new(&service.live.in_flight);
    let response = module.call(request).await?;
    Ok(response.map(|body| body.on_end(move |_| drop(busy))))
}

struct Busy {
    count: Arc<AtomicUsize>,
}

impl Busy {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self { count: Arc::clone(count) }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}
