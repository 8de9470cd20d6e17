//! Modules made of tower services.

use std::any::TypeId;
use std::fmt;
use std::future::{Future, poll_fn, ready};
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::request;
use pin_project_lite::pin_project;
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
}

impl<S> TowerModule<S> {
    /// The module that calls a clone of `service` for every request.
    pub fn new(service: S) -> Self {
        Self { service }
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
    pub fn from_service<S, B>(service: S) -> Self
    where
        S: Service<Request, Response = http::Response<B>> + Clone + Send + Sync + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if is_ours::<B>() {
            return Self::of(Arc::new(Stack { service, body: PhantomData::<fn() -> B> }));
        }
        Self::new(TowerModule::new(service))
    }
}

/// A stack around a module of ours, erased without another future around its own: a request is
/// moved once less, and the room for it is used again.
struct Stack<S, B> {
    service: S,
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
        let service = self.service.clone();
        Box::pin(StackFuture::<S>::Waits { service, request: Some(request) })
    }

    fn accepts(&self, _: &request::Parts, _: &Metadata) -> bool {
        true
    }

    fn health(self: Arc<Self>) -> Pin<Box<dyn Future<Output = Health> + Send>> {
        Box::pin(ready(Health::Healthy))
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
