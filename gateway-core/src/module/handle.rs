//! [`Module`]: the one erased boundary on the request path.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::request;
use tower_service::Service;

use super::{Health, ModuleService};
use crate::context::Metadata;
use crate::error::Error;
use crate::message::{Outcome, Request, Response};

/// The future of a call through a [`Module`].
pub type ModuleFuture = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// A module of any kind, erased. Cheap to clone; one call costs one allocation.
///
/// It is a tower [`Service`] as well, so that every tower layer can stand in front of it.
#[derive(Clone)]
pub struct Module {
    inner: Arc<dyn Erased>,
}

impl Module {
    /// Erases `module`.
    pub fn new(module: impl ModuleService) -> Self {
        Self { inner: Arc::new(module) }
    }

    pub(super) fn of(inner: Arc<dyn Erased>) -> Self {
        Self { inner }
    }

    /// Answers one request.
    pub fn call(&self, request: Request) -> ModuleFuture {
        Arc::clone(&self.inner).call(request)
    }

    /// May this module take the request?
    pub fn accepts(&self, head: &request::Parts, metadata: &Metadata) -> bool {
        self.inner.accepts(head, metadata)
    }

    /// Is the module well?
    pub async fn health(&self) -> Health {
        Arc::clone(&self.inner).health().await
    }
}

impl Service<Request> for Module {
    type Response = Response;
    type Error = Error;
    type Future = ModuleFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> ModuleFuture {
        Self::call(self, request)
    }
}

impl ModuleService for Module {
    fn call(&self, request: Request) -> impl Future<Output = Outcome> + Send {
        Self::call(self, request)
    }

    fn accepts(&self, head: &request::Parts, metadata: &Metadata) -> bool {
        Self::accepts(self, head, metadata)
    }

    fn health(&self) -> impl Future<Output = Health> + Send {
        Self::health(self)
    }
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Module")
    }
}

/// What a [`Module`] holds.
pub(super) trait Erased: Send + Sync {
    fn call(self: Arc<Self>, request: Request) -> ModuleFuture;
    fn accepts(&self, head: &request::Parts, metadata: &Metadata) -> bool;
    fn health(self: Arc<Self>) -> Pin<Box<dyn Future<Output = Health> + Send>>;
}

impl<M: ModuleService> Erased for M {
    fn call(self: Arc<Self>, request: Request) -> ModuleFuture {
        Box::pin(async move { ModuleService::call(&*self, request).await })
    }

    fn accepts(&self, head: &request::Parts, metadata: &Metadata) -> bool {
        ModuleService::accepts(self, head, metadata)
    }

    fn health(self: Arc<Self>) -> Pin<Box<dyn Future<Output = Health> + Send>> {
        Box::pin(async move { ModuleService::health(&*self).await })
    }
}
