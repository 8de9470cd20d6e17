//! [`TimeoutLayer`]: the time a request has in all; [`AttemptTimeoutLayer`]: the time of one try;
//! [`ResponseHeadTimeoutLayer`]: the time until the response begins.
//!
//! The layer sets the request's deadline and fails it with
//! [`Reason::RouteTimeout`](gateway_core::Reason::RouteTimeout) when the deadline passes before
//! the answer's head. Everything behind draws from the same budget: the deadline stands in the
//! [`RequestContext`](gateway_core::RequestContext), where a forwarder reads it for its connects
//! and tries, and holds the answer's body to it as well. So the layer belongs outside of everything
//! that can wait: authentication, authorization by another service, queues.
//!
//! There is no total timeout by default: it would cut downloads and streams that make progress.
//! What ends a request that makes none are the limits of the cluster
//! ([`ClusterTimeouts`](gateway_core::ClusterTimeouts)) and of the listener.
//!
//! While the gateway waits for the rest of the client's body, the failure is the client's:
//! [`Reason::RequestTimeout`](gateway_core::Reason::RequestTimeout) (408).
//!
//! Clients may ask for less, with `grpc-timeout` or `x-request-deadline-ms`, never for more.
//!
//! ```
//! use std::time::Duration;
//!
//! use gateway_core::{FixedResponse, Module};
//! use gateway_layers::timeout::TimeoutLayer;
//! use tower::ServiceBuilder;
//!
//! let module = Module::new(FixedResponse::new(http::StatusCode::NO_CONTENT));
//! let limited = Module::from_service(
//!     ServiceBuilder::new()
//!         .layer(TimeoutLayer::new(Duration::from_secs(30)))
//!         .service(module),
//! );
//! ```
//!
//! Where clients are not to be heard about their budget:
//!
//! ```
//! # use std::time::Duration;
//! # use gateway_layers::timeout::TimeoutLayer;
//! let layer = TimeoutLayer::new(Duration::from_secs(30)).honor_client_deadline(false);
//! ```

mod attempt;
mod budget;
mod layer;
mod response_head;
mod service;
#[cfg(test)]
mod tests;

pub use self::attempt::{AttemptTimeout, AttemptTimeoutLayer};
pub use self::layer::TimeoutLayer;
pub use self::response_head::{ResponseHeadTimeout, ResponseHeadTimeoutLayer};
pub use self::service::{ResponseFuture, Timeout};
