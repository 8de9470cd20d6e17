//! [`MethodFilter`]: which methods a route takes at all.
//!
//! Other than the methods of a route's match, which let the next route have what they do not fit,
//! these reject: with [`Reason::MethodNotAllowed`] (405) and `Allow` (RFC 9110, section 10.2.1).
//!
//! ```
//! use gateway_core::{FixedResponse, Module};
//! use gateway_layers::filter::FilterLayer;
//! use gateway_layers::method_filter::MethodFilter;
//! use http::Method;
//! use tower::ServiceBuilder;
//!
//! let module = Module::new(FixedResponse::new(http::StatusCode::NO_CONTENT));
//! let read_only = Module::from_service(
//!     ServiceBuilder::new()
//!         .layer(FilterLayer::new(MethodFilter::new([Method::GET, Method::HEAD])))
//!         .service(module),
//! );
//! ```

use gateway_core::route::MethodMatch;
use gateway_core::{Error, Reason};
use http::{Method, request};

use crate::filter::{Filter, Flow};

/// Rejects methods; see the [module](self).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MethodFilter {
    /// Sorted, each once.
    methods: Vec<Method>,
}

impl MethodFilter {
    /// Takes `methods`, as exact tokens: `GET` does not imply `HEAD`.
    pub fn new(methods: impl IntoIterator<Item = Method>) -> Self {
        let mut sorted = MethodMatch::default();
        methods.into_iter().for_each(|method| sorted.insert(method));
        Self { methods: sorted.iter().cloned().collect() }
    }

    /// What it takes, sorted.
    pub fn methods(&self) -> &[Method] {
        &self.methods
    }
}

impl Filter for MethodFilter {
    fn apply(&self, head: &mut request::Parts) -> Flow {
        if self.methods.contains(&head.method) {
            return Flow::Continue;
        }
        Flow::Reject(Error::new(Reason::MethodNotAllowed).with_allow(self.methods.clone()))
    }
}

#[cfg(test)]
mod tests {
    use gateway_core::{Body, Request};

    use super::*;

    #[test]
    fn what_is_not_listed_is_rejected_with_the_list() {
        let filter = MethodFilter::new([Method::POST, Method::GET, Method::GET]);
        for (method, passes) in [
            (Method::GET, true),
            (Method::POST, true),
            (Method::HEAD, false),
            (Method::OPTIONS, false),
            (Method::from_bytes(b"get").unwrap(), false),
        ] {
            let mut request = Request::new(Body::empty());
            *request.method_mut() = method.clone();
            match filter.apply(&mut request.into_parts().0) {
                Flow::Continue => assert!(passes, "{method}"),
                Flow::Reject(error) => {
                    assert!(!passes, "{method}");
                    assert_eq!(error.reason(), Reason::MethodNotAllowed);
                    assert_eq!(error.allow(), [Method::GET, Method::POST]);
                }
                Flow::Answer(_) => panic!("an answer"),
            }
        }
    }
}
