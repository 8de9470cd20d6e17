//! [`CorsFilter`]: which other origins may ask, and read what is answered (Fetch, "HTTP-CORS
//! protocol").
//!
//! ```
//! use gateway_core::{FixedResponse, Gateway, Module, Route, RouteMatch};
//! use gateway_layers::cors::{CorsConfig, CorsFilter};
//! use gateway_layers::filter::FilterLayer;
//! use http::{Method, header};
//! use tower::ServiceBuilder;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let cors = CorsFilter::new(
//!     CorsConfig::new(["https://*.example.com".parse()?])
//!         .allow_methods([Method::GET, Method::PUT])
//!         .allow_headers([header::CONTENT_TYPE])
//!         .allow_credentials(true),
//! )?;
//! let answer = Module::new(FixedResponse::new(http::StatusCode::NO_CONTENT));
//! let stack = ServiceBuilder::new().layer(FilterLayer::new(cors)).service(answer);
//! let orders = Route::new("orders", Module::from_service(stack))
//!     .matching(RouteMatch::prefix("/orders")?.methods([Method::GET, Method::PUT]))
//!     // A preflight is matched as the method it asks for.
//!     .preflight(true);
//! let gateway = Gateway::builder().route(orders).build()?;
//! # Ok(())
//! # }
//! ```
//!
//! The filter answers preflights itself, so it stands before whatever wants to know who is calling:
//! a browser sends no credentials with them. One that is rejected fails with
//! [`Reason::PreflightRejected`](gateway_core::Reason::PreflightRejected) (403) and has no CORS field.
//!
//! Any other request passes. The answer gets the CORS fields where the request's origin is allowed,
//! and loses those that the target sent: the filter alone decides. It says so to the request's
//! [context](gateway_core::RequestContext::edit_response), so that failures that the gateway makes
//! (401, 429, 503) can be read by scripts too. `Vary: Origin` is there in any case.

mod answer;
mod config;
mod filter;
#[cfg(test)]
mod tests;

pub use self::config::{Allowed, CorsConfig, CorsConfigError};
pub use self::filter::CorsFilter;
