//! Modules made of tower services.

use std::any::TypeId;
use std::fmt;
use std::future::{Future, poll_fn};

use bytes::Bytes;
use tower_service::Service;

use super::{Module, ModuleService, upgrade};
use crate::body::{Body, into_error};
use crate::error::BoxError;
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
            let is_foreign = TypeId::of::<B>() != TypeId::of::<Body>();
            let offer = if is_foreign && upgrade::is_wanted(&request) {
                // Boxed: it is rare, and would make every call's future larger.
                Some(Box::pin(upgrade::offer(&mut request)).await?)
            } else {
                None
            };
            let response = service.call(request).await;
            let response = response.map_err(|error| into_error(error.into()))?;
            let response = response.map(Body::same_or_boxed);
            match offer {
                None => Ok(response),
                Some(offer) => Box::pin(offer.settle(response)).await,
            }
        }
    }
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
        Self::new(TowerModule::new(service))
    }
}

impl<S> fmt::Debug for TowerModule<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TowerModule")
    }
}
