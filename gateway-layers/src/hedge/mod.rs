//! [`HedgeLayer`]: a request whose answer is slow is sent a second time, and the better of the two
//! answers counts.
//!
//! What makes a few answers slow (a pause, a full queue, a cold cache) is mostly the endpoint's,
//! and another endpoint answers at once. So when the head of an answer has not come after a
//! [`Delay`], the request is sent once more beside the first one. The first good answer wins, and
//! the other try is dropped, which ends it.
//!
//! Hedged are requests of which two copies may be in flight: those with an idempotent method (RFC
//! 9110, section 9.2.2) or one that [`methods`](HedgeLayer::methods) names, and whose body is empty
//! or in memory. Others pass untouched, a POST with `Idempotency-Key` among them: its copies would
//! meet at the upstream.
//!
//! Only a success ends the race: a status below 400, and for gRPC no status but 0. A failure before
//! the delay passes at once: it is for a [retry](crate::retry) outside of the hedge to judge. Of a
//! copy that fails later, the others are waited for; when all fail, the outcome of the first one
//! passes, as if there had been no other.
//!
//! Extra tries come from a [`RetryBudget`](gateway_core::budget::RetryBudget), best the one that the
//! retries around them have.
//!
//! ```
//! use std::time::Duration;
//!
//! use gateway_core::{FixedResponse, Module};
//! use gateway_layers::hedge::{Delay, HedgeLayer};
//! use tower::ServiceBuilder;
//!
//! let module = Module::new(FixedResponse::new(http::StatusCode::NO_CONTENT));
//! let hedge = HedgeLayer::new().delay(Delay::Fixed(Duration::from_millis(50)));
//! let hedged = Module::from_service(ServiceBuilder::new().layer(hedge).service(module));
//! ```
//!
//! Without a number that fits today only, by what the answers took lately:
//!
//! ```
//! # use gateway_layers::hedge::{Delay, HedgeLayer};
//! let layer = HedgeLayer::new().delay(Delay::Percentile(99.0)).min_samples(500);
//! ```

mod config;
mod latency;
mod layer;
mod service;
#[cfg(test)]
mod tests;

pub use self::config::{Delay, HedgeConfig, MOST_EXTRA};
pub use self::layer::HedgeLayer;
pub use self::service::{Hedge, ResponseFuture};
