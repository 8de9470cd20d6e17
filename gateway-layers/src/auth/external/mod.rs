//! [`ExternalAuth`]: somebody else decides about each request.
//!
//! The head of a request goes to a service, its answer decides, and the body is not sent. What the
//! service says beside its decision goes on to the upstream or back to the client, as far as it is
//! listed:
//!
//! | the service | the request |
//! | --- | --- |
//! | 2xx | goes on, with the [`upstream_headers`](ExternalAuthBuilder::upstream_headers) of the answer and none of a client's |
//! | 401, 403, 302, 303, 307 | is answered with this status, the [`rejection_headers`](ExternalAuthBuilder::rejection_headers) and the body |
//! | anything else, too late, broken | fails with 503 [`IdentityUnavailable`](gateway_core::Reason::IdentityUnavailable) |
//!
//! There is no way to let requests pass while the service is away.
//!
//! ```
//! use std::time::Duration;
//!
//! use gateway_core::{FixedResponse, Module};
//! use gateway_layers::auth::external::ExternalAuth;
//! use http::HeaderName;
//! use tower::ServiceBuilder;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let service = Module::new(FixedResponse::new(http::StatusCode::FORBIDDEN));
//! # let orders = Module::new(FixedResponse::new(http::StatusCode::NO_CONTENT));
//! let external = ExternalAuth::builder(service, "/check")
//!     .headers([http::header::AUTHORIZATION, http::header::COOKIE])
//!     .upstream_headers([HeaderName::from_static("x-user-id")])
//!     .timeout(Duration::from_millis(500))
//!     .build()?;
//! let guarded = Module::from_service(ServiceBuilder::new().layer(external).service(orders));
//! # Ok(())
//! # }
//! ```
//!
//! # The question
//!
//! `GET /check` with the fields of the request that are [listed](ExternalAuthBuilder::headers), all
//! lines of each; what the gateway itself says of the client (`x-forwarded-*`), `x-request-id` and
//! `traceparent`; and, in fields of its own, what is asked for ([`OriginalFields`]): the target
//! stands there as the gateway has understood it, which is what routes and policies see. Nothing
//! that belongs to a connection, or frames a body, is copied. The first bytes of a body cannot be
//! sent along.
//!
//! A module that is a cluster brings its pool, health, breaker and limits along: a breaker spares
//! requests the wait for a service that is away.

mod allowed;
mod builder;
mod cache;
mod guard;
mod path;
mod question;
#[cfg(test)]
mod tests;

pub use self::allowed::PrincipalFields;
pub use self::builder::{DEFAULT_TIMEOUT, ExternalAuthBuilder, ExternalAuthError, MAX_BODY};
pub use self::guard::ExternalAuth;
pub use self::path::PathInvalid;
pub use self::question::OriginalFields;
