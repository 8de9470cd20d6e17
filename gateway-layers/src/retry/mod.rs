//! [`RetryLayer`]: a request that failed is sent again, where that can do no harm.
//!
//! A failure is retried when all of this holds:
//!
//! - it is one of those that were asked for: a [`Condition`], or a status;
//! - sending the request again cannot do twice what was asked for once: its method is idempotent
//!   (RFC 9110, section 9.2.2) or named by [`methods`](RetryLayer::methods), it has an
//!   `Idempotency-Key`, or the failure [says](gateway_core::Error::is_unsent) that nothing of the
//!   request reached an application;
//! - its body can be sent once more: see [`replay_limit`](RetryLayer::replay_limit);
//! - there are tries left, and the [`RetryBudget`](gateway_core::budget::RetryBudget) grants one;
//! - the wait before it ends before the request's deadline, and whoever rejected the request did
//!   not ask for a longer one than [`max_wait`](RetryLayer::max_wait).
//!
//! Otherwise the failure passes as it is: the upstream's own answer unchanged, or the error of the
//! last try. Why a failure was not retried stands in the request's
//! [record](gateway_core::context::Record::gave_up). Requests with `Upgrade` or `CONNECT` and
//! bodies that say that they are larger than the limit go through untouched, and the gateway's own
//! rejections (a full queue, an open circuit) are never retried: more requests are no remedy.
//!
//! Each try at a [`Cluster`](gateway_core::Cluster) is a pick of its own. An answer that is not
//! passed on is dropped, not read: the connection of one that came whole with its head is used
//! again, any other is closed.
//!
//! ```
//! use gateway_core::{FixedResponse, Module};
//! use gateway_layers::retry::RetryLayer;
//! use tower::ServiceBuilder;
//!
//! let module = Module::new(FixedResponse::new(http::StatusCode::NO_CONTENT));
//! let retried =
//!     Module::from_service(ServiceBuilder::new().layer(RetryLayer::new()).service(module));
//! ```
//!
//! Calls of gRPC are `POST`; a service whose calls may be repeated says so:
//!
//! ```
//! use gateway_layers::retry::{Condition, RetryLayer};
//! use http::Method;
//!
//! let layer = RetryLayer::new()
//!     .max_retries(2)
//!     .on([Condition::Connect, Condition::Reset, Condition::Unavailable])
//!     .methods([Method::POST]);
//! ```

mod condition;
mod config;
mod layer;
mod policy;
mod retry_after;
mod service;
#[cfg(test)]
mod tests;

pub use self::condition::Condition;
pub use self::config::{Backoff, MOST_RETRIES, RetryConfig};
pub use self::layer::RetryLayer;
pub use self::service::{ResponseFuture, Retry};
