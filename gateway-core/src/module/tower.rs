//! Modules made of tower services.

use std::any::TypeId;
use std::fmt;
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::request;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::handle::Erased;
use super::{Health, Module, ModuleFuture, ModuleService, upgrade};
use crate::body::{Body, into_error};
use crate::context::Metadata;
use crate::error::{BoxError, Reason};
use crate::message::{Outcome, Request};

/// A module made of a tower [`Service`]; see [`Module::from_service`].
#[derive(Clone)]
pub struct TowerModule<S> {
    service: S,
    /// Reports for the service, where it is a stack around a module.
    wrapped: Option<Module>,
}

impl<S> TowerModule<S> {
    /// The module that calls a clone of `service` for every request.
    pub fn new(service: S) -> Self {
        Self { service, wrapped: None }
    }
}

impl<S, B> ModuleService for TowerModule<S>
where
    S: Service<Request, Response = http::Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn call(&self, mut request: Request) -> impl Future<Output = Outcome> + Send {
        let mut service = self.service.clone();
        async move {
            let ready = poll_fn(|cx| service.poll_ready(cx)).await;
            ready.map_err(|error| into_error(error.into()))?;
            // A stack around a module of ours, told by its body, knows our kind of upgrade.
            if is_ours::<B>() || !upgrade::is_wanted(&request) {
                return made_ours(service.call(request).await);
            }
            // Boxed: it is rare, and would make every call's future larger.
            let offer = Box::pin(upgrade::offer(&mut request)).await?;
            let response = made_ours(service.call(request).await)?;
            Box::pin(offer.settle(response)).await
        }
    }

    fn accepts(&self, head: &request::Parts, metadata: &Metadata) -> bool {
        self.wrapped.as_ref().is_none_or(|wrapped| wrapped.accepts(head, metadata))
    }

    async fn health(&self) -> Health {
        match &self.wrapped {
            Some(wrapped) => wrapped.health().await,
            None => Health::Healthy,
        }
    }
}

/// True for the body of services that are made of our own.
fn is_ours<B: 'static>() -> bool {
    TypeId::of::<B>() == TypeId::of::<Body>()
}

fn made_ours<B, E>(outcome: Result<http::Response<B>, E>) -> Outcome
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
    E: Into<BoxError>,
{
    let response = outcome.map_err(|error| into_error(error.into()))?;
    Ok(response.map(Body::same_or_boxed))
}

impl Module {
    /// A module made of any tower service: a stack of layers, an axum `Router`, a tonic service.
    ///
    /// The service is cloned for every request, so cloning should be cheap. Its errors become
    /// [`Reason::ModuleFailed`](crate::Reason::ModuleFailed) unless they are an
    /// [`Error`](crate::Error) already. A service that answers an upgrade in hyper's way, as axum's
    /// WebSocket extractor does, finds what it waits for.
    ///
    /// A service reports no health and no capabilities: the module is always healthy and accepts
    /// every request. A stack of layers around a module keeps what the module reports when it is
    /// made with [`layered`](Self::layered).
    pub fn from_service<S, B>(service: S) -> Self
    where
        S: Service<Request, Response = http::Response<B>> + Clone + Send + Sync + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self::stack(service, None)
    }

    /// This module with `layer` around it: one tower layer, or a `ServiceBuilder` of several.
    ///
    /// As [`from_service`](Self::from_service), but the result keeps the module's
    /// [`health`](ModuleService::health) and [`accepts`](ModuleService::accepts).
    ///
    /// ```
    /// use gateway_core::{Body, FixedResponse, Module, Request, Response};
    /// use http::StatusCode;
    /// # use tower_layer::layer_fn;
    ///
    /// # let some_layer = layer_fn(|inner: Module| inner);
    /// let module = Module::new(FixedResponse::new(StatusCode::OK)).layered(some_layer);
    /// ```
    #[must_use]
    pub fn layered<L, B>(self, layer: L) -> Self
    where
        L: Layer<Self>,
        L::Service: Service<Request, Response = http::Response<B>> + Clone + Send + Sync + 'static,
        <L::Service as Service<Request>>::Future: Send,
        <L::Service as Service<Request>>::Error: Into<BoxError>,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let service = layer.layer(self.clone());
        Self::stack(service, Some(self))
    }

    fn stack<S, B>(service: S, wrapped: Option<Self>) -> Self
    where
        S: Service<Request, Response = http::Response<B>> + Clone + Send + Sync + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let module = TowerModule { service, wrapped };
        if is_ours::<B>() {
            return Self::of(Arc::new(Stack { module, body: PhantomData::<fn() -> B> }));
        }
        Self::new(module)
    }
}

/// A stack around a module of ours, erased without another future around its own: a request is
/// moved once less, and the room for it is used again.
struct Stack<S, B> {
    module: TowerModule<S>,
    body: PhantomData<fn() -> B>,
}

impl<S, B> Erased for Stack<S, B>
where
    S: Service<Request, Response = http::Response<B>> + Clone + Send + Sync + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn call(self: Arc<Self>, request: Request) -> ModuleFuture {
        let service = self.module.service.clone();
        Box::pin(StackFuture::<S>::Waits { service, request: Some(request) })
    }

    fn accepts(&self, head: &request::Parts, metadata: &Metadata) -> bool {
        ModuleService::accepts(&self.module, head, metadata)
    }

    fn health(self: Arc<Self>) -> Pin<Box<dyn Future<Output = Health> + Send>> {
        Box::pin(async move { ModuleService::health(&self.module).await })
    }
}

pin_project! {
    #[project = StackStage]
    enum StackFuture<S: Service<Request>> {
        // Until the service is ready. The request is gone only where it is called.
        Waits { service: S, request: Option<Request> },
        Runs { #[pin] call: S::Future },
    }
}

impl<S, B> Future for StackFuture<S>
where
    S: Service<Request, Response = http::Response<B>>,
    S::Error: Into<BoxError>,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        loop {
            let call = match self.as_mut().project() {
                StackStage::Runs { call } => return call.poll(cx).map(made_ours),
                StackStage::Waits { service, request } => {
                    let ready = ready!(service.poll_ready(cx));
                    match (ready, request.take()) {
                        (Ok(()), Some(request)) => service.call(request),
                        (Err(error), _) => return Poll::Ready(Err(into_error(error.into()))),
                        // It has failed before, and is polled again.
                        (Ok(()), None) => return Poll::Ready(Err(Reason::ModuleFailed.into())),
                    }
                }
            };
            self.set(Self::Runs { call });
        }
    }
}

impl<S> fmt::Debug for TowerModule<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TowerModule")
    }
}

#[cfg(test)]
mod tests {
    use tower_layer::layer_fn;

    use super::*;

    struct Sick;

    impl ModuleService for Sick {
        async fn call(&self, _: Request) -> Outcome {
            Err(Reason::ModuleFailed.into())
        }

        fn accepts(&self, head: &request::Parts, _: &Metadata) -> bool {
            head.uri.path() == "/taken"
        }

        async fn health(&self) -> Health {
            Health::Unhealthy
        }
    }

    #[tokio::test]
    async fn layered_module_keeps_health_and_accepts() {
        let layered = Module::new(Sick).layered(layer_fn(|inner: Module| inner));
        let again =
            layered.layered(tower::util::MapResponseLayer::new(|response: crate::Response| {
                response.map(http_body_util::BodyExt::boxed_unsync)
            }));
        assert_eq!(again.health().await, Health::Unhealthy);
        let head = |path: &str| http::Request::get(path).body(()).unwrap().into_parts().0;
        assert!(again.accepts(&head("/taken"), &Metadata::default()));
        assert!(!again.accepts(&head("/other"), &Metadata::default()));
        let failure = again.call(Request::default()).await.unwrap_err();
        assert_eq!(failure.reason(), Reason::ModuleFailed);
    }
}
