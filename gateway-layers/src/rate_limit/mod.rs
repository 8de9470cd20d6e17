//! [`RateLimitLayer`]: how many requests may pass in a time.
//!
//! ```
//! use gateway_core::{FixedResponse, Module};
//! use gateway_layers::rate_limit::{Limit, RateLimitLayer};
//! use tower::ServiceBuilder;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let module = Module::new(FixedResponse::new(http::StatusCode::NO_CONTENT));
//! let layer = RateLimitLayer::new(Limit::per_minute(100).by_ip())?;
//! let limiter = layer.limiter().clone();
//! let orders = Module::from_service(ServiceBuilder::new().layer(layer).service(module));
//! assert_eq!(limiter.status().admitted, 0);
//! # Ok(())
//! # }
//! ```
//!
//! A request that is over a limit fails with
//! [`Reason::RateLimited`](gateway_core::Reason::RateLimited), or of a day or month with
//! [`Reason::QuotaExceeded`](gateway_core::Reason::QuotaExceeded), and with the time after which
//! one like it passes. It takes nothing from any limit. Several limits are one decision:
//!
//! ```
//! use std::time::Duration;
//!
//! use gateway_layers::rate_limit::{Algorithm, KeyPart, Limit, RateLimitConfig, RateLimiter};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let minute = Limit::per_minute(60).name("minute").tier("gold", 600);
//! let day = Limit::per_day(10_000).by_principal().name("day");
//! let search = Limit::new(5, Duration::from_secs(1))
//!     .by([KeyPart::Principal, KeyPart::Route])
//!     .algorithm(Algorithm::SlidingWindow)
//!     .name("search");
//! let settings = RateLimitConfig::new("orders", [minute, day, search]);
//! let limiter = RateLimiter::builder(settings)
//!     .cost_of(|request| if request.uri().path().ends_with("/export") { 10 } else { 1 })
//!     .build()?;
//! # Ok(())
//! # }
//! ```
//!
//! # Guarantees
//!
//! - [`TokenBucket`](Algorithm::TokenBucket): in any time of length `per` at most `limit + burst`
//!   pass. [`SlidingWindow`](Algorithm::SlidingWindow): at most `limit`.
//! - Under steady overload the rate that passes is within 2 % of `limit`.
//! - All limits of a request are charged, or none is; who is rejected is not charged.
//! - In a [`MemoryStore`] there are never more keys than said. Room is made by keys that are over
//!   (a full bucket says nothing). Where all are in use, the one of 32 goes that has used the least
//!   of its limit: who has used up his cannot be forgotten by a flood of fresh keys, as those go
//!   before him. What is lost then is the little that the fresh ones had used;
//!   [`StoreStatus::evicted`] counts it, and a warning says it once.
//!
//! # Who counts as one
//!
//! See [`KeyPart`]. Who lacks what he is counted by is counted by address.

mod calendar;
mod config;
mod early;
mod headers;
mod key;
mod layer;
mod limiter;
#[cfg(test)]
mod property;
mod rule;
mod status;
mod store;
#[cfg(test)]
mod tests;

pub use self::config::{
    Algorithm, ConfigProblem, Limit, MOST_LIMITS, Problem, RateLimitConfig, RateLimitConfigError,
    Tier,
};
pub use self::key::KeyPart;
pub use self::layer::RateLimitLayer;
pub use self::limiter::{RateLimiter, RateLimiterBuilder};
pub use self::rule::{Level, Rule};
pub use self::status::{LimitOutlook, LimitStatus, Outlook, RateLimitStatus};
pub use self::store::{
    Admission, Ask, Charge, DEFAULT_KEYS, Decided, Deciding, Decision, MemoryStore, Store,
    StoreStatus,
};
#[cfg(feature = "redis")]
pub use self::store::{OnUnavailable, RedisConfig, RedisStore, RedisStoreError};
