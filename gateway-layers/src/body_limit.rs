//! [`BodyLimitLayer`]: how large a request's body may be.
//!
//! A body that states its length is judged by it, at once and without a wrapper. Any other is
//! counted as it streams, never gathered. Either way the answer is
//! [`Reason::BodyTooLarge`] (413), as long as no other answer has begun.
//!
//! The default limit ([`DEFAULT_LIMIT`]) exempts gRPC, whose client streams have no size of their
//! own; a limit that is set holds for every request.
//!
//! ```
//! use gateway_core::{FixedResponse, Module};
//! use gateway_layers::body_limit::BodyLimitLayer;
//! use tower::ServiceBuilder;
//!
//! let module = Module::new(FixedResponse::new(http::StatusCode::NO_CONTENT));
//! let limited = Module::from_service(
//!     ServiceBuilder::new()
//!         .layer(BodyLimitLayer::new(10 * 1024 * 1024))
//!         .service(module),
//! );
//! ```

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use gateway_core::respond::ClientProtocol;
use gateway_core::{Body, Error, Outcome, Reason, Request, Response};
use http::Version;
use http_body::{Frame, SizeHint};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

/// The most bytes of a request body by default: 10 MiB. Enough for what forms and API clients
/// send, and little enough that a module which collects its request cannot be made to hold more.
pub const DEFAULT_LIMIT: u64 = 10 * 1024 * 1024;

/// Rejects requests whose body is too large; see the [module](self).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct BodyLimitLayer {
    limit: u64,
    exempt_grpc: bool,
}

impl BodyLimitLayer {
    /// Limits the body of every request to `limit` bytes.
    pub fn new(limit: u64) -> Self {
        Self { limit, exempt_grpc: false }
    }

    /// Exempts gRPC requests (`application/grpc` and its variants over HTTP/2) from the limit.
    /// Default: only the [default limit](DEFAULT_LIMIT) exempts them.
    pub fn exempt_grpc(mut self, exempt: bool) -> Self {
        self.exempt_grpc = exempt;
        self
    }

    /// Returns the limit in bytes.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Returns whether gRPC requests are exempt.
    pub fn is_grpc_exempt(&self) -> bool {
        self.exempt_grpc
    }
}

impl Default for BodyLimitLayer {
    /// Limits bodies to [`DEFAULT_LIMIT`], except those of gRPC requests.
    fn default() -> Self {
        Self::new(DEFAULT_LIMIT).exempt_grpc(true)
    }
}

impl<S> Layer<S> for BodyLimitLayer {
    type Service = BodyLimit<S>;

    fn layer(&self, inner: S) -> BodyLimit<S> {
        BodyLimit { inner, layer: *self }
    }
}

/// A service whose requests have a limit on their body; see the [module](self).
#[derive(Clone, Debug)]
pub struct BodyLimit<S> {
    inner: S,
    layer: BodyLimitLayer,
}

impl<S> BodyLimit<S> {
    /// The limit that holds for `request`.
    fn limit(&self, request: &Request) -> u64 {
        let exempt = self.layer.exempt_grpc && request.version() == Version::HTTP_2 && {
            ClientProtocol::of(request.method(), request.headers()) == ClientProtocol::Grpc
        };
        if exempt { u64::MAX } else { self.layer.limit }
    }
}

impl<S> Service<Request> for BodyLimit<S>
where
    S: Service<Request, Response = Response, Error = Error>,
{
    type Response = Response;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let size = http_body::Body::size_hint(request.body());
        let limit = self.limit(&request);
        if size.lower() > limit {
            return ResponseFuture { inner: None, exceeded: None };
        }
        if size.exact().is_some() || limit == u64::MAX {
            return ResponseFuture { inner: Some(self.inner.call(request)), exceeded: None };
        }
        let exceeded = Arc::new(AtomicBool::new(false));
        let counted = request.map(|body| {
            body.map(|body| Counted { body, left: limit, exceeded: Arc::clone(&exceeded) })
        });
        ResponseFuture { inner: Some(self.inner.call(counted)), exceeded: Some(exceeded) }
    }
}

pin_project! {
    /// The future of a [`BodyLimit`].
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        // None when the body said itself that it is too large.
        #[pin]
        inner: Option<F>,
        exceeded: Option<Arc<AtomicBool>>,
    }
}

impl<F: Future<Output = Outcome>> Future for ResponseFuture<F> {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let this = self.project();
        let Some(inner) = this.inner.as_pin_mut() else {
            return Poll::Ready(Err(Reason::BodyTooLarge.into()));
        };
        let outcome = ready!(inner.poll(cx));
        // Whoever read the body saw it break off, and answers for that; this is why it did.
        let exceeded = this.exceeded.as_deref();
        Poll::Ready(match outcome {
            _ if exceeded.is_none_or(|exceeded| !exceeded.load(Ordering::Relaxed)) => outcome,
            Err(error) => Err(Error::new(Reason::BodyTooLarge).with_source(error)),
            Ok(_) => Err(Reason::BodyTooLarge.into()),
        })
    }
}

/// A body that fails once it is larger than it may be.
struct Counted {
    body: Body,
    left: u64,
    exceeded: Arc<AtomicBool>,
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame {
            let size = frame.data_ref().map_or(0, Bytes::len) as u64;
            match self.left.checked_sub(size) {
                Some(left) => self.left = left,
                None => {
                    self.left = 0;
                    self.exceeded.store(true, Ordering::Relaxed);
                    return Poll::Ready(Some(Err(Reason::BodyTooLarge.into())));
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use gateway_core::{Module, module_fn};
    use http_body_util::{BodyExt, StreamBody};
    use tower::ServiceExt;

    use super::*;

    /// Reads the body; says how large it was, or fails for another reason than the body's.
    fn reads() -> Module {
        Module::new(module_fn(|request: Request| async {
            match request.into_body().collect().await {
                Ok(body) => Ok(Response::new(body.to_bytes().len().to_string().into())),
                Err(error) => Err(Error::new(Reason::UpstreamClosed).with_source(error)),
            }
        }))
    }

    fn streamed(pieces: &[&'static str]) -> Request {
        let frames: Vec<_> = pieces
            .iter()
            .map(|piece| Ok::<_, Error>(Frame::data(Bytes::from_static(piece.as_bytes()))))
            .collect();
        let body = StreamBody::new(futures_util::stream::iter(frames));
        Request::new(Body::new(body))
    }

    async fn limited(module: Module, request: Request) -> Outcome {
        BodyLimitLayer::new(4).layer(module).oneshot(request).await
    }

    fn reason(outcome: Outcome) -> Reason {
        outcome.unwrap_err().reason()
    }

    #[tokio::test]
    async fn up_to_the_limit_and_no_further() {
        for (body, fits) in [("", true), ("1234", true), ("12345", false)] {
            let outcome = limited(reads(), Request::new(body.into())).await;
            assert_eq!(outcome.is_ok(), fits, "{body:?}");
        }
        assert!(limited(reads(), streamed(&["12", "34"])).await.is_ok());
        let rejected = limited(reads(), streamed(&["12", "345"])).await;
        assert_eq!(reason(rejected), Reason::BodyTooLarge);
    }

    #[tokio::test]
    async fn default_limit_exempts_grpc_over_http2() {
        let send = async |layer: BodyLimitLayer, version, content_type: &'static str| {
            let large: &'static str = "x".repeat(DEFAULT_LIMIT as usize).leak();
            let mut request = streamed(&[large, "y"]);
            *request.method_mut() = http::Method::POST;
            *request.version_mut() = version;
            request.headers_mut().insert("content-type", content_type.parse().unwrap());
            layer.layer(reads()).oneshot(request).await.is_ok()
        };
        let default = BodyLimitLayer::default();
        for (content_type, passes) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc;charset=utf-8", true),
            ("application/grpc-web", false),
            ("application/json", false),
        ] {
            assert_eq!(
                send(default, Version::HTTP_2, content_type).await,
                passes,
                "{content_type}"
            );
        }
        assert!(!send(default, Version::HTTP_11, "application/grpc").await);
        let set = BodyLimitLayer::new(DEFAULT_LIMIT);
        assert!(!send(set, Version::HTTP_2, "application/grpc").await);
    }

    #[tokio::test]
    async fn a_stated_length_is_judged_before_anyone_is_called() {
        let module = Module::new(module_fn(|_: Request| async { panic!("called") }));
        let rejected = limited(module, Request::new("12345".into())).await;
        assert_eq!(reason(rejected), Reason::BodyTooLarge);
    }

    #[tokio::test]
    async fn a_known_size_costs_no_wrapper() {
        let module = Module::new(module_fn(|mut request: Request| async move {
            assert!(request.body_mut().take_full().is_some());
            Ok::<_, Error>(Response::new(Body::empty()))
        }));
        assert!(limited(module, Request::new("1234".into())).await.is_ok());
    }

    #[tokio::test]
    async fn an_answer_to_half_a_body_does_not_count() {
        let module = Module::new(module_fn(|request: Request| async {
            let read = request.into_body().collect().await;
            Ok::<_, Error>(Response::new(format!("{}", read.is_ok()).into()))
        }));
        let rejected = limited(module, streamed(&["12345"])).await;
        assert_eq!(reason(rejected), Reason::BodyTooLarge);
    }

    #[tokio::test]
    async fn other_failures_keep_their_reason() {
        let module = Module::new(module_fn(|_: Request| async {
            Err::<Response, _>(Error::new(Reason::ConnectFailed))
        }));
        let failed = limited(module, streamed(&["12345"])).await;
        assert_eq!(reason(failed), Reason::ConnectFailed);
    }
}
