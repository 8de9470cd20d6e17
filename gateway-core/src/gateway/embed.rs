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
    /// The gateway as a layer: it handles the requests that a route takes, and passes all others to
    /// the inner service as they came.
    ///
    /// A request that the gateway would reject before routing (an invalid path or host) is rejected
    /// when a route takes its path as it stands, and passed on otherwise.
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
        // An invalid request keeps its path as it stands: it is rejected if that is a route's.
        let _ = admit::understand(&mut head, &connection.listener.path);
        admit::proof(&head, &connection).is_some() || {
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

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::{Arc, Mutex};

    use futures_util::FutureExt;
    use http::HeaderMap;

    use super::*;
    use crate::context::{ListenerInfo, PeerAddr};
    use crate::error::Error;
    use crate::forwarded::TrustedProxies;
    use crate::gateway::GatewayBuilder;
    use crate::message::RequestExt;
    use crate::route::{Route, RouteMatch};
    use crate::{Request, module_fn};

    const PEER: SocketAddr =
        SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)), 1000);

    /// The client's address and the headers that a module of an embedded gateway sees.
    fn seen(
        builder: impl FnOnce(GatewayBuilder) -> GatewayBuilder,
        request: http::Request<Body>,
    ) -> (Option<String>, HeaderMap) {
        let seen = Arc::new(Mutex::new(None));
        let module = {
            let seen = Arc::clone(&seen);
            module_fn(move |request: Request| {
                let ip = request.context().unwrap().client_ip().map(|ip| ip.to_string());
                *seen.lock().unwrap() = Some((ip, request.headers().clone()));
                async { Ok::<_, Error>(Response::default()) }
            })
        };
        let route = Route::new("all", crate::Module::new(module)).matching(RouteMatch::any());
        let mut gateway = builder(Gateway::builder().route(route)).build().unwrap();
        Service::call(&mut gateway, request).now_or_never().unwrap().unwrap();
        let seen = seen.lock().unwrap().take();
        seen.unwrap()
    }

    fn get(path: &str) -> http::request::Builder {
        http::Request::get(path).header("host", "a.example")
    }

    #[test]
    fn takes_peer_from_extension() {
        let request = get("/").extension(PeerAddr(PEER)).body(Body::empty()).unwrap();
        let (ip, headers) = seen(|builder| builder, request);
        assert_eq!(ip.as_deref(), Some("192.0.2.1"));
        assert_eq!(headers["x-forwarded-for"], "192.0.2.1");
    }

    #[test]
    fn takes_peer_from_function() {
        let trusted = TrustedProxies::new(["192.0.2.0/24".parse().unwrap()]);
        let listener = ListenerInfo { trusted, ..ListenerInfo::default() };
        let build = |builder: GatewayBuilder| {
            builder
                .embedded(listener)
                .peer_from(|extensions| extensions.get::<SocketAddr>().copied())
        };
        let request = get("/").extension(PEER).header("x-forwarded-for", "198.51.100.7");
        let (ip, headers) = seen(build, request.body(Body::empty()).unwrap());
        assert_eq!(ip.as_deref(), Some("198.51.100.7"));
        assert_eq!(headers["x-forwarded-for"], "198.51.100.7, 192.0.2.1");
    }

    #[test]
    fn peer_is_unknown_without_extension() {
        let request = get("/").header("x-forwarded-for", "127.0.0.1").body(Body::empty()).unwrap();
        let (ip, headers) = seen(|builder| builder, request);
        assert_eq!(ip, None);
        assert!(!headers.contains_key("x-forwarded-for"), "{headers:?}");
        assert_eq!(headers["x-forwarded-host"], "a.example");
    }

    /// The target as the inner service gets it, or the status of the gateway's response.
    fn through(target: &str) -> String {
        let orders = module_fn(async |_: Request| Ok::<_, Error>(Response::default()));
        let route = Route::new("orders", crate::Module::new(orders))
            .matching(RouteMatch::prefix("/orders").unwrap());
        let layer = Gateway::builder().route(route).build().unwrap().layer();
        let inner = tower::service_fn(async |request: http::Request<Body>| {
            let target = request.uri().to_string();
            Ok::<_, Infallible>(http::Response::new(Body::from(target)))
        });
        let request = get(target).body(Body::empty()).unwrap();
        let response = layer.layer(inner).call(request).now_or_never().unwrap().unwrap();
        let status = response.status();
        let body = response.into_body();
        let body = http_body_util::BodyExt::collect(body).now_or_never().unwrap().unwrap();
        match status {
            StatusCode::OK if !body.to_bytes().is_empty() => "on".to_owned(),
            status => status.as_str().to_owned(),
        }
    }

    #[test]
    fn passes_on_requests_of_other_services() {
        for target in ["/", "/files/a%2Fb", "/files/%zz", "/files/..;x/", "/a\\b", "/%00"] {
            if target.parse::<http::Uri>().is_ok() {
                assert_eq!(through(target), "on", "{target}");
            }
        }
        assert_eq!(through("/orders/7"), "200");
        assert_eq!(through("/orders/a%2Fb"), "400");
        assert_eq!(through("/orders/%zz"), "400");
    }
}
