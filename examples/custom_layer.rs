//! A layer written by hand: answers say how long they took, in `Server-Timing`.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use gateway_core::{
    BoundListener, Error, Gateway, Listener, Module, Outcome, Request, Response, Route, RouteMatch,
    Server, module_fn,
};
use gateway_examples::{Result, stopped};
use http::HeaderValue;
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower::{Layer, Service, ServiceBuilder};

/// Adds `Server-Timing` to answers.
#[derive(Clone, Copy, Debug)]
struct ServerTimingLayer;

impl<S> Layer<S> for ServerTimingLayer {
    type Service = ServerTiming<S>;

    fn layer(&self, inner: S) -> ServerTiming<S> {
        ServerTiming { inner }
    }
}

/// The service of a [`ServerTimingLayer`].
#[derive(Clone, Debug)]
struct ServerTiming<S> {
    inner: S,
}

impl<S> Service<Request> for ServerTiming<S>
where
    S: Service<Request, Response = Response, Error = Error>,
{
    type Response = Response;
    type Error = Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<std::result::Result<(), Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        ResponseFuture { started: Instant::now(), inner: self.inner.call(request) }
    }
}

pin_project! {
    /// The future of a [`ServerTiming`].
    struct ResponseFuture<F> {
        started: Instant,
        #[pin]
        inner: F,
    }
}

impl<F: Future<Output = Outcome>> Future for ResponseFuture<F> {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let this = self.project();
        // Failures pass as they are: they become answers at the edge.
        let mut response = ready!(this.inner.poll(cx))?;
        let took = this.started.elapsed().as_secs_f64() * 1000.0;
        if let Ok(value) = HeaderValue::try_from(format!("target;dur={took:.3}")) {
            response.headers_mut().append("server-timing", value);
        }
        Poll::Ready(Ok(response))
    }
}

#[tokio::main]
async fn main() -> Result {
    run(Listener::new("127.0.0.1:8080".parse()?).bind()?).await
}

/// Serves on `listener`.
pub async fn run(listener: BoundListener) -> Result {
    let hello = module_fn(async |_: Request| Ok::<_, Error>(Response::new("hello\n".into())));
    let stack = ServiceBuilder::new().layer(ServerTimingLayer).service(Module::new(hello));
    let hello = Route::new("hello", Module::from_service(stack));
    let gateway = Gateway::builder().route(hello.matching(RouteMatch::any())).build()?;
    Server::new(gateway).listen(listener).serve(stopped()).await?;
    Ok(())
}
