//! What a request knows of its route.

use std::sync::Arc;

pub use crate::route::{Metadata, PathParams};

/// The route that took a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteInfo {
    /// Its name.
    pub id: Arc<str>,
    /// What its author wrote down about it.
    pub metadata: Metadata,
}

impl RouteInfo {
    /// The route called `id`.
    pub fn new(id: impl Into<Arc<str>>, metadata: Metadata) -> Self {
        Self {
            id: id.into(),
            metadata,
        }
    }
}
