//! Filters: what looks at or edits the head of a request, and may stop it.
//!
//! A [`Filter`] is synchronous and sees no body, so that many of them cost little: a
//! [`FilterChain`] runs any number of them in one layer.
//!
//! ```
//! use gateway_core::{FixedResponse, Module, Reason};
//! use gateway_layers::filter::{Filter, FilterChain, FilterLayer, Flow, filter_fn};
//! use http::request;
//! use tower::ServiceBuilder;
//!
//! /// Takes requests of one tenant only.
//! struct Tenant(&'static str);
//!
//! impl Filter for Tenant {
//!     fn apply(&self, head: &mut request::Parts) -> Flow {
//!         match head.headers.get("x-tenant") {
//!             Some(tenant) if tenant == self.0 => Flow::Continue,
//!             _ => Flow::Reject(Reason::RouteNotFound.into()),
//!         }
//!     }
//! }
//!
//! let forget = filter_fn(|head| {
//!     head.headers.remove("x-tenant");
//!     Flow::Continue
//! });
//! let module = Module::new(FixedResponse::new(http::StatusCode::NO_CONTENT));
//! let filtered = Module::from_service(
//!     ServiceBuilder::new()
//!         .layer(FilterLayer::new(FilterChain::new().then(Tenant("a")).then(forget)))
//!         .service(module),
//! );
//! ```

mod chain;
mod layer;
mod service;
#[cfg(test)]
mod tests;

use std::fmt;

use gateway_core::{Error, Response};
use http::request;

pub use self::chain::FilterChain;
pub use self::layer::FilterLayer;
pub use self::service::{FilterService, ResponseFuture};

/// Looks at or edits the head of a request, and may stop it.
///
/// It runs on the request path and must not block. What has to wait, or wants the body or the
/// answer, is a layer.
pub trait Filter: Send + Sync + 'static {
    /// Decides about one request.
    fn apply(&self, head: &mut request::Parts) -> Flow;
}

/// What becomes of a request that a filter has seen.
#[derive(Debug)]
#[must_use]
pub enum Flow {
    /// It goes on, with its head as the filter left it.
    Continue,
    /// It fails; the error becomes a response at the edge of the gateway.
    Reject(Error),
    /// It is answered with this.
    Answer(Response),
}

impl From<Result<(), Error>> for Flow {
    fn from(checked: Result<(), Error>) -> Self {
        checked.map_or_else(Self::Reject, |()| Self::Continue)
    }
}

/// A filter that calls `function`.
pub fn filter_fn<F>(function: F) -> FilterFn<F>
where
    F: Fn(&mut request::Parts) -> Flow + Send + Sync + 'static,
{
    FilterFn { function }
}

/// A filter made of a function; see [`filter_fn`].
#[derive(Clone, Copy)]
pub struct FilterFn<F> {
    function: F,
}

impl<F> Filter for FilterFn<F>
where
    F: Fn(&mut request::Parts) -> Flow + Send + Sync + 'static,
{
    fn apply(&self, head: &mut request::Parts) -> Flow {
        (self.function)(head)
    }
}

impl<F> fmt::Debug for FilterFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FilterFn")
    }
}
