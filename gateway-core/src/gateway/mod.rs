//! [`Gateway`]: from a request to the module that answers it.

mod admit;
mod builder;
mod embed;
mod explain;
mod redirection;
mod snapshot;

use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use http::{Method, StatusCode, Uri, Version, request};
use tokio::time::Instant;

pub use self::builder::GatewayBuilder;
pub use self::embed::{GatewayLayer, GatewayService};
pub use self::explain::Explanation;
pub use self::redirection::Redirection;
pub use self::snapshot::Snapshot;
use crate::body::End;
use crate::context::{ConnectionInfo, RequestContext};
use crate::error::{Error, Reason};
use crate::live::Live;
use crate::message::{Outcome, Request, Response};
use crate::module::{Module, ModuleService};
use crate::observe::{Observer, Observers, RequestFinished};
use crate::respond::{self, Caller, MadeHere};
use crate::route::{Found, Lookup, RouteHit};

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
///     .build()
///     .map_err(|problems| problems[0].to_string())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Gateway {
    shared: Arc<Shared>,
}

struct Shared {
    snapshot: Live<Snapshot>,
    observers: Observers,
    /// What requests are taken to come on when the server is not ours.
    foreign: Arc<ConnectionInfo>,
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
        snapshot
            .table
            .warnings()
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    /// What would become of a request with this head, and why: every route considered, what failed
    /// first on each, the winner and what decided.
    pub fn explain(&self, head: &request::Parts) -> Explanation {
        explain::explain(&self.snapshot(), head, &self.connection_of(head))
    }

    fn connection_of(&self, head: &request::Parts) -> Arc<ConnectionInfo> {
        let context = head.extensions.get::<RequestContext>();
        Arc::clone(context.map_or(&self.shared.foreign, RequestContext::connection))
    }

    /// Answers one request; every failure has become an answer.
    pub async fn handle(&self, mut request: Request) -> Response {
        let context = request.extensions_mut().remove::<RequestContext>();
        let mut context =
            context.unwrap_or_else(|| RequestContext::new(Arc::clone(&self.shared.foreign)));
        let caller = Caller::of(request.method(), request.headers());
        let snapshot = self.shared.snapshot.load();
        let (request, choice) = match admit::admit(request, &mut context, &snapshot) {
            Ok(admitted) => admitted,
            Err((head, error)) => {
                return self.finish(Err(error), Seen::of_head(&head), context, caller);
            }
        };
        let seen = Seen::of_request(&request);
        let called = AssertUnwindSafe(dispatch(&snapshot, choice, request));
        let outcome = called.catch_unwind().await.unwrap_or_else(|panic| {
            tracing::error!(
                panic = panic_text(&*panic),
                path = seen.uri.path(),
                "panicked"
            );
            Err(Reason::Panicked.into())
        });
        drop(snapshot);
        self.finish(outcome, seen, context, caller)
    }

    /// Turns a failure into an answer, and tells the observers when the answer has ended.
    fn finish(
        &self,
        outcome: Outcome,
        seen: Seen,
        context: RequestContext,
        caller: Caller,
    ) -> Response {
        let (response, error) = match outcome {
            Ok(response) => (response, None),
            Err(error) => (respond::answer(&error, caller), Some(error)),
        };
        if self.shared.observers.is_empty() {
            return response;
        }
        let observers = self.shared.observers.clone();
        let head_after = context.started().elapsed();
        let status = response.status();
        let reason = response.extensions().get::<MadeHere>().map(|made| made.0);
        response.map(|body| {
            body.on_end(move |end| {
                let event =
                    seen.finished(&context, status, reason, error.as_ref(), end, head_after);
                observers.request_finished(&event);
            })
        })
    }
}

/// What the observers want to know of a request that is gone by then.
struct Seen {
    method: Method,
    uri: Uri,
    version: Version,
}

impl Seen {
    fn of_request(request: &Request) -> Self {
        Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
        }
    }

    fn of_head(head: &request::Parts) -> Self {
        Self {
            method: head.method.clone(),
            uri: head.uri.clone(),
            version: head.version,
        }
    }

    fn finished<'a>(
        &'a self,
        context: &'a RequestContext,
        status: StatusCode,
        reason: Option<Reason>,
        error: Option<&'a Error>,
        end: End,
        head_after: std::time::Duration,
    ) -> RequestFinished<'a> {
        RequestFinished {
            context,
            method: &self.method,
            path: self.uri.path(),
            version: self.version,
            status,
            reason,
            error,
            end,
            head_after,
            duration: Instant::now().duration_since(context.started()),
        }
    }
}

/// What takes a request: a route, by its place in the table, or else the fallback.
#[derive(Clone, Copy, Debug)]
struct Choice {
    route: Option<usize>,
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

/// Lets the chosen target answer.
async fn dispatch(snapshot: &Snapshot, choice: Choice, request: Request) -> Outcome {
    let route = choice
        .route
        .and_then(|index| snapshot.table.routes().get(index));
    match (route, &snapshot.fallback) {
        (Some(route), _) => {
            let mut response = route.target.call(request).await?;
            route.response_headers.apply(response.headers_mut());
            Ok(response)
        }
        (None, Some(fallback)) => fallback.call(request).await,
        (None, None) => Err(Reason::RouteNotFound.into()),
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
        async move { Ok(self.handle(request).await) }
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("snapshot", &self.shared.snapshot)
            .finish_non_exhaustive()
    }
}
