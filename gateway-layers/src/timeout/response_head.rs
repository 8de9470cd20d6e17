//! [`ResponseHeadTimeoutLayer`]: the time an upstream has to begin its response.

use std::task::{Context, Poll};
use std::time::Duration;

use gateway_core::{Error, Request, RequestExt, Response};
use tower_layer::Layer;
use tower_service::Service;

/// Limits how long an upstream may take to begin its response once it has the whole request, in
/// place of the cluster's own limit
/// ([`ClusterTimeouts::response_head`](gateway_core::ClusterTimeouts::response_head)).
///
/// The limit is written into the [`RequestContext`](gateway_core::RequestContext); the cluster that
/// sends the request holds it and fails with
/// [`Reason::ResponseHeadTimeout`](gateway_core::Reason::ResponseHeadTimeout).
///
/// ```
/// use std::time::Duration;
///
/// use gateway_core::{FixedResponse, Module};
/// use gateway_layers::timeout::ResponseHeadTimeoutLayer;
/// use tower::ServiceBuilder;
///
/// let module = Module::new(FixedResponse::new(http::StatusCode::NO_CONTENT));
/// let limited = ServiceBuilder::new()
///     .layer(ResponseHeadTimeoutLayer::new(Some(Duration::from_secs(120))))
///     .service(module);
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct ResponseHeadTimeoutLayer {
    limit: Option<Duration>,
}

impl ResponseHeadTimeoutLayer {
    /// Limits the time to `limit`; `None`: any time.
    pub fn new(limit: Option<Duration>) -> Self {
        Self { limit }
    }
}

impl<S> Layer<S> for ResponseHeadTimeoutLayer {
    type Service = ResponseHeadTimeout<S>;

    fn layer(&self, inner: S) -> ResponseHeadTimeout<S> {
        ResponseHeadTimeout { inner, limit: self.limit }
    }
}

/// A service whose upstreams have a limit on the head of their response; see
/// [`ResponseHeadTimeoutLayer`].
#[derive(Clone, Debug)]
pub struct ResponseHeadTimeout<S> {
    inner: S,
    limit: Option<Duration>,
}

impl<S> Service<Request> for ResponseHeadTimeout<S>
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
            context.set_response_head_timeout(self.limit);
        }
        self.inner.call(request)
    }
}
