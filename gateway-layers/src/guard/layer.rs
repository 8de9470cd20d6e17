//! [`GuardLayer`].

use std::fmt;
use std::sync::Arc;

use tower_layer::Layer;

use super::service::GuardService;

/// Puts a [`Guard`](super::Guard) in front of a service; see the [module](super).
#[must_use]
pub struct GuardLayer<G> {
    guard: Arc<G>,
}

impl<G> GuardLayer<G> {
    /// Requests go past `guard`.
    pub fn new(guard: G) -> Self {
        Self { guard: Arc::new(guard) }
    }
}

impl<S, G> Layer<S> for GuardLayer<G> {
    type Service = GuardService<S, G>;

    fn layer(&self, inner: S) -> GuardService<S, G> {
        GuardService::new(inner, Arc::clone(&self.guard))
    }
}

impl<G> Clone for GuardLayer<G> {
    fn clone(&self) -> Self {
        Self { guard: Arc::clone(&self.guard) }
    }
}

impl<G> fmt::Debug for GuardLayer<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GuardLayer")
    }
}
