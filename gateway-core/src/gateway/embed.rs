//! The gateway in somebody else's server: as a tower `Service` and as a `Layer`.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tower_layer::Layer;
use tower_service::Service;

use super::{Gateway, admit, decide};
use crate::body::Body;
use crate::error::BoxError;
use crate::message::{Response, Tunnel};
use crate::route::preflight_method;
use crate::task;
use crate::tunnel;

type ResponseFuture<E> = Pin<Box<dyn Future<Output = Result<Response, E>> + Send>>;

impl Gateway {
    /// The gateway as a layer: what a route takes is answered, everything else goes to the inner
    /// service as it came.
    pub fn layer(&self) -> GatewayLayer {
        GatewayLayer { gateway: self.clone() }
    }

    fn takes<B>(&self, request: &http::Request<B>) -> bool {
        let mut head = http::Request::new(());
        *head.method_mut() = request.method().clone();
        *head.uri_mut() = request.uri().clone();
        *head.version_mut() = request.version();
        *head.headers_mut() = request.headers().clone();
        let connection = self.connection_of(request.extensions());
        // What cannot be understood is taken, to be refused.
        let refused = admit::understand(&mut head, &connection.listener.path).is_err();
        refused || admit::proof(&head, &connection).is_some() || {
            let asked = preflight_method(head.method(), head.headers());
            let lookup = admit::lookup(&head, &connection, asked.as_ref());
            decide(&self.snapshot(), &lookup).is_ok_and(|hit| hit.is_some())
        }
    }

    /// Answers a request of another server, upgrades included.
    async fn handle_foreign<B>(&self, mut request: http::Request<B>) -> Response
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let upgrade = request.extensions_mut().remove::<OnUpgrade>();
        let response = self.handle(request.map(Body::same_or_boxed)).await;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS
            && let Some(upgrade) = upgrade
            && let Some(through) = response.extensions().get::<Tunnel>()
            && let Some(far) = through.take()
        {
            let idle = through.idle().unwrap_or(tunnel::IDLE);
            task::spawn_detached(async move {
                match upgrade.await {
                    Ok(near) => {
                        tunnel::join(TokioIo::new(near), BytesMut::new(), far, idle).await;
                    }
                    Err(error) => tracing::debug!(%error, "the client did not take its tunnel"),
                }
            });
        }
        response
    }
}

impl<B> Service<http::Request<B>> for Gateway
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = ResponseFuture<Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let gateway = self.clone();
        Box::pin(async move { Ok(gateway.handle_foreign(request).await) })
    }
}

/// Puts a gateway in front of a service; see [`Gateway::layer`].
#[derive(Clone, Debug)]
pub struct GatewayLayer {
    gateway: Gateway,
}

impl<S> Layer<S> for GatewayLayer {
    type Service = GatewayService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        GatewayService { gateway: self.gateway.clone(), inner }
    }
}

/// A gateway in front of a service; see [`Gateway::layer`].
#[derive(Clone, Debug)]
pub struct GatewayService<S> {
    gateway: Gateway,
    inner: S,
}

impl<S, B, R> Service<http::Request<B>> for GatewayService<S>
where
    S: Service<http::Request<B>, Response = http::Response<R>>,
    S::Future: Send + 'static,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Response = Response;
    type Error = S::Error;
    type Future = ResponseFuture<S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        if self.gateway.takes(&request) {
            let gateway = self.gateway.clone();
            return Box::pin(async move { Ok(gateway.handle_foreign(request).await) });
        }
        let answered = self.inner.call(request);
        Box::pin(async move { Ok(answered.await?.map(Body::same_or_boxed)) })
    }
}
