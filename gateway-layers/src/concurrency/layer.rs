//! [`ConcurrencyLayer`].

use std::sync::Arc;

use gateway_core::Request;
use http::HeaderName;
use tower_layer::Layer;

use super::limit::ConcurrencyLimit;
use super::priority::{Priority, Source};
use super::service::Concurrency;

/// Keeps requests to a [`ConcurrencyLimit`]; see the [module](super).
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct ConcurrencyLayer {
    limit: ConcurrencyLimit,
    source: Source,
}

impl ConcurrencyLayer {
    /// Requests keep to `limit`, which may be in front of other services as well.
    pub fn new(limit: ConcurrencyLimit) -> Self {
        Self { limit, source: Source::default() }
    }

    /// The field `name` of a request says how important it is; where it does not, the route's
    /// metadata does. Default: clients are not asked.
    ///
    /// Whoever can send the field decides. Remove it from what strangers send, or every request is
    /// critical.
    pub fn priority_header(mut self, name: HeaderName) -> Self {
        self.source = Source::Header(name);
        self
    }

    /// `function` says how important a request is. Default: the word under `priority` in the
    /// metadata of its route.
    pub fn priority_of<F>(mut self, function: F) -> Self
    where
        F: Fn(&Request) -> Priority + Send + Sync + 'static,
    {
        self.source = Source::Function(Arc::new(function));
        self
    }

    /// The limit, to look at it or to share it.
    pub fn limit(&self) -> &ConcurrencyLimit {
        &self.limit
    }
}

impl<S> Layer<S> for ConcurrencyLayer {
    type Service = Concurrency<S>;

    fn layer(&self, inner: S) -> Concurrency<S> {
        Concurrency::new(inner, self.limit.clone(), self.source.clone())
    }
}
