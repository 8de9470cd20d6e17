//! [`FilterChain`]: many filters, one layer.

use std::fmt;

use http::request;

use super::{Filter, Flow};

/// Filters that run one after the other. The first that stops the request decides, and those
/// behind it do not see it.
///
/// A chain is a [`Filter`], so chains nest and [`FilterLayer`](super::FilterLayer) takes one.
#[derive(Default)]
#[must_use]
pub struct FilterChain {
    filters: Vec<Box<dyn Filter>>,
}

impl FilterChain {
    /// A chain of no filter: every request goes on.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `filter` behind those that are there.
    pub fn then(mut self, filter: impl Filter) -> Self {
        self.filters.push(Box::new(filter));
        self
    }

    /// True when there is no filter, so that the layer can be left out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.filters.is_empty()
    }
}

impl Filter for FilterChain {
    fn apply(&self, head: &mut request::Parts) -> Flow {
        for filter in &self.filters {
            match filter.apply(head) {
                Flow::Continue => {}
                stop => return stop,
            }
        }
        Flow::Continue
    }
}

impl fmt::Debug for FilterChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FilterChain").field(&self.filters.len()).finish()
    }
}
