//! [`FilterLayer`].

use std::fmt;
use std::sync::Arc;

use tower_layer::Layer;

use super::service::FilterService;

/// Puts a [`Filter`](super::Filter) in front of a service; see the [module](super).
#[must_use]
pub struct FilterLayer<F> {
    filter: Arc<F>,
}

impl<F> FilterLayer<F> {
    /// Requests go through `filter`.
    pub fn new(filter: F) -> Self {
        Self { filter: Arc::new(filter) }
    }
}

impl<S, F> Layer<S> for FilterLayer<F> {
    type Service = FilterService<S, F>;

    fn layer(&self, inner: S) -> FilterService<S, F> {
        FilterService::new(inner, Arc::clone(&self.filter))
    }
}

impl<F> Clone for FilterLayer<F> {
    fn clone(&self) -> Self {
        Self { filter: Arc::clone(&self.filter) }
    }
}

impl<F> fmt::Debug for FilterLayer<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FilterLayer")
    }
}
