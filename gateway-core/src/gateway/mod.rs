//! [`Gateway`]: from a request to the module that answers it.

mod admit;
mod builder;
mod embed;
mod explain;
mod pending;
mod redirection;
mod reserved;
mod snapshot;
mod target_edits;

use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, request};
use tokio::time::Instant;

pub use self::builder::GatewayBuilder;
use self::builder::PeerFrom;
pub use self::embed::{GatewayLayer, GatewayService};
pub use self::explain::Explanation;
use self::pending::{Handled, Pending};
pub use self::redirection::Redirection;
pub use self::snapshot::Snapshot;
pub use self::target_edits::TargetEdits;
use crate::body::Body;
use crate::context::{ConnectionInfo, PeerAddr, RequestContext};
use crate::error::{Error, Reason};
use crate::message::{Outcome, Request, Response, Tunnel};
use crate::module::{Module, ModuleService};
use crate::observe::Observers;
use crate::respond::{self, ClientProtocol};
use crate::route::{Found, Lookup, RouteHit};
use crate::swap::Swap;

/// Routes requests to modules. Cheap to clone; clones are the same gateway.
///
/// It is a [`ModuleService`], so a [`Server`](crate::Server) serves it; it is a tower `Service`,
/// so any other server does; and as a [layer](Self::layer) it sits in somebody else's stack and
/// lets through what no route takes.
///
/// ```
/// use gateway_core::{FixedResponse, Gateway, Module, Route, RouteMatch};
/// use http::StatusCode;
///
/// let health = Module::new(FixedResponse::new(StatusCode::NO_CONTENT));
/// let gateway = Gateway::builder()
///     .route(Route::new("health", health).matching(RouteMatch::path("/health")?))
///     .build()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Gateway {
    shared: Arc<Shared>,
}

struct Shared {
    snapshot: Swap<Snapshot>,
    observers: Observers,
    /// The connection of requests of another server that does not pass on the peer's address.
    foreign: Arc<ConnectionInfo>,
    peer_from: Option<PeerFrom>,
}

impl Gateway {
    /// A gateway without routes.
    pub fn builder() -> GatewayBuilder {
        GatewayBuilder::default()
    }

    /// What decides about requests now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.shared.snapshot.load()
    }

    /// Replaces routes and fallback by those of `snapshot`. Requests that have begun are decided
    /// by what was current then. Returns the new generation.
    pub fn replace(&self, mut snapshot: Snapshot) -> u64 {
        snapshot.generation = self.shared.snapshot.peek().generation + 1;
        let generation = snapshot.generation;
        self.shared.snapshot.replace(snapshot);
        generation
    }

    /// What is odd about the routes, though not wrong: for instance a route that can never match.
    pub fn warnings(&self) -> Vec<String> {
        let snapshot = self.shared.snapshot.peek();
        snapshot.table.warnings().iter().map(ToString::to_string).collect()
    }

    /// What would become of a request with this head, and why: every route considered, what failed
    /// first on each, the winner and what decided.
    pub fn explain(&self, head: &request::Parts) -> Explanation {
        explain::explain(&self.snapshot(), head, &self.connection_of(&head.extensions))
    }

    fn connection_of(&self, extensions: &http::Extensions) -> Arc<ConnectionInfo> {
        let context = extensions.get::<RequestContext>();
        Arc::clone(context.map_or(&self.shared.foreign, RequestContext::connection))
    }

    /// The connection of a request of another server, with the peer's address if that is passed on.
    fn foreign_connection(&self, extensions: &http::Extensions) -> Arc<ConnectionInfo> {
        let foreign = &self.shared.foreign;
        let own = extensions.get::<PeerAddr>().map(|peer| peer.0);
        let peer = own.or_else(|| self.shared.peer_from.as_ref()?(extensions));
        match peer {
            None => Arc::clone(foreign),
            Some(_) => Arc::new(ConnectionInfo::new(Arc::clone(&foreign.listener), peer, None)),
        }
    }

    /// Answers one request; every failure has become an answer.
    pub async fn handle(&self, mut request: Request) -> Response {
        let context = self.context_of(&mut request);
        let caller = ClientProtocol::of(request.method(), request.headers());
        let snapshot = self.shared.snapshot.load();
        context.follow_upload(request.body_mut());
        let choice = admit::admit(&mut request, &context, &snapshot);
        let pending = Pending::new(&self.shared.observers, &request, context, caller);
        let outcome = match choice {
            Ok(choice) => Handled::new(choice.call(&snapshot, request), &pending).await,
            Err(error) => Err(error),
        };
        drop(snapshot);
        pending.finish(outcome)
    }

    /// The context of the request; it gets one when it comes from a server that is not ours.
    fn context_of(&self, request: &mut Request) -> RequestContext {
        let found = request.extensions_mut().get_mut::<RequestContext>();
        if let Some(context) = found {
            let ours = context.for_gateway();
            *context = ours.clone();
            return ours;
        }
        let connection = self.foreign_connection(request.extensions());
        let context = RequestContext::new(connection, Instant::now());
        request.extensions_mut().insert(context.clone());
        context
    }
}

/// What takes a request.
#[derive(Clone, Debug)]
enum Choice {
    /// A route, by its place in the table.
    Route(usize),
    /// What takes the rest.
    Fallback,
    /// The listener, which sends everybody to `https`.
    Redirect,
    /// The listener, which proves to an authority whose host it is.
    Proof(Bytes),
}

impl Choice {
    /// Lets what was chosen answer. A panic there is this request's failure and nobody else's.
    async fn call(self, snapshot: &Snapshot, request: Request) -> Outcome {
        let route = match self {
            Self::Route(index) => snapshot.table.routes().get(index),
            Self::Fallback => None,
            Self::Redirect => return redirection::to_https(&request),
            Self::Proof(proof) => return Ok(prove(proof)),
        };
        let target = route.map(|route| &route.target).or(snapshot.fallback.as_ref());
        let called = target.ok_or(Reason::RouteNotFound)?.call(request);
        let outcome = AssertUnwindSafe(called).catch_unwind().await;
        let mut response = outcome.unwrap_or_else(|panic| {
            let route = route.map_or("fallback", |route| &route.id);
            tracing::error!(panic = panic_text(&*panic), route, "panicked");
            Err(Reason::Panicked.into())
        })?;
        if let Some(route) = route {
            route.response_headers.apply(response.headers_mut());
            if let Some(idle) = route.tunnel_idle
                && let Some(tunnel) = response.extensions_mut().get_mut::<Tunnel>()
            {
                tunnel.set_idle(idle);
            }
        }
        Ok(response)
    }
}

/// The answer to an authority that asked for `proof` (RFC 8555, section 8.3).
fn prove(proof: Bytes) -> Response {
    let mut response = Response::new(Body::full(proof));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(respond::ORIGIN, HeaderValue::from_static("gateway"));
    response
}

/// Decides which route takes the request: a pure function of snapshot and head, so that
/// [`Gateway::explain`] can tell exactly what [`Gateway::handle`] does.
fn decide<'s>(
    snapshot: &'s Snapshot,
    lookup: &Lookup<'_>,
) -> Result<Option<RouteHit<'s, Module>>, Error> {
    match snapshot.table.find(lookup) {
        Found::Route(hit) => Ok(Some(hit)),
        Found::NotFound | Found::MethodNotAllowed(_) if snapshot.fallback.is_some() => Ok(None),
        Found::MethodNotAllowed(methods) => {
            Err(Error::new(Reason::MethodNotAllowed).with_allow(methods))
        }
        Found::NotFound => Err(Reason::RouteNotFound.into()),
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}

impl ModuleService for Gateway {
    fn call(&self, request: Request) -> impl Future<Output = Outcome> + Send {
        self.handle(request).map(Ok)
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway").field("snapshot", &self.shared.snapshot).finish_non_exhaustive()
    }
}
