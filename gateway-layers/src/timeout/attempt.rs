//! [`AttemptTimeoutLayer`]: the time one try at an endpoint has.

use std::task::{Context, Poll};
use std::time::Duration;

use gateway_core::{Error, Request, RequestExt, Response};
use tower_layer::Layer;
use tower_service::Service;

/// Limits how long each try at an endpoint may take until the head of its answer.
///
/// The limit is written into the [`RequestContext`](gateway_core::RequestContext); whoever tries
/// (a cluster) keeps it and fails with [`Reason::AttemptTimeout`](gateway_core::Reason::AttemptTimeout).
/// A try that is over leaves what remains of the request's whole time to the next one.
///
/// ```
/// use std::time::Duration;
///
/// use gateway_core::{FixedResponse, Module};
/// use gateway_layers::timeout::{TimeoutLayer, AttemptTimeoutLayer};
/// use tower::ServiceBuilder;
///
/// let module = Module::new(FixedResponse::new(http::StatusCode::NO_CONTENT));
/// let limited = ServiceBuilder::new()
///     .layer(TimeoutLayer::new(Duration::from_secs(30)))
///     .layer(AttemptTimeoutLayer::new(Duration::from_secs(10)))
///     .service(module);
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct AttemptTimeoutLayer {
    limit: Duration,
}

impl AttemptTimeoutLayer {
    /// Each try has `limit`.
    pub fn new(limit: Duration) -> Self {
        Self { limit }
    }
}

impl<S> Layer<S> for AttemptTimeoutLayer {
    type Service = AttemptTimeout<S>;

    fn layer(&self, inner: S) -> AttemptTimeout<S> {
        AttemptTimeout { inner, limit: self.limit }
    }
}

/// A service whose tries at endpoints are limited; see [`AttemptTimeoutLayer`].
#[derive(Clone, Debug)]
pub struct AttemptTimeout<S> {
    inner: S,
    limit: Duration,
}

impl<S> Service<Request> for AttemptTimeout<S>
where
    S: Service<Request, Response = Response, Error = Error>,
{
    type Response = Response;
    type Error = Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> S::Future {
        if let Some(context) = request.context() {
            context.set_attempt_timeout(self.limit);
        }
        self.inner.call(request)
    }
}
