//! [`CircuitBreakerLayer`]: nothing is sent to who fails all the time, until probes succeed.
//!
//! A breaker lets calls through and counts how they end (*closed*). When too many fail it rejects
//! all of them at once with [`Reason::CircuitOpen`](gateway_core::Reason::CircuitOpen) (*open*):
//! clients need not wait for what will not come, and the server is left alone. After a time it lets
//! a few probes through (*half-open*): if all succeed it closes, if one fails it opens for longer.
//!
//! What counts is what a [`HealthSignal`](gateway_core::HealthSignal) says about the server: connections
//! rejected or broken, late answers and the statuses 502, 503 and 504 are failures; a 500, a 4xx and
//! 429 are answers. What a client did or left behind counts for nothing, and neither does a call
//! that is given up before its answer, unless the time that the gateway itself gave it was over.
//! The outcome is known with the answer's head; how its body ends is not looked at. Of a gRPC call
//! the status decides, in the head or in the trailers: `DEADLINE_EXCEEDED`, `RESOURCE_EXHAUSTED`,
//! `INTERNAL`, `UNAVAILABLE` and `DATA_LOSS` are failures. A probe that is a gRPC call has succeeded
//! with its first message, or when it goes on without one for a second.
//!
//! One breaker stands for what shares a fate: a cluster, for all routes that lead to it.
//!
//! ```
//! use gateway_core::{FixedResponse, Module};
//! use gateway_layers::circuit_breaker::{CircuitBreaker, CircuitBreakerLayer, CircuitBreakerConfig, State};
//! use tower::ServiceBuilder;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let orders = Module::new(FixedResponse::new(http::StatusCode::NO_CONTENT));
//! let breaker = CircuitBreaker::new("orders", CircuitBreakerConfig::default())?;
//! let guarded = Module::from_service(
//!     ServiceBuilder::new()
//!         .layer(CircuitBreakerLayer::new(breaker.clone()))
//!         .service(orders),
//! );
//! // The handle is the same breaker: for a page of an operator, say.
//! assert_eq!(breaker.state(), State::Closed);
//! breaker.force_open();
//! assert_eq!(breaker.status().state, State::Open);
//! # Ok(())
//! # }
//! ```
//!
//! Where calls that take too long are a reason too:
//!
//! ```
//! use std::time::Duration;
//!
//! use gateway_layers::circuit_breaker::{CircuitBreaker, CircuitBreakerConfig, SlowCalls};
//!
//! # fn main() -> Result<(), gateway_layers::circuit_breaker::CircuitBreakerConfigError> {
//! let mut config = CircuitBreakerConfig::default();
//! config.slow = Some(SlowCalls { threshold: Duration::from_secs(2), ratio: 0.8 });
//! config.consecutive_failures = Some(10);
//! let breaker = CircuitBreaker::new("orders", config)?;
//! # Ok(())
//! # }
//! ```
//!
//! # Rules
//!
//! - It opens with a failure, never with a success: when with this call at least `min_requests`
//!   were counted in the window, and `failure_ratio` of them failed. `consecutive_failures` needs no volume.
//! - The time to be open begins with `open` and doubles up to `open_max`; after it has been closed
//!   for `open_max` it begins anew. There is no jitter: breakers open when their own traffic fails,
//!   so they are spread out already, and there is no herd where three probes are let through.
//! - Of the probes, at most `half_open` are under way or have succeeded. One that says nothing (its
//!   client left) makes room for another. One that takes longer than `probe_timeout` has failed, so
//!   that no probe holds the breaker half-open for ever, and so has a slow one where slow calls are
//!   a reason to open.
//! - A call that began in one state counts for nothing in another one.
//! - Half-open begins with a request, not with a timer: a breaker that nobody asks rests.
//! - A [`RecoveryObserver`] ends the open time when a health check finds that an endpoint has
//!   recovered.

mod breaker;
mod cause;
mod config;
mod gate;
#[cfg(test)]
#[cfg(gateway_loom)]
mod interleavings;
mod layer;
mod permit;
#[cfg(test)]
#[cfg(not(gateway_loom))]
mod property;
mod recovery;
mod service;
mod state;
mod sync;
#[cfg(test)]
#[cfg(not(gateway_loom))]
mod tests;
mod window;

pub use self::breaker::{CircuitBreaker, Status};
pub use self::cause::Cause;
pub use self::config::{CircuitBreakerConfig, CircuitBreakerConfigError, ConfigProblem, SlowCalls};
pub use self::layer::CircuitBreakerLayer;
pub use self::recovery::RecoveryObserver;
pub use self::service::{CircuitBreakerService, ResponseFuture};
pub use self::state::State;
