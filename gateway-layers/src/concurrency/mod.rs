//! [`ConcurrencyLayer`]: how many requests may be under way at the same time.
//!
//! A request that begins takes a permit and gives it back when the *body* of its answer has ended,
//! however it ended: a slow download is work under way as much as a slow answer is. With every
//! permit taken, requests wait: a bounded number, for a bounded time, the more important ones
//! first. What cannot wait fails with
//! [`Reason::ConcurrencyLimit`](gateway_core::Reason::ConcurrencyLimit), what waited in vain with
//! [`Reason::QueueTimeout`](gateway_core::Reason::QueueTimeout). An upgraded connection gives its
//! permit back with its `101`: what it carries from then on is no request.
//!
//! ```
//! use std::time::Duration;
//!
//! use gateway_core::{FixedResponse, Module};
//! use gateway_layers::concurrency::{ConcurrencyLayer, ConcurrencyLimit, ConcurrencyConfig};
//! use tower::ServiceBuilder;
//!
//! let mut settings = ConcurrencyConfig::default();
//! settings.limit = 64;
//! settings.queue_timeout = Duration::from_millis(50);
//! let limit = ConcurrencyLimit::new(settings);
//!
//! // One limit in front of two modules: clones of the handle are the same limit.
//! let module = Module::new(FixedResponse::new(http::StatusCode::NO_CONTENT));
//! let behind = |module| {
//!     Module::from_service(
//!         ServiceBuilder::new().layer(ConcurrencyLayer::new(limit.clone())).service(module),
//!     )
//! };
//! let (orders, users) = (behind(module.clone()), behind(module));
//! assert_eq!(limit.status().in_use, 0);
//! ```
//!
//! # Importance
//!
//! The word under `priority` in the route's metadata (`critical`, `high`, `normal`, `low`) says
//! how important its requests are; without one they are [`Priority::Normal`]. It decides who waits
//! before whom, and who gives up a place in a full queue. With [`ShedConfig`] the less important
//! are shed ([`Reason::LoadShed`](gateway_core::Reason::LoadShed)) while there is still room for
//! the more important ones. Clients are heard about their own importance only where that is said:
//!
//! ```
//! use gateway_layers::concurrency::{
//!     ConcurrencyLayer, ConcurrencyLimit, ConcurrencyConfig, ShedConfig,
//! };
//! use http::HeaderName;
//!
//! let mut settings = ConcurrencyConfig::default();
//! settings.shed = Some(ShedConfig::default());
//! let layer = ConcurrencyLayer::new(ConcurrencyLimit::new(settings))
//!     .priority_header(HeaderName::from_static("x-priority"));
//! ```
//!
//! # A limit that finds itself
//!
//! With [`AdaptiveConfig`] the limit follows the latency that is measured behind it: see there.

mod adaptive;
mod config;
mod gate;
mod layer;
mod limit;
mod pace;
mod priority;
mod queue;
mod service;
#[cfg(test)]
mod tests;

pub use self::config::{AdaptiveConfig, ConcurrencyConfig, ShedConfig};
pub use self::layer::ConcurrencyLayer;
pub use self::limit::{ConcurrencyLimit, ConcurrencyStatus};
pub use self::priority::{Priority, UnknownPriority};
pub use self::service::{Concurrency, ResponseFuture};
