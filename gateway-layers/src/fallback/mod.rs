//! [`FallbackLayer`]: somebody else answers when the one who was to answer cannot.
//!
//! Only failures *below* the layer are fallen back from: the kinds of [`FallbackConfig::on`] and the
//! answers of [`FallbackConfig::statuses`]. What the client did wrong stands (a 4xx, a body that breaks off or is
//! too large, a client that left, its own deadline), and so does what layers further out decide.
//!
//! Who answers is a module, which is asked with the same request (method, target, headers and, up
//! to 64 KiB, the body), or a fixed answer. The answer says so in `x-gateway-fallback`, and the log
//! in the request's [`Record`](gateway_core::context::Record). When the fallback fails as well, the
//! first failure is the request's; the second one stands in the log.
//!
//! A module is not asked when that could do twice what was asked for once: see
//! [`FallbackConfig::any_method`]. What it may need is kept for every request: a copy of the head and what
//! passes of the body. A fixed answer costs nothing until something fails.
//!
//! The fallback has no time of its own. Where a timeout stands below this layer and has rung, a
//! fixed answer and a module in this process still answer; a cluster finds no time left.
//!
//! ```
//! use gateway_core::{FixedResponse, Module};
//! use gateway_layers::fallback::FallbackLayer;
//! use http::StatusCode;
//! use tower::ServiceBuilder;
//!
//! let orders = Module::new(FixedResponse::new(StatusCode::BAD_GATEWAY));
//! let legacy = Module::new(FixedResponse::new(StatusCode::OK));
//! let target = Module::from_service(
//!     ServiceBuilder::new()
//!         .layer(FallbackLayer::new(legacy).name("legacy"))
//!         .service(orders),
//! );
//! ```
//!
//! A fixed answer, for an open circuit and what is like it:
//!
//! ```
//! use gateway_core::FixedResponse;
//! use gateway_layers::fallback::{FallbackConfig, FailureKind, FallbackLayer};
//! use http::{HeaderValue, StatusCode};
//!
//! let mut config = FallbackConfig::default();
//! config.on = vec![FailureKind::Unavailable];
//! config.statuses = Vec::new();
//! let empty = FixedResponse::new(StatusCode::OK)
//!     .body(HeaderValue::from_static("application/json"), "[]");
//! let layer = FallbackLayer::respond(empty).name("empty-list").config(config);
//! ```
//!
//! What a cache still has is a third kind of fallback: it comes as another constructor of the layer
//! once there is a cache.

mod config;
mod layer;
mod service;
#[cfg(test)]
mod tests;

pub use self::config::{FailureKind, FallbackConfig};
pub use self::layer::FallbackLayer;
pub use self::service::{FALLBACK, Fallback, ResponseFuture};
